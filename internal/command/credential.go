package command

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bctrl-go/bctrl"
)

func credentials(c *cli) *cobra.Command {
	return c.reaching(group(&cobra.Command{
		Use:     "credential",
		Aliases: []string{"credentials"},
		Short:   "Say how secrets authenticate with providers",
		Long: `Say how secrets authenticate with providers.

A credential names secrets, how they are sent and to which hosts. Storing the
secrets of a known provider makes its credential; one is made by hand for a
second account, for one host of many, or for a provider of your own.

A call uses the one of the most specific scope that it sees: its group's, its
workspace's, a global one.`,
	}, createCredential(c), listCredentials(c), getCredential(c),
		switchCredential(c, "enable", true, "Let a credential be used again", "Let a disabled credential be used again."),
		switchCredential(c, "disable", false, "Keep a credential from being used",
			"Keep a credential from being used, from the next call on. It is not passed over:\na call that would use it fails."),
		deleteCredential(c)))
}

func (c *cli) showCredential(cmd *cobra.Command, k bctrl.Credential) error {
	made, auth := "", "the provider's own"
	if k.Provisioned {
		made = "of its secrets"
	}
	if k.Auth != nil {
		auth = string(k.Auth.Type)
	}
	return show(c, cmd, k,
		pair{"ID", k.ID}, pair{"Provider", k.Provider}, pair{"Scope", c.known.scope(k.Scope)},
		pair{"Secrets", joined(c.refsOf(k))}, pair{"Auth", auth},
		pair{"Hosts", joined(k.Hosts)}, pair{"Priority", strconv.Itoa(k.Priority)}, pair{"Enabled", yesNo(k.Enabled)},
		pair{"Made", made},
		pair{"Created", moment(k.CreatedAt)}, pair{"Updated", moment(k.UpdatedAt)})
}

// refsOf are a credential's secrets with their fields.
func (c *cli) refsOf(k bctrl.Credential) (list []string) {
	for _, field := range slices.Sorted(maps.Keys(k.SecretRefs)) {
		list = append(list, field+"="+c.known.secret(k.SecretRefs[field]))
	}
	return list
}

func createCredential(c *cli) *cobra.Command {
	cmd := printing[bctrl.Credential](c, &cobra.Command{
		Use:   "create <id>",
		Short: "Create a credential",
		Long: `Create a credential under an id of your own.

For a known provider --secret-ref is enough, and --host picks one of its hosts.
For another one say --auth and --host. Templates name secrets in double braces:
{{secret}} is the only one; several are named in --secret-ref, field=reference.

  header        --header-name and --value-template, else a bearer token
  query         --query-param
  path          --path-prefix-template, as in /bot{{secret}}
  basic         --username-template, --password-template
  multi-header  --auth-header, repeated
  multi-query   --auth-query, repeated
  oauth2        --grant-type, --token-endpoint, --oauth-scope
  aws-sigv4     --aws-service, --aws-region
  hmac          --hmac-algorithm; --value-template is of {{signature}}
  mtls, none    nothing more

It is global unless a workspace or group is named.`,
		Example: `  bctrl credential create openai-eu --provider openai --secret-ref vault:secret:$ID
  bctrl credential create acme --provider acme --secret-ref vault:secret:$ID --auth header --host api.acme.example
  bctrl credential create crm --provider crm --secret-ref vault:secret:$ID --auth query --query-param k --host c.example
  bctrl credential create shop --provider shopify --secret-ref vault:secret:$ID --workspace-id sales`,
		Args: arguments(1, 1),
	})
	var in bctrl.CredentialCreate
	f := cmd.Flags()
	f.StringVar(&in.Provider, "provider", "", "`id` of the provider (required)")
	refs := f.StringArray("secret-ref", nil, "`vault:secret:<id>`, or field=vault:secret:<id>; may be repeated")
	f.StringArrayVar(&in.Hosts, "host", nil, "`host` that it may be sent to; may be repeated")
	f.IntVar(&in.Priority, "priority", 0, "`number` by which one of several in a scope is chosen: the highest")
	scope, auth := c.addScopeFlags(cmd), addAuthFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if in.Provider == "" {
			return usageError{errors.New("--provider is missing")}
		}
		in.ID = args[0]
		if in.Scope, err = scope.orGlobal(cmd); err != nil {
			return err
		}
		if in.SecretRef, in.SecretRefs, err = secretRefs(*refs); err != nil {
			return err
		}
		if in.Auth, err = auth.auth(cmd); err != nil {
			return err
		}
		return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
			k, err := client.Credentials.Create(ctx, in)
			if err != nil {
				return err
			}
			return c.showCredential(cmd, *k)
		})
	}
	return cmd
}

// orGlobal is scope with global where no flag is given.
func (s *scopeFlags) orGlobal(cmd *cobra.Command) (bctrl.Scope, error) {
	scope, err := s.scope(cmd)
	if err == nil && scope.IsZero() {
		scope = bctrl.Global()
	}
	return scope, err
}

// secretRefs reads one reference without a field, or several with.
func secretRefs(given []string) (one string, fields map[string]string, err error) {
	if len(given) == 1 && !strings.Contains(given[0], "=") {
		return given[0], nil, nil
	}
	fields = map[string]string{}
	for _, text := range given {
		field, ref, ok := strings.Cut(text, "=")
		if _, twice := fields[field]; !ok || twice {
			return "", nil, usageError{errors.New("several --secret-ref are field=vault:secret:<id>, each field once")}
		}
		fields[field] = ref
	}
	return "", fields, nil
}

func listCredentials(c *cli) *cobra.Command {
	cmd := printing[bctrl.Credential](c, &cobra.Command{
		Use:   "list",
		Short: "List credentials",
		Long:  `List the credentials of all scopes by id, disabled ones too.`,
		Example: `  bctrl credential list
  bctrl credential list --output id,provider,enabled`,
		Args: arguments(0, 0),
	})
	cmd.Flags().BoolVarP(&c.json, "verbose", "v", false, "print all that is known of each, as --json does")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
			return list(c, cmd, client.Credentials.List(ctx), []column[bctrl.Credential]{
				{"ID", func(k bctrl.Credential) string { return k.ID }},
				{"PROVIDER", func(k bctrl.Credential) string { return k.Provider }},
				{"SCOPE", func(k bctrl.Credential) string { return c.known.scope(k.Scope) }},
				{"ENABLED", func(k bctrl.Credential) string { return yesNo(k.Enabled) }},
				{"PRIORITY", func(k bctrl.Credential) string { return strconv.Itoa(k.Priority) }},
				{"HOSTS", func(k bctrl.Credential) string { return joined(k.Hosts) }},
			}...)
		})
	}
	return cmd
}

func getCredential(c *cli) *cobra.Command {
	return printing[bctrl.Credential](c, &cobra.Command{
		Use:               "get <id>",
		Short:             "Show a credential",
		Long:              `Show a credential: its secrets by reference, never by value.`,
		Example:           `  bctrl credential get acme-key`,
		Args:              arguments(1, 1),
		ValidArgsFunction: c.completing(credentialIDs),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
				k, err := client.Credentials.Get(ctx, args[0])
				if err != nil {
					return about("credential "+printable(args[0]), err)
				}
				return c.showCredential(cmd, *k)
			})
		},
	})
}

func switchCredential(c *cli, name string, on bool, short, long string) *cobra.Command {
	return printing[bctrl.Credential](c, &cobra.Command{
		Use:               name + " <id>",
		Short:             short,
		Long:              long,
		Example:           "  bctrl credential " + name + " acme-key",
		Args:              arguments(1, 1),
		ValidArgsFunction: c.completing(credentialIDs),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
				k, err := client.Credentials.Update(ctx, args[0], bctrl.CredentialUpdate{Enabled: &on})
				if err != nil {
					return about("credential "+printable(args[0]), err)
				}
				return c.showCredential(cmd, *k)
			})
		},
	})
}

func deleteCredential(c *cli) *cobra.Command {
	return &cobra.Command{
		Use:   "delete <id>",
		Short: "Delete a credential",
		Long: `Delete a credential and what is bound to it. Its secrets stay, and calls that
used it use the next one that they see.`,
		Example:           `  bctrl credential delete acme-key`,
		Args:              arguments(1, 1),
		ValidArgsFunction: c.completing(credentialIDs),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
				if err := client.Credentials.Delete(ctx, args[0]); err != nil {
					return about("credential "+printable(args[0]), err)
				}
				note(cmd, "Deleted credential %s.", args[0])
				return nil
			})
		},
	}
}
