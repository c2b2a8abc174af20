package command

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/bctrl-go/bctrl"
)

func liveRuntime(c *cli) *cobra.Command {
	cmd := printing[bctrl.LiveView](c, &cobra.Command{
		Use:   "live <workspace/alias>",
		Short: "Print an address that shows the browser to a person",
		Long: `Print an address that shows a runtime's browser as it moves, to the first
browser tab that opens it. What was filled from the vault is masked. With
--interactive whoever opens it may take the browser over, and agents wait
meanwhile.`,
		Example:           `  bctrl runtime live sales/crm`,
		Args:              arguments(1, 1),
		ValidArgsFunction: c.completing(runtimeNames),
	})
	var o bctrl.LiveOptions
	f := cmd.Flags()
	f.BoolVar(&o.Interactive, "interactive", false, "let whoever opens it take the browser over")
	f.DurationVar(&o.TTL, "ttl", time.Hour, "how long it can be opened, 10s to 24h")
	f.StringArrayVar(&o.EmbedOrigins, "embed", nil, "let pages of an `origin` hold it in a frame; several times")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.withRuntime(cmd, args[0], func(ctx context.Context, rt *bctrl.Runtime) error {
			view, err := rt.Live(ctx, o)
			if err != nil {
				return about("runtime "+printable(args[0]), err)
			}
			return show(c, cmd, *view, pair{"URL", view.URL}, pair{"Expires", moment(view.ExpiresAt)})
		})
	}
	return cmd
}

func recordingRuntime(c *cli) *cobra.Command {
	return printing[bctrl.Recording](c, &cobra.Command{
		Use:   "recording <workspace/alias>",
		Short: "Print an address that plays what a runtime's browser has shown",
		Long: `Print an address that plays the recording of a runtime, live or ended, that was
launched with record, and the file of the mounted storage in which one that has
ended is kept. With /file behind it, the address is a movie to download.`,
		Example:           `  bctrl runtime recording sales/crm`,
		Args:              arguments(1, 1),
		ValidArgsFunction: c.completing(runtimeNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withRuntime(cmd, args[0], func(ctx context.Context, rt *bctrl.Runtime) error {
				r, err := rt.Recording(ctx)
				if err != nil {
					return about("runtime "+printable(args[0]), err)
				}
				rows := []pair{{"Status", string(r.Status)}, {"Length", r.Duration.Round(time.Second).String()}}
				if r.Object != nil {
					rows = append(rows, pair{"File", printable(r.Object.LogicalPath)})
				}
				return show(c, cmd, *r, append(rows, pair{"URL", r.URL}, pair{"Expires", moment(r.ExpiresAt)})...)
			})
		},
	})
}
