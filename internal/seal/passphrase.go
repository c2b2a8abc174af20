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

// MinPassphrase is how many characters a new passphrase needs at least, and
// maxPassphrase how many bytes one may have.
const (
	MinPassphrase = 12
	maxPassphrase = 4 << 10
)

// ErrPassphrase: a text cannot be a passphrase.
var ErrPassphrase = errors.New("not a usable passphrase")

// derivation is what makes the key of a passphrase, and the id of the key that
// it must give. None of it is secret, and it is stored with the data; but with
// it passphrases can be tried.
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

// A derivation that asks for more than these would only keep the server from
// starting; one that asks for less was not made here.
const (
	maxKDFTime   = 64
	maxKDFMemory = 1 << 20 // KiB
	minSaltSize  = 8
)

// FromPassphrase makes the key from a passphrase and what [NewPassphrase]
// returned beside the key, with Argon2id: about a tenth of a second and 64 MiB.
// Another passphrase is [ErrWrongKey], a damaged derivation [ErrBadKey].
func FromPassphrase(stored []byte, passphrase bctrl.Secret) (Key, error) {
	var d derivation
	decoder := json.NewDecoder(bytes.NewReader(stored))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&d); err != nil || !d.sane() {
		return Key{}, fmt.Errorf("%w: what is stored of the passphrase is damaged", ErrBadKey)
	}
	key, err := d.key(passphrase)
	if err != nil {
		return Key{}, err
	}
	if key.ID() != d.KeyID {
		key.Forget()
		return Key{}, fmt.Errorf("the passphrase: %w", ErrWrongKey)
	}
	return key, nil
}

// NewPassphrase makes a key from a new passphrase of at least [MinPassphrase]
// characters, with a random salt, and returns what [FromPassphrase] needs beside
// the passphrase to make it again.
func NewPassphrase(passphrase bctrl.Secret) (key Key, stored []byte, err error) {
	if utf8.RuneCountInString(passphrase.Expose()) < MinPassphrase {
		return Key{}, nil, fmt.Errorf("%w: it needs at least %d characters", ErrPassphrase, MinPassphrase)
	}
	d := derivation{
		KDF:       kdfName,
		Time:      kdfTime,
		MemoryKiB: kdfMemory,
		Threads:   kdfLanes,
		Salt:      make([]byte, saltSize),
	}
	_, _ = rand.Read(d.Salt) // never fails: crypto/rand ends the process instead
	if key, err = d.key(passphrase); err != nil {
		return Key{}, nil, err
	}
	d.KeyID = key.ID()
	stored, err = json.Marshal(d)
	return key, stored, err
}

func (d derivation) sane() bool {
	return d.KDF == kdfName && d.KeyID != "" && len(d.Salt) >= minSaltSize &&
		d.Time >= 1 && d.Time <= maxKDFTime && d.Threads >= 1 &&
		d.MemoryKiB >= 8*uint32(d.Threads) && d.MemoryKiB <= maxKDFMemory
}

func (d derivation) key(passphrase bctrl.Secret) (Key, error) {
	text := []byte(passphrase.Expose())
	defer clear(text)
	if len(text) == 0 || len(text) > maxPassphrase {
		return Key{}, fmt.Errorf("%w: it is empty or too long", ErrPassphrase)
	}
	return newKey(argon2.IDKey(text, d.Salt, d.Time, d.MemoryKiB, d.Threads, keySize))
}
