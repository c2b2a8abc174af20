package command

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/bctrl-go/bctrl"
)

func (c *cli) showBinding(cmd *cobra.Command, b bctrl.Binding) error {
	return show(c, cmd, b,
		pair{"Capability", b.Capability}, pair{"Credential", b.Credential}, pair{"Secret", c.known.secret(b.SecretRef)},
		pair{"Field", b.Field},
		pair{"Scope", c.known.scope(b.Scope)}, pair{"Consumer", b.Consumer}, pair{"Created", moment(b.CreatedAt)},
		pair{"Updated", moment(b.UpdatedAt)})
}

// bindingFlags are the flags that tell a binding from all others.
type bindingFlags struct {
	capability, credential, consumer, field *string
	scope                                   *scopeFlags
}

func (c *cli) addBindingFlags(cmd *cobra.Command) *bindingFlags {
	f := cmd.Flags()
	b := &bindingFlags{
		capability: c.capabilityFlag(cmd),
		credential: f.String("credential", "", "`id` of a credential, in place of a capability"),
		consumer: f.String("consumer", "", "`name` of the only one that it is for: a runtime's alias, or what an "+
			"invocation says"),
		scope: c.addScopeFlags(cmd),
	}
	completeFlag(cmd, "credential", func(
		cmd *cobra.Command, _ []string, typed string,
	) ([]string, cobra.ShellCompDirective) {
		return c.complete(cmd, credentialIDs, typed)
	})
	return b
}

func (b *bindingFlags) addField(cmd *cobra.Command) {
	b.field = cmd.Flags().String("field", "", "`field` whose secret it is, where there are several")
}

// binding is what the flags say; it is global unless they name a scope.
func (b *bindingFlags) binding(cmd *cobra.Command) (bctrl.Binding, error) {
	scope, err := b.scope.orGlobal(cmd)
	if err == nil && (*b.capability == "") == (*b.credential == "") {
		err = usageError{errors.New("want --capability or --credential")}
	}
	return bctrl.Binding{
		Capability: *b.capability,
		Credential: *b.credential,
		Consumer:   *b.consumer,
		Field:      *b.field,
		Scope:      scope,
	}, err
}

func bindCapability(c *cli) *cobra.Command {
	cmd := printing[bctrl.Binding](c, &cobra.Command{
		Use:   "bind",
		Short: "Use a secret for a capability or a credential",
		Long: `Use a secret for a capability or a credential, in place of the one that the
credential has. Of several bindings that a call sees, the most specific scope's
is used; in one scope one for exactly this consumer before one for all, and one
of the capability before one of the credential.

It is global unless a workspace or group is named.`,
		Example: `  bctrl capability bind --capability openai/embeddings --secret-ref vault:secret:$ID --scope global
  bctrl capability bind --capability openai/embeddings --secret-ref vault:secret:$ID --workspace-id sales --consumer crm
  bctrl capability bind --credential openai-prod --secret-ref vault:secret:$ID --workspace-id sales --group-id emea`,
		Args: arguments(0, 0),
	})
	flags := c.addBindingFlags(cmd)
	flags.addField(cmd)
	ref := cmd.Flags().String("secret-ref", "", "`vault:secret:<id>` (required)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		in, err := flags.binding(cmd)
		if err != nil {
			return err
		}
		if in.SecretRef = *ref; in.SecretRef == "" {
			return usageError{errors.New("--secret-ref is missing: want vault:secret:<id>, with an id of 'bctrl secrets list'")}
		}
		return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
			b, err := client.Capabilities.Bind(ctx, in)
			if err != nil {
				return err
			}
			return c.showBinding(cmd, *b)
		})
	}
	return cmd
}

func unbindCapability(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "unbind",
		Short: "Remove a binding",
		Long: `Remove the binding with this target, scope and consumer. Calls that used it use
the next one that they see, or the credential's own secret.`,
		Example: `  bctrl capability unbind --capability openai/chat-completions
  bctrl capability unbind --credential openai-prod --workspace-id sales`,
		Args: arguments(0, 0),
	}
	flags := c.addBindingFlags(cmd)
	flags.addField(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		b, err := flags.binding(cmd)
		if err != nil {
			return err
		}
		return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
			if err := client.Capabilities.Unbind(ctx, b); err != nil {
				return err
			}
			note(cmd, "Unbound %s in %s.", b.Capability+b.Credential, b.Scope)
			return nil
		})
	}
	return cmd
}

func listBindings(c *cli) *cobra.Command {
	cmd := printing[bctrl.Binding](c, &cobra.Command{
		Use:   "bindings",
		Short: "List bindings",
		Long:  `List bindings, oldest first: all of them, or those that the flags select.`,
		Example: `  bctrl capability bindings
  bctrl capability bindings --capability openai/chat-completions
  bctrl capability bindings --scope global -v`,
		Args: arguments(0, 0),
	})
	flags := c.addBindingFlags(cmd)
	cmd.Flags().BoolVarP(&c.json, "verbose", "v", false, "print all that is known of each, as --json does")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		scope, err := flags.scope.scope(cmd)
		if err != nil {
			return err
		}
		filter := bctrl.BindingFilter{
			Capability: *flags.capability,
			Credential: *flags.credential,
			Scope:      scope,
			Consumer:   *flags.consumer,
		}
		return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
			return list(c, cmd, client.Capabilities.Bindings(ctx, filter), []column[bctrl.Binding]{
				{"FOR", func(b bctrl.Binding) string { return b.Capability + b.Credential }},
				{"SCOPE", func(b bctrl.Binding) string { return c.known.scope(b.Scope) }},
				{"CONSUMER", func(b bctrl.Binding) string { return b.Consumer }},
				{"FIELD", func(b bctrl.Binding) string { return b.Field }},
				{"SECRET", func(b bctrl.Binding) string { return c.known.secret(b.SecretRef) }},
			}...)
		})
	}
	return cmd
}
