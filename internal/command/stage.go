package command

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/bctrl-go/bctrl"
)

func stageRuntime(c *cli) *cobra.Command {
	cmd := printing[bctrl.StorageObject](c, &cobra.Command{
		Use:   "stage <workspace/alias> <file>",
		Short: "Put a file where the runtime's pages can be given it",
		Long: `Put a file of this machine into the storage that the runtime mounts, in a folder
of its own below staged/, where the browser's file inputs take it from: an agent
by the path in storage, a program over a connect URL by the one that begins with
/storage/. Both are printed. The file stays until it is deleted.`,
		Example:           `  bctrl runtime stage sales/crm report.csv`,
		Args:              arguments(2, 2),
		ValidArgsFunction: c.completing(runtimeNames),
	})
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		f, err := os.Open(args[1])
		if err != nil {
			return usageError{err}
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		info, err := f.Stat()
		if err != nil {
			return err
		}
		if info.IsDir() {
			return usagef("%s is a directory: want a file", printable(args[1]))
		}
		return c.withRuntime(cmd, args[0], func(ctx context.Context, rt *bctrl.Runtime) error {
			o, err := rt.Files.Stage(ctx, filepath.Base(args[1]), f)
			if err != nil {
				return err
			}
			return show(c, cmd, *o, pair{"File", o.Workspace + ":" + o.LogicalPath},
				pair{"For clients", bctrl.ClientPath(o.LogicalPath)}, pair{"Size", size(o.SizeBytes)})
		})
	}
	return cmd
}
