package command

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/bctrl-go/bctrl"
)

func ai(c *cli) *cobra.Command {
	return c.reaching(group(&cobra.Command{
		Use:   "ai",
		Short: "Store, test and switch keys to language models",
		Long: `Store, test and switch keys to language models.

An AI credential is a provider's API key under an id of your own, such as
openai-prod. Workspaces mount ids; the key itself is sealed by the server and
never comes back, neither to an agent nor to this command.`,
	}, addAI(c), listAI(c), getAI(c), updateAI(c),
		switchAI(c, "enable", true, "Let a credential be used again", "Let a disabled AI credential be used again."),
		switchAI(c, "disable", false, "Keep a credential from being used",
			"Keep an AI credential from being used, from the next call on. Workspaces go on\nmounting it; a call that chooses "+
				"it fails, and chooses no other in its place."),
		testAI(c), deleteAI(c)))
}

func (c *cli) showAI(cmd *cobra.Command, a bctrl.AICredential) error {
	return show(c, cmd, a,
		pair{"ID", a.ID}, pair{"Provider", string(a.Provider)}, pair{"Label", a.Label}, pair{"Endpoint", a.BaseURL},
		pair{"Default model", a.DefaultModel}, pair{"Enabled", yesNo(a.Enabled)}, pair{"Created", moment(a.CreatedAt)},
		pair{"Updated", moment(a.UpdatedAt)})
}

func addAI(c *cli) *cobra.Command {
	cmd := printing[bctrl.AICredential](c, &cobra.Command{
		Use:   "add <id>",
		Short: "Store a provider's API key",
		Long: `Store a provider's API key under an id of your own.

The provider is openai, anthropic, google or openai-compatible; the last needs
an --endpoint, for the others it replaces the public one.` + secretsHelp,
		Example: `  bctrl ai add openai-eu --provider openai --label "Production, EU"
  printf '%s' "$ANTHROPIC_API_KEY" | bctrl ai add claude --provider anthropic
  bctrl ai add local --provider openai-compatible --endpoint http://127.0.0.1:11434/v1` +
			` --default-model llama3 < key.txt`,
		Args: arguments(1, 1),
	})
	in := bctrl.AICredentialCreate{}
	f := cmd.Flags()
	f.StringVar((*string)(&in.Provider), "provider", "", "openai, anthropic, google or openai-compatible (required)")
	f.StringVar(&in.Label, "label", "", "what it is for, for people")
	f.StringVar(&in.BaseURL, "endpoint", "", "`URL` where the provider is reached")
	f.StringVar(&in.DefaultModel, "default-model", "", "`model` of calls that name none")
	mayBeEmpty(cmd, "label")
	disabled := f.Bool("disabled", false, "keep it from being used until it is enabled")
	completeWords(cmd, "provider", providers...)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if in.Provider == "" {
			return usageError{errors.New("--provider is missing: want openai, anthropic, google or openai-compatible")}
		}
		return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
			secrets, err := readSecrets(cmd, "API key")
			if err != nil {
				return err
			}
			enabled := !*disabled
			in.ID, in.APIKey, in.Enabled = args[0], secrets[0], &enabled
			a, err := client.AICredentials.Create(ctx, in)
			if err != nil {
				return err
			}
			return c.showAI(cmd, *a)
		})
	}
	return cmd
}

// providers are the values of --provider.
var providers = []string{string(bctrl.OpenAI), string(bctrl.Anthropic), string(bctrl.Google),
	string(bctrl.OpenAICompatible)}

func listAI(c *cli) *cobra.Command {
	return printing[bctrl.AICredential](c, &cobra.Command{
		Use:   "list",
		Short: "List AI credentials",
		Long:  `List the AI credentials by id, disabled ones too. Keys are not shown.`,
		Example: `  bctrl ai list
  bctrl ai list --output id,enabled`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
				return list(c, cmd, client.AICredentials.List(ctx),
					[]column[bctrl.AICredential]{
						{"ID", func(a bctrl.AICredential) string { return a.ID }},
						{"PROVIDER", func(a bctrl.AICredential) string { return string(a.Provider) }},
						{"ENABLED", func(a bctrl.AICredential) string { return yesNo(a.Enabled) }},
						{"DEFAULT MODEL", func(a bctrl.AICredential) string { return a.DefaultModel }},
						{"LABEL", func(a bctrl.AICredential) string { return a.Label }},
					}...,
				)
			})
		},
	})
}

func getAI(c *cli) *cobra.Command {
	return printing[bctrl.AICredential](c, &cobra.Command{
		Use:               "get <id>",
		Short:             "Show an AI credential, without its key",
		Long:              `Show what is known of an AI credential. Its key never comes back.`,
		Example:           `  bctrl ai get openai-prod`,
		Args:              arguments(1, 1),
		ValidArgsFunction: c.completing(aiIDs),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
				a, err := client.AICredentials.Get(ctx, args[0])
				if err != nil {
					return about("AI credential "+printable(args[0]), err)
				}
				return c.showAI(cmd, *a)
			})
		},
	})
}

func updateAI(c *cli) *cobra.Command {
	cmd := printing[bctrl.AICredential](c, &cobra.Command{
		Use:   "update <id>",
		Short: "Change an AI credential or replace its key",
		Long: `Change what flags name; the rest stays. With --key the API key is replaced, and
the old one is forgotten; an --endpoint at another host needs --key too. The
provider of a credential never changes.` + secretsHelp,
		Example: `  bctrl ai update openai-prod --label "Production, EU" --default-model gpt-5
  bctrl ai update openai-prod --key`,
		Args:              arguments(1, 1),
		ValidArgsFunction: c.completing(aiIDs),
	})
	f := cmd.Flags()
	label := f.String("label", "", "what it is for, for people")
	endpoint := f.String("endpoint", "", "`URL` where the provider is reached; empty for its public one")
	model := f.String("default-model", "", "`model` of calls that name none")
	key := f.Bool("key", false, "read a new API key")
	mayBeEmpty(cmd, "label", "endpoint", "default-model")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		given := func(name string, value *string) *string {
			if !cmd.Flags().Changed(name) {
				return nil
			}
			return value
		}
		in := bctrl.AICredentialUpdate{Label: given("label", label), BaseURL: given("endpoint", endpoint),
			DefaultModel: given("default-model", model)}
		if in.Label == nil && in.BaseURL == nil && in.DefaultModel == nil && !*key {
			return usageError{errors.New("nothing to change: want --label, --endpoint, --default-model or --key")}
		}
		return c.changeAI(cmd, args[0], in, *key)
	}
	return cmd
}

func (c *cli) changeAI(cmd *cobra.Command, id string, in bctrl.AICredentialUpdate, newKey bool) error {
	return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
		if newKey {
			secrets, err := readSecrets(cmd, "API key")
			if err != nil {
				return err
			}
			in.APIKey = secrets[0]
		}
		a, err := client.AICredentials.Update(ctx, id, in)
		if e, ok := errors.AsType[*bctrl.Error](err); ok && e.Code == "ai.key_required_for_new_base_url" {
			return &advice{fmt.Sprintf("%s: the stored key goes to no other host: give the key again with --key", printable(id)),
				err}
		}
		if err != nil {
			return about("AI credential "+printable(id), err)
		}
		return c.showAI(cmd, *a)
	})
}

func switchAI(c *cli, name string, on bool, short, long string) *cobra.Command {
	return printing[bctrl.AICredential](c, &cobra.Command{
		Use:               name + " <id>",
		Short:             short,
		Long:              long,
		Example:           "  bctrl ai " + name + " openai-prod",
		Args:              arguments(1, 1),
		ValidArgsFunction: c.completing(aiIDs),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.changeAI(cmd, args[0], bctrl.AICredentialUpdate{Enabled: &on}, false)
		},
	})
}

// aiTest is a test's result with all its fields under the names they have in
// JSON.
type aiTest struct {
	OK        bool             `json:"ok"`
	Provider  bctrl.AIProvider `json:"provider"`
	Message   string           `json:"message,omitempty"`
	LatencyMs int64            `json:"latencyMs"`
	CheckedAt time.Time        `json:"checkedAt"`
}

func testAI(c *cli) *cobra.Command {
	return printing[aiTest](c, &cobra.Command{
		Use:   "test <id>",
		Short: "Call the provider with a credential",
		Long: `Call the provider with an AI credential and show what it said. The exit code is
1 when it refused the key or could not be reached.`,
		Example:           `  bctrl ai test openai-prod`,
		Args:              arguments(1, 1),
		ValidArgsFunction: c.completing(aiIDs),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
				t, err := client.AICredentials.Test(ctx, args[0])
				if err != nil {
					return about("AI credential "+printable(args[0]), err)
				}
				err = show(c, cmd, aiTest{t.OK, t.Provider, t.Message, t.Latency.Milliseconds(), t.CheckedAt},
					pair{"OK", yesNo(t.OK)}, pair{"Provider", string(t.Provider)}, pair{"Message", t.Message},
					pair{"Latency", t.Latency.String()}, pair{"Checked", moment(t.CheckedAt)})
				if err == nil && !t.OK {
					return fmt.Errorf("%s does not work with %s", printable(args[0]), t.Provider)
				}
				return err
			})
		},
	})
}

func deleteAI(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "delete <id>",
		Short: "Delete an AI credential",
		Long: `Delete an AI credential and its key.

One that a workspace mounts is refused without --force. A new credential with
the same id does not get the mounts of the old one.`,
		Example: `  bctrl ai delete openai-old
  bctrl ai delete openai-prod --force`,
		Args:              arguments(1, 1),
		ValidArgsFunction: c.completing(aiIDs),
	}
	force := cmd.Flags().Bool("force", false, "delete it although a workspace mounts it")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
			if err := client.AICredentials.Delete(ctx, args[0], forced(*force)...); err != nil {
				return about("AI credential "+printable(args[0]), err)
			}
			note(cmd, "Deleted AI credential %s.", args[0])
			return nil
		})
	}
	return cmd
}
