package bctrl

import (
	"net/http"

	"github.com/bctrl-go/bctrl/internal/names"
	"github.com/bctrl-go/bctrl/internal/origin"
)

// ValidVaultKey returns nil when key is a vault key: 1 to 32 segments of 1 to
// 128 bytes from [A-Za-z0-9._@+=:-] with a slash between them, no segment . or
// .., 512 bytes in all. Keys are case-sensitive. A key is refused, never
// cleaned: an [*Error] with code vault.invalid_key says which rule it breaks,
// without quoting it.
func ValidVaultKey(key string) error {
	return invalidName("vault.invalid_key", "not a vault key", names.VaultKey(key))
}

// ValidVaultPrefix returns nil when prefix may stand in the allow or deny list
// of a [VaultMount]: "/" is every key, "prod/crm" that key and everything below
// it, and "prod/crm/" everything strictly below it (at most 31 segments and 510
// bytes). Otherwise it returns an [*Error] with code vault.invalid_prefix.
func ValidVaultPrefix(prefix string) error {
	return invalidName("vault.invalid_prefix", "not a vault prefix", names.VaultPrefix(prefix))
}

// ValidStoragePath returns nil when path may name a file in storage: valid
// UTF-8 of at most 1024 bytes, segments of 1 to 255 bytes with a slash between
// them, none . or .., and no backslash, control, bidi or zero-width character.
// Otherwise it returns an [*Error] with code storage.invalid_path.
//
// The server brings a path to Unicode form NFC before it applies these rules;
// ValidStoragePath takes it as it is. The methods of [Storage] leave to the server
// whether a path that is too long will be short enough.
func ValidStoragePath(path string) error { return invalidStoragePath(names.StoragePath(path)) }

// sendableStoragePath is [ValidStoragePath] for a path that is sent as it is.
func sendableStoragePath(path string) error {
	return invalidStoragePath(names.StoragePathBeforeNFC(path))
}

func invalidStoragePath(rule error) error {
	return invalidName("storage.invalid_path", "not a storage path", rule)
}

// invalidName wraps the rule that a name breaks; nil stays nil.
func invalidName(code, message string, rule error) error {
	if rule == nil {
		return nil
	}
	return &Error{Status: http.StatusBadRequest, Code: code, Message: message + ": " + rule.Error()}
}

// ParseOrigin returns the canonical form of an origin, https://host[:port], in
// which a vault entry says where it may be filled in. It drops letter case, a
// default port and one trailing slash; anything else that is not canonical is
// refused with an [*Error] of code vault.invalid_origin: IP addresses, single
// labels, a trailing dot, user info, a path, non-ASCII names (write them as
// punycode). http is accepted for localhost, 127.0.0.1 and [::1] alone.
//
// Two origins are the same exactly when their canonical forms are.
func ParseOrigin(text string) (string, error) {
	canonical, err := origin.Parse(text)
	return canonical, invalidName("vault.invalid_origin", "not an origin", err)
}
