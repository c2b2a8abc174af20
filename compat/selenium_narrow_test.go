package compat

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tebeka/selenium"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest"
)

// TestSeleniumWithANarrowerTokenIsHeldToItsHostsAndFiles drives a browser, in which a wider
// client has been at another host, with a token that has one host and no storage.
func TestSeleniumWithANarrowerTokenIsHeldToItsHostsAndFiles(t *testing.T) {
	var mu sync.Mutex
	var outside []string // what the host that the token lacks was asked for
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, _, _ := net.SplitHostPort(r.Host)
		mu.Lock()
		if name != "localhost" {
			outside = append(outside, r.URL.Path)
		}
		mu.Unlock()
		http.SetCookie(w, &http.Cookie{Name: "who", Value: "of-" + name, MaxAge: 3600})
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Access-Control-Allow-Origin", "*")
		_, _ = io.WriteString(w, "<title>at "+name+"</title><input type=file id=file>")
	}))
	t.Cleanup(site.Close)
	asked := func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(outside)
	}
	u, err := url.Parse(site.URL)
	require.NoError(t, err)
	inside := "http://localhost:" + u.Port() + "/"

	srv := bctrltest.New(t, bctrltest.WithBrowser())
	client := srv.Client()
	ws, err := client.Workspaces.Create(t.Context(), bctrl.WorkspaceCreate{Name: "w"})
	require.NoError(t, err)
	rt, err := ws.Runtimes.Browser("b").Selenium(t.Context(), bctrl.Launch{})
	require.NoError(t, err)
	_, err = rt.Page.Goto(t.Context(), site.URL+"/wide")
	require.NoError(t, err)
	staged, err := rt.Files.Stage(t.Context(), "report.txt", strings.NewReader("of the storage"))
	require.NoError(t, err)

	token, err := rt.Token(t.Context(), bctrl.TokenRequest{Mounts: bctrl.Mounts{
		Web:     &bctrl.WebMount{Allow: []string{"localhost"}},
		Storage: &bctrl.StorageMount{Access: bctrl.StorageNone},
	}})
	require.NoError(t, err)
	self, err := srv.Client(bctrl.WithAPIKey(token)).Self(t.Context())
	require.NoError(t, err)
	address, err := self.Runtime.ConnectURL(t.Context())
	require.NoError(t, err)
	driver, err := selenium.NewRemote(selenium.Capabilities{"browserName": "chrome"}, address)
	require.NoError(t, scrubbed(err, address))
	defer func() { require.NoError(t, scrubbed(driver.Quit(), address)) }()

	handles, err := driver.WindowHandles()
	require.NoError(t, scrubbed(err, address))
	for _, handle := range handles {
		require.NoError(t, scrubbed(driver.SwitchWindow(handle), address))
		title, err := driver.Title()
		require.NoError(t, scrubbed(err, address))
		require.NotContains(t, title, "127.0.0.1", "what the wider client left open")
	}
	before := len(asked())
	if err := driver.Get(site.URL + "/navigated"); err != nil { // else chromedriver has not looked at the page yet
		require.ErrorContains(t, err, "devtools.host_outside")
	}
	require.Eventually(t, func() bool { // it is left by the next command that looks at it, at the latest
		_, _ = driver.Title()
		left, err := driver.CurrentURL()
		return err == nil && left == "about:blank"
	}, 20*time.Second, 50*time.Millisecond)
	require.NoError(t, scrubbed(driver.Get(inside), address))
	title, err := driver.Title()
	require.NoError(t, scrubbed(err, address))
	require.Equal(t, "at localhost", title)
	require.NoError(t, scrubbed(driver.SetAsyncScriptTimeout(2*time.Minute), address))
	got, err := driver.ExecuteScriptAsync(`const done = arguments[arguments.length - 1];
		fetch("`+site.URL+`/fetched").then(() => done("reached"), () => done("refused"))`, nil)
	require.NoError(t, scrubbed(err, address))
	require.Equal(t, "refused", got)
	require.Len(t, asked(), before, "nothing has reached the other host")

	cookies, err := driver.GetCookies()
	require.NoError(t, scrubbed(err, address))
	require.Len(t, cookies, 1)
	require.Equal(t, "of-localhost", cookies[0].Value)
	file, err := driver.FindElement(selenium.ByCSSSelector, "#file")
	require.NoError(t, scrubbed(err, address))
	require.ErrorContains(t, file.SendKeys(bctrl.ClientPath(staged.LogicalPath)), "not found", "it names no storage")
	require.ErrorContains(t, file.SendKeys("/etc/passwd"), "refused")

	outcomes := map[string]int{}
	for ev, err := range client.Audit.Events(t.Context(), bctrl.AuditFilter{RuntimeID: rt.ID}) {
		require.NoError(t, err)
		outcomes[ev.Action+" "+ev.Outcome]++
	}
	require.Contains(t, outcomes, string(bctrl.VisitHost)+" page.host_outside_mount")
	require.Contains(t, outcomes, string(bctrl.GetStorage)+" runtimes.machine_path")
}
