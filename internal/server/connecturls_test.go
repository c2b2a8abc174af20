package server

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// TestARevokedConnectURLEndsAndNothingElseDoes opens a runtime by the URL of a key, of a
// handle that was narrowed, and of a token.
func TestARevokedConnectURLEndsAndNothingElseDoes(t *testing.T) {
	o := newOpening(t, func(o *opening) { o.furnish() })
	runtime := []string{"workspaces", o.ws.ID, "runtimes", "r"}
	ask := func(headers []string) (c wire.Connection) {
		o.Helper()
		got := o.send("GET", target(append(runtime, "connect"), nil), nil, headers...)
		require.Equal(t, http.StatusOK, got.Status, "%s", got.Body)
		require.NoError(t, json.Unmarshal(got.Body, &c))
		return c
	}
	var rt bctrl.RuntimeInfo
	o.ok("GET", runtime, nil, &rt)
	token := []string{"Authorization", "Bearer " + o.mint(o.ws.ID, "r", object{}).Expose()}
	narrowed := append([]string{wire.HeaderRuntime, rt.ID, wire.HeaderMounts,
		base64.RawURLEncoding.EncodeToString([]byte(`{"vault":{"allow":[]}}`))}, o.headers...)
	whose := map[string][]string{"key": o.headers, "narrowed": narrowed, "token": token}
	dial := func(c wire.Connection) (*websocket.Conn, int) {
		_, path, _ := strings.Cut(c.URL.Reveal(), "/devtools/")
		conn, resp, err := websocket.Dial(t.Context(), o.srv.URL+"/devtools/"+path, nil)
		if err != nil {
			return nil, resp.StatusCode
		}
		<-o.devtools
		return conn, http.StatusSwitchingProtocols
	}
	urls, open := map[string]wire.Connection{}, map[string]*websocket.Conn{}
	for name, headers := range whose {
		urls[name] = ask(headers)
		open[name], _ = dial(urls[name])
		require.NotNil(t, open[name], name)
	}
	list := func(headers []string) map[string]int {
		o.Helper()
		got := o.send("GET", target(append(runtime, "connect-urls"), nil), nil, headers...)
		require.Equal(t, http.StatusOK, got.Status, "%s", got.Body)
		for _, c := range urls {
			_, secret, _ := strings.Cut(c.URL.Reveal(), "/devtools/browser/")
			require.False(t, strings.Contains(string(got.Body), secret), "a list does not show what makes a URL one")
		}
		all := wire.List[bctrl.ConnectURLInfo]{Plural: wire.ConnectURLs}
		require.NoError(t, json.Unmarshal(got.Body, &all))
		connections := map[string]int{}
		for _, u := range all.Items {
			connections[u.ID] = u.Connections
		}
		return connections
	}
	require.Equal(t, map[string]int{urls["key"].ID: 1, urls["narrowed"].ID: 1, urls["token"].ID: 1}, list(o.headers))
	require.Equal(t, map[string]int{urls["token"].ID: 1}, list(token), "a token sees its own")
	revoke := func(id string, headers []string) answer {
		return o.send("DELETE", target(append(runtime, "connect-urls", id), nil), nil, headers...)
	}
	require.Equal(t, "runtimes.connect_url_not_found", revoke(urls["key"].ID, token).code())
	require.Equal(t, http.StatusOK, revoke(urls["narrowed"].ID, o.headers).Status)
	_, _, err := open["narrowed"].Read(t.Context())
	require.Error(t, err, "its connection has ended")
	_, status := dial(urls["narrowed"])
	require.Equal(t, http.StatusUnauthorized, status)
	require.Equal(t, "runtimes.connect_url_not_found", revoke(urls["narrowed"].ID, o.headers).code())
	again := ask(narrowed)
	require.NotEqual(t, urls["narrowed"].ID, again.ID)
	require.False(t, urls["narrowed"].URL.Reveal() == again.URL.Reveal(), "it is another")
	require.Equal(t, map[string]int{urls["key"].ID: 1, again.ID: 0, urls["token"].ID: 1}, list(o.headers), "others go on")

	of := map[string][]string{}
	for _, e := range o.events() {
		if e.Runtime == rt.ID && e.Object == urls["narrowed"].ID {
			who, _, _ := strings.Cut(e.Caller, ":")
			of[e.Action] = append(of[e.Action], who)
		}
	}
	require.Equal(t, map[string][]string{"runtime.connect": {"runtime"}, "runtime.connected": {"runtime"},
		"runtime.disconnect": {"key", "key"}}, of, "making, using and revoking it are on record, and revoking it in vain")
	for _, conn := range open {
		_ = conn.CloseNow() // one of them is closed
	}
	o.ok("POST", append(runtime, "stop"), nil, nil)
	o.handling.Wait()
}
