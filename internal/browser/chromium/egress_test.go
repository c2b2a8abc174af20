package chromium

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"
	"github.com/bctrl-go/bctrl/internal/egress"
)

// awaited evaluates a promise in ctx's page.
func awaited(t *testing.T, ctx context.Context, script string) string {
	t.Helper()
	got, err := chromedp.Run(ctx,
		chromedp.Evaluate[string](script, func(p *runtime.EvaluateParams) { wait := true; p.AwaitPromise = &wait }))
	require.NoError(t, err)
	return got
}

// machine is what a page must not reach: http, https, a websocket and udp on
// loopback. Its count is of those who came.
type machine struct {
	http, https, udp string
	visitors         atomic.Int64
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		if r.Header.Get("Upgrade") != "" {
			ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
			if err == nil {
				_ = ws.Close(websocket.StatusNormalClosure, "")
			}
			return
		}
		_, _ = fmt.Fprint(w, "reached")
	})
	plain, tls := httptest.NewUnstartedServer(handler), httptest.NewUnstartedServer(handler)
	for _, srv := range []*httptest.Server{plain, tls} {
		srv.Config.SetKeepAlivesEnabled(false)
		srv.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew { // a connection is a visit, whatever is said on it
				m.visitors.Add(1)
			}
		}
	}
	plain.Start()
	tls.StartTLS()
	t.Cleanup(plain.Close)
	t.Cleanup(tls.Close)
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 1500)
		for {
			if _, _, err := udp.ReadFrom(b); err != nil {
				return
			}
			m.visitors.Add(1)
		}
	}()
	t.Cleanup(func() { udp.Close(); <-done })
	m.http, m.https, m.udp = plain.URL, tls.URL, udp.LocalAddr().String()
	return m
}

// ways are scripts that try to reach the machine, each a promise of a text.
func (m *machine) ways() map[string]string {
	ws := "ws" + strings.TrimPrefix(m.http, "http")
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(m.http, "http://"))
	fetching := func(url string) string {
		return fmt.Sprintf("fetch(%q,{mode:'no-cors'}).then(()=>'answered',e=>'failed')", url)
	}
	return map[string]string{
		"fetch":          fetching(m.http),
		"fetch https":    fetching(m.https),
		"localhost":      fetching("http://localhost:" + port),
		"a.localhost":    fetching("http://a.localhost:" + port),
		"IPv6":           fetching("http://[::1]:" + port),
		"IPv4-mapped":    fetching("http://[::ffff:127.0.0.1]:" + port),
		"unspecified":    fetching("http://0.0.0.0:" + port),
		"a decimal host": fetching("http://2130706433:" + port),
		"a hex host":     fetching("http://0x7f.1:" + port),
		"a trailing dot": fetching("http://localhost.:" + port),
		"image":          fmt.Sprintf("new Promise(r=>{let i=new Image;i.onload=i.onerror=()=>r('over');i.src=%q})", m.http),
		"frame": fmt.Sprintf("new Promise(r=>{let f=document.createElement('iframe');f.onload=()=>r('over');"+
			"f.src=%q;document.body.append(f)})", m.http),
		"beacon":    fmt.Sprintf("new Promise(r=>{navigator.sendBeacon(%q,'x');setTimeout(()=>r('sent'),300)})", m.http),
		"websocket": fmt.Sprintf("new Promise(r=>{let s=new WebSocket(%q);s.onclose=()=>r('over')})", ws),
		"event source": fmt.Sprintf("new Promise(r=>{let s=new EventSource(%q);s.onerror=()=>{s.close();r('over')}})",
			m.http),
		"worker": fmt.Sprintf("new Promise(r=>{let w=new Worker(URL.createObjectURL(new Blob(["+
			"`fetch(%q,{mode:'no-cors'}).finally(()=>postMessage('over'))`])));w.onmessage=e=>r(e.data)})", m.http),
		"preconnect": fmt.Sprintf("new Promise(r=>{let l=document.createElement('link');l.rel='preconnect';l.href=%q;"+
			"document.head.append(l);setTimeout(()=>r('over'),300)})", m.http),
		"WebRTC": fmt.Sprintf("new Promise(async r=>{let c=new RTCPeerConnection({iceServers:[{urls:'stun:%s'}]});"+
			"c.createDataChannel('x');c.onicecandidate=e=>{if(!e.candidate)r('over')};"+
			"await c.setLocalDescription(await c.createOffer());setTimeout(()=>r('late'),1500)})", m.udp),
		"WebTransport": fmt.Sprintf("(async()=>{try{let t=new WebTransport('https://%s');"+
			"await Promise.race([t.ready,new Promise(r=>setTimeout(r,1000))])}catch(e){}return 'over'})()", m.udp),
		"WebRTC over TCP": fmt.Sprintf("new Promise(async r=>{let c=new RTCPeerConnection({iceServers:[{"+
			"urls:'turn:127.0.0.1:%s?transport=tcp',username:'a',credential:'b'}]});c.createDataChannel('x');"+
			"await c.setLocalDescription(await c.createOffer());setTimeout(()=>r('late'),1000)})", port),
	}
}

func TestPagesReachNothingThatThePolicyRefuses(t *testing.T) {
	m := newMachine(t)
	// The page itself is served on an address that the policy permits.
	page := newSiteOn(t, "127.0.0.2")
	b := launch(t, browser.Spec{
		ID:     "egress",
		Egress: egress.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}},
	})
	ctx := browsertest.Chromedp(t, b)
	own, cancel := chromedp.NewContext(ctx, chromedp.WithNewBrowserContext())
	defer cancel()
	for name, ctx := range map[string]context.Context{"tab": ctx, "browser context of a client": own} {
		require.NoError(t, chromedp.Do(ctx, chromedp.Navigate(page)))
		title, err := chromedp.Run(ctx, chromedp.Title())
		require.NoError(t, err)
		require.Equal(t, "site", title, "what is permitted works")
		for way, script := range m.ways() {
			got := awaited(t, ctx, script)
			require.Zero(t, m.visitors.Load(), "%s reached the machine by %s (%s)", name, way, got)
		}
	}
}

func TestWhatThePolicyPermitsWorks(t *testing.T) {
	m := newMachine(t)
	b := launch(t, browser.Spec{ID: "egress", Egress: browsertest.Loopback()})
	ctx := browsertest.Chromedp(t, b)
	require.NoError(t, chromedp.Do(ctx, chromedp.Navigate(m.http)))
	require.NotZero(t, m.visitors.Swap(0))
	for _, way := range []string{"fetch", "websocket", "worker", "localhost", "a decimal host"} {
		awaited(t, ctx, m.ways()[way])
		require.NotZero(t, m.visitors.Swap(0), way)
	}
}

// newSiteOn serves a page on an address of the loopback network.
func newSiteOn(t *testing.T, addr string) string {
	t.Helper()
	return siteWith(t, addr, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, "<title>site</title><body>")
	}))
}

func siteWith(t *testing.T, addr string, handler http.Handler) string {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(addr, "0"))
	require.NoError(t, err)
	srv := &http.Server{ReadHeaderTimeout: time.Minute, Handler: handler}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(l) }()
	t.Cleanup(func() { srv.Close(); <-done })
	return "http://" + l.Addr().String()
}

func TestFilesOfTheMachineAreOutOfReach(t *testing.T) {
	b := launch(t, browser.Spec{ID: "files", Egress: browsertest.Loopback()})
	url := browsertest.ServePage(t, "<title>site</title><body>")
	ctx := browsertest.Chromedp(t, b)
	require.NoError(t, chromedp.Do(ctx, chromedp.Navigate(url)))
	for name, script := range map[string]string{
		"location": "(location='file:///etc/passwd','tried')",
		"open":     "(open('file:///etc/passwd'),'tried')",
		"frame":    "(document.body.innerHTML='<iframe src=file:///etc/passwd></iframe>','tried')",
		"fetch":    "fetch('file:///etc/passwd').then(r=>r.text(),e=>'tried')",
	} {
		got, err := chromedp.Run(ctx,
			chromedp.Evaluate[string](script, func(p *runtime.EvaluateParams) { wait := true; p.AwaitPromise = &wait }))
		if err == nil {
			require.Equal(t, "tried", got, name)
		}
	}
	tabs, err := chromedp.Targets(ctx)
	require.NoError(t, err)
	for _, tab := range tabs {
		require.False(t, strings.HasPrefix(tab.URL, "file:"), tab.URL)
	}

	// Even the server's own, unfiltered connection finds a user who may read
	// nothing of the server.
	shadow := t.TempDir() + "/shadow"
	require.NoError(t, writeClosed(shadow))
	text := navigateRaw(t, b, "file://"+shadow)
	require.NotContains(t, text, "canary")
}

// writeClosed writes a file that its owner alone may read.
func writeClosed(path string) error { return os.WriteFile(path, []byte("canary"), 0o600) }

// navigateRaw opens url in a new tab without any filter and returns its text.
func navigateRaw(t *testing.T, b *instance, url string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	client, err := b.mux.AttachServer(ctx)
	require.NoError(t, err)
	conn := protocol.NewConn(ctx, client, func(target.SessionID, string, jsonv2.Value) {})
	defer func() { client.Close(context.Background()); <-conn.Done() }()
	created, err := protocol.Call(ctx, conn.Root(), target.CreateTarget, target.CreateTargetParams{URL: url})
	require.NoError(t, err)
	flat := true
	tab, err := protocol.Call(ctx, conn.Root(), target.AttachToTarget, target.AttachToTargetParams{
		TargetID: created.TargetID, Flatten: &flat,
	})
	require.NoError(t, err)
	for {
		got, err := protocol.Call(ctx, conn.Session(tab.SessionID), runtime.Evaluate, runtime.EvaluateParams{
			Expression: "document.readyState+document.documentElement.innerText",
		})
		require.NoError(t, err)
		if text := string(got.Result.Value); strings.Contains(text, "complete") {
			return text
		}
	}
}

func TestAnAddressThatThePolicyRefusesFailsWithItsOwnCode(t *testing.T) {
	m := newMachine(t)
	mux := http.NewServeMux()
	mux.Handle("/to-http", http.RedirectHandler(m.http, http.StatusFound))
	mux.Handle("/to-https", http.RedirectHandler(m.https, http.StatusFound))
	mux.HandleFunc("/image", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, "<title>site</title><img src=%q>", m.http)
	})
	page := siteWith(t, "127.0.0.2", mux)
	b := launch(t, browser.Spec{
		ID:     "egress",
		Egress: egress.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}},
	})
	tab, err := b.Page(t.Context())
	require.NoError(t, err)
	silent, err := net.Listen("tcp", "127.0.0.2:0")
	require.NoError(t, err)
	require.NoError(t, silent.Close())
	for _, tc := range []struct{ address, code, why string }{
		{m.http, "page.address_refused", "not the proxy's answer as a page"},
		{m.https, "page.address_refused", "the browser says no more than that there is no tunnel"},
		{"http://2130706433:" + strings.TrimPrefix(m.http, "http://127.0.0.1:"), "page.address_refused",
			"the same in other words"},
		{page + "/to-http", "page.address_refused", "a page that sends its visitor there"},
		{page + "/to-https", "page.address_refused", "a page that sends its visitor there"},
		{page + "/image", "", "a page that was refused a part of it is a page"},
		{"http://" + silent.Addr().String(), "page.navigation_failed", "permitted, and nobody there"},
		{page + "/image", "", "and the next is not blamed for it"},
	} {
		err := tab.Goto(t.Context(), tc.address, "")
		if tc.code == "" {
			require.NoError(t, err, tc.why)
			continue
		}
		refused := new(bctrl.Error)
		require.ErrorAs(t, err, &refused, tc.why)
		require.Equal(t, tc.code, refused.Code, tc.why)
	}
	require.Zero(t, m.visitors.Load())
}
