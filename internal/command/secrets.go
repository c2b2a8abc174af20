package command

import (
	"context"
	"errors"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/bctrl-go/bctrl"
)

// someID stands for an id in examples.
const someID = "01980a4e-6a3c-7f1e-8c1d-3b2a5d9e4f60"

func secrets(c *cli) *cobra.Command {
	return c.reaching(group(&cobra.Command{
		Use:     "secrets",
		Aliases: []string{"secret"},
		Short:   "Store secrets that the server uses and nobody reads",
		Long: `Store secrets that the server uses and nobody reads.

A secret has a name, such as GITHUB_TOKEN, and lives in a scope. The server puts
it into calls to its provider, and never gives it out: these commands show all
that there is to know of it but its value.

A name that a known provider uses, such as OPENAI_API_KEY, pins the secret to
that provider, and makes the credential that calls need.`,
	}, createSecret(c), listSecrets(c), getSecret(c), updateSecret(c), rotateSecret(c), deleteSecret(c),
		groupSecret(c, "attach-group", "Make a secret visible in a group",
			`Make a secret visible in a group of a workspace, wherever it lives itself.`,
			(*bctrl.SecretsService).AttachGroup),
		groupSecret(c, "detach-group", "Take a secret out of a group",
			`Take a secret out of a group that it was attached to. In its own scope it stays
visible.`, (*bctrl.SecretsService).DetachGroup),
		importSecrets(c)))
}

func (c *cli) showSecret(cmd *cobra.Command, s bctrl.SecretInfo) error {
	attachedOnly := ""
	if s.AttachedOnly {
		attachedOnly = "yes"
	}
	return show(c, cmd, s,
		pair{"ID", s.ID}, pair{"Name", s.Name}, pair{"Aliases", joined(s.Aliases)}, pair{"Scope", c.known.scope(s.Scope)},
		pair{"Attached only", attachedOnly}, pair{"Attached to", c.joinedScopes(s.Attachments)},
		pair{"Pinned to", pinnedTo(s)}, pair{"Credential", s.Credential},
		pair{"Version", strconv.FormatInt(s.Version, 10)}, pair{"Created", moment(s.CreatedAt)},
		pair{"Updated", moment(s.UpdatedAt)},
		pair{"Rotated", moment(s.RotatedAt)})
}

func (c *cli) joinedScopes(scopes []bctrl.Scope) string {
	texts := make([]string, len(scopes))
	for i, s := range scopes {
		texts[i] = c.known.scope(s)
	}
	return joined(texts)
}

func pinnedTo(s bctrl.SecretInfo) string {
	if s.Provider == "" {
		return ""
	}
	return s.Provider + ", as " + s.Field
}

// idFlag gives a command the flag that names a secret.
func (c *cli) idFlag(cmd *cobra.Command) *string {
	id := cmd.Flags().String("id", "", "`id` of the secret (required)")
	completeFlag(cmd, "id", func(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		return c.complete(cmd, secretIDs, typed)
	})
	return id
}

// about runs fn with the secret that --id names.
func (c *cli) about(cmd *cobra.Command, id string, fn func(context.Context, *bctrl.SecretsService) error) error {
	if id == "" {
		return usageError{errors.New("--id is missing: 'bctrl secrets list' shows the ids")}
	}
	return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error { return fn(ctx, client.Secrets) })
}

func createSecret(c *cli) *cobra.Command {
	cmd := printing[bctrl.SecretInfo](c, &cobra.Command{
		Use:   "create",
		Short: "Store a secret",
		Long: `Store a secret under a name: a letter or _, then letters, digits, _, . and -.
A name is taken once in each scope; --alias gives it further ones there.` + scopeHelp + `

With --attached-only it is visible in the groups that it is attached to alone.` + valueHelp,
		Example: `  bctrl secrets create --name OPENAI_API_KEY --scope global
  bctrl secrets create --name OPENAI_API_KEY --scope workspace --workspace-id sales --alias gpt-key
  printf '%s' "$ANTHROPIC_API_KEY" | bctrl secrets create --name ANTHROPIC_API_KEY --workspace-id sales --group-id hr
  bctrl secrets create --name DEPLOY_KEY --scope global --attached-only --value-file id_ed25519`,
		Args: arguments(0, 0),
	})
	var in bctrl.SecretCreate
	f := cmd.Flags()
	f.StringVar(&in.Name, "name", "", "`name` of the secret (required)")
	f.StringArrayVar(&in.Aliases, "alias", nil, "another `name` for it; may be repeated")
	f.BoolVar(&in.AttachedOnly, "attached-only", false, "let nobody see it but the groups that it is attached to")
	scope, value := c.addScopeFlags(cmd), addValueFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if err := bctrl.ValidSecretName(in.Name); err != nil {
			return usageError{err} // before anybody types a value
		}
		if in.Scope, err = scope.required(cmd); err != nil {
			return err
		}
		return c.with(cmd, func(ctx context.Context, client *bctrl.Client) (err error) {
			if in.Value, err = value.read(cmd); err != nil {
				return err
			}
			s, err := client.Secrets.Create(ctx, in)
			if err != nil {
				return err
			}
			return c.showSecret(cmd, *s)
		})
	}
	return cmd
}

func listSecrets(c *cli) *cobra.Command {
	cmd := printing[bctrl.SecretInfo](c, &cobra.Command{
		Use:   "list",
		Short: "List secrets, without their values",
		Long: `List secrets, oldest first, without their values: all of them, or those that
live in exactly one scope.`,
		Example: `  bctrl secrets list
  bctrl secrets list --scope global
  bctrl secrets list --scope workspace --workspace-id sales --output name,id
  bctrl secrets list --name GITHUB_TOKEN -v`,
		Args: arguments(0, 0),
	})
	scope := c.addScopeFlags(cmd)
	name := cmd.Flags().String("name", "", "those with this `name` or alias")
	cmd.Flags().BoolVarP(&c.json, "verbose", "v", false, "print all that is known of each, as --json does")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		in, err := scope.scope(cmd)
		if err != nil {
			return err
		}
		return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
			return list(c, cmd, client.Secrets.List(ctx, bctrl.SecretFilter{Scope: in, Name: *name}), c.secretColumns()...)
		})
	}
	return cmd
}

func (c *cli) secretColumns() []column[bctrl.SecretInfo] {
	return []column[bctrl.SecretInfo]{
		{"NAME", func(s bctrl.SecretInfo) string { return s.Name }},
		{"SCOPE", func(s bctrl.SecretInfo) string { return c.known.scope(s.Scope) }},
		{"PINNED TO", func(s bctrl.SecretInfo) string { return s.Provider }},
		{"VERSION", func(s bctrl.SecretInfo) string { return strconv.FormatInt(s.Version, 10) }},
		{"ID", func(s bctrl.SecretInfo) string { return s.ID }},
	}
}

func getSecret(c *cli) *cobra.Command {
	cmd := printing[bctrl.SecretInfo](c, &cobra.Command{
		Use:     "get",
		Short:   "Show a secret, without its value",
		Long:    `Show what is known of a secret. Its value never comes back.`,
		Example: `  bctrl secrets get --id ` + someID,
		Args:    arguments(0, 0),
	})
	id := c.idFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return c.about(cmd, *id, func(ctx context.Context, all *bctrl.SecretsService) error {
			s, err := all.Get(ctx, *id)
			if err != nil {
				return err
			}
			return c.showSecret(cmd, *s)
		})
	}
	return cmd
}

func updateSecret(c *cli) *cobra.Command {
	cmd := printing[bctrl.SecretInfo](c, &cobra.Command{
		Use:   "update",
		Short: "Change the name and the aliases of a secret",
		Long: `Change the name of a secret, or its aliases, all of which --alias replaces. What
refers to the secret goes on as before. The name is what pins it: with a name
that a provider has it becomes part of that provider's credential, and without
one its part ends.

'bctrl secrets rotate' changes the value.`,
		Example: `  bctrl secrets update --id ` + someID + ` --name GITHUB_TOKEN_OLD
  bctrl secrets update --id ` + someID + ` --alias gh --alias github
  bctrl secrets update --id ` + someID + ` --clear-aliases`,
		Args: arguments(0, 0),
	})
	id := c.idFlag(cmd)
	f := cmd.Flags()
	name := f.String("name", "", "new `name`")
	aliases := f.StringArray("alias", nil, "`name` beside it, in place of those that it had; may be repeated")
	none := f.Bool("clear-aliases", false, "take away all aliases")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var in bctrl.SecretUpdate
		if f.Changed("name") {
			in.Name = name
		}
		switch {
		case *none && f.Changed("alias"):
			return usageError{errors.New("--alias and --clear-aliases are not given together")}
		case *none:
			in.Aliases = []string{}
		case f.Changed("alias"):
			in.Aliases = *aliases
		case in.Name == nil:
			return usageError{errors.New("there is nothing to change: want --name, --alias or --clear-aliases")}
		}
		return c.about(cmd, *id, func(ctx context.Context, all *bctrl.SecretsService) error {
			s, err := all.Update(ctx, *id, in)
			if err != nil {
				return err
			}
			return c.showSecret(cmd, *s)
		})
	}
	return cmd
}

func deleteSecret(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "delete",
		Short: "Delete a secret and its value",
		Long: `Delete a secret and its value. The credential that was made for it goes with it,
and what else refers to it cannot be used any more.`,
		Example: `  bctrl secrets delete --id ` + someID,
		Args:    arguments(0, 0),
	}
	id := c.idFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return c.about(cmd, *id, func(ctx context.Context, all *bctrl.SecretsService) error {
			if err := all.Delete(ctx, *id); err != nil {
				return err
			}
			note(cmd, "Deleted secret %s.", *id)
			return nil
		})
	}
	return cmd
}

// groupSecret is a command that attaches or detaches.
func groupSecret(
	c *cli, use, short, long string, do func(s *bctrl.SecretsService, ctx context.Context, id, workspace, group string,
		opts ...bctrl.CallOption) (*bctrl.SecretInfo, error),
) *cobra.Command {
	cmd := printing[bctrl.SecretInfo](c, &cobra.Command{
		Use:     use,
		Short:   short,
		Long:    long,
		Example: `  bctrl secrets ` + use + ` --id ` + someID + ` --workspace-id sales --group-id team-7`,
		Args:    arguments(0, 0),
	})
	id, group := c.idFlag(cmd), &scopeFlags{}
	c.addGroupFlags(cmd, group)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := bctrl.InGroup(group.workspace, group.group).Validate(); err != nil {
			return usageError{err}
		}
		return c.about(cmd, *id, func(ctx context.Context, all *bctrl.SecretsService) error {
			s, err := do(all, ctx, *id, group.workspace, group.group)
			if err != nil {
				return err
			}
			return c.showSecret(cmd, *s)
		})
	}
	return cmd
}
