package command

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/wire"
)

func tokens(c *cli) *cobra.Command {
	return c.reaching(group(&cobra.Command{
		Use:     "token",
		Aliases: []string{"tokens"},
		Short:   "Mint, read, weaken and revoke runtime tokens",
		Long: `Mint, read, weaken and revoke runtime tokens.

A runtime token is an API key for code that must not see the organization's,
such as an agent's process. Its holder can use what one runtime may, and read,
execute on, connect to, save the profile of and stop that runtime, and nothing
else. It ends with its time, its runtime, its workspace, or when it is revoked.

Whoever holds a token can weaken it, without asking anybody, and nothing makes
it stronger. In BCTRL_API_KEY it works for these commands too; a dot then stands
for its runtime, as in 'bctrl runtime act . "…"'.`,
	}, mintToken(c), inspectToken(c), attenuateToken(c), revokeToken(c)))
}

// tokenRecord is a token that was made.
type tokenRecord struct {
	bctrl.TokenInfo
	Token wire.Value `json:"token"`
}

// showToken prints a token that was made: it alone goes to where a script
// reads it.
func (c *cli) showToken(cmd *cobra.Command, made bctrl.Secret) error {
	info, err := bctrl.InspectToken(made)
	if err != nil {
		return err
	}
	if c.json || len(c.fields) > 0 {
		return show(c, cmd, tokenRecord{*info, wire.NewValue(made.Expose())})
	}
	note(cmd, "Token %s, until %s.", info.ID, moment(info.ExpiresAt))
	_, err = fmt.Fprintln(cmd.OutOrStdout(), made.Expose())
	return err
}

func mintToken(c *cli) *cobra.Command {
	cmd := printing[tokenRecord](c, &cobra.Command{
		Use:   "mint <workspace/alias>",
		Short: "Make a token for a runtime and print it, this once",
		Long: `Make a token for a runtime and print it. It is shown this once: the server keeps
only its id.

The mount flags lower it below its runtime; what would be more is refused.` + mountsHelp,
		Example: `  bctrl token mint sales/crm --ttl 10m
  export BCTRL_API_KEY=$(bctrl token mint sales/crm --allow-vault prod/crm/salesforce)`,
		Args:              arguments(1, 1),
		ValidArgsFunction: c.completing(runtimeNames),
	})
	ttl := cmd.Flags().Duration("ttl", 0, "how long it lives, such as 90s, 10m or 24h, up to 168h (default 1h)")
	flags := newMountFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		req := bctrl.TokenRequest{TTL: *ttl}
		mounts, err := flags.mounts(cmd)
		if err != nil {
			return err
		}
		if mounts != nil {
			req.Mounts = *mounts
		}
		return c.withRuntime(cmd, args[0], func(ctx context.Context, rt *bctrl.Runtime) error {
			made, err := rt.Token(ctx, req)
			if err != nil {
				return err
			}
			return c.showToken(cmd, made)
		})
	}
	return cmd
}

func inspectToken(c *cli) *cobra.Command {
	return printing[bctrl.TokenInfo](c, &cobra.Command{
		Use:   "inspect",
		Short: "Read what a token says of itself",
		Long: `Read what a runtime token says of itself: its id, its runtime, its time and the
mounts it was lowered to. Nothing is sent, and no key is needed.

Only the server can tell a genuine token from a forged one, and knows the mounts
of workspace and runtime, which hold above those of the token.` + secretsHelp,
		Example: `  bctrl token inspect < token.txt
  bctrl token inspect --output id,expiresAt < token.txt`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			secrets, err := readSecrets(cmd, "token")
			if err != nil {
				return err
			}
			info, err := bctrl.InspectToken(secrets[0])
			if err != nil {
				return err
			}
			lines := []pair{{"ID", info.ID}, {"Runtime", info.RuntimeID}, {"Organization", info.Organization}}
			for _, level := range info.Levels {
				lines = append(lines, mountLines(level)...)
			}
			return show(c, cmd, *info, append(lines, pair{"Expires", moment(info.ExpiresAt)})...)
		},
	})
}

func attenuateToken(c *cli) *cobra.Command {
	cmd := printing[tokenRecord](c, &cobra.Command{
		Use:   "attenuate",
		Short: "Make a weaker token out of a token",
		Long: `Make a weaker token out of a runtime token: one that may do what both the token
and the mount flags say, or that ends earlier. Nothing is sent, and no key is
needed; the server holds every call to all that was added.

Revoking the token ends those that were made out of it.` + secretsHelp + mountsHelp,
		Example: `  bctrl token attenuate --allow-vault prod/crm/salesforce < token.txt
  bctrl token attenuate --no-ai --no-storage --ttl 1m < token.txt`,
		Args: arguments(0, 0),
	})
	ttl := cmd.Flags().Duration("ttl", 0, "how long it lives from now on, such as 90s or 10m (default: as long as the "+
		"token)")
	flags := newMountFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if flags.file == standardStream {
			return usageError{errors.New("standard input is for the token: name a file with --mounts")}
		}
		mounts, err := flags.mounts(cmd)
		if err != nil {
			return err
		}
		var expiry time.Time
		if cmd.Flags().Changed("ttl") {
			if *ttl <= 0 {
				return usagef("--ttl %s: want a time ahead", *ttl)
			}
			expiry = time.Now().Add(*ttl)
		}
		if mounts == nil && expiry.IsZero() {
			return usageError{errors.New("nothing to weaken: want --ttl or mounts")}
		}
		secrets, err := readSecrets(cmd, "token")
		if err != nil {
			return err
		}
		var lower bctrl.Mounts
		if mounts != nil {
			lower = *mounts
		}
		weaker, err := bctrl.Attenuate(secrets[0], lower, expiry)
		if err != nil {
			return err
		}
		return c.showToken(cmd, weaker)
	}
	return cmd
}

func revokeToken(c *cli) *cobra.Command {
	return &cobra.Command{
		Use:   "revoke <id>",
		Short: "End a token and all that were made out of it",
		Long: `End a runtime token and all that were made out of it, from the next request on;
what they have running is cut. 'bctrl token inspect' reads a token's id.`,
		Example: `  bctrl token revoke 01980a4e-6a3c-7f1e-8c1d-3b2a5d9e4f60`,
		Args:    arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
				if err := client.RevokeToken(ctx, args[0]); err != nil {
					return about("token "+printable(args[0]), err)
				}
				note(cmd, "Revoked token %s.", args[0])
				return nil
			})
		},
	}
}
