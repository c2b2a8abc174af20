package page

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/network"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/fill"
)

// challenge is what a site asks before it shows a page.
type challenge struct {
	url   string
	realm string // the site's name for what it asks about
	basic bool   // a name and a password answer it
}

// frameOrigin is the origin of a frame's document, and the frame that it lies in.
type frameOrigin struct {
	origin string
	parent cdp.FrameID
}

// noteOrigin takes note of the origin of a frame's document.
func (t *tab) noteOrigin(f *cdp.Frame) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.origins[f.ID] = frameOrigin{fill.CanonicalOrigin(f.SecurityOrigin), f.ParentID}
}

// isWithin reports whether a frame and every frame around it is of one origin.
func (t *tab) isWithin(id cdp.FrameID, origin string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for range len(t.origins) {
		f, known := t.origins[id]
		switch {
		case !known || f.origin != origin:
			return false
		case f.parent == "":
			return id == t.mainFrame()
		}
		id = f.parent
	}
	return false
}

// mainFrame is the tab's own frame.
func (t *tab) mainFrame() cdp.FrameID { return cdp.FrameID(t.session.targetID) }

// headersWithLogin returns the headers of a request with the login that its origin has
// asked for; nil where there is none, or the request is not one that takes it along: that
// of an agent's tab for its main document, and of a document that has no other origin
// around it. A header of the page's own stays.
func (s *Set) headersWithLogin(ctx context.Context, session *session,
	ev fetch.EventRequestPaused) []*fetch.HeaderEntry {
	login, t := s.guards.HTTPLoginFor(ev.Request.URL), session.tab
	if login == nil || t == nil || t.isClients() || strings.Contains(session.kind, "worker") {
		return nil
	}
	document := ev.ResourceType == network.ResourceTypeDocument && ev.FrameID == t.mainFrame()
	if !document && !t.isWithin(t.asking(ev), login.Origin) {
		return nil
	}
	headers := make([]*fetch.HeaderEntry, 0, len(ev.Request.Headers)+1)
	for name, value := range ev.Request.Headers {
		if strings.EqualFold(name, "Authorization") {
			return nil
		}
		headers = append(headers, &fetch.HeaderEntry{Name: name, Value: fmt.Sprint(value)})
	}
	if login.StillPermitted != nil && login.StillPermitted(ctx) != nil {
		if s.guards.DropHTTPLogin(login) {
			t.addNote("the login of %s may no longer be used", login.Origin)
		}
		return nil
	}
	s.guards.SentWithHTTPLogin(ev.NetworkID)
	return append(headers, &fetch.HeaderEntry{Name: "Authorization", Value: "Basic " + login.Token().Expose()})
}

// asking is the frame whose document makes a request: of one for a frame's own document
// that is the frame around it.
func (t *tab) asking(ev fetch.EventRequestPaused) cdp.FrameID {
	if ev.ResourceType != network.ResourceTypeDocument {
		return ev.FrameID
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.origins[ev.FrameID].parent
}

// onAnswer takes note of what a site has answered to the request for the tab's document,
// and ends a login that the site does not take.
func (t *tab) onAnswer(ev network.EventResponseReceived) {
	if ev.Response == nil {
		return
	}
	var asked *challenge
	if ev.Response.Status == http.StatusUnauthorized {
		if realm, basic, is := fill.BasicChallenge(headerOf(ev.Response.Headers, "WWW-Authenticate")); is {
			asked = &challenge{url: ev.Response.URL, realm: realm, basic: basic}
		}
	}
	if ev.Type == network.ResourceTypeDocument && ev.FrameID == t.mainFrame() {
		t.mu.Lock()
		t.challenge = asked
		t.mu.Unlock()
	}
	if asked == nil || !t.set.guards.CarriesValue(ev.RequestID) {
		return
	}
	login := t.set.guards.HTTPLoginFor(asked.url)
	if login == nil || !t.set.guards.DropHTTPLogin(login) {
		return
	}
	t.addNote("%s: the site %s has refused the login", codeLoginRefused, login.Origin)
	if login.Report != nil {
		t.set.spawn(func(ctx context.Context) { login.Report(ctx, errLoginRefused()) })
	}
}

const codeLoginRefused = "vault.login_refused"

func errLoginRefused() *bctrl.Error {
	return browser.Conflict(codeLoginRefused, "the site has refused the login", "check the entry's username and password")
}

func headerOf(headers network.Headers, name string) string {
	for key, value := range headers {
		if strings.EqualFold(key, name) {
			return fmt.Sprint(value)
		}
	}
	return ""
}

func (t *tab) asked() *challenge {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.challenge
}

// challengeNote says in each observation what the site asks; empty for nothing.
func (t *tab) challengeNote() string {
	asked := t.asked()
	switch {
	case asked == nil:
		return ""
	case !asked.basic:
		return "the site asks for a login with an HTTP authentication that is not basic"
	}
	return "the site asks for a login with HTTP authentication, http_login answers it; it says of itself " +
		quote(t.set.scrub.Text(fill.OneLine(asked.realm)), maxName)
}

// LoginHTTP answers a site that asks for a login. See [browser.Page].
func (s *Set) LoginHTTP(ctx context.Context, login browser.HTTPLogin) error {
	if err := checkHTTPLogin(login); err != nil {
		return err
	}
	return s.onNavigatingTab(ctx, func(ctx context.Context, t *tab) error {
		asked := t.asked()
		switch {
		case asked == nil:
			return browser.Conflict("page.no_login_asked", "the site has asked for no login with HTTP authentication", "")
		case !asked.basic:
			return browser.Conflict("page.login_scheme", "the site asks for another authentication than basic", "")
		}
		sent, err := t.loginFor(ctx, asked, login)
		if err != nil {
			return err
		}
		s.anyFilled.Store(true)
		s.scrub.Add(login.Password.Value)
		s.scrub.Add(sent.Token())
		s.guards.AddHTTPLogin(sent)
		err = t.navigate(ctx, asked.url, "")
		if err == nil && t.asked() != nil {
			s.guards.DropHTTPLogin(sent)
			return errLoginRefused()
		}
		return err
	})
}

// loginFor is a login for the site that has asked, where it belongs there.
func (t *tab) loginFor(ctx context.Context, asked *challenge, login browser.HTTPLogin) (*fill.HTTPLogin, error) {
	info, err := t.info(ctx)
	if err != nil {
		return nil, err
	}
	at := fill.CanonicalOrigin(asked.url)
	if top := fill.CanonicalOrigin(info.URL); top != at {
		return nil, originMismatch("the page is", top)
	}
	parts := []browser.Fill{login.Password}
	if login.Username.Value.Expose() != "" {
		parts = append(parts, login.Username)
	}
	for _, part := range parts {
		if !fill.MayGoTo(part, at) {
			return nil, originMismatch("the page is", at)
		}
	}
	return &fill.HTTPLogin{
		Origin:   at,
		Username: login.Username.Value,
		Password: login.Password.Value,
		Report:   login.Password.Report,
		StillPermitted: func(ctx context.Context) error {
			for _, part := range parts {
				if part.StillPermitted == nil {
					continue
				}
				if err := part.StillPermitted(ctx); err != nil {
					return err
				}
			}
			return nil
		},
	}, nil
}

// checkHTTPLogin refuses a login that no header could hold.
func checkHTTPLogin(login browser.HTTPLogin) error {
	if err := fill.Check(login.Password); err != nil {
		return err
	}
	username := login.Username.Value.Expose()
	if username == "" {
		return nil
	}
	if err := fill.Check(login.Username); err != nil {
		return err
	}
	if strings.Contains(username, ":") {
		return browser.Conflict("vault.fill_impossible",
			"the username has a colon, which basic authentication cannot send", "")
	}
	return nil
}
