package bctrl

import "time"

// BrowserProfile is a browser's cookies and site data, kept between runtimes.
type BrowserProfile struct {
	// ID is the caller's own name for it: "sf-bot".
	ID    string `json:"id"`
	Label string `json:"label,omitempty"`
	// SizeBytes is what it takes on disk.
	SizeBytes int64 `json:"sizeBytes"`
	// RuntimeID is the live runtime that uses it, if any; one at a time.
	RuntimeID string    `json:"runtimeId,omitempty"`
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
}

// BrowserProfileCreate is a new browser profile.
type BrowserProfileCreate struct {
	// ID matches ^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$.
	ID    string `json:"id"`
	Label string `json:"label,omitempty"`
}

// BrowserProfileUpdate changes what is not nil.
type BrowserProfileUpdate struct {
	Label *string `json:"label,omitempty"`
}
