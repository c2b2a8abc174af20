// Package names holds the grammars of everything that a caller names: vault
// keys and prefixes, credential ids, aliases, namespaces, capabilities, storage
// paths and ids. Canonical form is the only accepted form: a name is refused,
// never cleaned (semantics, Keys, prefixes, names).
//
// Each check returns nil or the rule that is broken, which never quotes the
// name.
package names

import (
	"errors"
	"strings"

	"github.com/google/uuid"
)

// The limits of vault keys and prefixes. A prefix that ends in a slash leaves
// room for one more segment of two bytes.
const (
	MaxKeyBytes       = 512
	MaxKeySegments    = 32
	MaxSegmentBytes   = 128
	maxSubtreeBytes   = 510
	maxSubtreeSegment = 31
)

// Everything is the prefix that every key lies under, and the capability
// pattern that every capability matches.
const Everything = "/"

var (
	errEmpty          = errors.New("it is empty")
	errKeyTooLong     = errors.New("it is longer than 512 bytes")
	errSegments       = errors.New("it has more than 32 segments")
	errSegmentTooLong = errors.New("a segment is longer than 128 bytes")
	errEmptySegment   = errors.New("it has an empty segment, or a slash at its beginning or end")
	errDotSegment     = errors.New("a segment is . or ..") //nolint:staticcheck // these dots are what it is about
	errKeyByte        = errors.New("it holds a byte that is not one of A-Z a-z 0-9 . _ @ + = : -")
	errSubtreeTooLong = errors.New("it ends in a slash and is longer than 510 bytes")
	errSubtreeDepth   = errors.New("it ends in a slash and has more than 31 segments")
	errCredentialID   = errors.New("it is not a letter followed by at most 63 letters, digits, _ or -")
	errName           = errors.New("it is not a letter or digit followed by at most 127 letters, digits, . _ or -")
	errSecretName     = errors.New("it is not a letter or _ followed by at most 127 letters, digits, _ . or -")
	errCapability     = errors.New("it is not provider/name")
	errPattern        = errors.New("it is not provider/name, provider/ or /")
	errUUID           = errors.New("it is not a uuid")
)

// keyByte tells the bytes of a vault key's segments.
var keyByte = table("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._@+=:-")

func table(chars string) (set [256]bool) {
	for i := range len(chars) {
		set[chars[i]] = true
	}
	return set
}

// VaultKey checks a vault key: 1 to 32 segments of 1 to 128 bytes from
// [A-Za-z0-9._@+=:-] with a slash between them, none . or .., 512 bytes in all.
func VaultKey(key string) error {
	if key == "" {
		return errEmpty
	}
	if len(key) > MaxKeyBytes {
		return errKeyTooLong
	}
	segments, start := 1, 0
	for i := range len(key) {
		if keyByte[key[i]] {
			continue
		}
		if key[i] != '/' {
			return errKeyByte
		}
		if err := keySegment(key[start:i]); err != nil {
			return err
		}
		segments, start = segments+1, i+1
	}
	if segments > MaxKeySegments {
		return errSegments
	}
	return keySegment(key[start:])
}

func keySegment(segment string) error {
	switch {
	case segment == "":
		return errEmptySegment
	case segment == "." || segment == "..":
		return errDotSegment
	case len(segment) > MaxSegmentBytes:
		return errSegmentTooLong
	}
	return nil
}

// VaultPrefix checks a prefix of an allow or deny list: "/" for every key, a
// vault key for that key and what is below it, or a vault key of at most 31
// segments followed by a slash, 510 bytes in all, for what is below it alone.
func VaultPrefix(prefix string) error {
	if prefix == Everything {
		return nil
	}
	subtree, strict := strings.CutSuffix(prefix, "/")
	if err := VaultKey(subtree); err != nil {
		return err
	}
	if !strict {
		return nil
	}
	if len(prefix) > maxSubtreeBytes {
		return errSubtreeTooLong
	}
	if strings.Count(prefix, "/") > maxSubtreeSegment {
		return errSubtreeDepth
	}
	return nil
}

// CredentialID checks the id of a credential: ^[A-Za-z][A-Za-z0-9_-]{0,63}$.
// The name of a provider has the same form.
func CredentialID(id string) error {
	if !shaped(id, 64, isLetter, func(c byte) bool { return isLetter(c) || isDigit(c) || c == '_' || c == '-' }) {
		return errCredentialID
	}
	return nil
}

// Name checks an alias, a profile id, a namespace, the name of a workspace or a
// group id: ^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$.
func Name(name string) error {
	alphanumeric := func(c byte) bool { return isLetter(c) || isDigit(c) }
	if !shaped(name, 128, alphanumeric, func(c byte) bool {
		return alphanumeric(c) || c == '.' || c == '_' || c == '-'
	}) {
		return errName
	}
	return nil
}

// SecretName checks the name or an alias of a secret with a scope:
// ^[A-Za-z_][A-Za-z0-9_.-]{0,127}$, which every environment variable's is.
func SecretName(name string) error {
	first := func(c byte) bool { return isLetter(c) || c == '_' }
	if !shaped(name, 128, first, func(c byte) bool { return first(c) || isDigit(c) || c == '.' || c == '-' }) {
		return errSecretName
	}
	return nil
}

// Capability checks the id of a capability, "github/repos": a provider and a
// name, each in the form of [Name].
func Capability(id string) error {
	provider, name, ok := strings.Cut(id, "/")
	if !ok || Name(provider) != nil || Name(name) != nil {
		return errCapability
	}
	return nil
}

// CapabilityPattern checks an entry of a capability mount: a capability, a
// provider with a slash for all of the provider's, or "/" for all.
func CapabilityPattern(pattern string) error {
	provider, strict := strings.CutSuffix(pattern, "/")
	if pattern == Everything || strict && Name(provider) == nil || Capability(pattern) == nil {
		return nil
	}
	return errPattern
}

// UUID checks an id that the server makes: a uuid as text of 36 bytes, not one of
// the other forms that are read as uuids (braces, a URN, no hyphens).
func UUID(id string) error {
	if len(id) != 36 || uuid.Validate(id) != nil {
		return errUUID
	}
	return nil
}

// CanonicalUUID is [UUID] of an id to the byte as it is made and stored, in lower
// case.
func CanonicalUUID(id string) error {
	if id != strings.ToLower(id) {
		return errUUID
	}
	return UUID(id)
}

// shaped reports whether s is one byte that first accepts and up to longest-1
// that rest accepts.
func shaped(s string, longest int, first, rest func(byte) bool) bool {
	if s == "" || len(s) > longest || !first(s[0]) {
		return false
	}
	for i := 1; i < len(s); i++ {
		if !rest(s[i]) {
			return false
		}
	}
	return true
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
