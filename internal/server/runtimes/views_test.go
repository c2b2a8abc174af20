package runtimes

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
)

func TestNothingIsDoneForAPageOnceItsViewHasSettled(t *testing.T) {
	var p viewer
	ctx, end := context.WithCancel(t.Context())
	begun, done := make(chan struct{}), false
	go func() {
		_ = p.act(ctx, func() error {
			close(begun)
			<-ctx.Done()
			done = true
			return nil
		})
	}()
	<-begun
	end()
	p.settle()
	require.True(t, done, "what was begun is waited for")
	require.Error(t, p.act(ctx, func() error {
		t.Error("it was done for a view that has ended")
		return nil
	}))
}

func TestAViewEndsAtItsTimeAndNotBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &view{expires: time.Now().Add(15 * time.Minute)}
		ctx, end := context.WithCancelCause(t.Context())
		defer v.endInTime(end)()
		time.Sleep(15*time.Minute - time.Nanosecond) //nolint:forbidigo // of the bubble
		synctest.Wait()
		require.NoError(t, ctx.Err())
		time.Sleep(time.Nanosecond) //nolint:forbidigo // of the bubble
		synctest.Wait()
		require.ErrorIs(t, context.Cause(ctx), errViewExpired)
	})
}

func TestTheViewsThatAreKeptOfARuntimeAreBounded(t *testing.T) {
	var vs views
	now := time.Now()
	add := func() (*view, error) {
		v := &view{
			id: web.NewID(), kind: liveKind, runtime: "rt", expires: now.Add(time.Hour), ended: make(chan struct{}),
		}
		_, err := vs.add(v, now)
		return v, err
	}
	for range 3 * maxViews {
		v, err := add()
		require.NoError(t, err)
		v.revoke()
	}
	require.LessOrEqual(t, len(vs.byToken), maxViews+1, "those that were revoked")
	for range maxViews {
		_, err := add()
		require.NoError(t, err)
	}
	_, err := add()
	require.Equal(t, "live.too_many", web.AsError(err).Code)
	vs.forget("another", now)
	require.Greater(t, len(vs.byToken), maxViews)
	vs.forget("rt", now)
	require.Len(t, vs.byToken, maxViews, "those that are to say that the browser has ended")
}

func TestTheConnectURLsOfARuntimeAreBounded(t *testing.T) {
	var urls connectURLs
	now := time.Now()
	issue := func(runtime string, n int) error {
		allow := []string{strconv.Itoa(n) + "/"}
		narrower := &access.Runtime{Chain: bctrl.Chain{{}, {}, {Vault: &bctrl.VaultMount{Allow: allow}}}}
		caller := access.Caller{Org: "o", KeyID: "k", Runtime: narrower}
		_, _, err := urls.issue(store.Runtime{ID: runtime}, time.Time{}, caller, now)
		return err
	}
	for n := range maxConnectURLs {
		require.NoError(t, issue("rt", n))
	}
	require.ErrorIs(t, issue("rt", maxConnectURLs), errTooManyConnectURLs)
	require.NoError(t, issue("rt", 0), "one that there is")
	require.NoError(t, issue("another", 0))
}

// TestAViewThatShowsNothingSaysWhy asks for views by their addresses.
func TestAViewThatShowsNothingSaysWhy(t *testing.T) {
	s := &Service{}
	lr := newLiveRuntime("o", "w", "live")
	close(lr.started)
	defer lr.end()
	require.NoError(t, s.fleet.add(lr))
	now := time.Now()
	for _, c := range []struct {
		why     string
		runtime string
		expires time.Time
		revoke  bool
		code    string
	}{
		{"it goes on", "live", now.Add(time.Hour), false, ""},
		{"its time is up", "live", now.Add(-time.Second), false, "live.expired"},
		{"it was revoked", "live", now.Add(time.Hour), true, "live.revoked"},
		{"it was revoked, and its time is up", "live", now.Add(-time.Second), true, "live.revoked"},
		{"its runtime has ended", "ended", now.Add(time.Hour), false, "live.runtime_ended"},
	} {
		v := &view{id: web.NewID(), kind: liveKind, runtime: c.runtime, expires: c.expires, ended: make(chan struct{})}
		token, err := s.views.add(v, now)
		require.NoError(t, err)
		if c.revoke {
			v.revoke()
		}
		rq := &web.Request{Request: httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)}
		rq.SetPathValue("token", token)
		_, _, err = s.liveView(rq)
		if c.code == "" {
			require.NoError(t, err, c.why)
			continue
		}
		require.Equal(t, c.code, web.AsError(err).Code, c.why)
		require.Equal(t, http.StatusGone, web.AsError(err).Status, c.why)
	}
	rq := &web.Request{Request: httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)}
	rq.SetPathValue("token", "guessed")
	_, _, err := s.liveView(rq)
	require.Equal(t, "live.not_found", web.AsError(err).Code)
}
