package chromium

import (
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
)

// asksEverywhere makes requests of each kind, and returns what scripts see of languages in
// a page and in a worker.
const asksEverywhere = `(async () => {
	await fetch('/fetch');
	const frame = document.createElement('iframe');
	frame.src = '/frame';
	document.body.append(frame);
	await new Promise(r => frame.onload = r);
	const seen = await new Promise(r => new Worker('/worker.js').onmessage = e => r(e.data));
	await new Promise(r => new SharedWorker('/shared.js').port.onmessage = r);
	await navigator.serviceWorker.register('/service.js');
	await navigator.serviceWorker.ready;
	const socket = new WebSocket(location.origin.replace('http', 'ws') + '/socket');
	await new Promise(r => socket.onclose = r);
	return [navigator.language, navigator.languages.join(), seen].join(' ');
})()`

// askingSite tells each request's Accept-Language.
func askingSite(t *testing.T, told func(path, languages string)) string {
	return siteWith(t, "127.0.0.1", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		told(r.URL.Path, r.Header.Get("Accept-Language"))
		scripts := map[string]string{
			"/worker.js":  `fetch('/of-worker').then(() => postMessage(navigator.languages.join()))`,
			"/shared.js":  `onconnect = e => fetch('/of-shared').then(() => e.ports[0].postMessage(''))`,
			"/service.js": `oninstall = e => e.waitUntil(fetch('/of-service'))`,
		}
		if script, ok := scripts[r.URL.Path]; ok {
			w.Header().Set("Content-Type", "text/javascript")
			_, _ = fmt.Fprint(w, script)
			return
		}
		_, _ = fmt.Fprint(w, "<!doctype html><title>site</title><body>")
	}))
}

func TestEachRequestSaysTheLanguagesThatPagesSee(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ locale, sent, seen string }{
		{"de-CH", "de-CH,de;q=0.9", "de-CH de-CH,de de-CH,de"},
		{"", "en-US", "en-US en-US en-US"},
	} {
		t.Run("locale "+tc.locale, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			sent := map[string]string{}
			site := askingSite(t, func(path, languages string) {
				mu.Lock()
				defer mu.Unlock()
				sent[path] = languages
			})
			b := launch(t, browser.Spec{
				ID: "languages", Egress: browsertest.Loopback(), Config: bctrl.LaunchConfig{Locale: tc.locale},
			})
			ctx := browsertest.Chromedp(t, b)
			require.NoError(t, chromedp.Do(ctx, chromedp.Navigate(site+"/page")))
			require.Equal(t, tc.seen, evaluate[string](ctx, t, asksEverywhere))
			mu.Lock()
			defer mu.Unlock()
			for _, path := range []string{
				"/page", "/fetch", "/frame", "/worker.js", "/of-worker", "/shared.js", "/of-shared",
				"/service.js", "/of-service", "/socket",
			} {
				require.Equal(t, tc.sent, sent[path], path)
			}
		})
	}
	for _, tc := range []struct {
		why    string
		config bctrl.LaunchConfig
		want   string
	}{
		{"one language has no other behind it", bctrl.LaunchConfig{Locale: "fr"}, "fr"},
		{"a script is no region", bctrl.LaunchConfig{Locale: "zh-Hant-TW"}, "zh-Hant-TW,zh;q=0.9"},
		{"a browser with windows weighs itself", bctrl.LaunchConfig{Locale: "de-CH", Headful: true}, "de-CH,de"},
	} {
		require.Equal(t, tc.want, acceptLanguage(tc.config), tc.why)
	}
}
