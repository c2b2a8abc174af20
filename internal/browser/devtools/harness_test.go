package devtools_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
	"github.com/bctrl-go/bctrl/internal/browser/chromium"
)

// launch starts a real browser that is stopped when the test ends.
func launch(t *testing.T, spec browser.Spec) browser.Browser {
	t.Helper()
	driver, err := chromium.New(chromium.Options{})
	require.NoError(t, err)
	return browsertest.Launch(t, driver, spec)
}

// openPage starts a browser that may reach this machine, and takes its page over.
func openPage(t *testing.T) (context.Context, browser.Page, browser.Browser) {
	t.Helper()
	driver, err := chromium.New(chromium.Options{})
	require.NoError(t, err)
	return browsertest.OpenPage(t, driver, browser.Spec{ID: "clients"})
}

// standInSite has a login, what the scripts of sends need, and a login of HTTP.
func standInSite(t *testing.T) *browsertest.Site {
	t.Helper()
	s := browsertest.NewSite(t, map[string]string{"/": loginForm, "/frame": "<p>frame", "/plain": "<p>plain"})
	s.Handlers["/worker.js"] = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		_, _ = fmt.Fprint(w, `
			onmessage = e => fetch("/worker", {method: "POST", body: "x=" + e.data}).finally(() => postMessage(1));
			onfetch = e => e.respondWith(fetch(e.request))`)
	}
	s.Handlers["/basic"] = func(w http.ResponseWriter, r *http.Request) {
		if name, _, is := r.BasicAuth(); !is || name != "ada" {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
		}
		_, _ = fmt.Fprint(w, r.Header.Get("Authorization"))
	}
	return s
}
