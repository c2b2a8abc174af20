package seal

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"github.com/bctrl-go/bctrl"
)

// MinPassphrase is how many characters a new passphrase needs at least.
const MinPassphrase = 12

// derivation is a passphrase file: what makes the key of the passphrase, and
// the id of the key it must give. None of it is secret, but with it passphrases
// can be tried, so the file is as private as a key's.
type derivation struct {
	KDF       string `json:"kdf"`
	Time      uint32 `json:"time"`
	MemoryKiB uint32 `json:"memoryKiB"`
	Threads   uint8  `json:"threads"`
	Salt      []byte `json:"salt"`
	KeyID     string `json:"keyId"`
}

// The second recommended choice of RFC 9106 §4: 64 MiB, 3 passes, 4 lanes.
const (
	kdfName   = "argon2id"
	kdfTime   = 3
	kdfMemory = 64 << 10
	kdfLanes  = 4
	saltSize  = 16
)

// A file that asks for more than these would only keep the server from
// starting; one that asks for less was not made here.
const (
	maxKDFTime   = 64
	maxKDFMemory = 1 << 20 // KiB
	minSaltSize  = 8
)

// FromPassphrase makes the key from a passphrase and the file at path, which
// [CreatePassphrase] made, with Argon2id: about a tenth of a second and 64 MiB.
// Another passphrase is [ErrWrongKey], a missing file [fs.ErrNotExist], a file
// that others can read [ErrTooOpen], a damaged one [ErrBadKey].
func FromPassphrase(path string, passphrase bctrl.Secret) (Key, error) {
	text, err := readPrivate(path)
	if err != nil {
		return Key{}, fmt.Errorf("passphrase file: %w", err)
	}
	var d derivation
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&d); err != nil || !d.sane() {
		return Key{}, fmt.Errorf("passphrase file %s: %w: its content is damaged", path, ErrBadKey)
	}
	key, err := d.key(passphrase)
	if err != nil {
		return Key{}, err
	}
	if key.ID() != d.KeyID {
		return Key{}, fmt.Errorf("passphrase for %s: %w", path, ErrWrongKey)
	}
	return key, nil
}

// CreatePassphrase makes the file at path for a new passphrase of at least
// [MinPassphrase] characters, with a random salt, and returns the key. Like
// [CreateFile] it never touches an existing file, and is for a store in which
// nothing has been sealed yet.
func CreatePassphrase(path string, passphrase bctrl.Secret) (Key, error) {
	if utf8.RuneCountInString(passphrase.Expose()) < MinPassphrase {
		return Key{}, fmt.Errorf("the passphrase needs at least %d characters", MinPassphrase)
	}
	d := derivation{KDF: kdfName, Time: kdfTime, MemoryKiB: kdfMemory, Threads: kdfLanes, Salt: make([]byte, saltSize)}
	_, _ = rand.Read(d.Salt) // never fails: crypto/rand ends the process instead
	key, err := d.key(passphrase)
	if err != nil {
		return Key{}, err
	}
	d.KeyID = key.ID()
	text, err := json.Marshal(d)
	if err != nil {
		return Key{}, err
	}
	if err := writePrivate(path, append(text, '\n')); err != nil {
		return Key{}, fmt.Errorf("create passphrase file: %w", err)
	}
	return key, nil
}

func (d derivation) sane() bool {
	return d.KDF == kdfName && d.KeyID != "" && len(d.Salt) >= minSaltSize &&
		d.Time >= 1 && d.Time <= maxKDFTime && d.Threads >= 1 &&
		d.MemoryKiB >= 8*uint32(d.Threads) && d.MemoryKiB <= maxKDFMemory
}

func (d derivation) key(passphrase bctrl.Secret) (Key, error) {
	if passphrase.IsZero() {
		return Key{}, errors.New("the passphrase is empty")
	}
	return newKey(argon2.IDKey([]byte(passphrase.Expose()), d.Salt, d.Time, d.MemoryKiB, d.Threads, keySize))
}
