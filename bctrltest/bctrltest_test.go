package bctrltest_test

import (
	"context"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest"
)

func TestTheServerIsReal(t *testing.T) {
	srv := bctrltest.New(t)
	client := srv.Client()
	ctx := t.Context()
	_, err := client.Vault.Set(ctx, "prod/crm/salesforce", bctrl.VaultCredential{Username: "bot",
		Password: bctrl.NewSecret("p")})
	require.NoError(t, err)
	got, err := client.Vault.Get(ctx, "prod/crm/salesforce")
	require.NoError(t, err)
	require.Equal(t, "p", got.Password.Expose())
	_, err = client.Vault.Get(ctx, "prod/crm/other")
	require.ErrorIs(t, err, bctrl.ErrNotFound)
}

func TestALostReplyHasOneEffect(t *testing.T) {
	srv := bctrltest.New(t)
	client := srv.Client()
	srv.DropReply(2)
	entry, err := client.Vault.Set(t.Context(), "k", bctrl.VaultCredential{Password: bctrl.NewSecret("p")})
	require.NoError(t, err)
	require.EqualValues(t, 1, entry.Version, "the retries were the same request")
	requests := srv.Requests()
	require.Len(t, requests, 3)
	require.NotEmpty(t, requests[0].Header.Get("Idempotency-Key"))
	require.Equal(t, requests[0].Header.Get("Idempotency-Key"), requests[2].Header.Get("Idempotency-Key"))
	require.Empty(t, requests[0].Header.Get("Authorization"))
}

func TestRequestsShowNothingThatLetsOneIn(t *testing.T) {
	ctx, srv := t.Context(), bctrltest.New(t)
	client := srv.Client()
	ws, err := client.Workspaces.Create(ctx, bctrl.WorkspaceCreate{Name: "sales"})
	require.NoError(t, err)
	rt, err := ws.Runtimes.Browser("crm").Stagehand(ctx, bctrl.Launch{})
	require.NoError(t, err)
	token, err := rt.Token(ctx, bctrl.TokenRequest{})
	require.NoError(t, err)
	_, err = rt.Storage.Upload(ctx, "a.txt", strings.NewReader("a"))
	require.NoError(t, err)
	link, err := rt.Storage.DownloadURL(ctx, "a.txt", 0)
	require.NoError(t, err)
	connect, err := rt.ConnectURL(ctx)
	require.NoError(t, err)
	view, err := rt.Live(ctx, bctrl.LiveOptions{})
	require.NoError(t, err)

	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	get := func(address, header string, key bctrl.Secret) {
		rq, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		require.NoError(t, err)
		rq.Header.Set(header, key.Expose())
		resp, err := transport.RoundTrip(rq)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
	}
	get(link, "X-None", bctrl.Secret{})
	get("http"+strings.TrimPrefix(connect, "ws"), "X-None", bctrl.Secret{})
	get(view.URL, "X-None", bctrl.Secret{})
	get(srv.URL+"/v1/proxy/telegram~/bot"+token.Expose()+"/getMe", "X-None", bctrl.Secret{})
	get(srv.URL+"/v1/proxy/aws~/", "X-Amz-Security-Token", token)
	get(srv.URL+"/v1/proxy/elevenlabs~/", "Xi-Api-Key", srv.APIKey())

	signature := regexp.MustCompile(`[A-Za-z0-9_-]{40,}`)
	requests := srv.Requests()
	require.Len(t, requests, 13)
	for _, r := range requests {
		require.NotRegexp(t, signature, r.Path)
		for name, values := range r.Header {
			require.NotRegexp(t, signature, strings.Join(values, "\n"), name)
		}
	}
	require.Equal(t, "/v1/proxy/telegram~/bot[secret]/getMe", requests[10].Path)
}

func TestFailuresAreInjectedAndThenEnd(t *testing.T) {
	srv := bctrltest.New(t)
	client := srv.Client(bctrl.WithMaxRetries(0))
	srv.Fail(1, http.StatusServiceUnavailable)
	_, err := client.Vault.Get(t.Context(), "k")
	require.ErrorIs(t, err, bctrl.ErrUnavailable)
	_, err = client.Vault.Get(t.Context(), "k")
	require.ErrorIs(t, err, bctrl.ErrNotFound)
}

func TestADelayEndsWithItsCaller(t *testing.T) {
	srv := bctrltest.New(t)
	srv.Delay(time.Hour)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := srv.Client().Vault.Get(ctx, "k")
	require.ErrorIs(t, err, context.DeadlineExceeded)
}
