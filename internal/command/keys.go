package command

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"os"

	"github.com/spf13/cobra"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/daemon"
	"github.com/bctrl-go/bctrl/internal/server"
	"github.com/bctrl-go/bctrl/internal/wire"
)

func keys(c *cli) *cobra.Command {
	cmd := group(&cobra.Command{
		Use:   "keys",
		Short: "Make, list and revoke organization keys",
		Long: `Make, list and revoke organization keys.

While a server runs, it is asked, with the key in BCTRL_API_KEY, at
BCTRL_BASE_URL (default ` + defaultBaseURL + `). While none does, its data
directory is worked on itself, with the key that seals it: so a lost
organization key can be replaced.`,
	})
	where := newDirs(cmd.PersistentFlags())
	cmd.AddCommand(createKey(c, where), listKeys(c, where), revokeKey(c, where))
	return c.reaching(cmd)
}

func createKey(c *cli, where *dirs) *cobra.Command {
	cmd := printing[wire.NewKey](c, &cobra.Command{
		Use:   "create",
		Short: "Make a key and print it, this once",
		Long: `Make an organization key and print it. It is shown this once: the server keeps
only what it needs to know the key again.`,
		Example: `  bctrl keys create --label ci
  export BCTRL_API_KEY=$(bctrl keys create --label laptop)`,
		Args: arguments(0, 0),
	})
	label := cmd.Flags().String("label", "", "what the key is for")
	mayBeEmpty(cmd, "label")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return c.withKeys(cmd, where, func(ring keyring) error {
			k, err := ring.Create(cmd.Context(), *label)
			if err != nil {
				return err
			}
			if c.json || len(c.fields) > 0 {
				return show(c, cmd, k)
			}
			// The key alone goes to where a script reads it.
			note(cmd, "Made key %s, shown this once.", k.ID)
			_, err = fmt.Fprintln(cmd.OutOrStdout(), k.Key.Reveal())
			return err
		})
	}
	return cmd
}

func listKeys(c *cli, where *dirs) *cobra.Command {
	return printing[wire.Key](c, &cobra.Command{
		Use:   "list",
		Short: "List keys, revoked ones too",
		Long:  `List the organization's keys, revoked ones too. The keys are not shown.`,
		Example: `  bctrl keys list
  bctrl keys list --output id,label`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.withKeys(cmd, where, func(ring keyring) error {
				all, err := ring.List(cmd.Context())
				if err != nil {
					return err
				}
				return list(c, cmd, each(all), []column[wire.Key]{
					{"ID", func(k wire.Key) string { return k.ID }},
					{"CREATED", func(k wire.Key) string { return moment(k.CreatedAt) }},
					{"REVOKED", func(k wire.Key) string {
						if k.RevokedAt == nil {
							return ""
						}
						return moment(*k.RevokedAt)
					}},
					{"LABEL", func(k wire.Key) string { return k.Label }},
				}...)
			})
		},
	})
}

// each ranges over a list that is there as a whole.
func each[T any](all []T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, v := range all {
			if !yield(v, nil) {
				return
			}
		}
	}
}

func revokeKey(c *cli, where *dirs) *cobra.Command {
	return &cobra.Command{
		Use:   "revoke <id>",
		Short: "Revoke a key: it is refused from the next request on",
		Long: `Revoke an organization key: it is refused from the next request on. The last key
is not revoked; make another one first.`,
		Example: "  bctrl keys revoke 01980a4e-6a3c-7f1e-8c1d-3b2a5d9e4f60",
		Args:    arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withKeys(cmd, where, func(ring keyring) error {
				k, err := ring.Revoke(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				note(cmd, "Revoked key %s.", k.ID)
				return nil
			})
		},
	}
}

// keyring is where keys are kept: a running server, or the data directory of
// one that does not run.
type keyring interface {
	Create(ctx context.Context, label string) (wire.NewKey, error)
	List(ctx context.Context) ([]wire.Key, error)
	Revoke(ctx context.Context, id string) (wire.Key, error)
}

// withKeys runs fn on the data directory when it is free, else on the server
// that has it.
func (c *cli) withKeys(cmd *cobra.Command, where *dirs, fn func(keyring) error) error {
	cfg, err := where.config()
	if err != nil {
		return err
	}
	err = withPassphrase(cmd, cfg, func(cfg daemon.Config) error {
		return daemon.WithKeys(cmd.Context(), cfg, func(keys server.OfflineKeys) error { return fn(keys) })
	})
	if !served(err) {
		return err
	}
	if os.Getenv("BCTRL_API_KEY") == "" {
		return fmt.Errorf("%w: set BCTRL_API_KEY to ask that server, or stop it", err)
	}
	return c.with(cmd, func(_ context.Context, client *bctrl.Client) error { return fn(remoteKeys{client}) })
}

// remoteKeys asks a running server.
type remoteKeys struct{ client *bctrl.Client }

func (r remoteKeys) Create(ctx context.Context, label string) (k wire.NewKey, err error) {
	err = r.client.Do(ctx, http.MethodPost, []string{"v1", "keys"}, wire.KeyCreate{Label: label}, &k)
	return k, err
}

func (r remoteKeys) List(ctx context.Context) (all []wire.Key, err error) {
	page := wire.List[wire.Key]{Plural: wire.APIKeys}
	for {
		query := url.Values{"limit": {"1000"}}
		if page.NextCursor != "" {
			query.Set("cursor", page.NextCursor)
		}
		if err := r.client.Do(ctx, http.MethodGet, []string{"v1", "keys"}, nil, &page, bctrl.WithQuery(query)); err != nil {
			return nil, err
		}
		if all = append(all, page.Items...); page.NextCursor == "" {
			return all, nil
		}
	}
}

func (r remoteKeys) Revoke(ctx context.Context, id string) (k wire.Key, err error) {
	err = r.client.Do(ctx, http.MethodDelete, []string{"v1", "keys", id}, nil, &k)
	return k, err
}
