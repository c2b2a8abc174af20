// Package command is the command line of bctrl, which runs the BCTRL server, administers
// it and works with it.
//
// A file holds a noun of the command line: its commands read flags and
// arguments, call the SDK and print. What is right and what is permitted is
// decided below, by the SDK and the server.
package command

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/trace"
)

// Program is bctrl, or one that is that and more.
type Program struct {
	// Tracing has the server tell what its requests did; nil tells nobody.
	Tracing Tracing
}

// Tracing begins what a server tells its spans, as the environment says. The tracer is nil
// where that says that there is to be none. Stop sends what is left, until its context ends.
type Tracing func(ctx context.Context, log *slog.Logger) (t trace.Tracer, stop func(context.Context), err error)

// Main runs the command line that this process was started with, and ends the process.
func (p Program) Main() {
	ctx, stop := signal.NotifyContext(context.Background(), endings()...)
	log.SetOutput(io.Discard)    // libraries write there alone, and can quote what came over the network
	context.AfterFunc(ctx, stop) // a second signal does not wait for what the first one ends
	os.Exit(p.execute(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// endings are the signals that ask the process to end: a terminal that is closed does too, as an
// ssh session that breaks off, except below nohup.
func endings() []os.Signal {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	return signals
}

// execute runs one command line and returns its exit code.
func (p Program) execute(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	cmd := p.root(args...)
	refuseUnknown(cmd, args)
	cmd.SetArgs(args)
	cmd.SetIn(in)
	cmd.SetOut(out)
	cmd.SetErr(errOut)
	ran, err := cmd.ExecuteContextC(ctx)
	if text := complaint(ctx, ran, err); text != "" {
		fmt.Fprintln(errOut, "bctrl: "+text)
	}
	return exitCode(ctx, err)
}

// noun is a command below bctrl.
type noun struct {
	name    string
	command func(*cli) *cobra.Command
}

func nouns() []noun {
	return []noun{
		{"serve", serve},
		{"keys", keys}, {"workspace", workspaces}, {"vault", vault}, {"secrets", secrets}, {"credential", credentials},
		{"capability", capabilities}, {"invoke", invokeCommand}, {"json", jsonCommand}, {"markdown", markdownCommand},
		{"ai", ai},
		{"storage", storage}, {"runtime", runtimes}, {"profile", profiles},
		{"operation", operations}, {"token", tokens},
		{"updates", updates}, {"webhook", webhooks},
		{"access", accessCommands}, {"audit", audits}, {"node", nodes},
		{"migrate", migrateSchema}, {"move", moveData},
		{"status", sealStatus}, {"lock", lock}, {"unlock", unlock}, {"rotate-master", rotateMaster},
	}
}

// needed are the nouns that a command line can come to. Making all of them and
// their flags takes longer than most commands, so where the first argument says
// which it is, that one is made alone.
func needed(args []string) []noun {
	all := nouns()
	if len(args) == 1 && args[0] == "--version" {
		return nil
	}
	if len(args) > 0 {
		if i := slices.IndexFunc(all, func(n noun) bool { return n.name == args[0] }); i >= 0 {
			return all[i : i+1]
		}
	}
	return all
}

// root makes bctrl with the commands that args can come to: all of them where
// there are none.
func (p Program) root(args ...string) *cobra.Command {
	cmd := group(&cobra.Command{
		Use:   "bctrl",
		Short: "Run browser agents that get no more than their task needs",
		Long: `Bctrl runs browser agents that get no more than their task needs.

A workspace says what everything inside it may use: logins of the vault, keys to
language models, files. A runtime is a browser in a workspace; it may be lowered
below its workspace, and nothing can raise it.

The first steps:

  bctrl serve                     run a server; it prints its first key
  export BCTRL_API_KEY=…          the key, where the other commands find it
  bctrl workspace create sales    make a workspace
  bctrl runtime launch sales/crm  start a browser in it

What a command is asked for goes to standard output, everything else to standard
error. Lists are tables for people. --json prints what the HTTP API answers, and
--output names the fields to print, a line for each record with tabs between
them. Text that could steer a terminal is printed quoted.

Passwords, keys and seeds are asked for without echo, or read from standard
input when that is no terminal. The few flags that take one say why not to.

Environment:

  BCTRL_API_KEY   the key that commands use
  BCTRL_BASE_URL  where the server is (default ` + defaultBaseURL + `)

Exit codes:

  0    done
  1    failed
  2    the command line or its input is wrong
  3    denied: by the key, by mounts, or by a ceiling above them
  4    there is no such thing
  130  interrupted`,
		Version:           bctrl.Version,
		PersistentPreRunE: refuseEmpty,
		SilenceErrors:     true,
		SilenceUsage:      true,
	})
	cmd.SetUsageTemplate(usage(cmd.UsageTemplate()))
	cmd.SetVersionTemplate("bctrl {{.Version}}\n")
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	c := &cli{program: p}
	for _, n := range needed(args) {
		cmd.AddCommand(n.command(c))
	}
	return cmd
}

// refuseUnknown has the commands that cobra adds refuse what is none, for which they would show
// the help of all, as if it had been asked for.
func refuseUnknown(root *cobra.Command, args []string) {
	switch {
	case len(args) == 0:
	case args[0] == "help":
		root.InitDefaultHelpCmd()
		help, _, _ := root.Find(args[:1])
		help.Args = func(_ *cobra.Command, args []string) error {
			if of, rest, _ := root.Find(args); len(rest) > 0 {
				return noCommand(of, rest[0])
			}
			return nil
		}
	case args[0] == "completion":
		root.InitDefaultCompletionCmd(args...)
		completion, _, _ := root.Find(args[:1])
		group(completion)
		for _, shell := range completion.Commands() {
			shell.Args = arguments(0, 0)
		}
	}
}

// usage makes cobra's template fit a terminal, and leaves out that a command
// with others below it runs alone, which shows its help.
func usage(template string) string {
	template = strings.ReplaceAll(template, "{{if .Runnable}}", "{{if and .Runnable (not .HasAvailableSubCommands)}}")
	return strings.ReplaceAll(template, "Flags.FlagUsages", "Flags.FlagUsagesWrapped 100")
}
