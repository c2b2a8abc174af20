package broker

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/bctrl-go/bctrl"
)

// FuzzAuthorize lets any auth that is accepted put any secret into a request:
// it stays one request to the same host and path, and no error has the secret.
func FuzzAuthorize(f *testing.F) {
	for _, auth := range []bctrl.CredentialAuth{
		header("Authorization", "Bearer {a}", "X-Org", "{b?}", "X-V", "1"),
		{Type: bctrl.AuthQuery, Query: map[string]string{"key": "{a}", "v": "x{b}"}},
		{Type: bctrl.AuthPath, Path: "/bot{a}/x"},
		{Type: bctrl.AuthBasic, Username: "{a}", Password: "{b?}"},
		sigV4Auth("s3"),
		hmacAuth(bctrl.HMACAuth{Algorithm: "sha512", Encoding: "base64", Message: "{timestamp}.{body}"}),
	} {
		text, err := json.Marshal(auth)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text), "secret-0123456789")
	}
	f.Add(`{"type":"path","path":"/{a}"}`, "../x")
	f.Add(`{"type":"header","headers":{"A":"{a}"}}`, "x\r\nB: c")
	b := New(Config{})
	f.Fuzz(func(t *testing.T, text, value string) {
		var auth bctrl.CredentialAuth
		if json.Unmarshal([]byte(text), &auth) != nil || auth.Validate() != nil || auth.Type == bctrl.AuthOAuth2 {
			return
		}
		all := map[string]bctrl.Secret{}
		required, optional := auth.Fields()
		for _, field := range append(required, optional...) {
			all[field] = bctrl.NewSecret(value)
		}
		c, err := b.Client(Target{BaseURL: "https://api.example.com/v1", Auth: auth, Secrets: all})
		if err != nil {
			if len(value) > 12 && strings.Contains(err.Error(), value) && !strings.Contains(text, value) {
				t.Fatal("an error holds the secret")
			}
			return
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://api.example.com/v1/a/b?q=1", nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.checkRequest(req); err != nil {
			return // the strategy itself uses that parameter
		}
		out := c.outgoingRequest(req)
		if _, err := c.auth.authorize(out); err != nil {
			return
		}
		for name, values := range out.Header {
			for _, v := range values {
				if strings.ContainsFunc(name+v, func(r rune) bool { return r < ' ' || r == 0x7f }) {
					t.Fatalf("%q: %q", name, v)
				}
			}
		}
		sent, err := url.Parse(out.URL.String())
		if err != nil || sent.Host != "api.example.com" || climbs(sent.EscapedPath()) || sent.Fragment != "" {
			t.Fatalf("the URL is another: %v", err)
		}
		if path := sent.EscapedPath(); !strings.HasPrefix(path, "/v1/") || !strings.HasSuffix(path, "/a/b") {
			t.Fatalf("the path is another: %d bytes", len(path))
		}
		if sent.Query().Get("q") != "1" {
			t.Fatal("the caller's query is lost")
		}
	})
}
