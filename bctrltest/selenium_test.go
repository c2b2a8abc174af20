package bctrltest_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest"
)

// webDriver is a client of WebDriver as thin as one can be.
type webDriver struct {
	t    *testing.T
	http *http.Client
	base string
}

// webDriverOf connects to a runtime.
func webDriverOf(t *testing.T, rt *bctrl.Runtime) webDriver {
	t.Helper()
	base, err := rt.ConnectURL(t.Context())
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(base, "http://"), "clients append to it")
	require.False(t, strings.HasSuffix(base, "/"), "clients append to it")
	require.Contains(t, base, "/runtimes/"+rt.Alias+"/webdriver/")
	client := &http.Client{Transport: &http.Transport{}, Timeout: time.Minute}
	t.Cleanup(client.CloseIdleConnections)
	return webDriver{t, client, base}
}

// webDriverAnswer is an answer, of an error too.
type webDriverAnswer struct {
	Status int
	Value  struct {
		SessionID, Error, Message string
		Data                      struct{ Code, Field, Hint string }
	}
}

func (d webDriver) send(method, command, body string) (a webDriverAnswer) {
	d.t.Helper()
	rq, err := http.NewRequestWithContext(d.t.Context(), method, d.base+command, strings.NewReader(body))
	require.NoError(d.t, err)
	rs, err := d.http.Do(rq)
	require.NoError(d.t, err)
	defer rs.Body.Close()
	text, err := io.ReadAll(rs.Body)
	require.NoError(d.t, err)
	a.Status = rs.StatusCode
	require.NoError(d.t, json.Unmarshal(text, &struct{ Value any }{&a.Value}))
	if code := a.Value.Data.Code; code != "" {
		require.True(d.t, strings.HasPrefix(a.Value.Message, code+": "), "a client shows the message alone")
	}
	return a
}

// begin makes a session.
func (d webDriver) begin() (command string) {
	d.t.Helper()
	a := d.send("POST", "/session", `{"capabilities": {"alwaysMatch": {"browserName": "chrome"}}}`)
	require.Equal(d.t, http.StatusOK, a.Status, a.Value.Message)
	return "/session/" + a.Value.SessionID
}

// refused holds a command to a refusal.
func (d webDriver) refused(method, command string, status int, name, code string) {
	d.t.Helper()
	a := d.send(method, command, `{"capabilities": {}}`)
	require.Equal(d.t, []any{status, name, code}, []any{a.Status, a.Value.Error, a.Value.Data.Code})
}

// seleniumRuntimes are launched in one workspace with a fake browser.
func seleniumRuntimes(t *testing.T) (*bctrltest.Server, func(alias string) *bctrl.Runtime) {
	t.Helper()
	srv := bctrltest.New(t)
	ws, err := srv.Client().Workspaces.Create(t.Context(), bctrl.WorkspaceCreate{Name: "w"})
	require.NoError(t, err)
	return srv, func(alias string) *bctrl.Runtime {
		rt, err := ws.Runtimes.Browser(alias).Selenium(t.Context(), bctrl.Launch{})
		require.NoError(t, err)
		return rt
	}
}

func TestARuntimeHasOneWebDriverSessionAtATimeAndItIsWhoseThatBeganIt(t *testing.T) {
	srv, launch := seleniumRuntimes(t)
	rt := launch("a")
	d := webDriverOf(t, rt)
	session := d.begin()
	require.Equal(t, http.StatusOK, d.send("POST", session+"/url", `{"url": "https://a.example"}`).Status)
	d.refused("POST", "/session", 500, "session not created", "runtimes.webdriver_session_open")
	d.refused("GET", "/session/another/url", 404, "invalid session id", "runtimes.webdriver_no_session")
	d.refused("GET", "/shutdown", 404, "unknown command", "runtimes.webdriver_command")
	d.refused("GET", session, 404, "unknown command", "runtimes.webdriver_command")
	d.refused("POST", session+"/chromium/launch_app", 404, "unknown command", "runtimes.webdriver_command")

	token, err := rt.Token(t.Context(), bctrl.TokenRequest{})
	require.NoError(t, err)
	self, err := srv.Client(bctrl.WithAPIKey(token)).Self(t.Context())
	require.NoError(t, err)
	other := webDriverOf(t, self.Runtime)
	require.NotEqual(t, d.base, other.base)
	other.refused("GET", session+"/url", 404, "invalid session id", "runtimes.webdriver_no_session")
	other.refused("POST", "/session", 500, "session not created", "runtimes.webdriver_session_open")

	require.Equal(t, http.StatusOK, d.send("DELETE", session, "").Status)
	d.refused("GET", session+"/url", 404, "invalid session id", "runtimes.webdriver_no_session")
	require.Equal(t, http.StatusOK, d.send("GET", "/status", "").Status)
	require.NotEmpty(t, other.begin(), "the place is free at once")
}

// TestTheSessionOfAClientThatIsGoneIsEndedByRevokingItsURL has nobody who knows its id.
func TestTheSessionOfAClientThatIsGoneIsEndedByRevokingItsURL(t *testing.T) {
	_, launch := seleniumRuntimes(t)
	rt := launch("a")
	d := webDriverOf(t, rt)
	d.begin()
	a := d.send("POST", "/session", `{"capabilities": {}}`)
	require.Equal(t, "runtimes.webdriver_session_open", a.Value.Data.Code)
	require.Contains(t, a.Value.Data.Hint, "revoke its connect URL")
	urls, err := rt.ConnectURLs(t.Context())
	require.NoError(t, err)
	require.Len(t, urls, 1)
	require.NoError(t, rt.RevokeConnectURL(t.Context(), urls[0].ID))
	next := webDriverOf(t, rt)
	require.Eventually(t, func() bool {
		return next.send("POST", "/session", `{"capabilities": {}}`).Status == http.StatusOK
	}, 10*time.Second, time.Millisecond, "the place is free")
}

// TestTheTokenOfAWebDriverIsFoundNowhere looks for it in all that comes out of a session, which
// goes well and badly.
func TestTheTokenOfAWebDriverIsFoundNowhere(t *testing.T) {
	ctx, start, sc := t.Context(), time.Now(), &scanner{}
	var log, sdk syncBuffer
	everything := &slog.HandlerOptions{Level: slog.Level(-100), AddSource: true}
	srv := bctrltest.New(t, bctrltest.WithLog(slog.New(slog.NewJSONHandler(&log, everything))))
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	client := srv.Client(bctrl.WithHTTPClient(&http.Client{Transport: listening{sc, transport}}),
		bctrl.WithLogger(slog.New(slog.NewTextHandler(&sdk, everything))),
		bctrl.WithHook(func(_ context.Context, a bctrl.Attempt) { _, _ = fmt.Fprintf(&sdk, "%+v %v\n", a, a.Err) }))
	ws, err := client.Workspaces.Create(ctx, bctrl.WorkspaceCreate{Name: "w"})
	require.NoError(t, err)
	rt, err := ws.Runtimes.Browser("a").Selenium(ctx, bctrl.Launch{})
	require.NoError(t, err)
	d := webDriverOf(t, rt)
	d.http.Transport = listening{sc, d.http.Transport}
	token := d.base[strings.LastIndexByte(d.base, '/')+1:]
	raw, err := base64.RawURLEncoding.DecodeString(token)
	require.NoError(t, err)
	sc.canaries = append(sc.canaries, newCanary("connect token", token, raw...))

	session := d.begin()
	for command, method := range map[string]string{
		session + "/url": "POST", session + "/cookie": "GET", session + "/se/file": "POST", session + "/element": "POST",
		"/session/another/url": "GET", "/session": "POST", "/shutdown": "GET", session + "/launch": "POST", "/%2e%2e": "GET",
		session: "DELETE",
	} {
		d.send(method, command, `{"using": "css selector"}`)
	}
	d.send("POST", "/session", `{"capabilities": {"alwaysMatch": {"proxy": {"proxyType": "direct"}}}}`)
	sc.text("a runtime printed", []byte(fmt.Sprintf("%v %+v %#v", rt, rt.Info, rt.Info)))
	urls, err := rt.ConnectURLs(ctx)
	require.NoError(t, err)
	for ev, err := range client.Audit.Events(ctx, bctrl.AuditFilter{}) {
		require.NoError(t, err)
		sc.text("the audit log", []byte(fmt.Sprintf("%+v", ev)))
	}
	require.NoError(t, rt.RevokeConnectURL(ctx, urls[0].ID))
	d.send("GET", "/status", "")
	d.send("POST", "/session", `{"capabilities": {}}`)
	require.NoError(t, rt.Stop(ctx))
	sc.text("the server's log", log.Bytes())
	sc.text("the log of the SDK", sdk.Bytes())
	require.Contains(t, string(log.Bytes()), "webdriver/{token}", "the log names the route")
	seed, _ := newSeed("none")
	sc.check(t, seed, start)
}

func TestAWebDriverSessionEndsWithItsRuntimeAndItsRight(t *testing.T) {
	_, launch := seleniumRuntimes(t)
	for alias, end := range map[string]func(*bctrl.Runtime) error{
		"stopped": func(rt *bctrl.Runtime) error { return rt.Stop(t.Context()) },
		"revoked": func(rt *bctrl.Runtime) error {
			urls, err := rt.ConnectURLs(t.Context())
			for _, url := range urls {
				err = errors.Join(err, rt.RevokeConnectURL(t.Context(), url.ID))
			}
			return err
		},
	} {
		rt := launch(alias)
		d := webDriverOf(t, rt)
		session := d.begin()
		require.NoError(t, end(rt))
		d.refused("GET", session+"/url", 404, "invalid session id", "runtimes.connect_refused")
		d.refused("POST", "/session", 500, "session not created", "runtimes.connect_refused")
	}
	rt := launch("here")
	elsewhere := webDriverOf(t, rt)
	elsewhere.base = strings.Replace(elsewhere.base, "/here/", "/there/", 1)
	elsewhere.refused("POST", "/session", 500, "session not created", "runtimes.connect_refused")
}

// TestAWebDriverSessionAsksForNoOtherBrowser has a row for each capability that would
// make one of it.
func TestAWebDriverSessionAsksForNoOtherBrowser(t *testing.T) {
	_, launch := seleniumRuntimes(t)
	d := webDriverOf(t, launch("a"))
	const options = "goog:chromeOptions"
	for _, row := range []struct{ asked, code, field, why string }{
		{`"goog:chromeOptions": {"args": ["--headless", "--user-data-dir=/x"]}`, "runtimes.webdriver_args",
			options + ".args[1]", "another profile"},
		{`"goog:chromeOptions": {"args": "x"}`, "runtimes.webdriver_args", options + ".args", "no list"},
		{`"goog:chromeOptions": {"extensions": ["x"]}`, "runtimes.webdriver_extensions", options + ".extensions",
			"it would see every page"},
		{`"goog:chromeOptions": {"binary": "/bin/sh"}`, "runtimes.webdriver_binary", options + ".binary", "it would be run"},
		{`"goog:chromeOptions": {"prefs": {"a": 1}}`, "runtimes.webdriver_prefs", options + ".prefs", "a proxy of its own"},
		{`"goog:chromeOptions": {"localState": {"a": 1}}`, "runtimes.webdriver_prefs", options + ".localState", "as above"},
		{`"goog:chromeOptions": {"debuggerAddress": "127.0.0.1:9"}`, "runtimes.webdriver_debugger_address",
			options + ".debuggerAddress", "another browser"},
		{`"goog:chromeOptions": {"androidPackage": "x"}`, "runtimes.webdriver_capability", options + ".androidPackage",
			"no row knows it"},
		{`"goog:chromeOptions": {"w3c": false}`, "runtimes.webdriver_capability", options + ".w3c", "another protocol"},
		{`"goog:chromeOptions": 1`, "runtimes.webdriver_capability", options, "no object"},
		{`"proxy": {"proxyType": "direct"}`, "runtimes.webdriver_proxy", "proxy", "past the egress policy"},
		{`"acceptInsecureCerts": true`, "runtimes.webdriver_certificates", "acceptInsecureCerts",
			"origins would be believed"},
		{`"webSocketUrl": true`, "runtimes.webdriver_bidi", "webSocketUrl", "a second protocol"},
		{`"browserName": "firefox"`, "runtimes.webdriver_browser", "browserName", "there is one browser"},
		{`"platformName": "windows"`, "runtimes.webdriver_platform", "platformName", "there is one platform"},
		{`"moz:debuggerAddress": true`, "runtimes.webdriver_capability", "moz:debuggerAddress", "no row knows it"},
	} {
		for place, body := range map[string]string{
			"capabilities.alwaysMatch.":   `{"capabilities": {"alwaysMatch": {` + row.asked + `}}}`,
			"capabilities.firstMatch[1].": `{"capabilities": {"firstMatch": [{}, {` + row.asked + `}]}}`,
		} {
			a := d.send("POST", "/session", body)
			require.Equal(t, []any{400, "invalid argument", row.code, place + row.field},
				[]any{a.Status, a.Value.Error, a.Value.Data.Code, a.Value.Data.Field}, row.why)
		}
	}
	a := d.send("POST", "/session", `{"capabilities": {"alwaysMatch": {"timeouts": {"script": 1}},
		"firstMatch": [{"timeouts": {"script": 2}}]}}`)
	require.Equal(t, "runtimes.webdriver_capability", a.Value.Data.Code, "twice")
	require.Equal(t, "request.invalid_json", d.send("POST", "/session", `[`).Value.Data.Code)
	a = d.send("POST", "/session", `{"capabilities": {"alwaysMatch": {"browserName": "chrome",
		"acceptInsecureCerts": false, "proxy": {}, "webSocketUrl": false,
		"pageLoadStrategy": "eager", "se:name": "x", "goog:chromeOptions": {"args": ["--headless=new", "--no-sandbox"],
		"extensions": []}}}}`)
	require.Equal(t, http.StatusOK, a.Status, "what programs write out of habit: %s", a.Value.Message)
}
