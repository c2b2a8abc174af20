package command

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bctrl-go/bctrl"
)

const (
	// maxCookieFile bounds what is read to be imported, in bytes.
	maxCookieFile = 9 << 20
	// bundleMark is how the file of an export begins.
	bundleMark = "bctrl cookies "
)

// passphraseHelp says in the manual of a command how it takes a passphrase.
const passphraseHelp = `

The passphrase is asked for at a terminal and not shown. Otherwise it is read
from standard input; no flag takes it, since other users see a command's flags.`

func exportProfile(c *cli) *cobra.Command {
	return &cobra.Command{
		Use:   "export <id> <file>",
		Short: "Export the cookies of a browser profile, sealed",
		Long: `Export the cookies of a browser profile into a new file, sealed under a
passphrase of at least 12 characters: what brings a login to another server.
Without the passphrase nobody can read the file, nor import it.` + passphraseHelp,
		Example: `  bctrl profile export sf-bot sf-bot.cookies < passphrase.txt`,
		Args:    arguments(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			// Both before anybody types a passphrase.
			if _, err := os.Lstat(args[1]); err == nil {
				return usagef("%s is there already: name another file", printable(args[1]))
			}
			return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
				if _, err := client.Profiles.Get(ctx, args[0]); err != nil {
					return about("profile "+printable(args[0]), err)
				}
				passphrase, err := askNew(cmd)
				if err != nil {
					return err
				}
				export, err := client.Profiles.ExportCookies(ctx, args[0], passphrase)
				if err != nil {
					return about("profile "+printable(args[0]), err)
				}
				if err := writeNew(args[1], export.Bundle); err != nil {
					return err
				}
				note(cmd, "Wrote %s to %s.", counted(export.Cookies), printable(args[1]))
				return nil
			})
		},
	}
}

func importProfile(c *cli) *cobra.Command {
	cmd := printing[bctrl.CookiesImported](c, &cobra.Command{
		Use:   "import <id> <file>",
		Short: "Import cookies into a browser profile",
		Long: `Import cookies into a browser profile that no live runtime uses: all of them, or
where anything is wrong with one, none. The next runtime has them.

The file is what 'bctrl profile export' wrote, or cookies in JSON as Playwright,
Puppeteer and extensions of browsers write them; a dash is standard input, for
JSON. Those that have expired are left out, and those of the same name, domain
and path replaced; with --replace all that there are go first.` + passphraseHelp,
		Example: `  bctrl profile import sf-bot sf-bot.cookies --replace < passphrase.txt
  bctrl profile import sf-bot cookies.json
  bctrl profile import sf-bot - < cookies.json`,
		Args: arguments(2, 2),
	})
	var in bctrl.CookieImport
	cmd.Flags().BoolVar(&in.Replace, "replace", false, "remove the cookies that there are first")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		text, name, err := readFileOrInput(cmd, args[1], maxCookieFile)
		if err != nil {
			return err
		}
		sealed := strings.HasPrefix(text, bundleMark)
		if sealed && args[1] == standardStream {
			return usageError{errors.New("standard input has the passphrase of a bundle: name its file")}
		}
		if sealed {
			in.Bundle = []byte(text)
			if in.Passphrase, err = ask(cmd, passphraseName); err != nil {
				return err
			}
		} else if in.Cookies, err = bctrl.ParseCookies(bctrl.NewSecret(text)); err != nil {
			return about(name, err)
		}
		return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
			done, err := client.Profiles.ImportCookies(ctx, args[0], in)
			if err != nil {
				return about("profile "+printable(args[0]), err)
			}
			return show(c, cmd, *done, pair{"Imported", strconv.Itoa(done.Imported)},
				pair{"Expired", strconv.Itoa(done.Expired)}, pair{"Cookies now", strconv.Itoa(done.Cookies)})
		})
	}
	return cmd
}
