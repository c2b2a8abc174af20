package page_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
	"github.com/bctrl-go/bctrl/internal/sample"
	"github.com/bctrl-go/bctrl/internal/scrub"
)

// passwordField is the field of the pages below.
const passwordField = `<input type=password id=p name=p aria-label=Password>`

// formValue is the field "p" of a form that was sent.
func formValue(r browsertest.Received) string {
	if strings.HasPrefix(r.ContentType, "multipart/") {
		return browsertest.FormPart(r, "p")
	}
	v, _ := url.ParseQuery(r.Body)
	return v.Get("p")
}

// jsonValue is the key "password" of JSON that was sent.
func jsonValue(r browsertest.Received) string { return browsertest.JSONString(r.Body, "password") }

// rendered is a page that makes its form anew of its state, as frameworks do: after each
// input, or once it is sent. each is what is done with a new form and its field.
func rendered(field, each string) string {
	return `<div id=root></div><script>
const state = {password: '', at: ''}, post = async (path, body) =>
	(await fetch(path, {method: 'POST', body: JSON.stringify(body)})).ok;
const draw = () => {
	root.innerHTML = '<form>` + field + `<button>Log in</button></form><p>' + state.at + '</p>';
	const form = root.querySelector('form'), field = root.querySelector('input');
	field.value = state.password;
	` + each + `
};
draw()</script>`
}

// TestALoginArrivesHoweverItsPageSendsIt logs in at a server of HTTP/2 over TLS.
func TestALoginArrivesHoweverItsPageSendsIt(t *testing.T) {
	t.Parallel()
	_, p, b := openPageOfEveryName(t)
	const button = `<button>Log in</button>`
	form := func(attributes string) string {
		return `<form ` + attributes + `>` + passwordField + button + `</form>`
	}
	script := func(send string) string {
		return `<form id=f>` + passwordField + button + `</form><script>
			f.onsubmit = e => { e.preventDefault(); const password = p.value, data = new FormData(f);
			const json = JSON.stringify({password}); ` + send + ` }</script>`
	}
	for i, c := range sample.Of(t, 5, []struct {
		why, page string
		value     func(browsertest.Received) string
	}{
		{"a form", form(`method=post action=/login`), formValue},
		{"a form in parts, with a file that is none",
			`<form method=post action=/login enctype=multipart/form-data><input type=file name=file>` + passwordField + button +
				`</form>`, formValue},
		{"a form whose field lies elsewhere", `<form id=f method=post action=/login></form>` +
			`<input name=p form=f type=password aria-label=Password><button form=f>Log in</button>`, formValue},
		{"a form whose button says where it goes", `<form action=/wrong>` + passwordField +
			`<button formaction=/login formmethod=post>Log in</button></form>`, formValue},
		{"a form of another base", `<base href=/below/it/>` + form(`method=post action=../../login`), formValue},
		{"a form into a frame", form(`method=post action=/login target=out`) + `<iframe name=out></iframe>`, formValue},
		{"a form that a script sends", form(`method=post action=/login id=f onsubmit="event.preventDefault(); f.submit()"`),
			formValue},
		{"a redirect within the site", form(`method=post action=/moved`), formValue},
		{"fetch with JSON", script(`const headers = {'Content-Type': 'application/json'};
			fetch('/login', {method: 'POST', headers, body: json})`), jsonValue},
		{"fetch with JSON that a blob holds",
			script(`fetch('/login', {method: 'PUT', body: new Blob([json], {type: 'application/json'})})`), jsonValue},
		{"fetch with a form", script(`fetch('/login', {method: 'PATCH', body: new URLSearchParams(data)})`), formValue},
		{"fetch with parts", script(`fetch('/login', {method: 'POST', body: data})`), formValue},
		{"fetch of a request that was made before",
			script(`fetch(new Request('/login', {method: 'POST', body: json}))`), jsonValue},
		{"fetch that outlives its page",
			script(`fetch('/login', {method: 'POST', keepalive: true, body: json}); location = '/next'`), jsonValue},
		{"XMLHttpRequest with a form", script(`const x = new XMLHttpRequest(); x.open('POST', '/login'); x.send(
			new URLSearchParams(data))`), formValue},
		{"XMLHttpRequest with parts", script(`const x = new XMLHttpRequest(); x.open('POST', '/login'); x.send(data)`),
			formValue},
		{"XMLHttpRequest that the page waits for", script(`const x = new XMLHttpRequest();
			x.open('POST', '/login', false); x.send(json)`), jsonValue},
		{"XMLHttpRequest with JSON that it calls a form", script(`const x = new XMLHttpRequest(); x.open('POST', '/login');
			x.setRequestHeader('Content-Type', 'application/x-www-form-urlencoded; charset=UTF-8'); x.send(json)`), jsonValue},
		{"a beacon with a form", script(`navigator.sendBeacon('/login', new URLSearchParams(data))`), formValue},
		{"a beacon with parts", script(`navigator.sendBeacon('/login', data)`), formValue},
		{"a beacon with JSON", script(`navigator.sendBeacon('/login', new Blob([json], {type: 'text/plain'}))`), jsonValue},
		{"a form that is made anew after each input", rendered(passwordField, `
			form.method = 'post'; form.action = '/login';
			field.oninput = () => { state.password = field.value; setTimeout(draw) }`), formValue},
		{"a form that is made anew while it is typed into", rendered(passwordField, `
			field.oninput = () => { state.password = field.value; draw() };
			form.onsubmit = e => { e.preventDefault(); post('/login', {password: state.password}) }`), jsonValue},
		{"a field without a name that is made anew", rendered(`<input type=password aria-label=Password>`, `
			field.oninput = () => { state.password = field.value; setTimeout(draw) };
			form.onsubmit = e => { e.preventDefault(); post('/login', {password: state.password}) }`), jsonValue},
		{"a form that is made anew once it is sent", rendered(passwordField, `
			field.oninput = () => { state.password = field.value };
			form.onsubmit = async e => { e.preventDefault(); state.at = 'sending'; draw();
				await post('/salt', {at: 1}); draw(); post('/login', {password: state.password}) }`), jsonValue},
		{"a form that is gone once it is sent", rendered(passwordField, `
			field.oninput = () => { state.password = field.value };
			form.onsubmit = async e => { e.preventDefault(); root.innerHTML = 'sending'; await post('/salt', {at: 1});
				post('/login', {password: state.password}) }`), jsonValue},
	}) {
		t.Run(c.why, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			password := browsertest.Hunter + strconv.Itoa(i) // a guard of the site before knows that one
			s := browsertest.NewSecureSite(t, map[string]string{"/": c.page, "/login": "in", "/next": "next", "/salt": "x"})
			s.Handlers["/moved"] = redirect(308, "/login")
			at := s.At("bank.example")
			obs := browsertest.Open(ctx, t, p, at+"/")
			require.NoError(t, p.Fill(ctx, browsertest.Find(t, obs, "textbox", "Password").Ref,
				browsertest.Login("password", password, at)))
			browsertest.Settle(ctx, t, p)
			filled := requireHidden(ctx, t, p, b, password)
			require.NoError(t, p.Click(ctx, browsertest.Find(t, filled, "button", "Log in").Ref, browser.Click{}))
			require.Eventually(t, func() bool { return len(s.RequestsTo("/login")) > 0 }, 10*time.Second, 10*time.Millisecond,
				"%s", lateView{ctx, t, p})
			got := s.RequestsTo("/login")[0]
			require.Equal(t, "HTTP/2.0", got.Proto)
			require.True(t, c.value(got) == password, "the site received the value")
			browsertest.Settle(ctx, t, p)
			after := requireHidden(ctx, t, p, b, password)
			require.NotContains(t, after.Outline, "note: vault.")
			require.NotContains(t, after.Outline, "note: blocked")
		})
	}
}

// lateView prints what a page shows when a test has failed.
type lateView struct {
	ctx  context.Context
	t    *testing.T
	page browser.Page
}

func (v lateView) String() string { return browsertest.Observe(v.ctx, v.t, v.page).Outline }

// requireHidden requires that nothing that is read of a page shows a value: no view, no
// text, no script of the page; and that the pictures of it paint over what was filled. It
// returns the view.
func requireHidden(ctx context.Context, t *testing.T, p browser.Page, b browser.Browser,
	value string) *browser.Observation {
	t.Helper()
	obs := browsertest.Observe(ctx, t, p)
	text, err := p.Read(ctx, browser.ReadOptions{})
	require.NoError(t, err)
	browsertest.RequireUnseen(t, value, obs.Outline, obs.Title, obs.URL, fmt.Sprint(obs.Elements), fmt.Sprint(text),
		browsertest.InputValues(ctx, t, b))
	shot, err := p.Screenshot(ctx, false)
	require.NoError(t, err)
	picture, err := p.Picture(ctx, browser.PictureOptions{Marks: true})
	require.NoError(t, err)
	browsertest.RequireUnseen(t, value, string(shot), string(picture.PNG.Bytes()))
	for _, e := range obs.Elements {
		if e.Value == scrub.Mark {
			require.Greater(t, browsertest.MaskedPixels(t, shot), 100, e.Name)
			require.Greater(t, browsertest.MaskedPixels(t, picture.PNG.Bytes()), 100, e.Name)
		}
	}
	return obs
}

// TestAValueIsFilledWhereItsFormSendsItInUTF8 fills a password beyond ASCII into forms that are
// sent in the encoding of their page, and in others.
func TestAValueIsFilledWhereItsFormSendsItInUTF8(t *testing.T) {
	ctx, p, _ := openPage(t)
	for _, c := range []struct {
		why, charset, attributes string
		value                    string
		refused                  bool
	}{
		{"a page in UTF-8", "utf-8", "", browsertest.Hunter, false},
		{"a page in another", "windows-1252", "", browsertest.Hunter, true},
		{"ASCII on such a page", "windows-1252", "", "hunter-seventeen", false},
		{"a form in another than its page", "utf-8", "accept-charset=iso-8859-1", browsertest.Hunter, true},
		{"a form in UTF-8 on another page", "windows-1252", "accept-charset=UTF8", browsertest.Hunter, false},
		{"a form that first names what nobody knows", "windows-1252", `accept-charset="none, utf-8"`,
			browsertest.Hunter, false},
	} {
		s := browsertest.NewSite(t, map[string]string{"/login": "<p>Welcome"})
		s.Handlers["/"] = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset="+c.charset)
			_, _ = fmt.Fprintf(w, `<form method=post action=/login %s>`+passwordField+`<button>Log in</button></form>`,
				c.attributes)
		}
		obs := browsertest.Open(ctx, t, p, s.URL+"/")
		err := p.Fill(ctx, browsertest.Find(t, obs, "textbox", "Password").Ref,
			browsertest.Login("password", c.value, s.URL))
		if c.refused {
			require.ErrorContains(t, err, "vault.fill_impossible", c.why)
			continue
		}
		require.NoError(t, err, c.why)
		browsertest.ClickUntil(ctx, t, p, obs, "Log in", "Welcome")
		require.True(t, formValue(s.RequestsTo("/login")[0]) == c.value, c.why)
	}
}
