package bctrl

import (
	"context"
	"iter"
	"net/http"
	"time"

	"github.com/bctrl-go/bctrl/internal/wire"
)

// VaultFill says how a secret is put into a page.
type VaultFill string

const (
	// FillSwap types a placeholder and swaps it for the value in the outgoing
	// request body; the page never holds the value. The default.
	FillSwap VaultFill = "swap"
	// FillDirect types the value into the page, for sites that hash or check
	// it in JavaScript, or send it over a websocket.
	FillDirect VaultFill = "direct"
)

// VaultCredential is a login, or any other secret with a name.
type VaultCredential struct {
	Username string
	Password Secret
	// TOTP is a base32 seed or an otpauth:// URI (RFC 6238). It is checked when
	// set, and never returned to a runtime.
	TOTP Secret
	// Origins are the sites where it may be filled: "https://login.example.com".
	Origins []string
	// OriginPatterns are origins whose left-most label is "*".
	OriginPatterns []string
	// MatchOrigins is a shorthand for both, write only: entries with a "*" go
	// to OriginPatterns, the others to Origins.
	MatchOrigins []string
	Label        string
	Notes        string
	// Fill is [FillSwap] when empty.
	Fill VaultFill
}

// VaultEntry describes a vault key without its secrets.
type VaultEntry struct {
	Key      string `json:"key"`
	Username string `json:"username,omitempty"`
	Label    string `json:"label,omitempty"`
	// HasTOTP reports whether [VaultService.TOTP] gives codes for it.
	HasTOTP        bool      `json:"hasTotp"`
	Origins        []string  `json:"origins,omitempty"`
	OriginPatterns []string  `json:"originPatterns,omitempty"`
	Fill           VaultFill `json:"fill,omitempty"`
	// Version counts the writes of this key, from 1.
	Version   int64     `json:"version"`
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
}

// VaultFilter selects vault entries.
type VaultFilter struct {
	// Prefix is matched on segment boundaries; empty is every key.
	Prefix string
	// HasTOTP, when not nil, selects entries with or without a TOTP seed.
	HasTOTP *bool
}

// VaultService stores logins and other secrets by key. See [Client.Vault].
type VaultService struct{ via via }

const (
	pathVault    = "/v1/vault"
	pathVaultKey = "/v1/vault/{key}"
)

// Set stores a credential under a key in place of what was there. The key's
// grammar is that of [ValidVaultKey]; one that differs from an existing key in
// letter case alone is [ErrConflict].
//
// Access: vault.write
func (s *VaultService) Set(
	ctx context.Context, key string, c VaultCredential, opts ...CallOption,
) (*VaultEntry, error) {
	in := wire.VaultCredential{
		Username:       c.Username,
		Password:       wire.NewValue(c.Password.Expose()),
		TOTP:           wire.NewValue(c.TOTP.Expose()),
		Origins:        c.Origins,
		OriginPatterns: c.OriginPatterns,
		MatchOrigins:   c.MatchOrigins,
		Label:          c.Label,
		Notes:          c.Notes,
		Fill:           string(c.Fill),
	}
	var out VaultEntry
	return ptr(&out, callKey(ctx, s.via, key, &request{
		method: http.MethodPut,
		path:   pathVaultKey,
		in:     in,
		out:    &out,
		opts:   opts,
	}))
}

// Get returns a credential with its secrets. A missing key is [ErrNotFound].
//
// Access: vault.readRaw
func (s *VaultService) Get(ctx context.Context, key string, opts ...CallOption) (*VaultCredential, error) {
	return getVault(ctx, s.via, nil, key, opts)
}

func getVault(ctx context.Context, via via, as *limits, key string, opts []CallOption) (*VaultCredential, error) {
	var w wire.VaultCredential
	if err := callKey(ctx, via, key, &request{
		method: http.MethodGet,
		path:   pathVaultKey,
		as:     as,
		out:    &w,
		opts:   opts,
	}); err != nil {
		return nil, err
	}
	return &VaultCredential{
		Username:       w.Username,
		Password:       NewSecret(w.Password.Reveal()),
		TOTP:           NewSecret(w.TOTP.Reveal()),
		Origins:        w.Origins,
		OriginPatterns: w.OriginPatterns,
		Label:          w.Label,
		Notes:          w.Notes,
		Fill:           VaultFill(w.Fill),
	}, nil
}

// Delete removes a key. A missing key is [ErrNotFound].
//
// Access: vault.write
func (s *VaultService) Delete(ctx context.Context, key string, opts ...CallOption) error {
	return callKey(ctx, s.via, key, &request{method: http.MethodDelete, path: pathVaultKey, opts: opts})
}

// List ranges over the keys under a prefix in their order; empty is all of
// them.
//
// Access: vault.list
func (s *VaultService) List(ctx context.Context, prefix string, opts ...CallOption) iter.Seq2[string, error] {
	return vaultKeys(s.via, nil, prefix).all(ctx, opts)
}

// KeysPage fetches one page of [VaultService.List].
//
// Access: vault.list
func (s *VaultService) KeysPage(
	ctx context.Context, prefix string, p PageOptions, opts ...CallOption,
) (*Page[string], error) {
	return vaultKeys(s.via, nil, prefix).page(ctx, p, opts)
}

// Entries ranges over what is known of keys besides their secrets.
//
// Access: vault.list
func (s *VaultService) Entries(ctx context.Context, f VaultFilter, opts ...CallOption) iter.Seq2[VaultEntry, error] {
	return vaultEntries(s.via, nil, f).all(ctx, opts)
}

// EntriesPage fetches one page of [VaultService.Entries].
//
// Access: vault.list
func (s *VaultService) EntriesPage(
	ctx context.Context, f VaultFilter, p PageOptions, opts ...CallOption,
) (*Page[VaultEntry], error) {
	return vaultEntries(s.via, nil, f).page(ctx, p, opts)
}

// TOTP returns the code that the key's seed gives now (RFC 6238). A key
// without a seed is [ErrNotFound].
//
// Access: vault.use
func (s *VaultService) TOTP(ctx context.Context, key string, opts ...CallOption) (string, error) {
	return totp(ctx, s.via, nil, key, opts)
}

func totp(ctx context.Context, via via, as *limits, key string, opts []CallOption) (string, error) {
	var w wire.TOTPCode
	r := &request{
		method: http.MethodGet,
		path:   pathVaultKey + "/totp",
		as:     as,
		out:    &w,
		opts:   opts,
	}
	err := callKey(ctx, via, key, r)
	return r.said(w.Code.Reveal(), err)
}

func vaultKeys(via via, as *limits, prefix string) listing[string] {
	return listing[string]{
		via:    via,
		as:     as,
		path:   pathVault,
		query:  []string{"prefix", prefix},
		plural: wire.VaultKeys,
	}
}

func vaultEntries(via via, as *limits, f VaultFilter) listing[VaultEntry] {
	return listing[VaultEntry]{
		via:    via,
		as:     as,
		path:   pathVault,
		plural: wire.VaultEntries,
		query:  []string{"prefix", f.Prefix, "hasTotp", boolText(f.HasTOTP), "meta", "true"},
	}
}

// callKey sends a request about one key, if the key is one.
func callKey(ctx context.Context, via via, key string, r *request) error {
	if err := ValidVaultKey(key); err != nil {
		return (&exchange{r: r}).fail(err)
	}
	r.params = []string{key}
	return via().call(ctx, r)
}

// RuntimeVault is the vault as one runtime may use it. What the mounts do not
// permit is [ErrOutsideMount], refused before a request is sent. See
// [Runtime.Vault].
type RuntimeVault struct {
	via    via
	limits *limits
}

// Get returns a credential with its secrets but the TOTP seed, if the mounts
// allow raw reads of the key.
//
// Access: vault.readRaw
func (s *RuntimeVault) Get(ctx context.Context, key string, opts ...CallOption) (*VaultCredential, error) {
	if err := s.permitted(key, ReadVault); err != nil {
		return nil, err
	}
	if !s.limits.mounts().AllowsRawRead(key) {
		return nil, outside(ReadVault, "the mounts do not permit reading the values of this key",
			"the runtime may use it all the same; set vault.allowRawReads to read it")
	}
	return getVault(ctx, s.via, s.limits, key, opts)
}

// TOTP returns the code that the key's seed gives now.
//
// Access: vault.use
func (s *RuntimeVault) TOTP(ctx context.Context, key string, opts ...CallOption) (string, error) {
	if err := s.permitted(key, UseVault); err != nil {
		return "", err
	}
	return totp(ctx, s.via, s.limits, key, opts)
}

// List ranges over the keys under a prefix that the runtime may use; empty is
// all of them.
//
// Access: vault.list
func (s *RuntimeVault) List(ctx context.Context, prefix string, opts ...CallOption) iter.Seq2[string, error] {
	return vaultKeys(s.via, s.limits, prefix).all(ctx, opts)
}

// Entries ranges over what is known of the keys that the runtime may use,
// besides their secrets.
//
// Access: vault.list
func (s *RuntimeVault) Entries(ctx context.Context, f VaultFilter, opts ...CallOption) iter.Seq2[VaultEntry, error] {
	return vaultEntries(s.via, s.limits, f).all(ctx, opts)
}

func (s *RuntimeVault) permitted(key string, right Verb) error {
	if err := ValidVaultKey(key); err != nil {
		return err
	}
	if !s.limits.mounts().AllowsVaultKey(key) {
		return outside(right, "the mounts do not permit this key",
			"add it to vault.allow of the workspace, and of the runtime if it narrows")
	}
	return nil
}
