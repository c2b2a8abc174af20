package command

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bctrl-go/bctrl"
)

func pdfRuntime(c *cli) *cobra.Command {
	cmd := printing[bctrl.StorageObject](c, &cobra.Command{
		Use:   "pdf <workspace/alias> [path]",
		Short: "Print the page as a PDF into storage",
		Long: `Print the page as a PDF into the storage that the runtime mounts, under a path
or else a name of the server's choice; with --file into a file here, or to
standard output with a dash. A page that shows what was filled from the vault is
not printed.

'bctrl storage cp' brings a stored one here.`,
		Example: `  bctrl runtime pdf sales/crm reports/q1.pdf --paper a4 --background
  bctrl runtime pdf sales/crm --file q1.pdf --ranges 1-3`,
		Args:              arguments(1, 2),
		ValidArgsFunction: c.completing(runtimeNames),
	})
	var o bctrl.PDFOptions
	f := cmd.Flags()
	paper := f.String("paper", "", "`size` of the pages: letter, legal, tabloid, ledger, a0 to a6 (default letter)")
	f.Float64Var(&o.Width, "width", 0, "width of the pages in `inches`, with --height")
	f.Float64Var(&o.Height, "height", 0, "height of the pages in `inches`, with --width")
	margin := f.Float64("margin", 0, "margin on each side in `inches` (default 1 cm)")
	f.BoolVar(&o.Landscape, "landscape", false, "turn the paper")
	f.BoolVar(&o.Background, "background", false, "print the colours and pictures behind the text too")
	f.BoolVar(&o.PageSize, "prefer-page-size", false, "print on the size of paper that the page's style names")
	f.Float64Var(&o.Scale, "scale", 0, "`factor` from 0.1 to 2 (default 1)")
	f.StringVar(&o.Ranges, "ranges", "", "`pages` to print, as 1-3,5")
	f.StringVar(&o.Header, "header", "", "`HTML` of the top margin; the class pageNumber and others are filled")
	f.StringVar(&o.Footer, "footer", "", "`HTML` of the bottom margin")
	output := f.String("file", "", "`file` to write instead of storing, which is not overwritten")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		o.Paper, o.Path, o.Inline = bctrl.PaperSize(*paper), strings.Join(args[1:], ""), *output != ""
		if f.Changed("margin") {
			o.Margins = &bctrl.PDFMargins{Top: *margin, Right: *margin, Bottom: *margin, Left: *margin}
		}
		if err := o.Validate(); err != nil {
			return usageError{err}
		}
		return c.withRuntime(cmd, args[0], func(ctx context.Context, rt *bctrl.Runtime) error {
			printed, err := rt.Page.PDF(ctx, o)
			if err != nil {
				return err
			}
			if printed.Object != nil {
				return c.showObject(cmd, *printed.Object)
			}
			if *output == standardStream {
				_, err := cmd.OutOrStdout().Write(printed.Data)
				return err
			}
			if err := writeNew(*output, printed.Data); err != nil {
				return err
			}
			note(cmd, "Wrote %s.", printable(*output))
			return nil
		})
	}
	return cmd
}
