package command

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/bctrl-go/bctrl"
)

// The exit codes, as the help of the root command lists them.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitDenied      = 3
	exitNotFound    = 4
	exitInterrupted = 130 // what shells expect of a command that Ctrl-C ended
)

// usageError is a mistake on the command line, or in what was read from
// standard input.
type usageError struct{ error }

func (u usageError) Unwrap() error { return u.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// advice is an error in other words, for somebody at a terminal.
type advice struct {
	text  string
	cause error
}

func (a *advice) Error() string { return a.text }
func (a *advice) Unwrap() error { return a.cause }

// aboutError says what an error is about, such as the workspace that was asked for.
type aboutError struct {
	what string
	err  error
}

func about(what string, err error) error { return &aboutError{what, err} }

func (a *aboutError) Error() string { return a.what + ": " + a.err.Error() }
func (a *aboutError) Unwrap() error { return a.err }

// errDenied ends a command that has printed a denial as its answer.
var errDenied = errors.New("denied")

// exitCode tells a script what went wrong.
func exitCode(ctx context.Context, err error) int {
	_, usage := errors.AsType[usageError](err)
	switch {
	case err == nil:
		return 0
	case interrupted(ctx, err):
		return exitInterrupted
	case usage:
		return exitUsage
	case errors.Is(err, errDenied), errors.Is(err, bctrl.ErrForbidden), errors.Is(err, bctrl.ErrUnauthorized),
		errors.Is(err, bctrl.ErrWidening):
		return exitDenied
	case errors.Is(err, bctrl.ErrNotFound):
		return exitNotFound
	case errors.Is(err, bctrl.ErrInvalid):
		return exitUsage
	}
	return exitFailed
}

func interrupted(ctx context.Context, err error) bool {
	return errors.Is(err, errInterrupted) || ctx.Err() != nil && errors.Is(err, context.Canceled)
}

// complaint is the one line about err; empty when there is nothing to say.
func complaint(ctx context.Context, cmd *cobra.Command, err error) string {
	_, usage := errors.AsType[usageError](err)
	switch {
	case err == nil, err == errDenied:
		return ""
	case interrupted(ctx, err):
		if a, ok := errors.AsType[*advice](err); ok { // something is left of it
			return oneLine(a.text)
		}
		return "interrupted"
	case usage:
		return oneLine(plain(cmd, err)) + " (see '" + cmd.CommandPath() + " --help')"
	}
	return oneLine(plain(cmd, err))
}

// plain is the text of err for a terminal, what was asked of the SDK in the words
// of the command line: see [refusal].
func plain(cmd *cobra.Command, err error) string {
	switch e := err.(type) { //nolint:errorlint // each layer says its own part
	case *bctrl.Error:
		return refusal(cmd, e)
	case *aboutError:
		return e.what + ": " + plain(cmd, e.err)
	case usageError:
		return plain(cmd, e.error)
	case interface{ Unwrap() []error }:
		var lines []string
		for _, err := range e.Unwrap() {
			lines = append(lines, plain(cmd, err))
		}
		return strings.Join(lines, "\n")
	}
	return err.Error()
}

// refusal is the text of an error of the SDK without the route, with flags in
// place of the fields that they filled, and without the request's id unless the
// server failed.
func refusal(cmd *cobra.Command, e *bctrl.Error) string {
	text := words(e.Code, e.Message)
	for _, p := range e.Problems {
		problem := words(asTyped(cmd, p.Code, p.Field), quoted(p.Value),
			prefixed("would permit ", p.Witness), prefixed("under ", p.Ceiling))
		text = append(text, strings.Join(problem, " "))
	}
	if len(e.Problems) == 0 {
		text = append(text, words(asTyped(cmd, e.Code, e.Field))...)
	}
	line := strings.Join(text, ": ")
	if e.Hint != "" {
		line += " (" + e.Hint + ")"
	}
	if e.Status >= 500 && e.RequestID != "" {
		line += " [request " + e.RequestID + "]"
	}
	return line
}

// words leaves out the empty ones.
func words(all ...string) (out []string) {
	for _, w := range all {
		if w != "" {
			out = append(out, w)
		}
	}
	return out
}

func prefixed(prefix, text string) string {
	if text == "" {
		return ""
	}
	return prefix + text
}

func quoted(text string) string {
	if text == "" {
		return ""
	}
	return strconv.Quote(text)
}

// oneLine joins the lines of several errors, and leaves nothing in them that
// steers a terminal.
func oneLine(text string) string {
	text = strings.ReplaceAll(strings.TrimSpace(text), "\n", "; ")
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
}

// group makes a command that only has others below it.
func group(cmd *cobra.Command, below ...*cobra.Command) *cobra.Command {
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return noCommand(cmd, args[0])
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	cmd.SuggestionsMinimumDistance = 2
	cmd.AddCommand(below...)
	return cmd
}

// noCommand is the refusal of a command that is none, with those of nearly its name.
func noCommand(of *cobra.Command, name string) error {
	text := fmt.Sprintf("there is no command %q", of.CommandPath()+" "+name)
	if near := of.SuggestionsFor(name); len(near) > 0 {
		text += "; did you mean " + strings.Join(near, " or ") + "?"
	}
	return usageError{errors.New(text)}
}

// arguments wants as many as the command's usage line names.
func arguments(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < least || len(args) > most {
			return usagef("want: %s", cmd.UseLine())
		}
		return nil
	}
}
