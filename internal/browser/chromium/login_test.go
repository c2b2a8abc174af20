package chromium

import (
	"context"
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

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

// TestFillReachesTheSiteAndNothingElse logs in in every usual way. The site
// receives the value; the page, the model and a client of the protocol do not.
func TestFillReachesTheSiteAndNothingElse(t *testing.T) {
	for _, c := range []struct {
		why, page string
		value     func(browsertest.Received) string
	}{
		{
			why: "a classic form",
			page: `<form method=post action=/login><input name=u aria-label=User>` +
				`<input type=password name=p aria-label=Password><button>Log in</button></form>`,
			value: func(r browsertest.Received) string { v, _ := url.ParseQuery(r.Body); return v.Get("p") },
		},
		{
			why: "a form whose controls shadow its properties",
			page: `<form method=post action=/login><input name=u aria-label=User>` +
				`<input type=password name=p aria-label=Password><input type=hidden name=action value=https://evil.example>` +
				`<input type=hidden name=method><input type=hidden name=elements><button>Log in</button></form>`,
			value: func(r browsertest.Received) string { v, _ := url.ParseQuery(r.Body); return v.Get("p") },
		},
		{
			why: "JSON by fetch, with the site's own check of the password",
			page: `<form id=f><input name=u aria-label=User>` +
				`<input type=password id=p aria-label=Password required minlength=8 maxlength=40><button>Log in</button></form>` +
				`<script>
f.onsubmit = e => { e.preventDefault(); const p = document.getElementById('p').value;
if (!/[A-Z]/.test(p) || !/[a-z]/.test(p) || !/[0-9]/.test(p) || !/[^A-Za-z0-9]/.test(p)) return;
fetch('/login', {method: 'POST', headers: {'Content-Type': 'application/json'}, ` +
				`body: JSON.stringify({user: f.u.value, nested: [{password: p}], password_hint: 'none'})}) }</script>`,
			value: func(r browsertest.Received) string {
				return browsertest.JSONString(r.Body, "nested", "password")
			},
		},
		{
			why: "JSON as text by XMLHttpRequest",
			page: `<form id=f><input name=u aria-label=User><input type=password id=p aria-label=Password>` +
				`<button>Log in</button></form><script>
f.onsubmit = e => { e.preventDefault(); const x = new XMLHttpRequest(); x.open('PUT', '/login'); ` +
				`x.send(JSON.stringify({nested: {password: document.getElementById('p').value}})) }</script>`,
			value: func(r browsertest.Received) string { return browsertest.JSONString(r.Body, "nested", "password") },
		},
		{
			why: "multipart",
			page: `<form method=post action=/login enctype=multipart/form-data><input name=u aria-label=User>` +
				`<input type=password name=p aria-label=Password><button>Log in</button></form>`,
			value: func(r browsertest.Received) string { return browsertest.FormPart(r, "p") },
		},
		{
			why: "FormData by fetch",
			page: `<form id=f><input name=u aria-label=User><input type=password name=p aria-label=Password>` +
				`<button>Log in</button></form><script>
f.onsubmit = e => { e.preventDefault(); fetch('/login', {method: 'POST', body: new FormData(f)}) }</script>`,
			value: func(r browsertest.Received) string { return browsertest.FormPart(r, "p") },
		},
		{
			why: "a form that opens a tab",
			page: `<form method=post action=/login target=_blank><input name=u aria-label=User>` +
				`<input type=password name=p aria-label=Password><button>Log in</button></form>`,
			value: func(r browsertest.Received) string { v, _ := url.ParseQuery(r.Body); return v.Get("p") },
		},
		{
			why: "a frame of the same site",
			page: `<iframe srcdoc="<form method=post action=/login><input name=u aria-label=User>` +
				`<input type=password name=p aria-label=Password><button>Log in</button></form>"></iframe>`,
			value: func(r browsertest.Received) string { v, _ := url.ParseQuery(r.Body); return v.Get("p") },
		},
		{
			why: "a shadow tree",
			page: `<div id=host></div><script>const root = host.attachShadow({mode: 'closed'}); ` +
				`root.innerHTML = '<form method=post action=/login><input name=u aria-label=User>` +
				`<input type=password name=p aria-label=Password><button>Log in</button></form>'</script>`,
			value: func(r browsertest.Received) string { v, _ := url.ParseQuery(r.Body); return v.Get("p") },
		},
		{
			why: "a service worker in between a form and the site",
			page: `<form method=post action=/login><input name=u aria-label=User>` +
				`<input type=password name=p aria-label=Password><button>Log in</button></form><script>
navigator.serviceWorker.oncontrollerchange = () => fetch('/ping', {method: 'POST', ` +
				`body: 'ping'}).then(() => document.body.append('ready'));
navigator.serviceWorker.register('/sw.js');</script>`,
			value: func(r browsertest.Received) string { v, _ := url.ParseQuery(r.Body); return v.Get("p") },
		},
		{
			why: "a worker, with a service worker in between",
			page: `<form id=f><input name=u aria-label=User><input type=password name=p id=p aria-label=Password>` +
				`<button>Log in</button></form><script>
navigator.serviceWorker.oncontrollerchange = () => { self.w = new Worker('/worker.js'); ` +
				`w.onmessage = () => document.body.append('ready'); w.postMessage(['/ping', 'ping']); };
navigator.serviceWorker.register('/sw.js');
f.onsubmit = e => { e.preventDefault(); w.postMessage(['/login', ` +
				`JSON.stringify({nested: {password: document.getElementById('p').value}})]) }</script>`,
			value: func(r browsertest.Received) string { return browsertest.JSONString(r.Body, "nested", "password") },
		},
		{
			why: "a service worker in between",
			page: `<form id=f><input name=u aria-label=User><input type=password name=p aria-label=Password>` +
				`<button>Log in</button></form><script>
navigator.serviceWorker.oncontrollerchange = () => fetch('/ping', {method: 'POST', ` +
				`body: 'ping'}).then(() => document.body.append('ready'));
navigator.serviceWorker.register('/sw.js');
f.onsubmit = e => { e.preventDefault(); fetch('/login', {method: 'POST', ` +
				`body: new URLSearchParams(new FormData(f))}) }</script>`,
			value: func(r browsertest.Received) string { v, _ := url.ParseQuery(r.Body); return v.Get("p") },
		},
	} {
		t.Run(c.why, func(t *testing.T) {
			b := launch(t, browser.Spec{ID: "login", Egress: browsertest.Loopback()})
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			p, err := b.Page(ctx)
			require.NoError(t, err)
			s := browsertest.NewSite(t, map[string]string{"/": c.page, "/login": "<h1>Welcome</h1>"})
			s.Handlers["/sw.js"] = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/javascript")
				_, _ = io.WriteString(w, `self.onactivate = e => e.waitUntil(clients.claim()); self.onfetch = e => {
	const copy = e.request.clone();
	e.respondWith(fetch(e.request)); e.waitUntil(copy.text().then(body => fetch('/stolen', {method: 'PUT', `+
					`body: 'stolen ' + body})));
}`)
			}
			s.Handlers["/worker.js"] = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/javascript")
				_, _ = io.WriteString(w, `onmessage = e => fetch(e.data[0], {method: 'POST', `+
					`body: e.data[1]}).then(() => postMessage(0))`)
			}
			client := listen(ctx, t, b)
			obs := browsertest.Open(ctx, t, p, s.URL+"/")
			client.attach(ctx, t)
			if strings.Contains(c.page, "serviceWorker") {
				require.Eventually(t, func() bool { return strings.Contains(browsertest.Observe(ctx, t, p).Outline, "ready") },
					10*time.Second, 20*time.Millisecond)
				require.Eventually(t, func() bool { return len(s.RequestsTo("/stolen")) > 0 }, 10*time.Second, 10*time.Millisecond,
					"the worker reads what passes")
			}
			require.NoError(t, p.Fill(ctx, browsertest.Find(t, obs, "textbox", "User").Ref,
				browsertest.Login("username", "bot@example.com", s.URL)))
			require.NoError(t, p.Fill(ctx, browsertest.Find(t, obs, "textbox", "Password").Ref,
				browsertest.Login("password", browsertest.Hunter, s.URL)))

			filled := browsertest.Observe(ctx, t, p)
			require.Equal(t, "[secret]", browsertest.Find(t, filled, "textbox", "User").Value)
			require.Equal(t, "[secret]", browsertest.Find(t, filled, "textbox", "Password").Value)
			require.NotContains(t, filled.Outline, "bot@example.com")
			browsertest.RequireUnseen(t, browsertest.Hunter, browsertest.InputValues(ctx, t, b))

			require.NoError(t, p.Click(ctx, browsertest.Find(t, filled, "button", "Log in").Ref, browser.Click{}))
			require.Eventually(t, func() bool { return len(s.RequestsTo("/login")) > 0 }, 10*time.Second, 10*time.Millisecond)
			got := s.RequestsTo("/login")[0]
			require.True(t, browsertest.Hunter == c.value(got), "the site received the value")
			require.Equal(t, int64(len(got.Body)), got.Length)
			after := browsertest.Settle(ctx, t, p)
			browsertest.RequireUnseen(t, browsertest.Hunter, after.Outline, after.Title, after.URL,
				browsertest.InputValues(ctx, t, b), client.all())
			if !strings.Contains(c.page, "_blank") { // it does not know the new tab
				require.NoError(t, p.Goto(ctx, s.URL+"/", "")) // a request of the page's own, for the client to see
				require.Eventually(t, func() bool { return strings.Contains(client.all(), "Network.requestWillBeSent") },
					10*time.Second, 10*time.Millisecond, "the client listens")
				browsertest.RequireUnseen(t, browsertest.Hunter, client.all())
			}
			for _, r := range s.RequestsTo("/stolen") {
				browsertest.RequireUnseen(t, browsertest.Hunter, r.Body)
			}
		})
	}
}

// eavesdropper is a second client of the browser that records all it is told.
type eavesdropper struct {
	conn   *protocol.Conn
	events chan string
	told   []string
}

// listen attaches a client beside the page's own.
func listen(ctx context.Context, t *testing.T, b *instance) *eavesdropper {
	t.Helper()
	client, err := b.mux.AttachServer(ctx)
	require.NoError(t, err)
	life, cancel := context.WithCancel(ctx)
	e := &eavesdropper{events: make(chan string, 1<<16)}
	e.conn = protocol.NewConn(life, client, func(_ target.SessionID, method string, params jsonv2.Value) {
		select {
		case e.events <- method + " " + string(params):
		default:
		}
	})
	t.Cleanup(func() { cancel(); <-e.conn.Done() })
	return e
}

// attach listens to the network of every page.
func (e *eavesdropper) attach(ctx context.Context, t *testing.T) {
	t.Helper()
	root := e.conn.Root()
	got, err := protocol.Call(ctx, root, target.GetTargets, target.GetTargetsParams{})
	require.NoError(t, err)
	flat := true
	for _, info := range got.TargetInfos {
		if info.Type != "page" {
			continue
		}
		at, err := protocol.Call(ctx, root, target.AttachToTarget, target.AttachToTargetParams{
			TargetID: info.TargetID,
			Flatten:  &flat,
		})
		require.NoError(t, err)
		s := e.conn.Session(at.SessionID)
		require.NoError(t, protocol.Tell(ctx, s, network.Enable, network.EnableParams{}))
		require.NoError(t, s.Call(ctx, "Page.enable", cdp.Empty{}, nil))
		require.NoError(t, s.Call(ctx, "Runtime.enable", cdp.Empty{}, nil))
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
