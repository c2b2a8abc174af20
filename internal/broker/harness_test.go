package broker

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/egress"
)

// seen is what a provider got.
type seen struct {
	header http.Header
	target string
	body   string
}

// recording is a provider that keeps the last request.
func recording(t *testing.T) (*Broker, string, *seen) {
	t.Helper()
	last := new(seen)
	b, base := provider(t, func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		*last = seen{r.Header.Clone(), r.RequestURI, string(body)}
	})
	return b, base, last
}

// send sends a request and returns the answer's body.
func send(t *testing.T, c *Client, req *http.Request) (*http.Response, string) {
	t.Helper()
	resp, err := c.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp, string(body)
}

// canary is the key in every test: it must be found nowhere but in the auth
// header that a provider receives.
const canary = "sk-canary/0123456789+abc"

var loopback = egress.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}

// provider is a TLS server and a broker that trusts it.
func provider(t *testing.T, handler http.HandlerFunc) (*Broker, string) {
	t.Helper()
	srv := httptest.NewTLSServer(handler)
	pool := x509.NewCertPool()
	pool.AddCert(srv.Certificate())
	b := New(Config{Egress: loopback, RootCAs: pool})
	t.Cleanup(func() { b.Close(); srv.Close() })
	return b, srv.URL
}

func client(t *testing.T, b *Broker, target Target) *Client {
	t.Helper()
	if target.Auth.Type == "" {
		target.Auth = header("Authorization", "Bearer {apiKey}")
		target.Secrets = secrets("apiKey", canary)
	}
	c, err := b.Client(target)
	require.NoError(t, err)
	return c
}

// header is an auth of headers, each a name and a template.
func header(pairs ...string) bctrl.CredentialAuth {
	a := bctrl.CredentialAuth{Type: bctrl.AuthHeader, Headers: map[string]string{}}
	for i := 0; i < len(pairs); i += 2 {
		a.Headers[pairs[i]] = pairs[i+1]
	}
	return a
}

// secrets are fields and their values.
func secrets(pairs ...string) map[string]bctrl.Secret {
	m := map[string]bctrl.Secret{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = bctrl.NewSecret(pairs[i+1])
	}
	return m
}

func request(t *testing.T, ctx context.Context, address string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader("{}"))
	require.NoError(t, err)
	return req
}

func hmacAuth(h bctrl.HMACAuth) bctrl.CredentialAuth {
	return bctrl.CredentialAuth{
		Type:    bctrl.AuthHMAC,
		HMAC:    &h,
		Headers: map[string]string{"X-Signature": "v1={signature}", "X-Timestamp": "{timestamp}", "X-Key-Id": "{keyId}"},
	}
}

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// authorizer is an authorization server at /token and an API elsewhere, which
// takes the token given last.
type authorizer struct {
	mu sync.Mutex
	// asked are the forms that came to /token, with the user and password of
	// Basic; tokens are the access tokens that came to the API.
	asked  []url.Values
	tokens []string
	given  string
	// answer is what /token says to the nth request, from 0.
	answer func(n int) (status int, body string)
	// hold, if set, is called before /token answers.
	hold func()
	base string
}

func grantOf(n int) (int, string) {
	return 200, fmt.Sprintf(`{"access_token":"access-%d-0123456789","token_type":"Bearer","expires_in":3600}`, n)
}

func (a *authorizer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/token" {
		_ = r.ParseForm()
		form := r.PostForm
		if user, pass, ok := r.BasicAuth(); ok {
			form.Set("basic", user+":"+pass)
		}
		a.mu.Lock()
		n := len(a.asked)
		a.asked = append(a.asked, form)
		status, body := a.answer(n)
		a.given = fmt.Sprintf("Bearer access-%d-0123456789", n)
		hold := a.hold
		a.mu.Unlock()
		if hold != nil {
			hold()
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
		return
	}
	_, _ = io.Copy(io.Discard, r.Body)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tokens = append(a.tokens, r.Header.Get("Authorization"))
	if r.Header.Get("Authorization") != a.given {
		w.WriteHeader(http.StatusUnauthorized)
	}
	fmt.Fprint(w, "you sent ", r.Header.Get("Authorization"))
}

// revoke makes the API take no token that was given so far.
func (a *authorizer) revoke() { a.mu.Lock(); a.given = "none"; a.mu.Unlock() }

func (a *authorizer) counts() (asked, called int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.asked), len(a.tokens)
}

func newAuthorizer(t *testing.T) (*authorizer, *Broker) {
	t.Helper()
	a := &authorizer{answer: grantOf}
	b, base := provider(t, a.ServeHTTP)
	a.base = base
	return a, b
}

func (a *authorizer) target(change func(*bctrl.OAuth2Auth)) Target {
	auth := bctrl.OAuth2Auth{Grant: bctrl.GrantRefreshToken, TokenURL: a.base + "/token"}
	if change != nil {
		change(&auth)
	}
	return Target{
		BaseURL:  a.base,
		Identity: "org/credential",
		Auth:     bctrl.CredentialAuth{Type: bctrl.AuthOAuth2, OAuth2: &auth},
		Secrets:  secrets("clientId", "client:1", "clientSecret", "client-secret/1", "refreshToken", "refresh-0-0123456789"),
	}
}

func (a *authorizer) client(t *testing.T, b *Broker, target Target) *Client {
	t.Helper()
	c, err := b.Client(target)
	require.NoError(t, err)
	return c
}

func (a *authorizer) request(t *testing.T, ctx context.Context) *http.Request {
	t.Helper()
	return request(t, ctx, a.base+"/api")
}

// signing is a target whose secret is not sent.
func signing() Target { return Target{Auth: sigV4Auth("s3"), Secrets: awsSecrets()} }

func codeOf(err error) string {
	if e, ok := errors.AsType[*bctrl.Error](err); ok {
		return e.Code
	}
	return ""
}

const awsKey = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"

func sigV4Auth(service string) bctrl.CredentialAuth {
	return bctrl.CredentialAuth{Type: bctrl.AuthAWSSigV4, SigV4: &bctrl.SigV4Auth{Service: service, Region: "us-east-1"}}
}

func awsSecrets(more ...string) map[string]bctrl.Secret {
	return secrets(append([]string{"accessKeyId", "AKIDEXAMPLE", "secretAccessKey", awsKey}, more...)...)
}

func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
