package custody

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/seal"
)

var (
	// ErrPassphraseNeeded: the key is that of a passphrase, and none was given.
	ErrPassphraseNeeded = errors.New("the passphrase is needed")
	// ErrKeyNeeded: the key comes from the environment, which nobody but an
	// operator can change, and the new one was not given.
	ErrKeyNeeded = errors.New("the text of the new key is needed")
	// ErrNotTaken: a passphrase or a key was given where none is taken.
	ErrNotTaken = errors.New("the new key is made by the server: give none")
	// ErrSameKey: the new key is the old one.
	ErrSameKey = errors.New("the new key is the one in use")
	// ErrOtherSource: the data is sealed under a key of another source.
	ErrOtherSource = errors.New("the key of the data does not come from there")
)

// source is where the key comes from.
type source interface {
	kind() bctrl.SealSource
	// open gets the key that the data is sealed under, or where there is no
	// data the first one.
	open(s state, given bctrl.Secret) (opened, error)
	// next makes the key that comes after the one in use.
	next(given bctrl.Secret) (opened, error)
}

// sourceOf finds the source that was asked for, and refuses one that cannot
// open the data. File and environment can hold the same key.
func sourceOf(cfg Config, s state) (source, error) {
	kind, was := cfg.Source, s.source()
	if kind == "" {
		switch {
		case was == bctrl.SealPassphrase:
			kind = was
		case cfg.KeyVariable != "" && os.Getenv(cfg.KeyVariable) != "":
			kind = bctrl.SealEnvironment
		default:
			kind = bctrl.SealFile
		}
	}
	if s.sealed() && (kind == bctrl.SealPassphrase) != (was == bctrl.SealPassphrase) {
		return nil, fmt.Errorf("%w: it came from %s", ErrOtherSource, cmp.Or(was, bctrl.SealFile))
	}
	switch kind {
	case bctrl.SealFile:
		return file(cfg.KeyFile), nil
	case bctrl.SealEnvironment:
		return environment(cfg.KeyVariable), nil
	case bctrl.SealPassphrase:
		return passphrase{}, nil
	}
	return nil, fmt.Errorf("a key comes from %s, %s or %s", bctrl.SealFile, bctrl.SealEnvironment, bctrl.SealPassphrase)
}

// opened is a key, and what belongs to it.
type opened struct {
	key seal.Key
	// derivation is what a passphrase makes it with.
	derivation []byte
	// putInPlace moves the key's file to where it belongs, once the data is sealed
	// under the key; nil where there is nothing to move.
	putInPlace func() error
}

// file is a key file, readable by its owner alone.
type file string

func (file) kind() bctrl.SealSource { return bctrl.SealFile }

// open takes the key file or the one that a rotation left beside it, whichever
// the data is sealed under. A missing file is made only where nothing was ever
// sealed: a new key beside old data would hide that the old one is lost.
func (f file) open(s state, given bctrl.Secret) (opened, error) {
	if !given.IsZero() {
		key, err := seal.FromText(given)
		return opened{key: key}, err
	}
	key, err := seal.FromFile(string(f))
	switch {
	case errors.Is(err, fs.ErrNotExist) && !s.sealed():
		key, err = seal.CreateFile(string(f))
		return opened{key: key}, err
	case err == nil && (!s.sealed() || key.ID() == s.id):
		return opened{key: key, putInPlace: func() error { return seal.DropStaged(string(f)) }}, nil
	}
	if next, nextErr := seal.StagedFile(string(f), s.id); nextErr == nil {
		return opened{key: next, putInPlace: f.commit(next)}, nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("the data is sealed, and its key file %s is missing: %w", string(f), err)
	}
	if err == nil {
		err = fmt.Errorf("%s: %w (stored %.40q, given %q)", string(f), seal.ErrWrongKey, s.id, key.ID())
	}
	return opened{}, err
}

func (f file) next(given bctrl.Secret) (opened, error) {
	if !given.IsZero() {
		return opened{}, ErrNotTaken
	}
	key, err := seal.StageFile(string(f))
	return opened{key: key, putInPlace: f.commit(key)}, err
}

func (f file) commit(key seal.Key) func() error {
	return func() error { return seal.CommitFile(string(f), key.ID()) }
}

// environment is a variable that holds the text of the key.
type environment string

func (environment) kind() bctrl.SealSource { return bctrl.SealEnvironment }

func (e environment) open(_ state, given bctrl.Secret) (o opened, err error) {
	if given.IsZero() {
		o.key, err = seal.FromEnvironment(string(e))
	} else {
		o.key, err = seal.FromText(given)
	}
	return o, err
}

func (environment) next(given bctrl.Secret) (o opened, err error) {
	if given.IsZero() {
		return o, ErrKeyNeeded
	}
	o.key, err = seal.FromText(given)
	return o, err
}

// passphrase is one that somebody knows. What makes the key of it is in the
// data.
type passphrase struct{}

func (passphrase) kind() bctrl.SealSource { return bctrl.SealPassphrase }

func (p passphrase) open(s state, given bctrl.Secret) (o opened, err error) {
	if given.IsZero() {
		return o, ErrPassphraseNeeded
	}
	if !s.sealed() {
		return p.next(given)
	}
	o.key, err = seal.FromPassphrase(s.rows[0].Derivation, given)
	return o, err
}

func (passphrase) next(given bctrl.Secret) (o opened, err error) {
	if given.IsZero() {
		return o, ErrPassphraseNeeded
	}
	o.key, o.derivation, err = seal.NewPassphrase(given)
	return o, err
}
