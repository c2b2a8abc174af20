// Package vectors holds the cases that every implementation of the semantics
// agrees on, for tests. They are samples: more of each kind exist elsewhere.
package vectors

import (
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
)

//go:embed *.jsonl
var files embed.FS

// Key is a vault key or a storage path, and whether it is valid.
type Key struct {
	ID    string `json:"id"`
	Key   string `json:"key"`
	Hex   string `json:"key_hex"` // in place of Key, for bytes that are not text
	Valid bool   `json:"valid"`
	Why   string `json:"why"`
}

// Prefix is a vault prefix, and whether it is valid.
type Prefix struct {
	ID     string `json:"id"`
	Prefix string `json:"prefix"`
	Hex    string `json:"prefix_hex"`
	Valid  bool   `json:"valid"`
	Why    string `json:"why"`
}

// Origin is the text of an origin, its canonical form, and whether a login
// stored for https://login.salesforce.com may be filled there.
type Origin struct {
	ID        string `json:"id"`
	Input     string `json:"input"`
	Hex       string `json:"input_hex"`
	Valid     bool   `json:"valid"`
	Canonical string `json:"canonical"`
	Autofill  bool   `json:"autofill_for_https_login.salesforce.com"`
	Why       string `json:"why"`
}

// Decide asks whether a vault key may be used under allow and deny.
type Decide struct {
	ID      string   `json:"id"`
	Allow   []string `json:"allow"`
	Deny    []string `json:"deny"`
	Key     string   `json:"key"`
	Allowed bool     `json:"allowed"`
	Why     string   `json:"why"`
}

// Vault is a vault mount.
type Vault struct {
	Allow         []string `json:"allow"`
	Deny          []string `json:"deny"`
	AllowRawReads *bool    `json:"allowRawReads"`
}

// Narrow asks whether child is accepted under parent, and for the smallest
// witness if not ("allowRawReads" where raw reads are what widens).
type Narrow struct {
	ID       string `json:"id"`
	Parent   Vault  `json:"parent"`
	Child    Vault  `json:"child"`
	Accepted bool   `json:"accepted"`
	Witness  string `json:"witness"`
	Why      string `json:"why"`
}

// DecideHost asks whether a host may be spoken to under allow and deny, which need not
// be valid.
type DecideHost struct {
	ID      string   `json:"id"`
	Allow   []string `json:"allow"`
	Deny    []string `json:"deny"`
	Host    string   `json:"host"`
	Allowed bool     `json:"allowed"`
	Why     string   `json:"why"`
}

// Hosts is a web mount.
type Hosts struct {
	Allow []string `json:"allow"`
	Deny  []string `json:"deny"`
}

// NarrowHosts asks whether child is accepted under parent, where nil is an absent
// mount, and for the smallest witness if not.
type NarrowHosts struct {
	ID       string `json:"id"`
	Parent   *Hosts `json:"parent"`
	Child    *Hosts `json:"child"`
	Accepted bool   `json:"accepted"`
	Witness  string `json:"witness"`
	Why      string `json:"why"`
}

// Token is the text of a runtime token, how it is made if it is, and whether
// it is genuine under the root key. They were made by another implementation.
type Token struct {
	ID      string `json:"id"`
	RootKey string `json:"root_key"` // hex

	// What it was minted with and what was added, for those that can be made.
	TokenID      string       `json:"token_id"`
	Organization string       `json:"organization"`
	Runtime      string       `json:"runtime"`
	ExpiresMs    int64        `json:"expires_ms"`
	Mounts       string       `json:"mounts"`
	Add          []TokenAdded `json:"add"`

	Token string `json:"token"`
	// Genuine says that the chain of tags holds. Malformed texts are not even
	// read; Unreadable are genuine ones with mounts that nobody may write.
	Genuine    bool   `json:"genuine"`
	Malformed  bool   `json:"malformed"`
	Unreadable bool   `json:"unreadable"`
	Why        string `json:"why"`
}

// TokenAdded is mounts, or an expiry where they are empty.
type TokenAdded struct {
	Mounts    string `json:"mounts"`
	ExpiresMs int64  `json:"expires_ms"`
}

// Resolve asks which credential of the provider p, and which secret, a call is
// made with. Scopes are "global", "w" for a workspace and "w/g" for a group.
type Resolve struct {
	ID string `json:"id"`
	// Secrets are scopes by id.
	Secrets     map[string]string   `json:"secrets"`
	Credentials []ResolveCredential `json:"credentials"`
	Bindings    []ResolveBinding    `json:"bindings"`
	// What is asked: the context, and where it is not empty the credential that is
	// named, the capability that is called, and who calls.
	Context    string `json:"context"`
	Credential string `json:"credential"`
	Capability string `json:"capability"`
	Consumer   string `json:"consumer"`
	// Attached is a secret that is attached to the context, which is a group.
	Attached string `json:"attached"`
	// Want is "credential tier secret", then "by binding" where one took effect;
	// the secret is "key" for an AI credential's own. A refusal is its code.
	Want string `json:"want"`
	Why  string `json:"why"`
}

// ResolveCredential is a credential with one secret.
type ResolveCredential struct {
	ID       string `json:"id"`
	Scope    string `json:"scope"`
	Secret   string `json:"secret"`
	AI       bool   `json:"ai"`
	Disabled bool   `json:"disabled"`
}

// ResolveBinding is a binding of a capability, which has a slash, or of a
// credential.
type ResolveBinding struct {
	ID       string `json:"id"`
	Scope    string `json:"scope"`
	Target   string `json:"target"`
	Consumer string `json:"consumer"`
	Secret   string `json:"secret"`
}

// Resolves returns the cases for what a call is made with.
func Resolves() ([]Resolve, error) { return read[Resolve]("resolve.jsonl") }

// Tokens returns the cases for runtime tokens.
func Tokens() ([]Token, error) { return read[Token]("tokens.jsonl") }

// Keys returns the cases for vault keys.
func Keys() ([]Key, error) { return keys("keys.jsonl") }

// StorageKeys returns the cases for storage paths.
func StorageKeys() ([]Key, error) { return keys("storage_keys.jsonl") }

func keys(file string) ([]Key, error) {
	cases, err := read[Key](file)
	for i := range cases {
		c := &cases[i]
		err = unhex(err, c.Hex, &c.Key)
	}
	return cases, err
}

// Prefixes returns the cases for vault prefixes.
func Prefixes() ([]Prefix, error) {
	cases, err := read[Prefix]("prefixes.jsonl")
	for i := range cases {
		c := &cases[i]
		err = unhex(err, c.Hex, &c.Prefix)
	}
	return cases, err
}

// Origins returns the cases for origins.
func Origins() ([]Origin, error) {
	cases, err := read[Origin]("origins.jsonl")
	for i := range cases {
		c := &cases[i]
		err = unhex(err, c.Hex, &c.Input)
	}
	return cases, err
}

// Decides returns the cases for decisions about a vault key.
func Decides() ([]Decide, error) { return read[Decide]("decide.jsonl") }

// Narrows returns the cases for narrowing a vault mount.
func Narrows() ([]Narrow, error) { return read[Narrow]("narrow.jsonl") }

// HostDecides returns the cases for which hosts may be spoken to.
func HostDecides() ([]DecideHost, error) { return read[DecideHost]("hosts_decide.jsonl") }

// HostNarrows returns the cases for web mounts below web mounts.
func HostNarrows() ([]NarrowHosts, error) { return read[NarrowHosts]("hosts_narrow.jsonl") }

// read decodes one case a line. A field that the case's type does not have is
// an error: a case must not be half understood.
func read[T any](file string) ([]T, error) {
	data, err := files.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var cases []T
	for line := range strings.Lines(string(data)) {
		decoder := json.NewDecoder(strings.NewReader(line))
		decoder.DisallowUnknownFields()
		var c T
		if err := decoder.Decode(&c); err != nil {
			return nil, fmt.Errorf("%s, case %d: %w", file, len(cases)+1, err)
		}
		cases = append(cases, c)
	}
	if len(cases) == 0 {
		return nil, fmt.Errorf("%s: no cases", file)
	}
	return cases, nil
}

// unhex puts the bytes of a case that are not text in their place.
func unhex(err error, digits string, into *string) error {
	if err != nil || digits == "" {
		return err
	}
	raw, err := hex.DecodeString(digits)
	*into = string(raw)
	return err
}
