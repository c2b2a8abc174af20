package bctrltest_test

import (
	"context"
	"net/http"
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
