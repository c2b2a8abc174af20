package profiles

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/seal"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/wire"
)

const (
	// maxImport bounds the body of an import, in bytes: 3,300 cookies of some 2 KiB, or
	// a bundle of them, which JSON has in base64.
	maxImport = 12 << 20
	// maxBundled bounds the cookies of a bundle, in bytes, so that it can be imported.
	maxBundled = 8 << 20
	// bundlePurpose binds what is sealed under a passphrase.
	bundlePurpose = "profile cookies"
)

// bundleMark is how a bundle of cookies begins.
var bundleMark = []byte("bctrl cookies 1\n")

// bundled is what a bundle holds.
type bundled struct {
	ProfileID  string        `json:"profileId"`
	ExportedAt time.Time     `json:"exportedAt"`
	Cookies    []wire.Cookie `json:"cookies"`
}

func (s *Service) exportCookies(
	ctx context.Context, rq *web.Request, in wire.CookieExport,
) (out bctrl.CookieExport, err error) {
	id, err := s.authorizedID(rq)
	if err != nil {
		return out, err
	}
	p, err := s.profile(ctx, rq.Caller.Org, id)
	if err != nil {
		return out, err
	}
	if err := s.requireHere(ctx, s.DB.Read(), rq.Caller.Org, p.UID); err != nil {
		return out, err
	}
	rq.KeepNoAnswer() // it is made anew for who asks again
	ev := rq.Event()
	ev.UID = p.UID
	rq.MarkRecorded()
	err = s.Use(ctx, ev, func() error {
		cookies, err := s.cookiesOf(ctx, rq.Caller.Org, p.UID)
		if err != nil {
			return err
		}
		out = bctrl.CookieExport{ProfileID: p.ID, Cookies: len(cookies), ExportedAt: store.Now()}
		out.Bundle, err = s.bundle(ctx, in.Passphrase, bundled{p.ID, out.ExportedAt, cookies})
		return err
	})
	return out, err
}

// profile reads the row of a profile.
func (s *Service) profile(ctx context.Context, org, id string) (store.Profile, error) {
	p, err := s.DB.Read().Profile(ctx, org, id)
	if errors.Is(err, store.ErrNotFound) {
		err = ErrNotFound()
	}
	return p, err
}

// cookiesOf are the cookies that a profile has now. It makes no folder, for the profile may
// be deleted meanwhile: one without a folder was never used.
func (s *Service) cookiesOf(ctx context.Context, org, uid string) ([]wire.Cookie, error) {
	folder, err := os.OpenRoot(s.Folder(uid))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open the profile: %w", err)
	}
	defer folder.Close()
	_, cookies, err := s.read(ctx, folder, org, uid)
	if errors.Is(err, fs.ErrNotExist) { // the folder is gone
		return nil, ErrNotFound()
	}
	return cookies, err
}

// withPassphrase runs what makes a key of a passphrase, which takes 64 MiB and a tenth of
// a second of several processors: one at a time.
func (s *Service) withPassphrase(ctx context.Context, fn func() error) error {
	select {
	case s.deriving <- struct{}{}:
		defer func() { <-s.deriving }()
		return fn()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// bundle seals cookies under a passphrase.
func (s *Service) bundle(ctx context.Context, passphrase wire.Value, b bundled) (bundle []byte, err error) {
	text, err := json.Marshal(b)
	if err != nil {
		return nil, err
	}
	defer clear(text)
	if len(text) > maxBundled {
		return nil, web.TooLarge("profiles.cookies_too_large",
			fmt.Sprintf("the cookies are over %d MiB together, which no import takes", maxBundled>>20))
	}
	err = s.withPassphrase(ctx, func() (err error) {
		bundle, err = seal.NewBundle(bctrl.NewSecret(passphrase.Reveal()), bundlePurpose, text)
		return err
	})
	if errors.Is(err, seal.ErrPassphrase) {
		return nil, web.Invalid("profiles.invalid_passphrase", "passphrase",
			fmt.Sprintf("a passphrase needs at least %d characters, and at most 4096 bytes", seal.MinPassphrase))
	}
	return append(bytes.Clone(bundleMark), bundle...), err
}

// unbundle opens what bundle made, of whichever server.
func (s *Service) unbundle(ctx context.Context, in wire.CookieImport) (b bundled, err error) {
	sealed, ours := bytes.CutPrefix(in.Bundle, bundleMark)
	if !ours {
		return b, web.Invalid("profiles.not_a_bundle", "bundle", "this is no bundle of cookies that an export gave")
	}
	var text []byte
	err = s.withPassphrase(ctx, func() (err error) {
		text, err = seal.OpenBundle(bctrl.NewSecret(in.Passphrase.Reveal()), bundlePurpose, sealed)
		return err
	})
	defer clear(text)
	switch {
	case errors.Is(err, seal.ErrWrongKey), errors.Is(err, seal.ErrPassphrase):
		return b, web.Invalid("profiles.wrong_passphrase", "passphrase",
			"the bundle was sealed under another passphrase, or its beginning was changed")
	case errors.Is(err, seal.ErrTampered):
		return b, errBundleDamaged()
	case err != nil:
		return b, err
	}
	if json.Unmarshal(text, &b) != nil {
		return b, errBundleDamaged()
	}
	return b, nil
}

func errBundleDamaged() *bctrl.Error {
	return web.Invalid("profiles.bundle_damaged", "bundle",
		"the bundle was changed or cut short: export the cookies again")
}

// importCookies puts cookies into a profile that no live runtime uses: all, or none.
func (s *Service) importCookies(
	ctx context.Context, rq *web.Request, in wire.CookieImport,
) (out bctrl.CookiesImported, err error) {
	id, err := s.authorizedID(rq)
	if err != nil {
		return out, err
	}
	found, err := s.profile(ctx, rq.Caller.Org, id)
	if err != nil {
		return out, err
	}
	cookies, err := s.imported(ctx, in)
	if err != nil {
		return out, err
	}
	now := store.Now()
	fresh := slices.DeleteFunc(slices.Clone(cookies), func(c wire.Cookie) bool { return c.HasExpired(now) })
	out.Imported, out.Expired = len(fresh), len(cookies)-len(fresh)
	unlock, err := s.files.lock(ctx, found.UID) // no runtime opens the profile before this is over
	if err != nil {
		return out, err
	}
	defer unlock()
	ev := rq.Event()
	rq.MarkRecorded()
	err = s.Use(ctx, ev, func() error {
		if err := s.touch(ctx, rq, id, found.UID, now); err != nil {
			return err
		}
		out.Cookies, err = s.putCookies(rq.Caller.Org, found.UID, fresh, in.Replace)
		return err
	})
	return out, err
}

// imported are the cookies of an import, all of them such that a browser takes them.
func (s *Service) imported(ctx context.Context, in wire.CookieImport) ([]wire.Cookie, error) {
	var p web.Problems
	in.Check(func(code, field, hint string) {
		if !p.IsFull() {
			p.Add(code, field, hint)
		}
	})
	if err := p.Err(); err != nil || len(in.Bundle) == 0 {
		return in.Cookies, err
	}
	b, err := s.unbundle(ctx, in)
	if err != nil || len(b.Cookies) == 0 {
		return nil, err
	}
	// Whoever knows the passphrase may have made it.
	wire.CookieImport{Cookies: b.Cookies}.Check(func(code, field, hint string) {
		if !p.IsFull() {
			p.Add(code, "bundle."+field, hint)
		}
	})
	return b.Cookies, p.Err()
}

// touch refuses a profile that a live runtime uses or that is another one's by now, and notes
// that this one changes.
func (s *Service) touch(ctx context.Context, rq *web.Request, id, uid string, now time.Time) error {
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		if err := s.StillPermitted(ctx, tx.Queries, &rq.Granted); err != nil {
			return err
		}
		p, err := tx.Profile(ctx, rq.Caller.Org, id)
		if errors.Is(err, store.ErrNotFound) || err == nil && p.UID != uid {
			return ErrNotFound()
		}
		if err != nil {
			return err
		}
		switch by, err := tx.RuntimeUsingProfile(ctx, rq.Caller.Org, p.UID); {
		case err == nil:
			return ErrInUse(by)
		case !errors.Is(err, store.ErrNotFound):
			return err
		}
		if err := s.claim(ctx, tx, rq.Caller.Org, p.UID); err != nil {
			return err
		}
		p.UpdatedAt = now
		return tx.UpdateProfile(ctx, rq.Caller.Org, p)
	})
}

// putCookies adds cookies to those of a profile, and returns how many there are then.
func (s *Service) putCookies(org, uid string, fresh []wire.Cookie, replace bool) (int, error) {
	folder, err := s.openFolder(uid)
	if err != nil {
		return 0, err
	}
	defer folder.Close()
	key, err := s.keyIn(folder, org, uid)
	if err != nil {
		return 0, err
	}
	var all []wire.Cookie
	if !replace {
		if all, err = readCookies(folder, key); err != nil {
			return 0, err
		}
	}
	all = merged(all, fresh)
	if len(all) > wire.MaxCookies {
		return 0, web.Unprocessable("profiles.too_many_cookies",
			fmt.Sprintf("the profile would have more than %d cookies, of which browsers drop some", wire.MaxCookies))
	}
	return len(all), writeCookies(folder, key.Lock(), all)
}

// merged are the cookies of both, of which there is one of each key: that which comes last.
func merged(old, fresh []wire.Cookie) []wire.Cookie {
	at := make(map[[5]string]int, len(old)+len(fresh))
	all := make([]wire.Cookie, 0, len(old)+len(fresh))
	for _, c := range slices.Concat(old, fresh) {
		if i, ok := at[c.Key()]; ok {
			all[i] = c
			continue
		}
		at[c.Key()] = len(all)
		all = append(all, c)
	}
	return all
}
