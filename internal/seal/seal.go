// Package seal encrypts what must not be read from a stolen database or disk:
// vault credentials, provider keys, scoped secrets.
//
// Three keys stand above one another. A key encryption key ([Key]) lives
// outside the data: in a file, an environment variable or a passphrase. It
// wraps one random data key for each scope, an organization or workspace id.
// HKDF-SHA256 (RFC 5869) makes a key for each record from the data key, and
// AES-256-GCM seals the record with it.
//
// What is promised: without the [Key] nothing can be read or made, and a sealed
// value opens only as the [Record] it was sealed for. Any edit, a swap between
// rows, another version, scope or metadata, and truncation are [ErrTampered].
// What is not: putting a whole record back to an older state together with its
// version looks right here; the audit log's chain finds that.
//
// A [Keyring] can be locked: it then forgets the [Key] and the data keys, and
// knows nothing until it gets the key again. The [Key] can be exchanged for
// another one, which wraps the data keys anew and leaves the records alone.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"

	"github.com/google/uuid"

	"github.com/bctrl-go/bctrl/internal/tuple"
)

var (
	// ErrTampered: the sealed bytes do not belong to this record, or were
	// changed. There is deliberately no word about which.
	ErrTampered = errors.New("sealed record does not match: it was changed, moved or cut short")
	// ErrWrongKey: the data was sealed under another key encryption key.
	ErrWrongKey = errors.New("wrong key: the data was sealed under another one")
	// ErrLocked: the key is not in memory, so nothing can be sealed or opened.
	ErrLocked = errors.New("locked: the key is not in memory")
	// ErrNotEnsured: the scope's data key is not in memory; a caller left out
	// [Keyring.Ensure].
	ErrNotEnsured = errors.New("seal: Ensure was not called for this scope")
)

// Record names what is sealed. All of it is bound to the sealed bytes; none of
// it is stored with them.
type Record struct {
	// Kind is the sort of thing, a short constant such as "vault".
	Kind string
	// UID is the row's internal id, never a reusable name.
	UID string
	// Scope is the organization or workspace id that chooses the data key.
	Scope string
	// Version is the row's version, so that the sealed bytes of one version do
	// not pass as another's.
	Version int64
	// Meta is what else in the row must not be exchanged unseen: names, origins and
	// the like. A new kind makes it with [tuple.Encoding].
	//
	// The kinds that there are write it in other ways, and stay with them: to go
	// over to one would mean to open and seal every record anew, each with an event
	// of its own in the audit log, and would bind no more than is bound. Kind is
	// sealed too, so that two kinds never meet, and within a kind no two rows give
	// the same Meta: a vault entry's key and an AI credential's id hold no line end,
	// which parts them from the JSON that follows; credentials, capabilities,
	// policies and bindings have each field after its length in decimal; a secret
	// has its JSON alone, and an answer its status.
	Meta []byte
}

// A sealed value is: format byte, data key id (16), nonce (12), ciphertext, tag (16).
const (
	format    = 1
	keySize   = 32
	idSize    = 16
	nonceSize = 12
	tagSize   = 16
	headSize  = 1 + idSize + nonceSize

	// Overhead is how many bytes a sealed value is longer than its plaintext.
	Overhead = headSize + tagSize
)

// Labels keep keys made for one purpose from being used for another.
const (
	labelRecord = "bctrl seal 1 record"
	labelWrap   = "bctrl seal 1 wrap"
	labelKeyID  = "bctrl seal 1 key id"
	labelSign   = "bctrl audit 1 sign"
)

// complete reports whether the record names anything.
func (r Record) complete() bool { return r.Kind != "" && r.UID != "" && r.Scope != "" }

// info separates the keys of two records of one scope.
func (r Record) info() string {
	b := append(tuple.New(len(labelRecord)+16+len(r.Kind)+len(r.UID)), labelRecord...)
	return string(b.Text(r.Kind, r.UID))
}

// additional is what GCM authenticates beside the ciphertext. No two records share
// it, since the format and the data key's id have always the same size.
func (r Record) additional(id uuid.UUID) []byte {
	b := append(tuple.New(64+len(r.Kind)+len(r.UID)+len(r.Scope)+len(r.Meta)), format)
	b = append(b, id[:]...)
	return b.Text(r.Kind, r.UID, r.Scope).Fixed(r.Version).Bytes(r.Meta)
}

// dataKey is an unwrapped data key, after HKDF's extract step. The bytes are
// behind a func so that no printer reaches them.
type dataKey struct {
	id  uuid.UUID
	prk func() []byte
}

func newDataKey(id uuid.UUID, key []byte) (*dataKey, error) {
	prk, err := hkdf.Extract(sha256.New, key, nil)
	if err != nil {
		return nil, err
	}
	return &dataKey{id: id, prk: func() []byte { return prk }}, nil
}

// cipher returns the AEAD of one record.
func (d *dataKey) cipher(r Record) (cipher.AEAD, error) {
	key, err := hkdf.Expand(sha256.New, d.prk(), r.info(), keySize)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	return newGCM(key)
}

func (d *dataKey) seal(r Record, plaintext []byte) ([]byte, error) {
	if !r.complete() {
		return nil, errors.New("seal: a record needs kind, uid and scope")
	}
	gcm, err := d.cipher(r)
	if err != nil {
		return nil, err
	}
	out := make([]byte, headSize, Overhead+len(plaintext))
	out[0] = format
	copy(out[1:], d.id[:])
	nonce := out[1+idSize : headSize]
	_, _ = rand.Read(nonce) // never fails: crypto/rand ends the process instead
	return gcm.Seal(out, nonce, plaintext, r.additional(d.id)), nil
}

func (d *dataKey) open(r Record, sealed []byte) ([]byte, error) {
	if !r.complete() || len(sealed) < Overhead || sealed[0] != format || uuid.UUID(sealed[1:1+idSize]) != d.id {
		return nil, ErrTampered
	}
	gcm, err := d.cipher(r)
	if err != nil {
		return nil, ErrTampered
	}
	plaintext, err := gcm.Open(nil, sealed[1+idSize:headSize], sealed[headSize:], r.additional(d.id))
	if err != nil {
		return nil, ErrTampered
	}
	return plaintext, nil
}

func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
