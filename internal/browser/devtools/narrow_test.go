package devtools_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/target"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

// TestANarrowerClientSeesNothingOfOtherHosts shares a browser with a client that may see
// every host, and has left a page and cookies of one that the narrower client may not see.
func TestANarrowerClientSeesNothingOfOtherHosts(t *testing.T) {
	const outside = "value-of-outside"
	s := browsertest.NewSite(t, nil)
	s.Handlers["/"] = func(w http.ResponseWriter, r *http.Request) {
		name := "inside"
		if strings.HasPrefix(r.Host, "127.") {
			name = outside
		}
		http.SetCookie(w, &http.Cookie{Name: "who", Value: name, HttpOnly: true, SameSite: http.SameSiteLaxMode})
		_, _ = fmt.Fprintf(w, "<title>%s</title><body>%s", name, name)
	}
	here := s.LocalhostURL() + "/"
	b := launch(t, browser.Spec{ID: "narrow", Egress: browsertest.Loopback()})
	ctx, wide := t.Context(), browsertest.Join(t, b)
	theirs := wide.OpenTab(s.URL+"/", "")
	require.Eventually(t, func() bool { return wide.Evaluate(theirs, "document.title") == `"`+outside+`"` },
		20*time.Second, 5*time.Millisecond)
	rights := &browsertest.Rights{Hosts: []string{"localhost"}}
	o := browsertest.JoinWithRights(t, b, rights)
	ours := o.OpenTab(here, "")
	require.Eventually(t, func() bool { return o.Evaluate(ours, "document.title") == `"inside"` },
		20*time.Second, 5*time.Millisecond)
	root := func(method, params string) (answer jsonv2.Value, err error) {
		err = o.Root.Call(ctx, method, jsonv2.Value(params), &answer)
		return answer, err
	}

	// Its tabs are not there.
	_, err := root("Target.setDiscoverTargets", `{"discover":true}`)
	require.NoError(t, err)
	require.Len(t, wide.Tabs(), 3)
	require.Len(t, o.Tabs(), 2, "its own, and a blank one")
	named := `{"targetId":"` + string(theirs.TargetID) + `","flatten":true}`
	for _, method := range []string{
		"Target.attachToTarget", "Target.getTargetInfo", "Target.activateTarget", "Target.closeTarget",
		"Browser.getWindowForTarget",
	} {
		_, err := root(method, named)
		require.ErrorContains(t, err, "devtools.host_outside", method)
	}
	require.Equal(t, []string{"devtools.host_outside"}, rights.Refused(), "the first is recorded")

	// Nor are its cookies, and what it keeps.
	for method, params := range map[string]string{
		"Storage.getCookies": `{}`, "Network.getAllCookies": `{}`,
		"Network.getCookies": `{"urls":["` + s.URL + `/","` + here + `"]}`,
	} {
		var got network.GetCookiesResult
		require.NoError(t, ours.Call(ctx, method, jsonv2.Value(params), &got), method)
		require.Len(t, got.Cookies, 1, method)
		require.Equal(t, "inside", got.Cookies[0].Value, method)
	}
	for method, params := range map[string]string{
		"Network.setCookie":              `{"name":"a","value":"b","url":"` + s.URL + `/"}`,
		"Network.setCookies":             `{"cookies":[{"name":"a","value":"b","domain":"127.0.0.1"}]}`,
		"Storage.setCookies":             `{"cookies":[{"name":"a","value":"b","domain":"127.0.0.1"}]}`,
		"Network.deleteCookies":          `{"name":"who","domain":"127.0.0.1"}`,
		"Network.clearBrowserCookies":    `{}`,
		"Storage.clearCookies":           `{}`,
		"Storage.clearDataForOrigin":     `{"origin":"` + s.URL + `","storageTypes":"all"}`,
		"Storage.clearDataForStorageKey": `{"storageKey":"` + s.URL + `/","storageTypes":"all"}`,
		"Storage.getUsageAndQuota":       `{"origin":"` + s.URL + `"}`,
		"DOMStorage.getDOMStorageItems":  `{"storageId":{"storageKey":"` + s.URL + `/^01","isLocalStorage":true}}`,
		"IndexedDB.requestDatabaseNames": `{"securityOrigin":"` + s.URL + `"}`,
		"CacheStorage.requestCacheNames": `{"storageKey":"` + s.URL + `/"}`,
		"CacheStorage.requestEntries":    `{"cacheId":"` + s.URL + `/|x"}`,
		"Browser.grantPermissions":       `{"origin":"` + s.URL + `","permissions":["geolocation"]}`,
		"Tracing.start":                  `{}`,
		"Network.getCertificate":         `{"origin":"` + s.URL + `"}`,
	} {
		require.ErrorContains(t, ours.Call(ctx, method, jsonv2.Value(params), nil), "devtools.host_outside", method)
	}

	// What a page of its own sends there is told without cookies, and is not its to answer.
	require.NoError(t, protocol.Tell(ctx, ours, network.Enable, network.EnableParams{}))
	require.NoError(t, protocol.Tell(ctx, ours, fetch.Enable, fetch.EnableParams{}))
	o.Evaluate(ours, `fetch("`+s.URL+`/", {mode: "no-cors", credentials: "include"}).then(() => 1)`)
	require.NoError(t, ours.Call(ctx, "Fetch.disable", jsonv2.Value(`{}`), nil))

	// What its page opens is its own.
	popup := target.ID("")
	o.Evaluate(ours, `setTimeout(() => open("/popup")), 1`)
	require.Eventually(t, func() bool {
		for _, info := range o.Tabs() {
			if strings.HasSuffix(info.URL, "/popup") {
				popup = info.TargetID
			}
		}
		return popup != ""
	}, 20*time.Second, 5*time.Millisecond)
	err = protocol.Tell(ctx, wide.Root, target.CloseTarget, target.CloseTargetParams{TargetID: popup})
	require.ErrorContains(t, err, "devtools.not_own")

	for _, told := range o.Seen() {
		if !strings.HasPrefix(told, "Network.responseReceived") { // in a runtime the proxy has refused it
			browsertest.RequireUnseen(t, outside, told)
		}
	}
}
