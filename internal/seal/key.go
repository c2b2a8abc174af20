package seal

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/bctrl-go/bctrl"
)

// ErrBadKey: a text is not a key encryption key. The text is never quoted.
var ErrBadKey = errors.New("not a bctrl key")

// Key is the key encryption key: it wraps data keys, and a key made from it
// signs where the audit log stands. Get one from [FromFile], [FromEnvironment],
// [FromText] or [FromPassphrase]. Copies share what is secret, and are safe for
// concurrent use.
type Key struct {
	id     string
	public ed25519.PublicKey
	secret func() *secrets // behind a func, so that no printer reaches it
}

// secrets are the bytes of a key, until they are forgotten.
type secrets struct {
	mu       sync.RWMutex // held shared while the bytes are used
	wrapping []byte       // of AES-256; nil once forgotten
	signing  ed25519.PrivateKey
}

// ID is a fingerprint of the key, the same wherever the same key comes from.
// It tells nothing about the key.
func (k Key) ID() string { return k.id }

// IsZero reports whether this is no key.
func (k Key) IsZero() bool { return k.secret == nil }

// String returns the id.
func (k Key) String() string { return "key " + k.id }

// Sign signs the audit log's message (Ed25519, RFC 8032).
func (k Key) Sign(message []byte) (signature []byte, err error) {
	err = k.use(func(s *secrets) error {
		signature = ed25519.Sign(s.signing, message)
		return nil
	})
	return signature, err
}

// Public is the key that checks what [Key.Sign] signed. Who has it can verify
// the audit log and forge nothing. It stays when the rest is forgotten.
func (k Key) Public() ed25519.PublicKey { return k.public }

// Forget overwrites the key's bytes, once nobody uses them: from then on
// whatever needs them is [ErrLocked]. What Go and its ciphers copied of them
// on the way stays in memory until it is used for something else.
func (k Key) Forget() {
	if k.secret == nil {
		return
	}
	s := k.secret()
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.wrapping)
	clear(s.signing)
	s.wrapping, s.signing = nil, nil
}

// use calls fn with the key's bytes, which stay for as long as it runs.
func (k Key) use(fn func(*secrets) error) error {
	if k.secret == nil {
		return ErrLocked
	}
	s := k.secret()
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.wrapping == nil {
		return ErrLocked
	}
	return fn(s)
}

// newKey makes a Key of 32 uniformly random bytes and clears them.
func newKey(raw []byte) (Key, error) {
	defer clear(raw)
	id, err := hkdf.Key(sha256.New, raw, nil, labelKeyID, 8)
	if err != nil {
		return Key{}, err
	}
	wrapping, err := hkdf.Key(sha256.New, raw, nil, labelWrap, keySize)
	if err != nil {
		return Key{}, err
	}
	seed, err := hkdf.Key(sha256.New, raw, nil, labelSign, ed25519.SeedSize)
	if err != nil {
		return Key{}, err
	}
	defer clear(seed)
	s := &secrets{wrapping: wrapping, signing: ed25519.NewKeyFromSeed(seed)}
	public := append(ed25519.PublicKey(nil), s.signing[ed25519.SeedSize:]...) // of its own: it is not forgotten
	return Key{id: hex.EncodeToString(id), public: public, secret: func() *secrets { return s }}, nil
}

// A key's text is the prefix and the base64url of 32 key bytes and a 4 byte
// check sum, which finds a mistyped or cut key before anything is sealed under
// it.
const (
	textPrefix = "bctrl-key-1:"
	sumSize    = 4
)

// Generate returns a new random key as text, in the form that [FromEnvironment]
// and [FromFile] read: one line, without the line's end.
func Generate() bctrl.Secret {
	raw := make([]byte, keySize, keySize+sumSize)
	defer clear(raw[:cap(raw)])
	_, _ = rand.Read(raw) // never fails: crypto/rand ends the process instead
	sum := sha256.Sum256(raw)
	return bctrl.NewSecret(textPrefix + base64.RawURLEncoding.EncodeToString(append(raw, sum[:sumSize]...)))
}

// FromText reads the text of a key, as [Generate] returns it.
func FromText(text bctrl.Secret) (Key, error) { return parseKey(text.Expose()) }

// parseKey reads the text of a key; white space around it does not matter.
func parseKey(text string) (Key, error) {
	body, ok := strings.CutPrefix(strings.TrimSpace(text), textPrefix)
	if !ok {
		return Key{}, fmt.Errorf("%w: it does not begin with %q", ErrBadKey, textPrefix)
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(body)
	if err != nil || len(raw) != keySize+sumSize {
		return Key{}, fmt.Errorf("%w: it is mistyped or cut short", ErrBadKey)
	}
	sum := sha256.Sum256(raw[:keySize])
	if subtle.ConstantTimeCompare(sum[:sumSize], raw[keySize:]) != 1 {
		return Key{}, fmt.Errorf("%w: its check sum is wrong, so it is mistyped", ErrBadKey)
	}
	return newKey(raw[:keySize])
}

// FromEnvironment reads the key from the environment variable name, in the
// form that [Generate] returns and a key file holds. The error names the
// variable, never its value.
func FromEnvironment(name string) (Key, error) {
	text, ok := os.LookupEnv(name)
	if !ok || text == "" {
		return Key{}, fmt.Errorf("environment variable %s: %w: it is empty", name, ErrBadKey)
	}
	key, err := parseKey(text)
	if err != nil {
		return Key{}, fmt.Errorf("environment variable %s: %w", name, err)
	}
	return key, nil
}
