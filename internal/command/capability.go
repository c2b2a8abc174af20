package command

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bctrl-go/bctrl"
)

func capabilities(c *cli) *cobra.Command {
	return c.reaching(group(&cobra.Command{
		Use:     "capability",
		Aliases: []string{"capabilities"},
		Short:   "See, limit and add what may be called at providers",
		Long: `See, limit and add what may be called at providers.

A capability, such as openai/embeddings, is a kind of call: which methods and
paths, and where. The server knows many; a workspace mounts those that its
runtimes may invoke. It is ready where a call would find a credential.

A binding says which secret is used for a capability or a credential, in a scope
and perhaps for one consumer alone.`,
	}, listCapabilities(c), describeCapability(c), createCapability(c), deleteCapability(c),
		bindCapability(c), unbindCapability(c), listBindings(c),
		group(&cobra.Command{Use: "policy", Short: "Limit a capability",
			Long: `Limit what a capability permits, for everybody who invokes it.`}, setPolicy(c))))
}

func listCapabilities(c *cli) *cobra.Command {
	cmd := printing[bctrl.Capability](c, &cobra.Command{
		Use:   "list",
		Short: "List capabilities, and say which are ready",
		Long: `List capabilities, those that the server knows and own ones, those that are
ready first. They are ready for calls in the context that the flags say; without
any, for calls that name none.`,
		Example: `  bctrl capability list --provider github --workspace-id sales
  bctrl capability list --status ready --workspace-id sales --output id`,
		Args: arguments(0, 0),
	})
	var filter bctrl.CapabilityFilter
	where := &scopeFlags{}
	f := cmd.Flags()
	f.StringVar(&filter.Provider, "provider", "", "those of one `provider`")
	f.StringVar((*string)(&filter.Status), "status", "", "those that are ready, or available")
	f.BoolVarP(&c.json, "verbose", "v", false, "print all that is known of each, as --json does")
	c.addGroupFlags(cmd, where)
	completeWords(cmd, "status", string(bctrl.CapabilityReady), string(bctrl.CapabilityAvailable))
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if filter.Context, err = where.context(cmd); err != nil {
			return err
		}
		return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
			all := client.Capabilities.List(ctx, filter)
			if filter.Status == "" && !c.json && len(c.fields) == 0 { // for people
				all = inTurn(filter, func(f bctrl.CapabilityFilter) records { return client.Capabilities.List(ctx, f) })
			}
			return list(c, cmd, all, []column[bctrl.Capability]{
				{"CAPABILITY", func(k bctrl.Capability) string { return k.ID }},
				{"STATUS", func(k bctrl.Capability) string { return string(k.Status) }},
				{"METHODS", func(k bctrl.Capability) string { return strings.Join(k.Methods, " ") }},
				{"DESCRIPTION", func(k bctrl.Capability) string { return k.Description }},
			}...)
		})
	}
	return cmd
}

// records is what the SDK lists.
type records = func(yield func(bctrl.Capability, error) bool)

// inTurn lists what is ready, then what is available.
func inTurn(f bctrl.CapabilityFilter, from func(bctrl.CapabilityFilter) records) records {
	return func(yield func(bctrl.Capability, error) bool) {
		for _, status := range []bctrl.CapabilityStatus{bctrl.CapabilityReady, bctrl.CapabilityAvailable} {
			f.Status = status
			for k, err := range from(f) {
				if !yield(k, err) || err != nil {
					return
				}
			}
		}
	}
}

// context is where a call is made, which may be nowhere.
func (s *scopeFlags) context(cmd *cobra.Command) (bctrl.Scope, error) {
	switch given := cmd.Flags().Changed; {
	case given("group-id"):
		scope := bctrl.InGroup(s.workspace, s.group)
		if err := scope.Validate(); err != nil {
			return scope, usageError{err}
		}
		return scope, nil
	case given("workspace-id"):
		scope := bctrl.InWorkspace(s.workspace)
		if err := scope.Validate(); err != nil {
			return scope, usageError{err}
		}
		return scope, nil
	}
	return bctrl.Scope{}, nil
}

func (c *cli) showCapability(cmd *cobra.Command, k bctrl.Capability) error {
	secrets := make([]string, len(k.Secrets))
	for i, s := range k.Secrets {
		if secrets[i] = s.Name; s.Optional {
			secrets[i] += " (may be missing)"
		}
	}
	kind := "own"
	if k.Builtin {
		kind = "built in"
	}
	lines := []pair{
		{"ID", k.ID}, {"Status", string(k.Status)}, {"Kind", kind}, {"For", k.Description}, {"Methods", joined(k.Methods)},
		{"Paths", joined(k.Paths)},
		{"Hosts", joined(k.Hosts)}, {"Credential", k.Credential}, {"Secrets", joined(secrets)},
	}
	if k.Model {
		lines = append(lines, pair{"Runtimes", "by their ai mount"})
	}
	if k.Policy != nil {
		lines = append(lines, policyLines(*k.Policy)...)
	}
	return show(c, cmd, k, append(lines, pair{"Docs", k.Docs}, pair{"Example", k.Example})...)
}

func policyLines(p bctrl.CapabilityPolicy) []pair {
	limit := func(n int64) string {
		if n == 0 {
			return ""
		}
		return strconv.FormatInt(n, 10)
	}
	return []pair{
		{"Calls a minute", limit(int64(p.CallsPerMinute))}, {"Request bytes", limit(p.MaxRequestBytes)},
		{"Response bytes", limit(p.MaxResponseBytes)},
		{"Redacted", joined(p.Redact)},
	}
}

func describeCapability(c *cli) *cobra.Command {
	return printing[bctrl.Capability](c, &cobra.Command{
		Use:     "describe <capability>",
		Aliases: []string{"args", "shape", "inspect"},
		Short:   "Show what a capability permits and needs",
		Long: `Show what a capability permits, the secrets that make it ready, its limits, and
a command line that uses it.`,
		Example: `  bctrl capability describe openai/chat-completions
  bctrl capability describe twilio/messages --output id,status`,
		Args:              arguments(1, 1),
		ValidArgsFunction: c.completing(capabilityIDs),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
				k, err := client.Capabilities.Describe(ctx, args[0])
				if err != nil {
					return about("capability "+printable(args[0]), err)
				}
				return c.showCapability(cmd, *k)
			})
		},
	})
}

func createCapability(c *cli) *cobra.Command {
	cmd := printing[bctrl.Capability](c, &cobra.Command{
		Use:   "create <provider/name>",
		Short: "Add a capability of your own",
		Long: `Add a capability of your own, of a known provider or one of your credentials.

A path permits itself and everything below it, by whole segments; {x} is any one
segment. Without --host it is every host of the provider or the credential, and
without --credential every credential that a call finds.`,
		Example: `  bctrl capability create acme/users --provider acme --method GET --method POST --path /v1/users
  bctrl capability create acme/reports --credential acme-key --method GET --path /v1/{account} --host api.acme.example`,
		Args: arguments(1, 1),
	})
	var in bctrl.CapabilityCreate
	f := cmd.Flags()
	provider := f.String("provider", "", "`provider`, as the capability begins")
	f.StringVar(&in.Credential, "credential", "", "`id` of the credential that it always uses")
	f.StringArrayVar(&in.Methods, "method", nil, "`method` that it permits; may be repeated (required)")
	f.StringArrayVar(&in.Paths, "path", nil, "`path` that it permits; may be repeated (required)")
	f.StringVar(&in.Host, "host", "", "the only `host` that it goes to")
	f.StringVar(&in.Description, "description", "", "what it is for, for people")
	mayBeEmpty(cmd, "description")
	completeFlag(cmd, "credential", func(
		cmd *cobra.Command, _ []string, typed string,
	) ([]string, cobra.ShellCompDirective) {
		return c.complete(cmd, credentialIDs, typed)
	})
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		in.ID = args[0]
		if first, _, _ := strings.Cut(in.ID, "/"); *provider != "" && *provider != first {
			return usageError{errors.New("--provider is not what the capability begins with, which is its provider")}
		}
		return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
			k, err := client.Capabilities.Create(ctx, in)
			if err != nil {
				return about("capability "+printable(in.ID), err)
			}
			return c.showCapability(cmd, *k)
		})
	}
	return cmd
}

func deleteCapability(c *cli) *cobra.Command {
	return &cobra.Command{
		Use:               "delete <capability>",
		Short:             "Delete a capability of your own",
		Long:              `Delete a capability of your own, its limits and its bindings.`,
		Example:           `  bctrl capability delete acme/orders`,
		Args:              arguments(1, 1),
		ValidArgsFunction: c.completing(capabilityIDs),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
				if err := client.Capabilities.Delete(ctx, args[0]); err != nil {
					return about("capability "+printable(args[0]), err)
				}
				note(cmd, "Deleted capability %s.", args[0])
				return nil
			})
		},
	}
}

func setPolicy(c *cli) *cobra.Command {
	cmd := printing[bctrl.CapabilityPolicy](c, &cobra.Command{
		Use:   "set",
		Short: "Set the limits of a capability",
		Long: `Set the limits of a capability, in place of those that it had; none at all take
them away. --response-block hides fields of JSON answers: a name at any depth,
or a path from the top, data.owner.email.`,
		Example: `  bctrl capability policy set --capability openai/chat-completions` +
			` --rate-limit-per-minute 60 --response-block api_key
  bctrl capability policy set --capability acme/orders --max-request-body-bytes 65536 --max-response-body-bytes 1048576
  bctrl capability policy set --capability acme/orders`,
		Args: arguments(0, 0),
	})
	var p bctrl.CapabilityPolicy
	f := cmd.Flags()
	id := c.capabilityFlag(cmd)
	f.IntVar(&p.CallsPerMinute, "rate-limit-per-minute", 0, "`calls` that may begin in a minute")
	f.Int64Var(&p.MaxRequestBytes, "max-request-body-bytes", 0, "most `bytes` of a request's body")
	f.Int64Var(&p.MaxResponseBytes, "max-response-body-bytes", 0, "most `bytes` of an answer's body")
	f.StringArrayVar(&p.Redact, "response-block", nil, "`field` of answers to hide; may be repeated")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *id == "" {
			return usageError{errors.New("--capability is missing")}
		}
		return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
			set, err := client.Capabilities.SetPolicy(ctx, *id, p)
			if err != nil {
				return about("capability "+printable(*id), err)
			}
			return show(c, cmd, *set, append([]pair{{"Capability", *id}}, policyLines(*set)...)...)
		})
	}
	return cmd
}

// capabilityFlag gives a command the flag that names a capability.
func (c *cli) capabilityFlag(cmd *cobra.Command) *string {
	id := cmd.Flags().String("capability", "", "`capability`, such as openai/embeddings")
	completeFlag(cmd, "capability", func(
		cmd *cobra.Command, _ []string, typed string,
	) ([]string, cobra.ShellCompDirective) {
		return c.complete(cmd, capabilityIDs, typed)
	})
	return id
}
