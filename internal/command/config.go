package command

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/caarlos0/env/v11"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/blob"
	"github.com/bctrl-go/bctrl/internal/daemon"
)

// dirs say where the data and its key are; flags win over the environment.
type dirs struct {
	DataDir string `env:"BCTRL_DATA_DIR"`
	KeyFile string `env:"BCTRL_KEY_FILE"`
	// Database and DatabaseFile are the URL of a PostgreSQL database and a file that
	// holds it.
	Database     string `env:"BCTRL_DATABASE"`
	DatabaseFile string `env:"BCTRL_DATABASE_FILE"`
	// HeadFile is where the audit log's head is kept.
	HeadFile      string `env:"BCTRL_HEAD_FILE"`
	byEnvironment databaseAt
	// Passphrase is not a flag: other users see a command's flags.
	Passphrase bctrl.Secret `env:"-"`
}

// keyVariable may hold the key encryption key in place of the file.
const keyVariable = "BCTRL_KEY"

// newDirs reads the environment and adds the flags.
func newDirs(to flags) *dirs {
	d := newDataDir(to)
	d.addKeyFlags(to)
	return d
}

// newFileDirs is [newDirs] for a command that works with the database in the data directory, whatever
// the environment says.
func newFileDirs(to flags) *dirs {
	d := readDirs(to)
	d.Database, d.DatabaseFile = "", ""
	d.addKeyFlags(to)
	return d
}

func (d *dirs) addKeyFlags(to flags) {
	to.StringVar(&d.KeyFile, "key-file", d.KeyFile, "file of the key that seals the data, outside of it (BCTRL_KEY_FILE; "+
		keyVariable+" may hold the key itself)")
	to.StringVar(&d.HeadFile, "head-file", d.HeadFile, "file of the audit log's signed head, outside of the data "+
		"(BCTRL_HEAD_FILE; default: the key file's name with .head)")
}

// flags are a command's own, or those that its subcommands share.
type flags interface {
	StringVar(p *string, name, value, usage string)
}

// newDataDir reads the environment and adds the flag for the data alone.
func newDataDir(to flags) *dirs {
	d := readDirs(to)
	// What the environment says is no default of a flag, which the help would show.
	d.byEnvironment = databaseAt{d.Database, d.DatabaseFile}
	to.StringVar(&d.Database, "database", "", "URL of a PostgreSQL database, in place of a file in the data directory "+
		"(BCTRL_DATABASE)")
	to.StringVar(&d.DatabaseFile, "database-file", "", "file that holds that URL, so that other users do not see its "+
		"password (BCTRL_DATABASE_FILE)")
	return d
}

// readDirs reads the environment and adds the flag for the data directory.
func readDirs(to flags) *dirs {
	d, err := env.ParseAs[dirs]()
	if err != nil {
		d = dirs{} // strings alone: cannot fail
	}
	to.StringVar(&d.DataDir, "data-dir", d.DataDir, "directory of the data (BCTRL_DATA_DIR; default: bctrl in the "+
		"user's data directory)")
	d.Passphrase = bctrl.NewSecret(os.Getenv(passphraseVariable))
	return &d
}

// databaseAt is the URL of a database, or a file that holds it.
type databaseAt struct{ url, file string }

// database is the URL of the database; zero where it is a file of the data directory.
func (d dirs) database() (bctrl.Secret, error) {
	at := databaseAt{d.Database, d.DatabaseFile}
	if at == (databaseAt{}) {
		at = d.byEnvironment
	}
	return at.read("")
}

// read is the URL. Its flags begin with prefix.
func (at databaseAt) read(prefix string) (bctrl.Secret, error) {
	if at.file == "" {
		return bctrl.NewSecret(at.url), nil
	}
	if at.url != "" {
		return bctrl.Secret{}, usagef("the database is given twice, by its URL and by a file that holds it: "+
			"leave --%sdatabase or --%[1]sdatabase-file out", prefix)
	}
	text, err := os.ReadFile(at.file)
	if err != nil {
		return bctrl.Secret{}, fmt.Errorf("reading the URL of the database: %w", err)
	}
	url := strings.TrimSpace(string(text))
	if url == "" {
		return bctrl.Secret{}, fmt.Errorf("%s is empty, where the URL of the database belongs", at.file)
	}
	return bctrl.NewSecret(url), nil
}

// newFilesFlag adds the bucket in which the nodes of a cluster keep the head of their audit log.
func newFilesFlag(to flags) func() (*blob.S3Config, error) {
	var at string
	to.StringVar(&at, "files", "", "bucket of a cluster's nodes, which keep the head of the audit log there (BCTRL_FILES)")
	return func() (*blob.S3Config, error) {
		if at = cmp.Or(at, os.Getenv("BCTRL_FILES")); at == "" {
			return nil, nil //nolint:nilnil // the head is in its file
		}
		files, err := blob.ParseS3(at)
		if err != nil {
			return nil, usageError{fmt.Errorf("--files: %w", err)}
		}
		return &files, nil
	}
}

// data says where the data is, and nothing of its key.
func (d dirs) data() (cfg daemon.Config, err error) {
	if cfg.DataDir, err = d.dataDir(); err != nil {
		return cfg, err
	}
	cfg.Database, err = d.database()
	return cfg, err
}

// dataDir is the directory of the data.
func (d dirs) dataDir() (string, error) {
	if d.DataDir != "" {
		return d.DataDir, nil
	}
	dir, err := userDataDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "bctrl"), nil
}

// config fills in the defaults.
func (d dirs) config() (cfg daemon.Config, err error) {
	if cfg, err = d.data(); err != nil {
		return cfg, err
	}
	if d.KeyFile == "" {
		dir, err := os.UserConfigDir()
		if err != nil {
			return cfg, errors.New("no configuration directory for this user: name a --key-file")
		}
		d.KeyFile = filepath.Join(dir, "bctrl", "key")
	}
	cfg.KeyFile, cfg.HeadFile, cfg.KeyVariable, cfg.Passphrase = d.KeyFile, d.HeadFile, keyVariable, d.Passphrase
	return cfg, nil
}

// userDataDir is the XDG base directory for data.
func userDataDir() (string, error) {
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return dir, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", errors.New("no home directory for this user: name a --data-dir")
	}
	return filepath.Join(home, ".local", "share"), nil
}
