package bctrl

import "time"

// VaultFill says how a secret is put into a page.
type VaultFill string

const (
	// FillSwap types a placeholder and swaps it for the value in the outgoing
	// request body; the page never holds the value. The default.
	FillSwap VaultFill = "swap"
	// FillDirect types the value into the page, for sites that hash or check
	// it in JavaScript.
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
