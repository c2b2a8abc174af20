package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/custody"
	"github.com/bctrl-go/bctrl/internal/daemon"
	"github.com/bctrl-go/bctrl/internal/seal"
)

// passphraseVariable may hold the passphrase, for servers that start alone.
const passphraseVariable = "BCTRL_PASSPHRASE"

// The names of secrets in prompts and complaints.
const (
	passphraseName    = "passphrase"
	newPassphraseName = "new passphrase"
	newKeyName        = "new key"
	sameAgainName     = "same again"
)

var errNotTheSame = usageError{errors.New("the two are not the same")}

func sealStatus(c *cli) *cobra.Command {
	cmd := printing[bctrl.SealStatus](c, &cobra.Command{
		Use:   "status",
		Short: "Say whether the server is locked, and what seals its data",
		Long: `Say whether the server is locked, where its master key comes from, the key's
fingerprint, and when it was made and last exchanged.

While no server runs, the data directory is read itself; that needs no key. A
server is asked with a key of the organization that its first run made.`,
		Example: `  bctrl status
  bctrl status --verbose`,
		Args: arguments(0, 0),
	})
	where := newDirs(cmd.Flags())
	verbose := cmd.Flags().Bool("verbose", false, "print everything, as JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c.json = c.json || *verbose
		cfg, err := where.data()
		if err != nil {
			return err
		}
		status, err := daemon.SealStatus(cmd.Context(), cfg)
		if err == nil {
			return c.showSeal(cmd, "not running", &status)
		}
		if !served(err) {
			return err
		}
		return c.onSeal(cmd, func(ctx context.Context, s *bctrl.SealService) (*bctrl.SealStatus, error) {
			return s.Status(ctx)
		})
	}
	return c.reaching(cmd)
}

// served reports whether an error of a data directory says to ask its server.
func served(err error) bool {
	none := errors.Is(err, daemon.ErrNoData) || errors.Is(err, daemon.ErrNotReadable)
	return errors.Is(err, daemon.ErrInUse) || none && os.Getenv("BCTRL_API_KEY") != ""
}

// onSeal asks the server, and prints how it then stands.
func (c *cli) onSeal(
	cmd *cobra.Command, do func(context.Context, *bctrl.SealService) (*bctrl.SealStatus, error),
) error {
	return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
		status, err := do(ctx, client.Seal)
		if err != nil {
			return err
		}
		server := "unlocked"
		if status.Locked {
			server = "locked"
		}
		return c.showSeal(cmd, server, status)
	})
}

func (c *cli) showSeal(cmd *cobra.Command, server string, s *bctrl.SealStatus) error {
	rotated := "never"
	if !s.LastRotatedAt.IsZero() {
		rotated = moment(s.LastRotatedAt)
	}
	return show(c, cmd, *s, pair{"Server", server}, pair{"Source", string(s.Source)}, pair{"Key", s.KeyID},
		pair{"Made", moment(s.CreatedAt)}, pair{"Rotated", rotated}, pair{"Data keys", strconv.FormatInt(s.DataKeys, 10)})
}

func lock(c *cli) *cobra.Command {
	cmd := printing[bctrl.SealStatus](c, &cobra.Command{
		Use:   "lock",
		Short: "Make the server forget its key, until it is unlocked",
		Long: `Make the server forget its master key and everything that was opened with it,
until it is unlocked. Agents end, no runtime token is taken, and whatever needs
a secret is refused. Reading what is no secret, stopping runtimes and revoking
keys and tokens go on.

A server whose key is in a file or its environment has the key again when it is
started again; one with a passphrase waits for that.`,
		Example: `  bctrl lock`,
		Args:    arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.onSeal(cmd, func(ctx context.Context, s *bctrl.SealService) (*bctrl.SealStatus, error) {
				return s.Lock(ctx)
			})
		},
	})
	return c.reaching(cmd)
}

func unlock(c *cli) *cobra.Command {
	cmd := printing[bctrl.SealStatus](c, &cobra.Command{
		Use:   "unlock",
		Short: "Give a locked server its key again",
		Long: `Give a locked server its key again: its passphrase, or the key that it reads
from its file or its environment itself. Of a cluster it is the node that
answers at the URL; bctrl node list says which others are locked.

The passphrase, and with --key the text of the key, is asked for and not shown
at a terminal. Otherwise it is read from standard input. A flag takes the
passphrase too, where other users of the machine can see it.`,
		Example: `  bctrl unlock
  bctrl unlock --json`,
		Args: arguments(0, 0),
	})
	byKey := cmd.Flags().Bool("key", false, "give the text of the key, rather than have the server read it")
	text := cmd.Flags().String("passphrase", "", "the passphrase; better left out")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return c.onSeal(cmd, func(ctx context.Context, s *bctrl.SealService) (*bctrl.SealStatus, error) {
			status, err := s.Status(ctx)
			if err != nil || !status.Locked {
				return status, err
			}
			var key bctrl.SealKey
			switch {
			case status.Source == bctrl.SealPassphrase:
				key.Passphrase, err = flagOr(cmd, *text, passphraseName)
			case *byKey:
				key.Key, err = ask(cmd, "key")
			}
			if err != nil {
				return nil, err
			}
			return s.Unlock(ctx, key)
		})
	}
	return c.reaching(cmd)
}

func rotateMaster(c *cli) *cobra.Command {
	cmd := printing[bctrl.SealStatus](c, &cobra.Command{
		Use:   "rotate-master",
		Short: "Exchange the master key, and wrap every data key anew",
		Long: `Exchange the master key: every data key is wrapped anew in one transaction,
while the server goes on. A crash at any point leaves the data readable, with
the old key or with the new one.

A key file gets a new random key. A server with a passphrase takes a new one,
and one with its key in the environment takes the new key, which has to be in
the environment at the next start: --generate makes and prints one first. They
are asked for and not shown at a terminal, otherwise read from standard input;
flags take them too, where other users of the machine can see them.

While no server runs, the data directory is worked on itself; where the nodes of
a cluster keep files in a bucket, --files names it, since the head of their log
is there. A backup from before needs the key from before: keep it as long as the
backup.`,
		Example: `  bctrl rotate-master
  bctrl rotate-master --json`,
		Args: arguments(0, 0),
	})
	where := newDirs(cmd.Flags())
	files := newFilesFlag(cmd.Flags())
	r := rotation{}
	f := cmd.Flags()
	f.StringVar(&r.passphrase, "new-passphrase", "", "the new passphrase; better left out")
	f.StringVar(&r.key, "new-key", "", "the text of the new key; better left out")
	f.BoolVar(&r.generate, "generate", false, "make a new key and print it first, where the key is in the environment")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := where.config()
		if err == nil {
			cfg.Files, err = files()
		}
		if err != nil {
			return err
		}
		status, err := daemon.SealStatus(cmd.Context(), cfg)
		if err == nil {
			return r.offline(c, cmd, cfg, status)
		}
		if !served(err) {
			return err
		}
		return c.onSeal(cmd, func(ctx context.Context, s *bctrl.SealService) (*bctrl.SealStatus, error) {
			status, err := s.Status(ctx)
			if err != nil {
				return nil, err
			}
			given, err := r.given(cmd, status.Source)
			if err != nil {
				return nil, err
			}
			key := bctrl.SealKey{Key: given}
			if status.Source == bctrl.SealPassphrase {
				key = bctrl.SealKey{Passphrase: given}
			}
			return s.Rotate(ctx, key)
		})
	}
	return c.reaching(cmd)
}

// rotation is what the flags of a rotation say.
type rotation struct {
	passphrase, key string
	generate        bool
}

// offline exchanges the key of a data directory itself.
func (r rotation) offline(c *cli, cmd *cobra.Command, cfg daemon.Config, status bctrl.SealStatus) error {
	source := status.Source
	switch {
	case source == bctrl.SealPassphrase:
	case os.Getenv(cfg.KeyVariable) != "":
		source = bctrl.SealEnvironment
	default:
		source = bctrl.SealFile
	}
	var given bctrl.Secret
	var err error
	if source == bctrl.SealPassphrase && cfg.Passphrase.IsZero() {
		cfg.Passphrase, given, err = r.passphrases(cmd)
	} else {
		given, err = r.given(cmd, source)
	}
	if err != nil {
		return err
	}
	if status, err = daemon.RotateSeal(cmd.Context(), cfg, given); err != nil {
		return acceptable(err)
	}
	return c.showSeal(cmd, "not running", &status)
}

// passphrases are the present one and the new one. They are asked for at once, since standard
// input is read to its end.
func (r rotation) passphrases(cmd *cobra.Command) (present, fresh bctrl.Secret, err error) {
	if err := r.fits(bctrl.SealPassphrase); err != nil {
		return present, fresh, err
	}
	names := []string{passphraseName}
	if r.passphrase == "" {
		names = append(names, newPassphraseName)
		if _, ok := terminal(cmd.InOrStdin()); ok {
			names = append(names, sameAgainName)
		}
	}
	all, err := readSecrets(cmd, names...)
	switch {
	case err != nil:
		return present, fresh, err
	case r.passphrase != "":
		fresh, err = flagOr(cmd, r.passphrase, newPassphraseName)
		return all[0], fresh, err
	case len(all) > 2 && !all[1].Equal(all[2]):
		return present, fresh, errNotTheSame
	}
	return all[0], all[1], nil
}

// fits refuses flags that have no part in exchanging what the source has.
func (r rotation) fits(source bctrl.SealSource) error {
	switch {
	case source == bctrl.SealPassphrase && (r.key != "" || r.generate):
		return usagef("the key is made of a passphrase: leave out --new-key and --generate")
	case source == bctrl.SealEnvironment && r.passphrase != "":
		return usagef("the key is in the environment of the server: leave out --new-passphrase")
	case source == bctrl.SealEnvironment && r.key != "" && r.generate:
		return usagef("--generate makes the new key: leave out --new-key")
	case source == bctrl.SealFile && (r.key != "" || r.passphrase != "" || r.generate):
		return usagef("the key is in a file, and the new one is made: leave out --new-key, --new-passphrase and --generate")
	}
	return nil
}

// given is the new passphrase or key, where the source takes one.
func (r rotation) given(cmd *cobra.Command, source bctrl.SealSource) (bctrl.Secret, error) {
	if err := r.fits(source); err != nil {
		return bctrl.Secret{}, err
	}
	switch source {
	case bctrl.SealPassphrase:
		if r.passphrase != "" {
			return flagOr(cmd, r.passphrase, newPassphraseName)
		}
		return askNew(cmd)
	case bctrl.SealEnvironment:
		if r.generate {
			// Before it is in use: whoever loses it now loses nothing.
			key := seal.Generate()
			_, err := fmt.Fprintln(cmd.ErrOrStderr(), "The new key, which has to be in "+keyVariable+" at the next start:\n"+
				key.Expose())
			return key, err
		}
		return flagOr(cmd, r.key, newKeyName)
	}
	return bctrl.Secret{}, nil
}

// flagOr is a secret that a flag gave after all, or that is asked for.
func flagOr(cmd *cobra.Command, text, name string) (bctrl.Secret, error) {
	if text != "" {
		note(cmd, "Warning: other users of this machine can see the %s in the list of processes.", name)
		return bctrl.NewSecret(text), nil
	}
	return ask(cmd, name)
}

// ask asks for one secret.
func ask(cmd *cobra.Command, name string) (bctrl.Secret, error) {
	all, err := readSecrets(cmd, name)
	if err != nil {
		return bctrl.Secret{}, err
	}
	return all[0], nil
}

// askNew asks for a passphrase that nothing is sealed with yet: at a terminal
// twice, since a mistake could not be found later.
func askNew(cmd *cobra.Command) (bctrl.Secret, error) {
	if _, ok := terminal(cmd.InOrStdin()); !ok {
		return ask(cmd, newPassphraseName)
	}
	both, err := readSecrets(cmd, newPassphraseName, sameAgainName)
	if err != nil {
		return bctrl.Secret{}, err
	}
	if !both[0].Equal(both[1]) {
		return bctrl.Secret{}, errNotTheSame
	}
	return both[0], nil
}

// withPassphrase runs fn, and where that needs the passphrase asks for it and
// runs fn again.
func withPassphrase(cmd *cobra.Command, cfg daemon.Config, fn func(daemon.Config) error) error {
	err := fn(cfg)
	if !errors.Is(err, custody.ErrPassphraseNeeded) {
		return err
	}
	if cfg.Passphrase, err = ask(cmd, passphraseName); err != nil {
		return err
	}
	return fn(cfg)
}
