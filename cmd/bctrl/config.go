package main

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/caarlos0/env/v11"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/daemon"
)

// dirs say where the data and its key are; flags win over the environment.
type dirs struct {
	DataDir string `env:"BCTRL_DATA_DIR"`
	KeyFile string `env:"BCTRL_KEY_FILE"`
	// HeadFile is where the audit log's head is kept.
	HeadFile string `env:"BCTRL_HEAD_FILE"`
	// Passphrase is not a flag: other users see a command's flags.
	Passphrase bctrl.Secret `env:"-"`
}

// keyVariable may hold the key encryption key in place of the file.
const keyVariable = "BCTRL_KEY"

// newDirs reads the environment and adds the flags.
func newDirs(to flags) *dirs {
	d := newDataDir(to)
	to.StringVar(&d.KeyFile, "key-file", d.KeyFile, "file of the key that seals the data, outside of it (BCTRL_KEY_FILE; "+
		keyVariable+" may hold the key itself)")
	to.StringVar(&d.HeadFile, "head-file", d.HeadFile, "file of the audit log's signed head, outside of the data "+
		"(BCTRL_HEAD_FILE; default: the key file's name with .head)")
	return d
}

// flags are a command's own, or those that its subcommands share.
type flags interface {
	StringVar(p *string, name, value, usage string)
}

// newDataDir reads the environment and adds the flag for the data alone.
func newDataDir(to flags) *dirs {
	d, err := env.ParseAs[dirs]()
	if err != nil {
		d = dirs{} // strings alone: cannot fail
	}
	to.StringVar(&d.DataDir, "data-dir", d.DataDir, "directory of the data (BCTRL_DATA_DIR; default: bctrl in the "+
		"user's data directory)")
	d.Passphrase = bctrl.NewSecret(os.Getenv(passphraseVariable))
	return &d
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
func (d dirs) config() (_ daemon.Config, err error) {
	if d.DataDir, err = d.dataDir(); err != nil {
		return daemon.Config{}, err
	}
	if d.KeyFile == "" {
		dir, err := os.UserConfigDir()
		if err != nil {
			return daemon.Config{}, errors.New("no configuration directory for this user: name a --key-file")
		}
		d.KeyFile = filepath.Join(dir, "bctrl", "key")
	}
	return daemon.Config{
		DataDir:     d.DataDir,
		KeyFile:     d.KeyFile,
		HeadFile:    d.HeadFile,
		KeyVariable: keyVariable,
		Passphrase:  d.Passphrase,
	}, nil
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
