package bctrl

import (
	"context"
	"math"
	"net/http"
	"time"

	"github.com/bctrl-go/bctrl/internal/wire"
)

// Cookie is a cookie of a browser profile, on its way in: see [CookieImport].
type Cookie struct {
	Name string
	// Value is what proves a login: it is never shown.
	Value Secret
	// Domain is a host, "app.example.com", or with a dot before it the host and all below,
	// ".example.com".
	Domain string
	// Path is "/" where it is empty.
	Path string
	// Expires is when it ends; zero is a cookie of the session, which a profile keeps too.
	Expires  time.Time
	HTTPOnly bool
	Secure   bool
	// SameSite is empty where the site said nothing.
	SameSite CookieSameSite
	// Partition is the site below which a partitioned cookie is kept; nil for others.
	Partition *CookiePartition
	// SourceScheme and SourcePort are what Chromium notes of where the cookie came from:
	// "Secure", "NonSecure" or "Unset", and a port or -1. Both may be left out.
	SourceScheme string
	SourcePort   int
}

// CookieSameSite says with which requests from other sites a cookie is sent.
type CookieSameSite string

// The values of [Cookie.SameSite].
const (
	SameSiteStrict CookieSameSite = "Strict"
	SameSiteLax    CookieSameSite = "Lax"
	SameSiteNone   CookieSameSite = "None"
)

// CookiePartition is the site below which a partitioned cookie is kept.
type CookiePartition struct {
	// TopLevelSite is the site of the page in the tab, "https://example.com".
	TopLevelSite string
	// HasCrossSiteAncestor is set where a frame of another site was in between.
	HasCrossSiteAncestor bool
}

// CookieImport is what [BrowserProfilesService.ImportCookies] puts into a profile: a
// bundle, or cookies.
type CookieImport struct {
	// Bundle is that of a [CookieExport], Passphrase the one that it was sealed under.
	Bundle     []byte
	Passphrase Secret
	// Cookies are imported in place of a bundle, at most 3,300. [ParseCookies] reads them.
	Cookies []Cookie
	// Replace removes the cookies that the profile has first. Without, those of the same
	// name, domain and path are replaced, and the others stay.
	Replace bool
}

// CookieExport is a profile's cookies, sealed.
type CookieExport struct {
	// ProfileID is the profile that they were of.
	ProfileID  string    `json:"profileId"`
	Cookies    int       `json:"cookies"`
	ExportedAt time.Time `json:"exportedAt"`
	// Bundle can be kept where its passphrase is not: without, nothing of it can be read.
	Bundle []byte `json:"bundle"`
}

// CookiesImported says what became of a [CookieImport].
type CookiesImported struct {
	Imported int `json:"imported"`
	// Expired is how many were over already, and left out.
	Expired int `json:"expired"`
	// Cookies is how many the profile has now.
	Cookies int `json:"cookies"`
}

// ProfileSaved says what [Runtime.SaveProfile] has kept.
type ProfileSaved struct {
	ProfileID string `json:"profileId"`
	Cookies   int    `json:"cookies"`
	// SizeBytes is what the profile takes on disk now.
	SizeBytes int64     `json:"sizeBytes"`
	SavedAt   time.Time `json:"savedAt"`
}

func (c Cookie) wire() wire.Cookie {
	out := wire.Cookie{
		Name:         c.Name,
		Value:        wire.NewValue(c.Value.Expose()),
		Domain:       c.Domain,
		Path:         c.Path,
		HTTPOnly:     c.HTTPOnly,
		Secure:       c.Secure,
		SameSite:     string(c.SameSite),
		SourceScheme: c.SourceScheme,
		SourcePort:   c.SourcePort,
	}
	if !c.Expires.IsZero() {
		// One of before 1970 has expired too, and 0 and less are of the session.
		out.Expires = math.Max(float64(c.Expires.UnixMilli())/1000, 1)
	}
	if p := c.Partition; p != nil {
		out.PartitionKey = &wire.CookiePartition{
			TopLevelSite:         p.TopLevelSite,
			HasCrossSiteAncestor: p.HasCrossSiteAncestor,
		}
	}
	return out
}

// ExportCookies returns the cookies of a profile, sealed under a passphrase of at least
// 12 characters: to keep them, or to bring a login to another server by
// [BrowserProfilesService.ImportCookies]. Those of a profile that a live runtime uses
// are as they were half a second ago at most. Neither the server nor anybody else opens
// the bundle without the passphrase, which the server does not keep.
//
// Access: profile.export
func (s *BrowserProfilesService) ExportCookies(
	ctx context.Context, id string, passphrase Secret, opts ...CallOption,
) (*CookieExport, error) {
	var out CookieExport
	return ptr(&out, s.via().call(ctx, &request{
		method: http.MethodPost,
		path:   pathProfile + "/cookies/export",
		params: []string{id},
		in:     wire.CookieExport{Passphrase: wire.NewValue(passphrase.Expose())},
		out:    &out,
		opts:   opts,
	}))
}

// ImportCookies puts cookies into a profile, all of them or, where anything is wrong
// with one, none. The next runtime that is launched with the profile has them. While a
// live runtime uses it, it is [ErrConflict] (profiles.in_use).
//
// Access: profile.write
func (s *BrowserProfilesService) ImportCookies(
	ctx context.Context, id string, in CookieImport, opts ...CallOption,
) (*CookiesImported, error) {
	r := &request{
		method: http.MethodPost,
		path:   pathProfile + "/cookies/import",
		params: []string{id},
		opts:   opts,
	}
	if err := in.Validate(); err != nil {
		return nil, (&exchange{r: r}).fail(err)
	}
	var out CookiesImported
	r.in, r.out = in.wire(), &out
	return ptr(&out, s.via().call(ctx, r))
}

// SaveProfile makes what the browser has now the newest of its runtime's profile, as
// stopping would, and lets the browser go on: what is cloned from the profile, or launched
// after a crash of the server, has it. Cookies are kept as they are at this moment.
// What else sites store is kept as the browser has written it to disk: what a page has put
// into its localStorage in the last five seconds is not in it. A runtime without a profile
// is refused (runtimes.no_profile).
//
// Access: runtime.save_profile
func (rt *Runtime) SaveProfile(ctx context.Context, opts ...CallOption) (*ProfileSaved, error) {
	var out ProfileSaved
	return ptr(&out, rt.via().call(ctx, rt.request(http.MethodPost, "/save-profile", &out, opts)))
}
