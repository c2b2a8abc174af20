package command

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/bctrl-go/bctrl"
)

func connectRuntime(c *cli) *cobra.Command {
	return &cobra.Command{
		Use:   "connect <workspace/alias>",
		Short: "Print the address for Playwright, Puppeteer, Rod, chromedp or Selenium",
		Long: `Print a websocket address that speaks the DevTools protocol with a runtime's
browser, for Playwright, Puppeteer, Rod or chromedp. That of a runtime with the
driver selenium is an HTTP address that speaks WebDriver. It lasts as long as
the runtime and the key that asks for it: whoever sees it can steer the browser.
'bctrl runtime disconnect' ends it before.

'bctrl runtime bridge' is for a program that starts a browser of its own, or
gives pages files of its machine.`,
		Example: `  bctrl runtime connect sales/crm
  export CDP_URL=$(bctrl runtime connect sales/crm)`,
		Args:              arguments(1, 1),
		ValidArgsFunction: c.completing(runtimeNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withRuntime(cmd, args[0], func(ctx context.Context, rt *bctrl.Runtime) error {
				url, err := rt.ConnectURL(ctx)
				if err != nil {
					return about("runtime "+printable(args[0]), err)
				}
				_, err = fmt.Fprintln(cmd.OutOrStdout(), url)
				return err
			})
		},
	}
}

func connectionsRuntime(c *cli) *cobra.Command {
	return printing[bctrl.ConnectURLInfo](c, &cobra.Command{
		Use:   "connections <workspace/alias>",
		Short: "List the connect URLs of a runtime",
		Long: `List the connect URLs that open a runtime now: who asked for each, when it was
last used, how many connections it has open, and when it ends if nobody asks for
it or uses it until then. The URLs themselves are not shown.`,
		Example: `  bctrl runtime connections sales/crm
  bctrl runtime connections sales/crm --output id,connections`,
		Args:              arguments(1, 1),
		ValidArgsFunction: c.completing(runtimeNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withRuntime(cmd, args[0], func(ctx context.Context, rt *bctrl.Runtime) error {
				all, err := rt.ConnectURLs(ctx)
				if err != nil {
					return about("runtime "+printable(args[0]), err)
				}
				return list(c, cmd, each(all), []column[bctrl.ConnectURLInfo]{
					{"ID", func(u bctrl.ConnectURLInfo) string { return u.ID }},
					{"OF", func(u bctrl.ConnectURLInfo) string {
						if u.TokenID != "" {
							return "token " + u.TokenID
						}
						return "key " + u.KeyID
					}},
					{"OPEN", func(u bctrl.ConnectURLInfo) string { return strconv.Itoa(u.Connections) }},
					{"USED", func(u bctrl.ConnectURLInfo) string {
						if u.LastUsedAt == nil {
							return ""
						}
						return moment(*u.LastUsedAt)
					}},
					{"EXPIRES", func(u bctrl.ConnectURLInfo) string { return moment(u.ExpiresAt) }},
				}...)
			})
		},
	})
}

func disconnectRuntime(c *cli) *cobra.Command {
	return &cobra.Command{
		Use:   "disconnect <workspace/alias> <id>",
		Short: "End a connect URL and the connections that it has open",
		Long: `End a connect URL of a runtime, and the connections that it has open. The
runtime goes on. Whoever asked for the URL is given another when it asks again;
revoke its token to keep it out.

'bctrl runtime connections' lists the ids.`,
		Example: "  bctrl runtime disconnect sales/crm 01980a4e-6a3c-7f1e-8c1d-3b2a5d9e4f60",
		Args:    arguments(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withRuntime(cmd, args[0], func(ctx context.Context, rt *bctrl.Runtime) error {
				if err := rt.RevokeConnectURL(ctx, args[1]); err != nil {
					return about("connect URL "+printable(args[1]), err)
				}
				note(cmd, "Ended %s.", args[1])
				return nil
			})
		},
	}
}
