package compat

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// upstream is a provider. What it answers is asked for in the request itself,
// by the constants below, so that one upstream serves all tests of an SDK.
type upstream struct {
	t testing.TB
	// hosts are those it is reached at.
	hosts   []string
	handler http.Handler
	// more lets an answer that is streamed go on after its first piece.
	more chan struct{}

	mu sync.Mutex
	// foreign must never arrive: what callers have in place of the key.
	foreign  []string
	requests []string // methods and paths
	noted    map[string]int
}

// What a model's name, a repository's or an object's key asks for.
const (
	plain   = "plain"
	limited = "limited" // too many requests, the first time with leave to come again
	unknown = "unknown" // a key that the provider does not know
	echo    = "echo"    // the key itself, in headers and body
	// elsewhere redirects.
	elsewhere = "elsewhere"
)

func newUpstream(t testing.TB, hosts ...string) *upstream {
	return &upstream{t: t, hosts: hosts, more: make(chan struct{}, 16)}
}

// ServeHTTP looks for what must not arrive and leaves the rest to the provider.
func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the caller has gone
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	var head strings.Builder
	_ = r.Header.Write(&head) // to memory
	u.mu.Lock()
	u.requests = append(u.requests, r.Method+" "+r.URL.Path)
	foreign := u.foreign
	u.mu.Unlock()
	for _, text := range foreign {
		for where, in := range map[string]string{
			"the headers": head.String(),
			"the body":    string(body),
			"the address": r.Host + r.URL.String(),
		} {
			if unescaped, err := url.QueryUnescape(in); strings.Contains(in, text) || err == nil &&
				strings.Contains(unescaped, text) {
				u.t.Errorf("the provider got what belongs to the caller alone, in %s of %s %s", where, r.Method, r.URL.Path)
			}
		}
	}
	for name := range r.Header {
		if strings.HasPrefix(strings.ToLower(name), "bctrl-") {
			u.t.Errorf("the provider got the header %s", name)
		}
	}
	u.handler.ServeHTTP(w, r)
}

// forbid names what must not arrive from now on.
func (u *upstream) forbid(text ...string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.foreign = append(u.foreign, text...)
}

// seen is how many requests have arrived.
func (u *upstream) seen() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.requests)
}

// note counts a request that is asked once alone.
func (u *upstream) note(what string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.noted == nil {
		u.noted = map[string]int{}
	}
	u.noted[what]++
}

// times is how often something was noted since the last forget.
func (u *upstream) times(what string) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.noted[what]
}

// forget begins to count anew.
func (u *upstream) forget() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.noted = nil
}

// pause flushes what was written and waits until the test has seen it.
func (u *upstream) pause(w http.ResponseWriter, r *http.Request) bool {
	if err := http.NewResponseController(w).Flush(); err != nil {
		return false
	}
	select {
	case <-u.more:
		return true
	case <-r.Context().Done():
		return false
	}
}

// direct is a client for the provider itself, without any broker.
func (u *upstream) direct(t testing.TB) *http.Client {
	t.Helper()
	srv := httptest.NewTLSServer(u)
	t.Cleanup(srv.Close)
	transport, ok := srv.Client().Transport.(*http.Transport)
	if !ok {
		t.Fatal("not a transport")
	}
	transport.TLSClientConfig.ServerName = "example.com" // whom its certificate is for
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, srv.Listener.Addr().String())
	}
	return &http.Client{Transport: transport}
}

func answerJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the caller has gone: there is nobody to tell
}

func decodeJSON(w http.ResponseWriter, r *http.Request, into any) bool {
	err := json.NewDecoder(r.Body).Decode(into)
	if err != nil {
		answerJSON(w, http.StatusBadRequest, map[string]any{"message": "not JSON"})
	}
	return err == nil
}

// soon is a context for what a defect would let wait for ever.
func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}
