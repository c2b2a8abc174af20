package command

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bctrl-go/bctrl"
)

func pagesRuntime(c *cli) *cobra.Command {
	cmd := printing[bctrl.PagesResult](c, &cobra.Command{
		Use:   "pages <workspace/alias>",
		Short: "List the tabs of a runtime's browser, or change them",
		Long: `List the tabs that a runtime's agents work in, the oldest first. The one in
front is marked: agents see it and act on it. Tabs of DevTools clients are their
own.

With a flag one is opened, brought to the front or closed before.`,
		Example: `  bctrl runtime pages sales/crm
  bctrl runtime pages sales/crm --open https://www.example.com/
  bctrl runtime pages sales/crm --close t1`,
		Args:              arguments(1, 1),
		ValidArgsFunction: c.completing(runtimeNames),
	})
	var in bctrl.PagesArgs
	f := cmd.Flags()
	f.StringVar(&in.Open, "open", "", "open a tab at an `address`, in front")
	f.StringVar(&in.Activate, "activate", "", "bring the tab of this `id` to the front")
	f.StringVar(&in.Close, "close", "", "close the tab of this `id`")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := in.Validate(); err != nil {
			return usageError{errors.New("give one of --open, --activate and --close")}
		}
		return c.withRuntime(cmd, args[0], func(ctx context.Context, rt *bctrl.Runtime) error {
			pages, err := changePages(ctx, rt, in)
			if err != nil {
				return err
			}
			var lines []pair
			for _, p := range pages {
				inFront := ""
				if p.Active {
					inFront = "(in front)"
				}
				lines = append(lines, pair{"Tab", strings.Join(words(p.ID, quoted(p.Title), p.URL, inFront), " ")})
			}
			return show(c, cmd, bctrl.PagesResult{Pages: pages}, lines...)
		})
	}
	return cmd
}

func changePages(ctx context.Context, rt *bctrl.Runtime, in bctrl.PagesArgs) ([]bctrl.PageInfo, error) {
	var err error
	switch {
	case in.Open != "":
		_, err = rt.Pages.Open(ctx, in.Open)
	case in.Activate != "":
		err = rt.Pages.Activate(ctx, in.Activate)
	case in.Close != "":
		err = rt.Pages.Close(ctx, in.Close)
	}
	if err != nil {
		return nil, err
	}
	return rt.Pages.List(ctx)
}
