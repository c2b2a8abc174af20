package bctrltest_test

import (
	"encoding/json"
	"errors"
	"io"
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
		Data                      struct{ Code, Field string }
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
		"acceptInsecureCerts": false, "proxy": {},
		"pageLoadStrategy": "eager", "se:name": "x", "goog:chromeOptions": {"args": ["--headless=new", "--no-sandbox"],
		"extensions": []}}}}`)
	require.Equal(t, http.StatusOK, a.Status, "what programs write out of habit: %s", a.Value.Message)
}
