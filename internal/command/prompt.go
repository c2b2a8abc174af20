package command

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/bctrl-go/bctrl"
)

// maxSecret bounds what is read from standard input for secrets, in bytes.
const maxSecret = 64 << 10

// secretsHelp says in the manual of a command how it takes its secrets.
const secretsHelp = `

At a terminal it is asked for and not shown. Otherwise it is read from standard
input, a line each; no flag takes it, since other users see a command's flags.`

// readSecrets asks for secrets without echo, or reads a line for each from
// standard input.
func readSecrets(cmd *cobra.Command, names ...string) ([]bctrl.Secret, error) {
	if fd, ok := terminal(cmd.InOrStdin()); ok {
		return askSecrets(cmd, fd, names)
	}
	text, err := readInput(cmd)
	if err != nil {
		return nil, err
	}
	if err := textOnly(strings.Join(names, " and the "), text); err != nil {
		return nil, err // before it is cut into lines, which UTF-16 has others of
	}
	text, ended := strings.CutSuffix(text, "\n")
	lines := strings.Split(text, "\n")
	if len(lines) != len(names) {
		return nil, usagef("standard input: want the %s, %d in all, and nothing else",
			strings.Join(names, " and the ")+" on a line each", len(names))
	}
	var secrets []bctrl.Secret
	for i, line := range lines {
		if ended || i < len(lines)-1 { // the line end of Windows, and not a value's last byte
			line = strings.TrimSuffix(line, "\r")
		}
		s, err := secretOf(names[i], line)
		if err != nil {
			return nil, err
		}
		secrets = append(secrets, s)
	}
	return secrets, nil
}

// readWhole reads all of standard input as one secret.
func readWhole(cmd *cobra.Command, name string) (bctrl.Secret, error) {
	text, err := readInput(cmd)
	if err != nil {
		return bctrl.Secret{}, err
	}
	return secretOf(name, text)
}

func secretOf(name, text string) (bctrl.Secret, error) {
	if text == "" {
		return bctrl.Secret{}, usagef("the %s is empty", name)
	}
	if err := textOnly(name, text); err != nil {
		return bctrl.Secret{}, err
	}
	return bctrl.NewSecret(text), nil
}

func readInput(cmd *cobra.Command) (string, error) {
	return readUpTo(cmd, "standard input", cmd.InOrStdin(), maxSecret)
}

// readUpTo reads all of in, which has at most limit bytes.
func readUpTo(cmd *cobra.Command, name string, in io.Reader, limit int64) (string, error) {
	data, err := within(cmd.Context(), func() ([]byte, error) { return io.ReadAll(io.LimitReader(in, limit+1)) })
	switch {
	case err != nil:
		return "", err
	case int64(len(data)) > limit:
		return "", usagef("%s is longer than %s", name, size(limit))
	}
	return string(data), nil
}

// readFile is readUpTo for a file.
func readFile(cmd *cobra.Command, path string, limit int64) (text string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", usageError{err}
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return readUpTo(cmd, path, f, limit)
}

// readFileOrInput is readUpTo for a file or, of the name -, for standard input. It returns
// what to call that in errors, too.
func readFileOrInput(cmd *cobra.Command, path string, limit int64) (text, name string, err error) {
	if path == "-" {
		text, err = readUpTo(cmd, "standard input", cmd.InOrStdin(), limit)
		return text, "standard input", err
	}
	text, err = readFile(cmd, path, limit)
	return text, printable(path), err
}

// askSecrets prompts on standard error, so that standard output stays clean.
// The terminal is raw before the first prompt is shown and until the last
// answer was read: what is typed or pasted ahead is not shown either.
func askSecrets(cmd *cobra.Command, fd int, names []string) (secrets []bctrl.Secret, err error) {
	before, err := term.MakeRaw(fd)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, term.Restore(fd, before)) }()
	screen, typed := newScreen(cmd, "")
	for _, name := range names {
		prompt := strings.ToUpper(name[:1]) + name[1:] + ": "
		text, err := within(cmd.Context(), func() (string, error) { return screen.ReadPassword(prompt) })
		if err != nil {
			_, _ = io.WriteString(cmd.ErrOrStderr(), "\r\n")
			if errors.Is(err, io.EOF) {
				return nil, errInterrupted
			}
			return nil, err
		}
		if err := typed.checkComplete(name, text); err != nil {
			return nil, err
		}
		s, err := secretOf(name, text)
		if err != nil {
			return nil, err
		}
		secrets = append(secrets, s)
	}
	return secrets, nil
}

// errInterrupted is Ctrl-C or Ctrl-D where a raw terminal reads it as a key.
var errInterrupted = errors.New("interrupted")

// within waits for fn as long as ctx allows. A read of a terminal or a pipe
// cannot be broken off; it ends with the process.
func within[T any](ctx context.Context, fn func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := fn()
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// terminal reports whether a stream of a command is a terminal, and which.
func terminal(stream any) (fd int, ok bool) {
	f, ok := stream.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	return int(f.Fd()), true
}
