package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/daemon"
	"github.com/bctrl-go/bctrl/internal/wire"
)

func keys() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Make, list and revoke organization keys",
		Long: `Make, list and revoke organization keys.

While a server runs, it is asked, with the key in BCTRL_API_KEY, at
BCTRL_BASE_URL (default http://127.0.0.1:8787). While none does, its data
directory is worked on itself, without a key: so a lost one can be replaced.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	where := newDataDir(cmd.PersistentFlags())
	cmd.AddCommand(createKey(where), listKeys(where), revokeKey(where))
	return cmd
}

func createKey(where *dirs) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Make a key and print it, this once",
		Example: `  bctrl keys create --label ci
  export BCTRL_API_KEY=$(bctrl keys create --label laptop)`,
		Args: noArguments,
	}
	label := cmd.Flags().String("label", "", "what the key is for")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return withKeys(cmd, where, func(ring keyring) error {
			k, err := ring.Create(cmd.Context(), *label)
			if err != nil {
				return err
			}
			// The key alone goes to where a script reads it.
			fmt.Fprintf(cmd.ErrOrStderr(), "Made key %s, shown this once.\n", k.ID)
			_, err = fmt.Fprintln(cmd.OutOrStdout(), k.Key.Reveal())
			return err
		})
	}
	return cmd
}

func listKeys(where *dirs) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List keys, revoked ones too",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withKeys(cmd, where, func(ring keyring) error {
				list, err := ring.List(cmd.Context())
				if err != nil {
					return err
				}
				return printKeys(cmd.OutOrStdout(), list)
			})
		},
	}
}

func printKeys(out io.Writer, list []wire.Key) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tCREATED\tREVOKED\tLABEL")
	for _, k := range list {
		revoked := "-"
		if k.RevokedAt != nil {
			revoked = k.RevokedAt.Format(time.RFC3339)
		}
		// Quoted: a label is any text, and must not steer a terminal.
		fmt.Fprintf(w, "%s\t%s\t%s\t%q\n", k.ID, k.CreatedAt.Format(time.RFC3339), revoked, k.Label)
	}
	return w.Flush()
}

func revokeKey(where *dirs) *cobra.Command {
	return &cobra.Command{
		Use:     "revoke <id>",
		Short:   "Revoke a key: it is refused from the next request on",
		Example: "  bctrl keys revoke 01980a4e-…",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError{errors.New("name one key by its id, as 'bctrl keys list' shows it")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return withKeys(cmd, where, func(ring keyring) error {
				k, err := ring.Revoke(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				_, err = fmt.Fprintln(cmd.OutOrStdout(), "Revoked key "+k.ID)
				return err
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
func withKeys(cmd *cobra.Command, where *dirs, fn func(keyring) error) error {
	dir, err := where.dataDir()
	if err != nil {
		return err
	}
	offline, err := daemon.OpenOffline(cmd.Context(), dir)
	if err == nil {
		return errors.Join(fn(offline.Keys), offline.Close())
	}
	elsewhere := errors.Is(err, daemon.ErrNoData) && os.Getenv("BCTRL_API_KEY") != ""
	if !errors.Is(err, daemon.ErrInUse) && !elsewhere {
		return err
	}
	if os.Getenv("BCTRL_API_KEY") == "" {
		return fmt.Errorf("%w: set BCTRL_API_KEY to ask that server, or stop it", err)
	}
	options := []bctrl.Option{bctrl.WithApplication("bctrl-keys", "1")}
	if os.Getenv("BCTRL_BASE_URL") == "" {
		options = append(options, bctrl.WithBaseURL("http://127.0.0.1:8787"))
	}
	client, err := bctrl.New(options...)
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	return fn(remoteKeys{client})
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
