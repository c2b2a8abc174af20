package seal

import (
	"bytes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/tuple"
)

// labelBundle keeps the keys of bundles apart from all others.
const labelBundle = "bctrl bundle 1 "

// A bundle is: the length of the derivation (2 bytes, big-endian), the derivation, the
// nonce (12), ciphertext, tag (16).
const bundleLength = 2

// NewBundle seals a text under a passphrase alone, so that whoever has that opens it,
// on any server. It is bound to what it is for. A passphrase that is too short or too
// long is [ErrPassphrase].
func NewBundle(passphrase bctrl.Secret, purpose string, plaintext []byte) ([]byte, error) {
	key, stored, err := NewPassphrase(passphrase)
	if err != nil {
		return nil, err
	}
	defer key.Forget()
	out := append(binary.BigEndian.AppendUint16(nil, uint16(len(stored))), stored...)
	err = key.use(func(s *secrets) error {
		gcm, err := newGCM(bundleKey(s, purpose))
		if err != nil {
			return err
		}
		nonce := make([]byte, nonceSize)
		_, _ = rand.Read(nonce) // never fails: crypto/rand ends the process instead
		out = gcm.Seal(append(out, nonce...), nonce, plaintext, bundleAdditional(purpose, stored))
		return nil
	})
	return out, err
}

// OpenBundle opens what [NewBundle] made. Another passphrase is [ErrWrongKey], which is
// also what a changed derivation looks like; anything else that is not as it was made is
// [ErrTampered]. It takes as long, and as much memory, as the sealing did: a bundle that
// asks for more was not made here.
func OpenBundle(passphrase bctrl.Secret, purpose string, bundle []byte) (plaintext []byte, err error) {
	if len(bundle) < bundleLength {
		return nil, ErrTampered
	}
	n, rest := int(binary.BigEndian.Uint16(bundle)), bundle[bundleLength:]
	if len(rest) < n+nonceSize+tagSize {
		return nil, ErrTampered
	}
	stored, sealed := rest[:n], rest[n:]
	var d derivation
	decoder := json.NewDecoder(bytes.NewReader(stored))
	decoder.DisallowUnknownFields()
	if decoder.Decode(&d) != nil || !d.isOurs() {
		return nil, ErrTampered
	}
	key, err := FromPassphrase(stored, passphrase)
	if err != nil {
		return nil, err
	}
	defer key.Forget()
	err = key.use(func(s *secrets) error {
		gcm, err := newGCM(bundleKey(s, purpose))
		if err != nil {
			return err
		}
		plaintext, err = gcm.Open(nil, sealed[:nonceSize], sealed[nonceSize:], bundleAdditional(purpose, stored))
		if err != nil {
			return ErrTampered
		}
		return nil
	})
	return plaintext, err
}

// isOurs reports whether a derivation costs what those cost that are made here.
func (d derivation) isOurs() bool {
	return d.sane() && d.Time == kdfTime && d.MemoryKiB == kdfMemory && d.Threads == kdfLanes && len(d.Salt) == saltSize
}

func bundleKey(s *secrets, purpose string) []byte {
	key, err := hkdf.Key(sha256.New, s.wrapping, nil, labelBundle+purpose, keySize)
	if err != nil {
		return nil // of a length that HKDF does not give, which 32 is not; the cipher refuses it
	}
	return key
}

func bundleAdditional(purpose string, stored []byte) []byte {
	return tuple.Encoding(labelBundle).Text(purpose).Bytes(stored)
}
