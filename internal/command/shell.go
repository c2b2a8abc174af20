package command

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/bctrl-go/bctrl"
)

const shellHelp = `  goto URL            open a page
  act WORDS           have the agent do something
  screenshot [PATH]   take a picture into storage
  files [PREFIX]      list the files that the runtime may see
  vault [PREFIX]      list the vault keys that it may use
  mounts              show what it may use
  help                this list
  exit                leave; the browser goes on running
`

func shellRuntime(c *cli) *cobra.Command {
	return &cobra.Command{
		Use:   "shell <workspace/alias>",
		Short: "Give a runtime one action after the other",
		Long: `Read actions for a runtime, a line each, and do them.

` + shellHelp + `
At a terminal Ctrl-C ends the action that runs, and Ctrl-D leaves. Otherwise the
lines come from standard input, and the first action that fails ends it all.`,
		Example: `  bctrl runtime shell sales/crm
  printf 'goto https://www.example.com/\nscreenshot home.png\n' | bctrl runtime shell sales/crm`,
		Args:              arguments(1, 1),
		ValidArgsFunction: c.completing(runtimeNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withRuntime(cmd, args[0], func(ctx context.Context, rt *bctrl.Runtime) error {
				s := &shell{c: c, cmd: cmd, rt: rt}
				if fd, ok := terminal(cmd.InOrStdin()); ok {
					return s.interactive(ctx, fd)
				}
				return s.script(ctx, cmd.InOrStdin())
			})
		},
	}
}

// shell does actions on one runtime.
type shell struct {
	c   *cli
	cmd *cobra.Command
	rt  *bctrl.Runtime
	// running ends the action that runs; nil while none does.
	running atomic.Pointer[context.CancelFunc]
}

// errLeave is returned by the action that ends a shell.
var errLeave = errors.New("leave")

// script does what standard input says.
func (s *shell) script(ctx context.Context, in io.Reader) error {
	lines := bufio.NewScanner(in)
	for n := 1; ; n++ {
		more, err := within(ctx, func() (bool, error) { return lines.Scan(), lines.Err() })
		if err != nil || !more {
			return err
		}
		switch err := s.do(ctx, lines.Text()); {
		case err == errLeave:
			return nil
		case err != nil:
			return about(fmt.Sprint("line ", n), err)
		}
	}
}

// interactive prompts for actions. Ctrl-C ends the action that runs, and
// therefore not the context of the command; what asks the process to end does.
func (s *shell) interactive(ctx context.Context, fd int) error {
	ctx, leave := context.WithCancel(context.WithoutCancel(ctx))
	defer leave()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, endings()...)
	defer signal.Stop(signals)
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case sig := <-signals:
				if sig != os.Interrupt {
					leave()
				}
				s.interrupt()
			}
		}
	}()
	note(s.cmd, "%s on %s. help lists the actions, exit leaves.", s.rt.Driver, s.rt.Alias)
	screen, typed := newScreen(s.cmd, s.rt.Alias+"> ")
	for {
		line, err := s.readLine(ctx, fd, screen)
		switch {
		case errors.Is(err, io.EOF): // Ctrl-D, or Ctrl-C at the prompt
			note(s.cmd, "")
			return nil
		case err != nil:
			return err
		}
		if err = typed.plain(line); err == nil {
			err = s.doInterruptibly(ctx, line)
		}
		switch {
		case err == errLeave:
			return nil
		case err != nil:
			note(s.cmd, "%s", oneLine(plain(nil, s.c.advised(err))))
		}
	}
}

// readLine reads with editing and a history. The terminal is raw for that
// time alone, so that Ctrl-C is a signal while an action runs.
func (s *shell) readLine(ctx context.Context, fd int, screen *term.Terminal) (string, error) {
	before, err := term.MakeRaw(fd)
	if err != nil {
		return "", err
	}
	line, err := within(ctx, screen.ReadLine)
	if restored := term.Restore(fd, before); restored != nil {
		return "", restored
	}
	return line, err
}

// doInterruptibly does the action of a line, which interrupt breaks off.
func (s *shell) doInterruptibly(ctx context.Context, line string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.running.Store(&cancel)
	defer s.running.Store(nil)
	err := s.do(ctx, line)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return errors.New("interrupted")
	}
	return err
}

// interrupt breaks off the action that runs, if any.
func (s *shell) interrupt() {
	if cancel := s.running.Load(); cancel != nil {
		(*cancel)()
	}
}

// do does the action of a line.
func (s *shell) do(ctx context.Context, line string) error {
	action, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	rest = strings.TrimSpace(rest)
	switch action {
	case "":
		return nil
	case "goto", "act":
		if rest == "" {
			return usagef("%s: of what? help lists the actions", action)
		}
		if action == "goto" {
			return s.c.open(ctx, s.cmd, s.rt, rest)
		}
		return s.c.act(ctx, s.cmd, s.rt, rest, bctrl.ActOptions{})
	case "screenshot":
		return s.c.picture(ctx, s.cmd, s.rt, bctrl.ScreenshotArgs{Path: rest})
	case "files":
		return s.files(ctx, rest)
	case "vault":
		return s.vault(ctx, strings.TrimSpace(strings.TrimPrefix(rest, "list")))
	case "mounts":
		return show(s.c, s.cmd, s.rt.Mounts(), mountLines(s.rt.Mounts())...)
	case "help", "?":
		_, err := io.WriteString(s.cmd.OutOrStdout(), shellHelp)
		return err
	case "exit", "quit":
		return errLeave
	}
	return usagef("%s is no action; help lists them", printable(action))
}

func (s *shell) files(ctx context.Context, prefix string) error {
	within := bctrl.BrowseOptions{Prefix: prefix, Delimiter: "/"}
	return list(s.c, s.cmd, mapped(s.rt.Storage.Browse(ctx, within), storedItem), storedColumns()...)
}

func (s *shell) vault(ctx context.Context, prefix string) error {
	return list(s.c, s.cmd, s.rt.Vault.Entries(ctx, bctrl.VaultFilter{Prefix: prefix}), entryColumns()...)
}
