package broker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
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

// TestOneRefreshForManyWaiters also lets the one who began it give up.
func TestOneRefreshForManyWaiters(t *testing.T) {
	a, b := newAuthorizer(t)
	const waiters = 16
	arrived, release := make(chan struct{}), make(chan struct{})
	a.hold = func() { close(arrived); <-release }

	impatient, cancel := context.WithCancel(t.Context())
	first := make(chan error, 1)
	firstClient, firstRequest := a.client(t, b, a.target(nil)), a.request(t, impatient)
	go func() {
		_, err := firstClient.Do(firstRequest)
		first <- err
	}()
	<-arrived
	done := make(chan error, waiters)
	for range waiters {
		client, req := a.client(t, b, a.target(nil)), a.request(t, t.Context()) // each its own
		go func() {
			resp, err := client.Do(req)
			if err == nil {
				err = resp.Body.Close()
			}
			done <- err
		}()
	}
	cancel()
	require.ErrorIs(t, <-first, context.Canceled, "its own context ends its wait")
	close(release)
	for range waiters {
		require.NoError(t, <-done)
	}
	asked, called := a.counts()
	require.Equal(t, 1, asked)
	require.Equal(t, waiters, called)
}

func TestATokenIsRenewedBeforeItExpires(t *testing.T) {
	for _, c := range []struct {
		why, expires string
		after        time.Duration
		want         int
	}{
		{"long before", "3600", 58 * time.Minute, 1},
		{"a minute before", "3600", 59 * time.Minute, 2},
		{"a short life, in its first three quarters", "40", 29 * time.Second, 1},
		{"a short life, in its last quarter", "40", 30 * time.Second, 2},
		{"a number written as text", `"3600"`, 59 * time.Minute, 2},
		{"no life said", "null", 1000 * time.Hour, 1},
		{"no life", "0", 1000 * time.Hour, 1},
		{"an endless one", "1e300", 1000 * time.Hour, 1},
	} {
		a, b := newAuthorizer(t)
		a.answer = func(n int) (int, string) {
			return 200, fmt.Sprintf(`{"access_token":"access-%d-0123456789","token_type":"bearer","expires_in":%s}`, n,
				c.expires)
		}
		now := noon
		b.now = func() time.Time { return now }
		client := a.client(t, b, a.target(nil))
		send(t, client, a.request(t, t.Context()))
		now = now.Add(c.after)
		resp, _ := send(t, client, a.request(t, t.Context()))
		require.Equal(t, 200, resp.StatusCode)
		asked, _ := a.counts()
		require.Equal(t, c.want, asked, c.why)
	}
}

// rotating makes /token replace the refresh token every time.
func rotating(n int) (int, string) {
	const answer = `{"access_token":"access-%d-0123456789","expires_in":3600,"refresh_token":"refresh-%d-0123456789"}`
	return 200, fmt.Sprintf(answer, n, n+1)
}

func TestARotatedRefreshTokenIsStoredBeforeItIsUsed(t *testing.T) {
	a, b := newAuthorizer(t)
	a.answer = rotating
	now := noon
	b.now = func() time.Time { return now }
	var stored []string
	target := a.target(nil)
	target.Rotated = func(ctx context.Context, field string, from, to bctrl.Secret) error {
		_, called := a.counts()
		stored = append(stored, fmt.Sprintf("%s=%s for %s after %d calls", field, to.Expose(), from.Expose(), called))
		_, bounded := ctx.Deadline()
		require.True(t, bounded)
		return nil
	}
	client := a.client(t, b, target)
	send(t, client, a.request(t, t.Context()))
	send(t, client, a.request(t, t.Context()))
	require.Equal(t, []string{"refreshToken=refresh-1-0123456789 for refresh-0-0123456789 after 0 calls"}, stored)

	// One that was made before, and one that has read the new token.
	send(t, a.client(t, b, target), a.request(t, t.Context()))
	target.Secrets["refreshToken"] = bctrl.NewSecret("refresh-1-0123456789")
	send(t, a.client(t, b, target), a.request(t, t.Context()))
	asked, _ := a.counts()
	require.Equal(t, 1, asked, "both know the access token")

	now = now.Add(2 * time.Hour)
	send(t, client, a.request(t, t.Context()))
	require.Equal(t, "refresh-1-0123456789", a.asked[1].Get("refresh_token"), "the old one is used no more")
	require.Equal(t, "refreshToken=refresh-2-0123456789 for refresh-1-0123456789 after 4 calls", stored[1])
}

func TestATokenWhoseSuccessorIsNotStoredIsNotUsed(t *testing.T) {
	a, b := newAuthorizer(t)
	a.answer = rotating
	broken := errors.New("disk full: refresh-1-0123456789")
	target := a.target(nil)
	target.Rotated = func(context.Context, string, bctrl.Secret, bctrl.Secret) error { return broken }
	client := a.client(t, b, target)
	for range 2 {
		_, err := client.Do(a.request(t, t.Context()))
		require.ErrorIs(t, err, ErrToken)
		require.NotContains(t, err.Error(), "refresh-1")
	}
	asked, called := a.counts()
	require.Equal(t, [2]int{1, 0}, [2]int{asked, called}, "nothing was called, and the spent token is not spent again")

	broken = nil
	send(t, client, a.request(t, t.Context()))
	asked, called = a.counts()
	require.Equal(t, [2]int{1, 1}, [2]int{asked, called}, "what could not be stored is stored first")
}

func TestASupersededTokenIsForgotten(t *testing.T) {
	a, b := newAuthorizer(t)
	a.answer = rotating
	target := a.target(nil)
	target.Rotated = func(context.Context, string, bctrl.Secret, bctrl.Secret) error {
		return fmt.Errorf("%w by hand", ErrSuperseded)
	}
	resp, _ := send(t, a.client(t, b, target), a.request(t, t.Context()))
	require.Equal(t, 200, resp.StatusCode, "who began with the old one ends with it")
	require.Empty(t, b.tokens.byID, "nobody finds it again")
	require.Zero(t, b.tokens.order.Len())
	_, _ = send(t, a.client(t, b, target), a.request(t, t.Context()))
	asked, _ := a.counts()
	require.Equal(t, 2, asked)
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

func TestManyWhoseTokenIsRefusedGetOneNew(t *testing.T) {
	a, b := newAuthorizer(t)
	client := a.client(t, b, a.target(nil))
	send(t, client, a.request(t, t.Context()))
	a.revoke()
	var wg sync.WaitGroup
	for range 8 {
		req := a.request(t, t.Context())
		wg.Go(func() {
			resp, err := client.Do(req)
			if err == nil {
				_ = resp.Body.Close()
			}
			if err != nil || resp.StatusCode != 200 {
				t.Error("refused")
			}
		})
	}
	wg.Wait()
	asked, _ := a.counts()
	require.Equal(t, 2, asked)
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

func TestCredentialsShareNoTokens(t *testing.T) {
	a, b := newAuthorizer(t)
	for i, change := range []func(*Target){
		func(*Target) {},
		func(t *Target) { t.Identity = "org-2/credential" },
		func(t *Target) { t.Secrets["refreshToken"] = bctrl.NewSecret("another") },
		func(t *Target) { t.Secrets["clientSecret"] = bctrl.NewSecret("another") },
		func(t *Target) { t.Auth.OAuth2.Scopes = []string{"a"} },
		func(t *Target) { t.Auth.OAuth2.Params = map[string]string{"audience": "b"} },
	} {
		target := a.target(nil)
		change(&target)
		for range 2 {
			resp, err := a.client(t, b, target).Do(a.request(t, t.Context()))
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
		}
		asked, _ := a.counts()
		require.Equal(t, i+1, asked)
	}
	b.Forget()
	send(t, a.client(t, b, a.target(nil)), a.request(t, t.Context()))
	asked, _ := a.counts()
	require.Equal(t, 7, asked, "forgotten tokens are asked for again")
}

func TestGrantsThatAreKeptAreBounded(t *testing.T) {
	var c tokenCache
	busy := c.get(fingerprint("busy"), bctrl.Secret{})
	busy.unsaved = true
	for i := range maxGrants + 100 {
		c.get(fingerprint(fmt.Sprint(i)), bctrl.Secret{})
	}
	require.LessOrEqual(t, c.order.Len(), maxGrants+1)
	require.Equal(t, c.order.Len(), len(c.byID))
	require.Same(t, busy, c.get(fingerprint("busy"), bctrl.Secret{}), "what is not stored yet is not forgotten")
	for i := range maxAliases + 3 {
		c.alias(busy, fingerprint("alias", fmt.Sprint(i)))
	}
	require.Len(t, busy.ids, maxAliases)
	require.Equal(t, c.order.Len()+maxAliases-1, len(c.byID))
	c.clear()
	require.Equal(t, 1, c.order.Len())
}

// TestClosingWaitsForARenewal, whose new refresh token must not be lost.
func TestClosingWaitsForARenewal(t *testing.T) {
	a, b := newAuthorizer(t)
	a.answer = rotating
	arrived, release := make(chan struct{}), make(chan struct{})
	a.hold = func() { close(arrived); <-release }
	var stored string
	target := a.target(nil)
	target.Rotated = func(_ context.Context, _ string, _, value bctrl.Secret) error { stored = value.Expose(); return nil }
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error, 1)
	client, req := a.client(t, b, target), a.request(t, ctx)
	go func() {
		_, err := client.Do(req)
		left <- err
	}()
	<-arrived
	cancel()
	require.ErrorIs(t, <-left, context.Canceled)
	closed := make(chan struct{})
	go func() { b.Close(); close(closed) }()
	close(release)
	<-closed
	require.Equal(t, "refresh-1-0123456789", stored)
}
