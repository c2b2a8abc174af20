//go:build unix

package chromium

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/storage"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/devtools"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// cookiePause is how often a browser with a profile is asked for its cookies. Chromium
// tells nobody when they change: a site, a script or a program may have set them.
const cookiePause = 500 * time.Millisecond

// cookieRounds is after how many pauses a browser is asked that has not dealt with cookies
// since, as far as can be seen: one may have changed between its answer and the look.
const cookieRounds = 10

// cookieJar keeps a browser's cookies as they change.
type cookieJar struct {
	keep func([]wire.Cookie) error

	mu       sync.Mutex // held while they are asked for and kept
	keptSum  [sha256.Size]byte
	isClosed bool  // the browser is gone
	keepErr  error // why those asked for last could not be kept
}

// close has nothing be kept any more. Its error is of cookies that were not.
func (j *cookieJar) close() error {
	if j == nil {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.isClosed = true
	return j.keepErr
}

// giveCookies has the browser begin with cookies.
func (b *instance) giveCookies(ctx context.Context, cookies []wire.Cookie) error {
	params := make([]*network.CookieParam, len(cookies))
	for i, c := range cookies {
		params[i] = paramOf(c)
	}
	if err := b.setCookies(ctx, params); err != nil {
		return fmt.Errorf("give the browser its cookies: %w", err)
	}
	return nil
}

// setCookies sets cookies. One that the browser does not take is left out, and not the
// others with it, as the browser would have it.
func (b *instance) setCookies(ctx context.Context, params []*network.CookieParam) error {
	if len(params) == 0 {
		return nil
	}
	err := b.mux.Call(ctx, storage.CommandSetCookies, storage.SetCookiesParams{Cookies: params}, nil)
	if !devtools.IsRefusal(err) {
		return err
	}
	if len(params) == 1 {
		return nil
	}
	half := len(params) / 2
	return errors.Join(b.setCookies(ctx, params[:half]), b.setCookies(ctx, params[half:]))
}

// followCookies keeps cookies that have changed, for as long as the browser lives. It asks
// for them where the process that has them has run since it answered last.
func (b *instance) followCookies() {
	tick := time.NewTicker(cookiePause)
	defer tick.Stop()
	var keeper cookieKeeper
	unasked := cookieRounds // how often the browser was not asked since it was
	for {
		select {
		case <-tick.C:
		case <-b.life.Done():
			return
		}
		if unasked < cookieRounds && !keeper.hasRun(b.proc.pid()) {
			unasked++
			continue
		}
		unasked = cookieRounds
		if b.keepCookies(b.life) == nil { // else it is logged by who keeps them, and tried again
			unasked = 0
			keeper.hasRun(b.proc.pid()) // to answer
		}
	}
}

// keepCookies keeps the cookies as they are now, where they have changed since they were
// last kept.
func (b *instance) keepCookies(ctx context.Context) error {
	if b.jar == nil {
		return nil
	}
	b.jar.mu.Lock()
	defer b.jar.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	var got storage.GetCookiesResult
	if err := b.mux.Call(ctx, storage.CommandGetCookies, storage.GetCookiesParams{}, &got); err != nil {
		return fmt.Errorf("read the browser's cookies: %w", err)
	}
	cookies := make([]wire.Cookie, 0, len(got.Cookies))
	for _, c := range got.Cookies {
		if !c.PartitionKeyOpaque { // one of no site, which is gone with its tab
			cookies = append(cookies, cookieOf(c))
		}
	}
	text, err := json.Marshal(cookies)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(text)
	clear(text)
	if b.jar.isClosed {
		return devtools.ErrBrowserGone
	}
	if sum == b.jar.keptSum {
		return nil
	}
	if b.jar.keepErr = b.jar.keep(cookies); b.jar.keepErr == nil {
		b.jar.keptSum = sum
	}
	return b.jar.keepErr
}

func cookieOf(c *network.Cookie) wire.Cookie {
	out := wire.Cookie{
		Name:         c.Name,
		Value:        wire.NewValue(c.Value),
		Domain:       c.Domain,
		Path:         c.Path,
		Expires:      max(c.Expires, 0),
		HTTPOnly:     c.HTTPOnly,
		Secure:       c.Secure,
		SameSite:     string(c.SameSite),
		SourceScheme: string(c.SourceScheme),
		SourcePort:   int(c.SourcePort),
	}
	if p := c.PartitionKey; p != nil {
		out.PartitionKey = &wire.CookiePartition{
			TopLevelSite:         p.TopLevelSite,
			HasCrossSiteAncestor: p.HasCrossSiteAncestor,
		}
	}
	return out
}

func paramOf(c wire.Cookie) *network.CookieParam {
	out := &network.CookieParam{
		Name:         c.Name,
		Value:        c.Value.Reveal(),
		Domain:       c.Domain,
		Path:         c.Path,
		Secure:       c.Secure,
		HTTPOnly:     c.HTTPOnly,
		SameSite:     network.CookieSameSite(c.SameSite),
		SourceScheme: network.CookieSourceScheme(c.SourceScheme),
		SourcePort:   int64(c.SourcePort),
	}
	if c.Expires > 0 {
		out.Expires = cdp.TimeSinceEpoch(c.Expires)
	}
	if p := c.PartitionKey; p != nil {
		out.PartitionKey = &network.CookiePartitionKey{
			TopLevelSite:         p.TopLevelSite,
			HasCrossSiteAncestor: p.HasCrossSiteAncestor,
		}
	}
	return out
}

// SaveProfile makes what the browser has now the newest of its profile. See
// [browser.Browser].
//
// For the moment in which its files are copied the browser stands still: a copy of files
// that change meanwhile may be none that it could ever have had. What it then finds in the
// copy is what it finds after a crash.
func (b *instance) SaveProfile(ctx context.Context) error {
	if b.profile == nil {
		return browser.ErrNoProfile
	}
	if err := b.keepCookies(ctx); err != nil {
		return err
	}
	return b.profile.saveAndNote(b.dirs, b.user, b.holdStill)
}

// holdStill stops all processes of the browser until release is called.
func (b *instance) holdStill() (release func(), err error) {
	if b.life.Err() != nil {
		return nil, devtools.ErrBrowserGone // its process id may be another's by now
	}
	b.stills.Add(1)
	release = func() {
		b.proc.resume()
		b.stills.Add(-1)
	}
	if err := b.proc.pause(); err != nil {
		release()
		return nil, err
	}
	return release, nil
}
