package command

import (
	"context"
	"errors"
	"os"

	"github.com/spf13/cobra"

	"github.com/bctrl-go/bctrl"
)

func exportOperation(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export <operation>",
		Short: "Write a program that does an operation again",
		Long: `Write a Go program that does what an operation's transcript says, without a
model: a page to read, to change and to run from a schedule or a test. It
launches a browser of its own as the operation's was, finds each element by its
role, name and surroundings, and stops the browser at the end.

Logins are filled by vault key, on the server: no value of the vault is in the
program. Something else that was masked in the transcript is marked in it, and
has to be put in.`,
		Example: `  bctrl operation export ` + exampleOperation + ` --go
  bctrl operation export ` + exampleOperation + ` --go --file main.go`,
		Args:              arguments(1, 1),
		ValidArgsFunction: c.completing(operationIDs),
	}
	asGo := cmd.Flags().Bool("go", false, "as a Go program; required, there is no other form")
	file := cmd.Flags().String("file", "", "`file` to write (default: standard output); none of the name may be there")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !*asGo {
			return usagef("want --go: a Go program is what an operation is exported as")
		}
		return c.withOperation(cmd, args[0], func(ctx context.Context, client *bctrl.Client, op *bctrl.Operation) error {
			p, err := programOf(ctx, client, op)
			if err != nil {
				return err
			}
			text, err := p.source()
			if err != nil {
				return err
			}
			if p.masked > 0 {
				note(cmd, "Something was masked in %s: the program has a remark where it has to be put in.",
					actionsText(p.masked))
			}
			if *file == "" {
				_, err = cmd.OutOrStdout().Write(text)
				return err
			}
			if err := writeNew(*file, text); err != nil {
				return err
			}
			note(cmd, "Wrote %s.", printable(*file))
			return nil
		})
	}
	return cmd
}

// writeNew writes a file that is not there yet. Of one that cannot be written whole nothing
// stays.
func writeNew(path string, data []byte) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, os.ErrExist) {
		return usagef("%s is there already: name another file", printable(path))
	}
	if err != nil {
		return usageError{err}
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err != nil {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

// programOf reads what a program that does an operation again needs.
func programOf(ctx context.Context, client *bctrl.Client, op *bctrl.Operation) (*program, error) {
	switch t := op.Info.Transcript; {
	case !op.Info.Status.Final():
		return nil, usagef("the operation has not ended: 'bctrl operation wait' sees its end")
	case t != nil && t.Cut:
		return nil, usagef("the mounts did not permit to keep the operation's whole transcript: half of it is no program")
	}
	var steps []bctrl.TranscriptStep
	for s, err := range op.Transcript(ctx) {
		if err != nil {
			return nil, err
		}
		steps = append(steps, s)
	}
	ws, err := client.Workspaces.Get(ctx, op.Info.WorkspaceID)
	if err != nil {
		return nil, about("its workspace", err)
	}
	for rt, err := range ws.Runtimes.List(ctx) {
		if err != nil {
			return nil, err
		}
		if rt.ID == op.Info.RuntimeID {
			return newProgram(op.Info, ws.Name, rt.Info, steps)
		}
	}
	return nil, usagef("the runtime of the operation is not known any more")
}
