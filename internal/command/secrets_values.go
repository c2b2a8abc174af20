package command

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/envfile"
)

// maxImported bounds what is read to be imported, in bytes.
const maxImported = 512 << 10

// valueHelp says in the manual of a command how it takes a value.
const valueHelp = `

The value is asked for at a terminal and not shown. Otherwise all of standard
input is the value, or with --value-file all of a file, but for the line end
that closes it. --value takes it from the command line, which other users of the
machine see and shells remember.`

// valueFlags are the flags that take the value of a secret.
type valueFlags struct{ value, file string }

func addValueFlags(cmd *cobra.Command) *valueFlags {
	v := &valueFlags{}
	cmd.Flags().StringVar(&v.value, "value", "", "the `value`; other users of the machine can see it here")
	cmd.Flags().StringVar(&v.file, "value-file", "", "`file` whose content is the value")
	return v
}

// read takes the value from where the flags say.
func (v *valueFlags) read(cmd *cobra.Command) (bctrl.Secret, error) {
	var text string
	var err error
	switch given := cmd.Flags().Changed; {
	case given("value") && given("value-file"):
		return bctrl.Secret{}, usageError{errors.New("--value and --value-file are not given together")}
	case given("value"):
		warnOfFlag(cmd, "--value")
		return secretOf("value", v.value)
	case given("value-file"):
		text, err = readFile(cmd, v.file, maxSecret)
	default:
		if fd, ok := terminal(cmd.InOrStdin()); ok {
			asked, err := askSecrets(cmd, fd, []string{"value"})
			if err != nil {
				return bctrl.Secret{}, err
			}
			return asked[0], nil
		}
		text, err = readInput(cmd)
	}
	if err != nil {
		return bctrl.Secret{}, err
	}
	text, ended := strings.CutSuffix(text, "\n")
	if ended {
		text = strings.TrimSuffix(text, "\r")
	}
	return secretOf("value", text)
}

func warnOfFlag(cmd *cobra.Command, flag string) {
	note(cmd, "Warning: %s shows the value to other users of this machine, and to the history of the shell.", flag)
}

func rotateSecret(c *cli) *cobra.Command {
	cmd := printing[bctrl.SecretInfo](c, &cobra.Command{
		Use:   "rotate",
		Short: "Replace the value of a secret",
		Long: `Replace the value of a secret, for all that uses it from the next call on. The
old value is gone.` + valueHelp,
		Example: `  bctrl secrets rotate --id ` + someID + `
  printf '%s' "$GITHUB_TOKEN" | bctrl secrets rotate --id ` + someID + `
  bctrl secrets rotate --id ` + someID + ` --value-file key.txt
  bctrl secrets rotate --id ` + someID + ` --value ghp_example`,
		Args: arguments(0, 0),
	})
	id, value := c.idFlag(cmd), addValueFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return c.about(cmd, *id, func(ctx context.Context, all *bctrl.SecretsService) error {
			fresh, err := value.read(cmd)
			if err != nil {
				return err
			}
			s, err := all.Rotate(ctx, *id, fresh)
			if err != nil {
				return err
			}
			return c.showSecret(cmd, *s)
		})
	}
	return cmd
}

func importSecrets(c *cli) *cobra.Command {
	cmd := printing[bctrl.SecretsImported](c, &cobra.Command{
		Use:   "import [file]",
		Short: "Store the secrets of KEY=VALUE lines",
		Long: `Store the secrets of KEY=VALUE lines, of a file or of standard input: all of
them, or none. A name that the scope has already is rotated, another created,
and one without a value passed over.

The lines are those of a .env file: "export" before a name, quotes around a
value and comments are understood. A line that is not is refused by its number,
and its text is not repeated.` + scopeHelp + `

--entry takes a secret from the command line, which other users of the machine
see and shells remember; the value is what follows the = as it is.`,
		Example: `  bctrl secrets import .env --scope global
  bctrl secrets import --workspace-id sales < .env
  bctrl secrets import --entry OPENAI_API_KEY=sk-example --entry GITHUB_TOKEN=ghp_example --scope global`,
		Args: arguments(0, 1),
	})
	scope := c.addScopeFlags(cmd)
	entries := cmd.Flags().StringArray("entry", nil, "`KEY=VALUE`; may be repeated, and other users of the machine can "+
		"see it")
	cmd.ValidArgsFunction = nil // the shell completes the names of files
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		in, err := scope.required(cmd)
		if err != nil {
			return err
		}
		text, from, err := importedText(cmd, args, *entries)
		if err != nil {
			return err
		}
		return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
			done, err := client.Secrets.Import(ctx, bctrl.SecretImport{Scope: in, Text: text})
			if err != nil {
				return naming(err, "text", from)
			}
			return show(c, cmd, *done, pair{"Created", namesOf(done.Created)}, pair{"Rotated", namesOf(done.Rotated)},
				pair{"Skipped", joined(done.Skipped)})
		})
	}
	return cmd
}

func namesOf(secrets []bctrl.SecretInfo) string {
	names := make([]string, len(secrets))
	for i, s := range secrets {
		names[i] = s.Name
	}
	return joined(names)
}

// importedText is what is to be imported, and from which of the three places
// that it can be in.
func importedText(cmd *cobra.Command, args, entries []string) (_ bctrl.Secret, from string, err error) {
	var text string
	from = "standard input"
	switch {
	case len(entries) > 0 && len(args) > 0:
		return bctrl.Secret{}, "", usageError{errors.New("--entry and a file are not imported together")}
	case len(entries) > 0:
		warnOfFlag(cmd, "--entry")
		from = "--entry"
		text, err = linesOf(entries)
	case len(args) > 0:
		from = args[0]
		text, err = readFile(cmd, from, maxImported)
	default:
		if _, ok := terminal(cmd.InOrStdin()); ok {
			return bctrl.Secret{}, "", usageError{errors.New("name a file, or give the lines on standard input")}
		}
		text, err = readUpTo(cmd, from, cmd.InOrStdin(), maxImported)
	}
	if err == nil && len(entries) == 0 {
		err = linesOnly(from, text)
	}
	if err != nil {
		return bctrl.Secret{}, "", err
	}
	return bctrl.NewSecret(text), from, nil
}

// linesOf writes entries of the command line, whose values are taken as they
// are, as lines.
func linesOf(entries []string) (string, error) {
	var b strings.Builder
	for i, entry := range entries {
		name, value, ok := strings.Cut(entry, "=")
		if !ok || bctrl.ValidSecretName(name) != nil {
			return "", usagef("--entry %d: want KEY=VALUE, with a key that is a secret's name", i+1) // not its text
		}
		if err := textOnly(fmt.Sprintf("value of --entry %d", i+1), value); err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "%s=%s\n", name, envfile.Quote(value))
	}
	return b.String(), nil
}
