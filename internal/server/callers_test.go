package server

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/standin"
)

const (
	acmeHost = "api.acme.example"
	acmeKey  = "acme-Key-0123456789/+abc"
)

// callers is a harness whose server reaches stand-ins in place of providers.
type callers struct {
	*harness
	providers *standin.Providers
	srv       *httptest.Server
	client    *bctrl.Client
	// hits counts what arrived at acme.
	hits atomic.Int64
}

// newCallers is a server with the provider acme, its credential acme-main and
// its capability acme/things; handler stands in for it.
func newCallers(t *testing.T, handler http.HandlerFunc, change ...func(*Config)) *callers {
	t.Helper()
	in, err := standin.New()
	require.NoError(t, err)
	t.Cleanup(in.Close)
	return newCallersOf(t, in, handler, change...)
}

// newCallersHTTP1 is newCallers with a provider that speaks HTTP/1.1.
func newCallersHTTP1(t *testing.T, handler http.HandlerFunc) *callers {
	t.Helper()
	in, err := standin.New()
	require.NoError(t, err)
	t.Cleanup(in.Close)
	in.WithoutHTTP2()
	return newCallersOf(t, in, handler)
}

func newCallersOf(t *testing.T, in *standin.Providers, handler http.HandlerFunc, change ...func(*Config)) *callers {
	t.Helper()
	c := &callers{providers: in}
	c.harness = newHarness(t, append([]func(*Config){func(cfg *Config) {
		cfg.ProviderRoots, cfg.ProviderInstead = in.Roots(), in.Instead
	}}, change...)...)
	if handler != nil {
		require.NoError(t, in.Serve(acmeHost, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c.hits.Add(1)
			handler(w, r)
		})))
	}
	c.srv = c.live()
	c.client = c.sdk(straight)
	secret := c.secretIn(globally(), "ACME", acmeKey)
	c.ok("POST", []string{"credentials"}, object{
		"id": "acme-main", "provider": "acme", "secretRef": "vault:secret:" +
			secret.ID, "scope": globally(), "hosts": []string{acmeHost},
		"auth": object{"type": "header", "headers": object{"X-Acme": "Key {secret}"}},
	}, nil)
	c.ok("PUT", []string{"capabilities", "acme/things"}, object{
		"methods": []string{"GET", "POST", "PUT", "HEAD"}, "paths": []string{"/v1/things", "/v1/repos/{owner}/{repo}"},
	}, nil)
	return c
}

// standingIn lets a handler stand in for a provider.
func standingIn(t *testing.T, host string, handler http.HandlerFunc) func(*Config) {
	t.Helper()
	in, err := standin.New()
	require.NoError(t, err)
	t.Cleanup(in.Close)
	require.NoError(t, in.Serve(host, handler))
	return func(cfg *Config) { cfg.ProviderRoots, cfg.ProviderInstead = in.Roots(), in.Instead }
}

// policy limits acme/things.
func (c *callers) policy(p bctrl.CapabilityPolicy) {
	c.Helper()
	_, err := c.client.Capabilities.SetPolicy(c.Context(), "acme/things", p)
	require.NoError(c, err)
}

func things() bctrl.Invocation {
	return bctrl.Invocation{Capability: "acme/things", Path: "/v1/things"}
}

func codeOf(err error) string {
	var e *bctrl.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// last is the newest event of an invocation.
func (c *callers) last() bctrl.AuditEvent {
	c.Helper()
	events := c.log(bctrl.AuditFilter{Capability: "acme/things"})
	require.NotEmpty(c, events)
	return events[0]
}

// passed sends a request through the proxy and returns the status and what
// came.
func (c *callers) passed(method, target, path string, headers ...string) (*http.Response, string) {
	c.Helper()
	req, err := http.NewRequestWithContext(c.Context(), method, c.srv.URL+"/v1/proxy/"+target+path, nil)
	require.NoError(c, err)
	req.Header.Set("Authorization", "Bearer "+c.key)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := c.srv.Client().Do(req)
	require.NoError(c, err)
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body) // that it breaks off is what some tests want
	return resp, string(body)
}

// passed is what a provider saw of a request.
type passed struct {
	Method, URI, Body string
	Header            http.Header
}

// echoing is a provider that answers what it saw, in a header in base64 and not
// as text, where its key would be taken out.
func echoing(seen chan<- passed) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		seen <- passed{r.Method, r.URL.RequestURI(), string(body), r.Header}
		w.Header().Set("X-Request-Id", "theirs")
		w.Header().Set("Strict-Transport-Security", "max-age=1")
		w.WriteHeader(http.StatusAccepted)
	}
}

// through sends a provider's own request to the proxy. Headers come in pairs.
func (c *callers) through(method, path, body string, headers ...string) (*http.Response, string) {
	c.Helper()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(c.Context(), method, c.srv.URL+"/v1/proxy/"+path, r)
	require.NoError(c, err)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	resp, err := c.srv.Client().Do(req)
	require.NoError(c, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(c, err)
	var e bctrl.Error
	if resp.Header.Get("Bctrl-Upstream-Status") == "" && json.Unmarshal(text, &e) == nil {
		return resp, e.Code
	}
	return resp, string(text)
}

// plainly sends a request whose line is written as it is, which a client of
// net/http would not do, and returns the status.
func (c *callers) plainly(method, uri string, headers ...string) int {
	c.Helper()
	conn, err := net.Dial("tcp", c.srv.Listener.Addr().String())
	require.NoError(c, err)
	defer conn.Close()
	text := method + " " + uri + " HTTP/1.1\r\nHost: " + c.srv.Listener.Addr().String() + "\r\nConnection: close\r\n"
	for i := 0; i < len(headers); i += 2 {
		text += headers[i] + ": " + headers[i+1] + "\r\n"
	}
	_, err = fmt.Fprint(conn, text+"\r\n")
	require.NoError(c, err)
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	require.NoError(c, err)
	require.NoError(c, resp.Body.Close())
	return resp.StatusCode
}
