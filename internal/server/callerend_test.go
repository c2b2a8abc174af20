package server

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/server/files"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// opening is a server with a runtime, and a caller who opens things in it.
type opening struct {
	*callers
	srv *httptest.Server
	// headers are the caller's; end is its end.
	headers []string
	end     func()
	ws      bctrl.WorkspaceInfo
	rt      bctrl.RuntimeInfo
	// handling are the requests that the server has not answered.
	handling sync.WaitGroup
	devtools chan struct{}
	// loading are the pages that load until they may not any more.
	loading chan string
	// org is the organization that the runtime is in.
	org string
}

const big = 64 << 20 // more than the buffers on the way

// newOpening makes it with a caller of a kind.
func newOpening(t *testing.T, kind func(o *opening)) *opening {
	t.Helper()
	o := &opening{devtools: make(chan struct{}, 16), loading: make(chan string, 16)}
	o.callers = newCallers(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "begun\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	o.startWith(openDriver{slowDriver{o.browsers, o.loading}, o.devtools})
	o.srv = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.handling.Add(1)
		defer o.handling.Done()
		o.server.ServeHTTP(w, r)
	}))
	t.Cleanup(o.srv.Close)
	kind(o)
	return o
}

// furnish makes the workspace and its runtime as headers say.
func (o *opening) furnish(headers ...string) {
	o.Helper()
	o.headers = append([]string{"Authorization", "Bearer " + o.key}, headers...)
	o.org = o.harness.org()
	if len(headers) > 0 { // in a subaccount
		o.org = headers[1]
	}
	mounts := object{"storage": object{"workspace": "s"}, "capabilities": object{"allow": []string{"/"}}}
	o.ok("POST", []string{"workspaces"}, object{"name": "w", "mounts": mounts}, &o.ws, headers...)
	o.ok("POST", []string{"workspaces", o.ws.ID, "runtimes"}, object{"alias": "r", "kind": "browser",
		"driver": "stagehand", "launch": object{}}, &o.rt, headers...)
}

// anotherKey makes a key that ends by being revoked.
func (o *opening) anotherKey(headers ...string) string {
	o.Helper()
	var made wire.NewKey
	o.ok("POST", []string{"keys"}, object{"label": "another"}, &made, headers...)
	o.end = func() { o.ok("DELETE", []string{"keys", made.ID}, nil, nil, headers...) }
	return made.Key.Reveal()
}

// endings are the kinds of callers, each with its end.
func endings() map[string]func(o *opening) {
	return map[string]func(o *opening){
		"a key that is revoked": func(o *opening) {
			o.furnish()
			o.headers = []string{"Authorization", "Bearer " + o.anotherKey()}
		},
		"a key that acts as a runtime and is revoked": func(o *opening) {
			o.furnish()
			o.headers = []string{"Authorization", "Bearer " + o.anotherKey(), "BCTRL-Runtime", o.rt.ID}
		},
		"a key of a parent that acts for its subaccount and is revoked": func(o *opening) {
			sub := o.subaccount("sub")
			o.furnish(within(sub)...)
			o.headers = append([]string{"Authorization", "Bearer " + o.anotherKey()}, within(sub)...)
		},
		"a subaccount that is deleted": func(o *opening) {
			sub := o.subaccount("sub")
			o.furnish(within(sub)...)
			o.end = func() {
				got := o.do("DELETE", []string{"subaccounts", sub}, map[string][]string{"force": {"true"}}, nil)
				require.Equal(o, http.StatusOK, got.Status, "%s", got.Body)
			}
		},
		"a key of a subaccount that is revoked": func(o *opening) {
			sub := o.subaccount("sub")
			o.furnish(within(sub)...)
			o.headers = []string{"Authorization", "Bearer " + o.anotherKey(within(sub)...)}
		},
		"a token that is revoked": func(o *opening) {
			o.furnish()
			token := o.mint(o.ws.ID, "r", object{})
			o.headers = []string{"Authorization", "Bearer " + token.Expose()}
			o.end = func() { o.ok("DELETE", []string{"tokens", tokenID(o.T, token)}, nil, nil) }
		},
		"a token whose root is revoked": func(o *opening) {
			o.furnish()
			token := o.mint(o.ws.ID, "r", object{})
			weaker, err := bctrl.Attenuate(token, bctrl.Mounts{Vault: &bctrl.VaultMount{Allow: []string{}}},
				time.Now().Add(time.Minute))
			require.NoError(o, err)
			o.headers = []string{"Authorization", "Bearer " + weaker.Expose()}
			o.end = func() { o.ok("DELETE", []string{"tokens", tokenID(o.T, token)}, nil, nil) }
		},
		"a runtime that is stopped": func(o *opening) {
			o.furnish()
			token := o.mint(o.ws.ID, "r", object{})
			o.headers = []string{"Authorization", "Bearer " + token.Expose()}
			o.end = func() { o.ok("POST", []string{"workspaces", o.ws.ID, "runtimes", "r", "stop"}, nil, nil) }
		},
	}
}

// begin sends a request of the caller over a connection of its own, and
// returns the answer's body once there is some of it. It fails the test when
// the request does not begin.
func (o *opening) begin(method string, segments []string, body io.Reader, more ...string) func() error {
	o.Helper()
	req, err := http.NewRequestWithContext(o.Context(), method, o.srv.URL+target(segments, nil), body)
	require.NoError(o, err)
	for h := append(o.headers, more...); len(h) > 0; h = h[2:] {
		req.Header.Set(h[0], h[1])
	}
	ended := make(chan error, 1)
	begun := make(chan struct{})
	go func() {
		resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
		if err == nil {
			defer resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				_, err = bufio.NewReaderSize(resp.Body, 16).Peek(1)
				close(begun)
				if err == nil {
					_, err = io.Copy(io.Discard, resp.Body)
				}
			} else {
				err = statusError(resp.StatusCode)
			}
		}
		ended <- err
	}()
	if body == nil {
		select {
		case <-begun:
		case err := <-ended:
			require.NoError(o, err, "%s %v did not begin", method, segments)
		}
	}
	return func() error { return <-ended }
}

// statusError is a status in place of what was waited for.
type statusError int

func (e statusError) Error() string { return http.StatusText(int(e)) }

// silence is a body that says nothing until the test is over.
type silence struct{ context.Context } //nolint:containedctx // a reader has no other

func (s silence) Read([]byte) (int, error) {
	<-s.Done()
	return 0, io.EOF
}

// TestWhatACallerOpenedEndsWithTheCaller opens one of each kind as each kind of
// caller.
func TestWhatACallerOpenedEndsWithTheCaller(t *testing.T) {
	for why, kind := range endings() {
		t.Run(why, func(t *testing.T) {
			o := newOpening(t, kind)
			ended := map[string]func() error{}
			runtime := strings.Contains(why, "token") || strings.Contains(why, "runtime")

			ended["an upload"] = o.begin("PUT", file("s", "up"), io.MultiReader(strings.NewReader("the beginning"),
				silence{t.Context()}))
			_, err := o.server.files.Put(t.Context(), o.org, files.Incoming{Namespace: "s", Path: "big",
				Source: bctrl.SourceUpload},
				io.LimitReader(zeros{}, big), audit.Event{Org: o.org, Action: "test"})
			require.NoError(t, err)
			stuck := o.stalled(target(file("s", "big"), nil), o.headers)
			if !runtime {
				ended["an audit stream"] = o.begin("GET", []string{"audit", "stream"}, nil)
			}
			signed := o.asCaller("GET", append(file("s", "big"), "download-url"))
			var link struct{ URL string }
			require.NoError(t, json.Unmarshal(signed, &link))
			_, path, _ := strings.Cut(link.URL, "/v1/")
			linked := o.stalled("/v1/"+path, nil)
			require.Equal(t, http.StatusOK, o.send("HEAD", "/v1/"+path, nil).Status)

			var op bctrl.OperationInfo
			require.NoError(t, json.Unmarshal(o.asCallerWith("POST", []string{"workspaces", o.ws.ID, "execute"},
				`{"runtime": "r", "async": true, "steps": [{"call": "page.goto", "args": {"url": "https://a.example"}}]}`), &op))
			<-o.loading
			waits := o.begin("POST", []string{"operations", op.ID, "wait"}, strings.NewReader(`{"timeoutMs": 60000}`),
				"Content-Type", "application/json")

			var connection wire.Connection
			require.NoError(t, json.Unmarshal(o.asCaller("GET", []string{"workspaces", o.ws.ID, "runtimes", "r", "connect"}),
				&connection))
			_, token, _ := strings.Cut(connection.URL.Reveal(), "/devtools/")
			conn, _, err := websocket.Dial(t.Context(), o.srv.URL+"/devtools/"+token, nil)
			require.NoError(t, err)
			<-o.devtools
			again, _, err := websocket.Dial(t.Context(), o.srv.URL+"/devtools/"+token, nil)
			require.NoError(t, err, "clients come back")
			<-o.devtools
			o.settled(func() bool { return o.server.Underway() >= 6 }, "all of it is underway")

			o.end()
			_ = waits() // it may have seen the end of the operation, which ends too
			for what, wait := range ended {
				require.Error(t, wait(), what)
			}
			for _, c := range []*websocket.Conn{conn, again} {
				_, _, err = c.Read(t.Context())
				require.Error(t, err, "a DevTools connection")
			}
			_, resp, err := websocket.Dial(t.Context(), o.srv.URL+"/devtools/"+token, nil)
			require.Error(t, err)
			require.Equal(t, http.StatusUnauthorized, resp.StatusCode, "its connect URL")
			o.dead("/v1/"+path, "its link")
			for what, body := range map[string]io.Reader{"a download": stuck, "a download by its link": linked} {
				n, err := io.Copy(io.Discard, body)
				require.Error(t, err, what)
				require.Less(t, n, int64(big), what)
			}
			o.settled(func() bool { return o.server.Underway() == 0 }, "nothing is left of it")
			o.srv.CloseClientConnections()
			o.handling.Wait()
		})
	}
}

// asCaller sends a request of the caller and returns what it answers.
func (o *opening) asCaller(method string, segments []string) []byte {
	o.Helper()
	got := o.send(method, target(segments, nil), nil, o.headers...)
	require.Equal(o, http.StatusOK, got.Status, "%s", got.Body)
	return got.Body
}

func (o *opening) asCallerWith(method string, segments []string, body string) []byte {
	o.Helper()
	got := o.send(method, target(segments, nil), strings.NewReader(body),
		append([]string{"Content-Type", "application/json"}, o.headers...)...)
	require.Equal(o, http.StatusOK, got.Status, "%s", got.Body)
	return got.Body
}

// stalled begins a download that nobody reads, and returns its body.
func (o *opening) stalled(path string, headers []string) io.Reader {
	o.Helper()
	lines := []string{"GET " + path + " HTTP/1.1", "Host: x"}
	for ; len(headers) > 0; headers = headers[2:] {
		lines = append(lines, headers[0]+": "+headers[1])
	}
	conn, answers := o.dial(o.srv, append(lines, "", "")...)
	resp, err := http.ReadResponse(answers, nil)
	require.NoError(o, err)
	o.Cleanup(func() { _ = resp.Body.Close() })
	require.Equal(o, http.StatusOK, resp.StatusCode)
	require.NoError(o, conn.SetReadDeadline(time.Now().Add(time.Minute)))
	return resp.Body
}

// TestWhatATokenHasOpenEndsWithItsExpiry waits for it: the holder made it end
// soon.
func TestWhatATokenHasOpenEndsWithItsExpiry(t *testing.T) {
	o := newOpening(t, func(o *opening) { o.furnish() })
	_, err := o.server.files.Put(t.Context(), o.org, files.Incoming{Namespace: "s", Path: "big",
		Source: bctrl.SourceUpload},
		io.LimitReader(zeros{}, big), audit.Event{Org: o.org, Action: "test"})
	require.NoError(t, err)
	token, err := bctrl.Attenuate(o.mint(o.ws.ID, "r", object{}), bctrl.Mounts{}, time.Now().Add(6*time.Second))
	require.NoError(t, err)
	o.headers = []string{"Authorization", "Bearer " + token.Expose()}
	upload := o.begin("PUT", file("s", "up"), io.MultiReader(strings.NewReader("the beginning"), silence{t.Context()}))
	stuck := o.stalled(target(file("s", "big"), nil), o.headers)
	var link struct{ URL string }
	require.NoError(t, json.Unmarshal(o.asCaller("GET", append(file("s", "big"), "download-url")), &link))
	_, path, _ := strings.Cut(link.URL, "/v1/")
	linked := o.stalled("/v1/"+path, nil)
	var connection wire.Connection
	require.NoError(t, json.Unmarshal(o.asCaller("GET", []string{"workspaces", o.ws.ID, "runtimes", "r", "connect"}),
		&connection))
	_, ticket, _ := strings.Cut(connection.URL.Reveal(), "/devtools/")
	conn, _, err := websocket.Dial(t.Context(), o.srv.URL+"/devtools/"+ticket, nil)
	require.NoError(t, err)
	<-o.devtools
	require.Error(t, upload())
	_, _, err = conn.Read(t.Context())
	require.Error(t, err)
	for what, body := range map[string]io.Reader{"a download": stuck, "a download by its link": linked} {
		_, err := io.Copy(io.Discard, body)
		require.Error(t, err, what)
	}
	o.dead("/v1/"+path, "its link")
	_, resp, err := websocket.Dial(t.Context(), o.srv.URL+"/devtools/"+ticket, nil)
	require.Error(t, err)
	require.Equal(t, http.StatusUnauthorized, resp.StatusCode, "its connect URL")
	o.settled(func() bool { return o.server.Underway() == 0 }, "nothing is left of it")
	o.srv.CloseClientConnections()
	o.handling.Wait()
}

// TestAStreamedInvocationEndsWithItsCaller is told by the provider, which sees
// its client leave.
func TestAStreamedInvocationEndsWithItsCaller(t *testing.T) {
	for why, kind := range endings() {
		if strings.Contains(why, "subaccount") {
			continue // it has no credential there
		}
		t.Run(why, func(t *testing.T) {
			o := newOpening(t, kind)
			defer o.srv.CloseClientConnections()
			invoked := o.begin("POST", []string{"capabilities", "acme/things", "invoke"}, strings.NewReader(`{"method": "GET"}`),
				"Content-Type", "application/json")
			o.settled(func() bool { return o.hits.Load() == 1 }, "the provider is asked")
			o.end()
			require.Error(t, invoked())
			o.settled(func() bool { return o.server.Underway() == 0 }, "nothing is left of it")
		})
	}
}

func TestAKeyThatRevokesItselfHearsThatItHasAndOthersGoOn(t *testing.T) {
	o := newOpening(t, func(o *opening) { o.furnish() })
	stream := o.begin("GET", []string{"audit", "stream"}, nil)
	for range 20 {
		var made wire.NewKey
		o.ok("POST", []string{"keys"}, object{"label": "x"}, &made)
		got := o.send("DELETE", target([]string{"keys", made.ID}, nil), nil, "Authorization", "Bearer "+made.Key.Reveal())
		require.Equal(t, http.StatusOK, got.Status, "%s", got.Body)
		require.Contains(t, string(got.Body), "revokedAt")
	}
	require.Equal(t, 1, o.server.Underway(), "the stream of another key goes on")
	o.server.EndStreams()
	require.NoError(t, stream())
}

// TestALockEndsWhatNeedsTheKeyAndNoMore locks the server under what an
// organization key has open.
func TestALockEndsWhatNeedsTheKeyAndNoMore(t *testing.T) {
	o := newOpening(t, func(o *opening) { o.furnish() })
	upload := o.begin("PUT", file("s", "up"), io.MultiReader(strings.NewReader("the beginning"), silence{t.Context()}))
	stream := o.begin("GET", []string{"audit", "stream"}, nil)
	var connection wire.Connection
	require.NoError(t, json.Unmarshal(o.asCaller("GET", []string{"workspaces", o.ws.ID, "runtimes", "r", "connect"}),
		&connection))
	_, token, _ := strings.Cut(connection.URL.Reveal(), "/devtools/")
	dial := func() (*websocket.Conn, *http.Response, error) {
		return websocket.Dial(t.Context(), o.srv.URL+"/devtools/"+token, nil)
	}
	conn, _, err := dial()
	require.NoError(t, err)
	<-o.devtools
	o.settled(func() bool { return o.server.Underway() == 3 }, "all of it is underway")
	o.lock()
	require.Error(t, upload())
	_, _, err = conn.Read(t.Context())
	require.Error(t, err, "the DevTools connection has ended")
	_, resp, err := dial()
	require.Error(t, err)
	require.Equal(t, http.StatusServiceUnavailable, resp.StatusCode, "and none begins")
	require.Equal(t, 1, o.server.Underway(), "the audit stream needs no key")
	o.unlock()
	conn, _, err = dial()
	require.NoError(t, err, "the URL is as good as before")
	<-o.devtools
	require.NoError(t, conn.CloseNow())
	o.server.EndStreams()
	require.NoError(t, stream())
	o.ok("POST", []string{"workspaces", o.ws.ID, "runtimes", "r", "stop"}, nil, nil)
	o.handling.Wait()
}

// TestAConnectURLIsTheSameForTheSameCaller is what lets a client come back.
func TestAConnectURLIsTheSameForTheSameCaller(t *testing.T) {
	o := newOpening(t, func(o *opening) { o.furnish() })
	ask := func(headers ...string) (c wire.Connection) {
		o.Helper()
		got := o.send("GET", target([]string{"workspaces", o.ws.ID, "runtimes", "r", "connect"}, nil), nil, headers...)
		require.Equal(t, http.StatusOK, got.Status, "%s", got.Body)
		require.NoError(t, json.Unmarshal(got.Body, &c))
		return c
	}
	first := ask(o.headers...)
	require.Greater(t, time.Until(first.ExpiresAt), 7*24*time.Hour, "as long as runtimes last, and renewed")
	require.True(t, first.URL.Reveal() == ask(o.headers...).URL.Reveal())
	minted := o.mint(o.ws.ID, "r", object{"ttlMs": 60000})
	of := ask("Authorization", "Bearer "+minted.Expose())
	require.WithinDuration(t, time.Now().Add(time.Minute), of.ExpiresAt, 30*time.Second, "its token's")
	require.False(t, first.URL.Reveal() == of.URL.Reveal())
}

// TestTheHandshakeIsTakenAsChromiumTakesIt sends what clients send that were
// made against Chromium.
func TestTheHandshakeIsTakenAsChromiumTakesIt(t *testing.T) {
	o := newOpening(t, func(o *opening) { o.furnish() })
	var connection wire.Connection
	require.NoError(t, json.Unmarshal(o.asCaller("GET", []string{"workspaces", o.ws.ID, "runtimes", "r", "connect"}),
		&connection))
	_, path, _ := strings.Cut(connection.URL.Reveal(), "/devtools/")
	for _, c := range []struct {
		why     string
		headers []string
		status  int
		accept  string
	}{
		{"as RFC 6455 has it", []string{"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13"}, 101,
			"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="},
		{"Rod's key", []string{"Sec-WebSocket-Key: nil", "Sec-WebSocket-Version: 13"}, 101, "Q67D9eATKx531lK8F7u2rqQNnNI="},
		{"a short key, with room", []string{"Sec-WebSocket-Key:   x  ", "Sec-WebSocket-Version: 13"}, 101, ""},
		{"the version before, whose frames are the same", []string{"Sec-WebSocket-Key: nil", "Sec-WebSocket-Version: 8"}, 101,
			"Q67D9eATKx531lK8F7u2rqQNnNI="},
		{"from the same host", []string{"Origin: http://x", "Sec-WebSocket-Key: nil", "Sec-WebSocket-Version: 13"}, 101, ""},
		{"compression, which is not taken", []string{"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
			"Sec-WebSocket-Key: nil", "Sec-WebSocket-Version: 13"}, 101, ""},
		{"a page of elsewhere", []string{"Origin: http://evil.example", "Sec-WebSocket-Key: nil",
			"Sec-WebSocket-Version: 13"}, 403, ""},
		{"no key", []string{"Sec-WebSocket-Version: 13"}, 400, ""},
		{"an empty key", []string{"Sec-WebSocket-Key: ", "Sec-WebSocket-Version: 13"}, 400, ""},
		{"no version", []string{"Sec-WebSocket-Key: nil"}, 400, ""},
		{"another version", []string{"Sec-WebSocket-Key: nil", "Sec-WebSocket-Version: 7"}, 400, ""},
	} {
		lines := append([]string{"GET /devtools/" + path + " HTTP/1.1", "Host: x", "Connection: keep-alive, Upgrade",
			"Upgrade: WebSocket"}, c.headers...)
		conn, answers := o.dial(o.srv, append(lines, "", "")...)
		resp, err := http.ReadResponse(answers, nil)
		require.NoError(t, err, c.why)
		require.Equal(t, c.status, resp.StatusCode, c.why)
		require.NoError(t, resp.Body.Close())
		if c.status == http.StatusSwitchingProtocols {
			<-o.devtools
			require.NotEmpty(t, resp.Header.Get("Sec-WebSocket-Accept"), c.why)
			require.Empty(t, resp.Header.Get("Sec-WebSocket-Extensions"), c.why)
		}
		if c.accept != "" {
			require.Equal(t, c.accept, resp.Header.Get("Sec-WebSocket-Accept"), c.why)
		}
		require.NoError(t, conn.Close())
	}
	o.ok("POST", []string{"workspaces", o.ws.ID, "runtimes", "r", "stop"}, nil, nil)
	o.handling.Wait()
}
