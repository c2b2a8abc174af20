package command

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/wire"
)

func vault(c *cli) *cobra.Command {
	return c.reaching(group(&cobra.Command{
		Use:   "vault",
		Short: "Store and look up logins and other secrets",
		Long: `Store and look up logins and other secrets.

A secret has a key, such as prod/crm/salesforce: segments of letters, digits and
._@+=:- with slashes between them. Workspaces mount prefixes of keys. An agent
that may use a key has the server fill it in, on the origins of the entry alone,
and never sees it.`,
	}, setVault(c), getVault(c), listVault(c), deleteVault(c), totpVault(c)))
}

func entryLines(e bctrl.VaultEntry) []pair {
	return []pair{
		{"Key", e.Key}, {"Username", e.Username}, {"Label", e.Label}, {"TOTP", yesNo(e.HasTOTP)},
		{"Origins", joined(e.Origins)}, {"Origin patterns", joined(e.OriginPatterns)}, {"Fill", string(e.Fill)},
		{"Version", strconv.FormatInt(e.Version, 10)}, {"Created", moment(e.CreatedAt)}, {"Updated", moment(e.UpdatedAt)},
	}
}

func setVault(c *cli) *cobra.Command {
	cmd := printing[bctrl.VaultEntry](c, &cobra.Command{
		Use:   "set <key>",
		Short: "Store a login or another secret",
		Long: `Store a login or another secret under a key, in place of all that was there.

The password comes first, then with --totp the seed of one-time codes, as base32
or as an otpauth:// URI.` + secretsHelp + `

--origin says where it may be filled in: https://login.example.com, or with one
star for a left-most label https://*.example.com. Without an origin it is filled
in nowhere. The server swaps the value into the request that a page sends, so
that the page never holds it; --direct types it in, for sites that need that.

A secret of more than one line is stored with --multiline, which takes all of
standard input as the password as it is, its last line end too.`,
		Example: `  bctrl vault set prod/crm/hubspot --username bot@example.com --origin https://app.hubspot.com
  bctrl vault set prod/crm/sap --username bot --totp --origin 'https://*.sap.com' --direct
  printf '%s' "$SF_PASSWORD" | bctrl vault set prod/crm/salesforce --username bot
  bctrl vault set prod/ssh/deploy --multiline < id_ed25519`,
		Args:              arguments(1, 1),
		ValidArgsFunction: c.completing(vaultKeys),
	})
	var in bctrl.VaultCredential
	f := cmd.Flags()
	f.StringVar(&in.Username, "username", "", "user name of the login")
	f.StringSliceVar(&in.MatchOrigins, "origin", nil, "`origin` where it may be filled in; may be repeated")
	f.StringVar(&in.Label, "label", "", "what it is, for people")
	f.StringVar(&in.Notes, "notes", "", "anything else to know about it")
	mayBeEmpty(cmd, "label", "notes")
	direct := f.Bool("direct", false, "type the value into the page")
	totp := f.Bool("totp", false, "read the seed of one-time codes too")
	noPassword := f.Bool("no-password", false, "store no password")
	multiline := f.Bool("multiline", false, "take all of standard input as the password")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := bctrl.ValidVaultKey(args[0]); err != nil {
			return usageError{err} // before anybody types a password
		}
		if *multiline && (*totp || *noPassword) {
			return usageError{errors.New("--multiline is for a password alone")}
		}
		if *direct {
			in.Fill = bctrl.FillDirect
		}
		return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
			if err := readCredential(cmd, &in, !*noPassword, *totp, *multiline); err != nil {
				return err
			}
			entry, err := client.Vault.Set(ctx, args[0], in)
			if err != nil {
				return err
			}
			return show(c, cmd, *entry, entryLines(*entry)...)
		})
	}
	return cmd
}

// readCredential fills in the secrets of a credential.
func readCredential(cmd *cobra.Command, in *bctrl.VaultCredential, password, totp, multiline bool) (err error) {
	if multiline {
		in.Password, err = readWhole(cmd, "password")
		return err
	}
	var names []string
	var into []*bctrl.Secret
	if password {
		names, into = append(names, "password"), append(into, &in.Password)
	}
	if totp {
		names, into = append(names, "TOTP seed"), append(into, &in.TOTP)
	}
	if len(names) == 0 {
		return nil
	}
	secrets, err := readSecrets(cmd, names...)
	for i, s := range secrets {
		*into[i] = s
	}
	return err
}

// vaultRecord is a vault key as `vault get` prints it; the secrets and notes
// are there with --reveal alone.
type vaultRecord struct {
	bctrl.VaultEntry
	*revealed
}

type revealed struct {
	Password wire.Value `json:"password,omitzero"`
	TOTP     wire.Value `json:"totp,omitzero"`
	Notes    string     `json:"notes,omitempty"`
}

func getVault(c *cli) *cobra.Command {
	cmd := printing[vaultRecord](c, &cobra.Command{
		Use:   "get <key>",
		Short: "Show what is known of a key; with --reveal its secrets too",
		Long: `Show what is known of a vault key. Its secrets are shown with --reveal alone,
which is a use of the secret and is audited as one.

With --output password the password is all that is printed.`,
		Example: `  bctrl vault get prod/crm/salesforce
  bctrl vault get prod/crm/salesforce --reveal
  bctrl vault get prod/crm/salesforce --reveal --output password`,
		Args:              arguments(1, 1),
		ValidArgsFunction: c.completing(vaultKeys),
	})
	reveal := cmd.Flags().Bool("reveal", false, "show the password, the TOTP seed and the notes")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
			record, err := vaultRecordOf(ctx, client, args[0], *reveal)
			if err != nil {
				return err
			}
			lines := entryLines(record.VaultEntry)
			if r := record.revealed; r != nil {
				lines = append(lines, pair{"Password", r.Password.Reveal()}, pair{"TOTP seed", r.TOTP.Reveal()},
					pair{"Notes", r.Notes})
			}
			return show(c, cmd, *record, lines...)
		})
	}
	return cmd
}

func vaultRecordOf(ctx context.Context, client *bctrl.Client, key string, reveal bool) (*vaultRecord, error) {
	if err := bctrl.ValidVaultKey(key); err != nil {
		return nil, err
	}
	// A key is the first of those under itself as a prefix.
	page, err := client.Vault.EntriesPage(ctx, bctrl.VaultFilter{Prefix: key}, bctrl.PageOptions{Limit: 1})
	if err != nil {
		return nil, err
	}
	if len(page.Items) == 0 || page.Items[0].Key != key {
		return nil, about("vault key "+key, &bctrl.Error{Status: http.StatusNotFound, Code: "vault.secret_not_found",
			Message: "nothing is stored under it"})
	}
	record := &vaultRecord{VaultEntry: page.Items[0]}
	if !reveal {
		return record, nil
	}
	got, err := client.Vault.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	record.revealed = &revealed{wire.NewValue(got.Password.Expose()), wire.NewValue(got.TOTP.Expose()), got.Notes}
	return record, nil
}

func listVault(c *cli) *cobra.Command {
	cmd := printing[bctrl.VaultEntry](c, &cobra.Command{
		Use:   "list [prefix]",
		Short: "List keys, without their secrets",
		Long: `List vault keys, or those under a prefix, without their secrets.

The prefix prod/crm is that key and everything below it, prod/crm/ what is below
it alone.`,
		Example: `  bctrl vault list
  bctrl vault list prod/crm/
  bctrl vault list --totp --output key`,
		Args:              arguments(0, 1),
		ValidArgsFunction: c.completing(vaultKeys),
	})
	totp := cmd.Flags().Bool("totp", false, "only keys that have one-time codes; --totp=false: only others")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var filter bctrl.VaultFilter
		if len(args) > 0 {
			filter.Prefix = args[0]
		}
		if cmd.Flags().Changed("totp") {
			filter.HasTOTP = totp
		}
		return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
			return list(c, cmd, client.Vault.Entries(ctx, filter), entryColumns()...)
		})
	}
	return cmd
}

func entryColumns() []column[bctrl.VaultEntry] {
	return []column[bctrl.VaultEntry]{
		{"KEY", func(e bctrl.VaultEntry) string { return e.Key }},
		{"USERNAME", func(e bctrl.VaultEntry) string { return e.Username }},
		{"TOTP", func(e bctrl.VaultEntry) string { return yesNo(e.HasTOTP) }},
		{"FILL", func(e bctrl.VaultEntry) string { return string(e.Fill) }},
		{"UPDATED", func(e bctrl.VaultEntry) string { return moment(e.UpdatedAt) }},
	}
}

func deleteVault(c *cli) *cobra.Command {
	return &cobra.Command{
		Use:               "delete <key>",
		Short:             "Delete a key and its secrets",
		Long:              `Delete a vault key and its secrets. There is no way back.`,
		Example:           `  bctrl vault delete prod/crm/salesforce`,
		Args:              arguments(1, 1),
		ValidArgsFunction: c.completing(vaultKeys),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
				if err := client.Vault.Delete(ctx, args[0]); err != nil {
					return err
				}
				note(cmd, "Deleted vault key %s.", args[0])
				return nil
			})
		},
	}
}

func totpVault(c *cli) *cobra.Command {
	return &cobra.Command{
		Use:               "totp <key>",
		Short:             "Print the one-time code of now",
		Long:              `Print the one-time code that the seed of a vault key gives now (RFC 6238).`,
		Example:           `  bctrl vault totp prod/crm/salesforce`,
		Args:              arguments(1, 1),
		ValidArgsFunction: c.completing(vaultKeys),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
				code, err := client.Vault.TOTP(ctx, args[0])
				if err != nil {
					return err
				}
				_, err = fmt.Fprintln(cmd.OutOrStdout(), code)
				return err
			})
		},
	}
}
