package bctrl

import (
	"context"
	"iter"
	"net/http"
	"time"

	"github.com/bctrl-go/bctrl/internal/wire"
)

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

// BrowserProfilesService keeps browser profiles. See [Client.Profiles].
type BrowserProfilesService struct{ via via }

const (
	pathProfiles = "/v1/browser-profiles"
	pathProfile  = "/v1/browser-profiles/{id}"
)

// Create makes an empty profile. An id that is taken is [ErrConflict].
//
// Access: profile.write
func (s *BrowserProfilesService) Create(
	ctx context.Context, p BrowserProfileCreate, opts ...CallOption,
) (*BrowserProfile, error) {
	var out BrowserProfile
	return ptr(&out, s.via().call(ctx, &request{
		method: http.MethodPost,
		path:   pathProfiles,
		in:     p,
		out:    &out,
		opts:   opts,
	}))
}

// Get describes a profile.
//
// Access: profile.read
func (s *BrowserProfilesService) Get(ctx context.Context, id string, opts ...CallOption) (*BrowserProfile, error) {
	var out BrowserProfile
	return ptr(&out, s.via().call(ctx, &request{
		method: http.MethodGet,
		path:   pathProfile,
		params: []string{id},
		out:    &out,
		opts:   opts,
	}))
}

// List ranges over the profiles by id.
//
// Access: profile.read
func (s *BrowserProfilesService) List(ctx context.Context, opts ...CallOption) iter.Seq2[BrowserProfile, error] {
	return s.listing().all(ctx, opts)
}

// Page fetches one page of [BrowserProfilesService.List].
//
// Access: profile.read
func (s *BrowserProfilesService) Page(
	ctx context.Context, p PageOptions, opts ...CallOption,
) (*Page[BrowserProfile], error) {
	return s.listing().page(ctx, p, opts)
}

func (s *BrowserProfilesService) listing() listing[BrowserProfile] {
	return listing[BrowserProfile]{via: s.via, path: pathProfiles, plural: wire.BrowserProfiles}
}

// Clone makes a new profile with what another has kept: its cookies and site data as
// they were saved last. One that a live runtime uses is cloned as it was when that
// began. An id that is taken is [ErrConflict].
//
// Access: profile.write
func (s *BrowserProfilesService) Clone(
	ctx context.Context, id string, into BrowserProfileCreate, opts ...CallOption,
) (*BrowserProfile, error) {
	var out BrowserProfile
	return ptr(&out, s.via().call(ctx, &request{
		method: http.MethodPost,
		path:   pathProfile + "/clone",
		params: []string{id},
		in:     into,
		out:    &out,
		opts:   opts,
	}))
}

// Update changes a profile's label.
//
// Access: profile.write
func (s *BrowserProfilesService) Update(
	ctx context.Context, id string, u BrowserProfileUpdate, opts ...CallOption,
) (*BrowserProfile, error) {
	var out BrowserProfile
	return ptr(&out, s.via().call(ctx, &request{
		method: http.MethodPatch,
		path:   pathProfile,
		params: []string{id},
		in:     u,
		out:    &out,
		opts:   opts,
	}))
}

// Delete removes a profile and what it kept. One that a live runtime uses is
// [ErrConflict].
//
// Access: profile.write
func (s *BrowserProfilesService) Delete(ctx context.Context, id string, opts ...CallOption) error {
	return s.via().call(ctx, &request{
		method: http.MethodDelete,
		path:   pathProfile,
		params: []string{id},
		opts:   opts,
	})
}
