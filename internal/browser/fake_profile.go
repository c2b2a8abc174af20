package browser

import (
	"context"
	"slices"

	"github.com/bctrl-go/bctrl/internal/wire"
)

// Cookies are those that the browser id was launched with, and what it was given since.
func (f *Fake) Cookies(id string) []wire.Cookie {
	f.mu.Lock()
	defer f.mu.Unlock()
	if b := f.running[id]; b != nil && b.profile != nil {
		return slices.Clone(b.profile.Cookies)
	}
	return nil
}

// GiveCookies has the browser id get cookies beside those that it has, as from a site. It
// reports whether there is such a browser, with a profile that has kept them.
func (f *Fake) GiveCookies(id string, cookies ...wire.Cookie) bool {
	f.mu.Lock()
	b := f.running[id]
	if b == nil || b.profile == nil {
		f.mu.Unlock()
		return false
	}
	kept := *b.profile
	kept.Cookies = append(slices.Clone(kept.Cookies), cookies...)
	b.profile = &kept
	f.mu.Unlock()
	return kept.OnCookies(kept.Cookies) == nil
}

// SaveProfile tells of the cookies that the browser has, and keeps no other data.
func (b *fakeBrowser) SaveProfile(ctx context.Context) error {
	if err := b.alive(ctx); err != nil {
		return err
	}
	b.fake.mu.Lock()
	p := b.profile
	b.fake.mu.Unlock()
	if p == nil {
		return ErrNoProfile
	}
	return p.OnCookies(p.Cookies)
}
