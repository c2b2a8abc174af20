package broker

import (
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/egress"
)

func TestAGrantIsAskedForAsItsStandardSays(t *testing.T) {
	for _, c := range []struct {
		why    string
		change func(*bctrl.OAuth2Auth)
		public bool
		want   url.Values
	}{
		{"refresh", nil, false, url.Values{
			"grant_type":    {"refresh_token"},
			"refresh_token": {"refresh-0-0123456789"},
			"basic":         {"client%3A1:client-secret%2F1"},
		}},
		{"with scopes, parameters and the client in the body", func(o *bctrl.OAuth2Auth) {
			o.Scopes, o.ClientAuth, o.Params = []string{"a", "b"}, "body",
				map[string]string{"audience": "https://api.example.com"}
		}, false, url.Values{
			"grant_type":    {"refresh_token"},
			"refresh_token": {"refresh-0-0123456789"},
			"client_id":     {"client:1"},
			"client_secret": {"client-secret/1"},
			"scope":         {"a b"},
			"audience":      {"https://api.example.com"},
		}},
		{"a public client", nil, true, url.Values{
			"grant_type":    {"refresh_token"},
			"refresh_token": {"refresh-0-0123456789"},
			"client_id":     {"client:1"},
		}},
		{"a machine", func(o *bctrl.OAuth2Auth) { o.Grant = bctrl.GrantClientCredentials }, false, url.Values{
			"grant_type": {"client_credentials"},
			"basic":      {"client%3A1:client-secret%2F1"},
		}},
	} {
		a, b := newAuthorizer(t)
		target := a.target(c.change)
		if c.public {
			delete(target.Secrets, "clientSecret")
		}
		client := a.client(t, b, target)
		for range 3 {
			resp, text := send(t, client, a.request(t, t.Context()))
			require.Equal(t, 200, resp.StatusCode, c.why)
			require.Equal(t, "you sent Bearer [secret]", text, "%s: the access token does not come back", c.why)
		}
		require.Equal(t, []url.Values{c.want}, a.asked, "%s: asked once", c.why)
		require.Equal(t, "Bearer access-0-0123456789", a.tokens[2], c.why)
	}
}

func TestAnAccessTokenGoesWhereTheTemplatesSay(t *testing.T) {
	b, base := provider(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			_, body := grantOf(7)
			_, _ = io.WriteString(w, body)
			return
		}
		fmt.Fprintf(w, "%q %q %q", r.Header.Get("Authorization"), r.Header.Get("X-Client"), r.URL.Query().Get("t"))
	})
	a := &authorizer{base: base}
	target := a.target(nil)
	target.Auth.Headers = map[string]string{"Authorization": "Token {accessToken}", "X-Client": "{clientId}"}
	target.Auth.Query = map[string]string{"t": "{accessToken}"}
	_, text := send(t, a.client(t, b, target), a.request(t, t.Context()))
	require.Equal(t, `"Token [secret]" "[secret]" "[secret]"`, text)

	req := a.request(t, t.Context())
	req.URL.RawQuery = "t=mine"
	_, err := a.client(t, b, target).Do(req)
	require.ErrorIs(t, err, ErrRefused)
	req = a.request(t, t.Context())
	req.Header.Set("Authorization", "Bearer mine")
	_, err = a.client(t, b, a.target(nil)).Do(req)
	require.ErrorIs(t, err, ErrRefused)
}

func TestARequestIsRepeatedOnceAfterA401(t *testing.T) {
	a, b := newAuthorizer(t)
	client := a.client(t, b, a.target(nil))
	send(t, client, a.request(t, t.Context()))

	a.revoke()
	resp, text := send(t, client, a.request(t, t.Context()))
	require.Equal(t, 200, resp.StatusCode)
	require.Equal(t, "you sent Bearer [secret]", text)
	asked, called := a.counts()
	require.Equal(t, [2]int{2, 3}, [2]int{asked, called})

	// A body that can be had once is not sent twice: the caller sees the 401.
	a.revoke()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, a.base+"/api",
		io.MultiReader(strings.NewReader("body")))
	require.NoError(t, err)
	resp, text = send(t, client, req)
	require.Equal(t, 401, resp.StatusCode)
	require.NotContains(t, text, "access-")
	_, called = a.counts()
	require.Equal(t, 4, called)
}

func TestANewTokenThatIsRefusedIsNotReplacedAgain(t *testing.T) {
	a, b := newAuthorizer(t)
	client := a.client(t, b, a.target(nil))
	send(t, client, a.request(t, t.Context()))
	a.revoke()
	a.hold = a.revoke // every later token is refused too
	resp, _ := send(t, client, a.request(t, t.Context()))
	require.Equal(t, 401, resp.StatusCode)
	asked, called := a.counts()
	require.Equal(t, [2]int{2, 3}, [2]int{asked, called}, "one repetition")

	a, b = newAuthorizer(t)
	a.hold = a.revoke
	resp, _ = send(t, a.client(t, b, a.target(nil)), a.request(t, t.Context()))
	require.Equal(t, 401, resp.StatusCode)
	asked, called = a.counts()
	require.Equal(t, [2]int{1, 1}, [2]int{asked, called}, "none with a token that is new already")
}

func TestAFailedGrantSaysNothingOfTheSecrets(t *testing.T) {
	const canaries = `"client-secret/1 refresh-0-0123456789 private-answer"`
	for _, c := range []struct {
		why    string
		status int
		body   string
		says   string
	}{
		{"a refused refresh token", 400, `{"error":"invalid_grant","error_description":` + canaries +
			`}`, "400 invalid_grant"},
		{"an error of its own", 400, `{"error":` + canaries + `}`, "400"},
		{"a failing server", 500, "<html>" + canaries, "500"},
		{"a redirect", 302, canaries, "302"},
		{"no content", 204, "", "204"},
		{"not JSON", 200, canaries + "{", "not the JSON"},
		{"an error with status 200", 200, `{"ok":false,"error":"invalid_client"}`, "holds none invalid_client"},
		{"no token", 200, `{}`, "holds none"},
		{"a token that no header can carry", 200, `{"access_token":"private-answer\r\nx"}`, "no header"},
		{"a token that is too long", 200, `{"access_token":"` + strings.Repeat("private-answer", 4096) + `"}`, "too long"},
		{"another kind of token", 200, `{"access_token":"private-answer","token_type":"mac"}`, "bearer"},
		{"too much", 200, `{"access_token":"x","filler":"` + strings.Repeat("x", maxTokenAnswer) + `"}`, "not the JSON"},
	} {
		a, b := newAuthorizer(t)
		a.answer = func(int) (int, string) { return c.status, c.body }
		_, err := a.client(t, b, a.target(nil)).Do(a.request(t, t.Context()))
		require.ErrorIs(t, err, ErrToken, c.why)
		require.Contains(t, err.Error(), c.says, c.why)
		for _, secret := range []string{"client-secret", "refresh-0", "private-answer"} {
			require.NotContains(t, fmt.Sprintf("%v %+v", err, err), secret, c.why)
		}
		_, called := a.counts()
		require.Zero(t, called, c.why)
	}
}

// TestTheTokenEndpointObeysTheSamePolicy about addresses, certificates and TLS.
func TestTheTokenEndpointObeysTheSamePolicy(t *testing.T) {
	a, b := newAuthorizer(t)
	for _, c := range []struct {
		why, tokenURL string
		want          error
	}{
		{"the metadata address", "https://169.254.169.254/token", ErrAddress},
		{"nobody there", "https://127.0.0.1:1/token", ErrUnreachable},
	} {
		_, err := a.client(t, b, a.target(func(o *bctrl.OAuth2Auth) { o.TokenURL = c.tokenURL })).
			Do(a.request(t, t.Context()))
		require.ErrorIs(t, err, ErrToken, c.why)
		require.ErrorIs(t, err, c.want, c.why)
	}
	_, err := b.Client(a.target(func(o *bctrl.OAuth2Auth) {
		o.TokenURL = "http" +
			strings.TrimPrefix(a.base, "https") + "/token"
	}))
	require.ErrorIs(t, err, ErrTarget, "no plain http, whatever the policy allows")

	strange := New(Config{Egress: egress.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}})
	defer strange.Close()
	_, err = a.client(t, strange, a.target(nil)).Do(a.request(t, t.Context()))
	require.ErrorIs(t, err, ErrToken, "a certificate that nobody knows")
	asked, _ := a.counts()
	require.Zero(t, asked)
}
