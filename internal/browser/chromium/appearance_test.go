//go:build unix

package chromium

import (
	"context"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
	"github.com/bctrl-go/bctrl/internal/egress"
)

// seen is what a script sees of its browser.
type seen struct {
	Language, Languages, Locale, Zone, Number, Agent, Platform string
	Mobile                                                     bool
	Scale                                                      float64
	Touch                                                      int
	Dark, Still, Coarse                                        bool
}

// look is a script that tells what it sees. Workers have no screen.
const look = `function look() {
	const asks = q => self.matchMedia ? matchMedia(q).matches : undefined, data = navigator.userAgentData || {};
	return {Language: navigator.language, Languages: navigator.languages.join(),
		Locale: Intl.NumberFormat().resolvedOptions().locale, Zone: Intl.DateTimeFormat().resolvedOptions().timeZone,
		Number: (1234.5).toLocaleString(), Agent: navigator.userAgent, Platform: data.platform, Mobile: data.mobile,
		Scale: self.devicePixelRatio, Touch: navigator.maxTouchPoints, Dark: asks("(prefers-color-scheme: dark)"),
		Still: asks("(prefers-reduced-motion: reduce)"), Coarse: asks("(pointer: coarse)")};
}
`

// lookingSite has pages and workers that look. Its address is on the localhost of the
// browser, where service workers may be.
func lookingSite(t *testing.T) (site *httptest.Server, first chan http.Header) {
	first = make(chan http.Header, 1)
	site = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		kind, body := "text/javascript", map[string]string{
			"/worker.js":  look + `postMessage(look())`,
			"/shared.js":  look + `onconnect = e => e.ports[0].postMessage(look())`,
			"/service.js": look + `onmessage = e => e.source.postMessage(look())`,
		}[r.URL.Path]
		if body == "" {
			kind, body = "text/html", `<meta name=viewport content="width=device-width"><script>`+look+`</script>`
		}
		if r.URL.Path == "/" {
			select {
			case first <- r.Header.Clone():
			default:
			}
			body += `<iframe src=/frame></iframe>`
		}
		w.Header().Set("Content-Type", kind)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(site.Close)
	return site, first
}

// looks are expressions that wait for what is seen from each kind of place.
var looks = []struct{ place, expression string }{
	{"page", `look()`},
	{"frame", `frames[0].look()`},
	{"worker", `new Promise(r => new Worker("/worker.js").onmessage = e => r(e.data))`},
	{"shared worker", `new Promise(r => new SharedWorker("/shared.js").port.onmessage = e => r(e.data))`},
	{"service worker", `navigator.serviceWorker.register("/service.js").then(() => navigator.serviceWorker.ready).then(
		s => new Promise(r => { navigator.serviceWorker.onmessage = e => r(e.data); s.active.postMessage(1) }))`},
	{"popup", `new Promise(r => { const w = open("/popup"); w.onload = () => r(w.look()) })`},
}

func TestEveryPlaceSeesTheBrowserThatWasLaunched(t *testing.T) {
	driver, err := New(Options{})
	require.NoError(t, err)
	config := bctrl.LaunchConfig{
		Width:             412,
		Height:            800,
		DeviceScaleFactor: 2,
		Mobile:            true,
		Touch:             true,
		Locale:            "de-DE",
		Timezone:          "Asia/Tokyo",
		UserAgent: "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) " +
			"Chrome/150.0.1.2 Mobile Safari/537.36",
		ColorScheme:   bctrl.ColorSchemeDark,
		ReducedMotion: true,
	}
	site, first := lookingSite(t)
	config.Geolocation = &bctrl.Geolocation{Latitude: 52.5, Longitude: 13.25}
	config.Permissions = []bctrl.OriginPermissions{
		{
			Origin: site.URL,
			Grant:  []string{"geolocation", "notifications", "clipboard-read"},
			Deny:   []string{"camera", "sensors"},
		},
	}
	staging := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		_, _ = w.Write([]byte(r.Proto + " " + r.Header.Get("X-Stage")))
	}))
	staging.EnableHTTP2 = true
	staging.Config.ErrorLog = log.New(io.Discard, "", 0) // the browser refuses its certificate
	staging.StartTLS()
	defer staging.Close()
	isStaging := func(host string) bool { return host == "localhost" }
	b := browsertest.Launch(t, driver, browser.Spec{
		ID:     "look",
		Egress: browsertest.Loopback(),
		Config: config,
		Route: egress.Route{
			TrustsAnyCertificate: isStaging,
			Headers: []egress.Header{{
				Of:    isStaging,
				Name:  "X-Stage",
				Value: func(context.Context, string) (string, error) { return "blue", nil },
			}},
		},
	})
	ctx := browsertest.Chromedp(t, b)
	require.NoError(t, chromedp.Do(ctx, chromedp.Navigate(site.URL+"/")))

	sent := <-first
	require.Equal(t, "de-DE,de;q=0.9", sent.Get("Accept-Language"), "from the first request on")
	require.Equal(t, config.UserAgent, sent.Get("User-Agent"))
	require.Equal(t, `"Android"`, sent.Get("Sec-Ch-Ua-Platform"))
	require.Equal(t, "?1", sent.Get("Sec-Ch-Ua-Mobile"))

	want := seen{
		Language: "de-DE", Languages: "de-DE,de", Locale: "de-DE", Zone: "Asia/Tokyo", Number: "1.234,5",
		Agent: config.UserAgent, Platform: "Android", Mobile: true,
	}
	for _, from := range looks {
		got := evaluate[seen](ctx, t, from.expression)
		if strings.Contains(from.place, "worker") {
			got.Touch = 0 // it has none of its own
			require.Equal(t, want, got, from.place)
			continue
		}
		onScreen := want
		onScreen.Scale, onScreen.Touch, onScreen.Dark, onScreen.Still, onScreen.Coarse = 2, maxTouchPoints, true, true, true
		require.Equal(t, onScreen, got, from.place)
	}
	require.Equal(t, "412x800", evaluate[string](ctx, t, `innerWidth + "x" + innerHeight`))
	require.Equal(t, "52.5,13.25,10", evaluate[string](ctx, t, `new Promise(r => navigator.geolocation.getCurrentPosition(
		p => r([p.coords.latitude, p.coords.longitude, p.coords.accuracy].join()), e => r(e.message)))`))
	for name, state := range map[string]string{
		"geolocation": "granted", "notifications": "granted", "clipboard-read": "granted", "camera": "denied",
		"accelerometer": "denied", "midi": "prompt",
	} {
		ask := `navigator.permissions.query({name: "` + name + `"}).then(p => p.state)`
		require.Equal(t, state, evaluate[string](ctx, t, ask), name)
	}

	at := strings.Replace(staging.URL, "127.0.0.1", "localhost", 1)
	require.Equal(t, "HTTP/2.0 blue", evaluate[string](ctx, t, `fetch("`+at+`").then(r => r.text())`),
		"a host whose certificate need not be valid, and that gets a header")
	require.Equal(t, "refused", evaluate[string](ctx, t, `fetch("`+staging.URL+`").catch(() => "refused")`),
		"the same site under a name that is not listed")

	// What a client sets for its own tab is its own.
	own, cancel := chromedp.NewContext(ctx)
	defer cancel()
	require.NoError(t, chromedp.Do(own, chromedp.Navigate(site.URL+"/own")))
	require.Equal(t, "Asia/Tokyo", evaluate[seen](own, t, `look()`).Zone, "a tab of a client's begins like the others")
	require.InDelta(t, 2, evaluate[seen](own, t, `look()`).Scale, 0)
	_, err = cdp.Call(own, chromedp.FromContext(own).Target, emulation.SetUserAgentOverride,
		emulation.SetUserAgentOverrideParams{UserAgent: "Mine/1"})
	require.NoError(t, err)
	require.Equal(t, "Mine/1", evaluate[seen](own, t, `look()`).Agent)
	require.Equal(t, config.UserAgent, evaluate[seen](ctx, t, `look()`).Agent)
}

// evaluate waits for what an expression becomes.
func evaluate[T any](ctx context.Context, t *testing.T, expression string) (v T) {
	t.Helper()
	got, err := chromedp.Run(ctx, chromedp.Evaluate[json.RawMessage](
		expression, chromedp.EvalAwaitPromise, func(p *runtime.EvaluateParams) {
			byPerson := true
			p.UserGesture = &byPerson // else a popup is not opened
		}))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(got, &v))
	return v
}
