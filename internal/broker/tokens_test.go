package broker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

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
		assert.True(t, bounded)
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

// TestCallsThatReadTheirTokenOnEitherSideOfAReplacementRenewOnce has another server replace
// the refresh token between two calls: neither the one that came before nor the one that came
// after renews what the other has renewed, unless the provider takes it no more.
func TestCallsThatReadTheirTokenOnEitherSideOfAReplacementRenewOnce(t *testing.T) {
	a, b := newAuthorizer(t)
	a.answer = rotating
	stored := bctrl.NewSecret("refresh-0-0123456789")
	target := func() Target {
		to := a.target(nil)
		to.Secrets["refreshToken"] = stored
		to.Alone = func(context.Context, string) (bctrl.Secret, func(), error) { return stored, func() {}, nil }
		to.Rotated = func(_ context.Context, _ string, from, to bctrl.Secret) error {
			assert.True(t, stored.Equal(from))
			stored = to
			return nil
		}
		return to
	}
	calls := func(client *Client, asked int) {
		t.Helper()
		resp, _ := send(t, client, a.request(t, t.Context()))
		require.Equal(t, 200, resp.StatusCode)
		got, _ := a.counts()
		require.Equal(t, asked, got)
	}
	early := a.client(t, b, target())
	stored = bctrl.NewSecret("refresh-of-another-server")
	late := a.client(t, b, target())
	calls(late, 1)
	calls(early, 1)
	for asked, client := range []*Client{early, late, late, early} {
		if asked%2 == 0 {
			a.revoke()
		}
		calls(client, 2+asked/2)
	}
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
