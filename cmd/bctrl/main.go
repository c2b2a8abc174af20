// Command bctrl runs the BCTRL server and administers it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/bctrl-go/bctrl"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := root().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bctrl: "+err.Error())
		if exitCode(err) == 2 {
			fmt.Fprintln(os.Stderr, "'bctrl --help' and 'bctrl <command> --help' say what there is.")
		}
		os.Exit(exitCode(err))
	}
}

// usageError is a mistake on the command line.
type usageError struct{ error }

// noArguments refuses arguments where there are flags alone.
func noArguments(cmd *cobra.Command, args []string) error {
	if err := cobra.NoArgs(cmd, args); err != nil {
		return usageError{err}
	}
	return nil
}

// exitCode tells a script what went wrong: 2 is usage, 1 everything else.
func exitCode(err error) int {
	var usage usageError
	if errors.As(err, &usage) {
		return 2
	}
	return 1
}

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bctrl",
		Short: "Run browser agents that get no more than their task needs",
		Long: `Run browser agents that get no more than their task needs.

'bctrl serve' runs the server that programs written with the SDK talk to. The
first run prints the key that they need.`,
		Version:       bctrl.Version,
		Args:          noArguments,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	cmd.CompletionOptions.HiddenDefaultCmd = true
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	cmd.AddCommand(serve(), keys())
	return cmd
}
