package runtimes

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/store"
)

// Clients come back to the same address after hours: what ends it is the end of
// its runtime and of who asked for it.
func TestAConnectURLIsItsCallersForAsLongAsBothAndTheRuntimeLast(t *testing.T) {
	var urls connectURLs
	now := time.Now()
	soon := now.Add(time.Hour)
	holder := func(id string, expires time.Time) access.Caller {
		return access.Caller{Org: "o", Token: &access.Token{ID: id, Expires: expires}}
	}
	narrowed := func(c access.Caller, key string) access.Caller {
		c.Runtime = &access.Runtime{Chain: bctrl.Chain{{}, {}, {Vault: &bctrl.VaultMount{Allow: []string{key}}}}}
		return c
	}
	key := access.Caller{Org: "o", KeyID: "k"}
	rt := store.Runtime{ID: "rt"}
	issue := func(rt store.Runtime, c access.Caller, at time.Time) (bctrl.ConnectURLInfo, string) {
		info, token, err := urls.issue(rt, time.Time{}, c, at)
		require.NoError(t, err)
		return info, token
	}
	first, token := issue(rt, key, now)
	require.Len(t, token, 43, "256 bits")
	others := map[string]string{}
	for why, of := range map[string]struct {
		runtime string
		caller  access.Caller
	}{
		"another runtime":               {"other", key},
		"another key":                   {"rt", access.Caller{Org: "o", KeyID: "k2"}},
		"a parent's key":                {"rt", access.Caller{Org: "o", Parent: "p", KeyID: "k"}},
		"a token":                       {"rt", holder("t", soon)},
		"another token":                 {"rt", holder("t2", soon)},
		"a token that was made shorter": {"rt", holder("t", now.Add(time.Minute))},
		"a token that was narrowed":     {"rt", narrowed(holder("t", soon), "prod/")},
		"a handle that was narrowed":    {"rt", narrowed(key, "prod/")},
		"otherwise":                     {"rt", narrowed(key, "test/")},
	} {
		made, other := issue(store.Runtime{ID: of.runtime}, of.caller, now)
		require.NotEqual(t, token, other, why)
		require.NotEqual(t, first.ID, made.ID, why)
		require.Empty(t, others[other], why)
		others[other] = why
		same, again := issue(store.Runtime{ID: of.runtime}, of.caller, now)
		require.Equal(t, other, again, why)
		require.Equal(t, made.ID, same.ID, why)
	}
	require.Equal(t, now.Add(connectFor).UTC(), first.ExpiresAt)
	require.Greater(t, connectFor, 7*24*time.Hour)
	ofToken, shorter := issue(rt, holder("t", soon), now)
	require.Equal(t, soon.UTC(), ofToken.ExpiresAt, "the token's own end")
	_, ok := urls.open(shorter, soon)
	require.False(t, ok)
	for _, wrong := range []string{"", token[1:], token + "A"} {
		_, ok := urls.open(wrong, now)
		require.False(t, ok)
	}
	var elsewhere connectURLs
	_, other, err := elsewhere.issue(rt, time.Time{}, key, now)
	require.NoError(t, err)
	require.NotEqual(t, token, other, "another server draws another secret")
	issue(store.Runtime{ID: "other"}, key, now)
	urls.forget("rt")
	_, ok = urls.open(token, now)
	require.False(t, ok, "its runtime has ended")
	require.Len(t, urls.byOwner, 1)
	require.Len(t, urls.byHash, 1)
}

// A use and a question renew a URL; what nobody wants for long is forgotten.
func TestAConnectURLIsRenewedByWhoeverUsesIt(t *testing.T) {
	var urls connectURLs
	rt, key, start := store.Runtime{ID: "rt"}, access.Caller{Org: "o", KeyID: "k"}, time.Now()
	info, token, err := urls.issue(rt, time.Time{}, key, start)
	require.NoError(t, err)
	opened, ok := urls.open(token, info.ExpiresAt.Add(-1))
	require.True(t, ok)
	later := info.ExpiresAt.Add(3 * connectFor)
	again, same, err := urls.issue(rt, time.Time{}, key, later)
	require.NoError(t, err)
	require.Equal(t, token, same, "a connection by it is still open")
	require.Equal(t, 1, again.Connections)
	require.NoError(t, opened.life.Err())
	urls.leave(opened, later.Add(connectFor))
	_, ok = urls.open(token, later.Add(2*connectFor-1))
	require.True(t, ok, "it was in use until then")
	urls.leave(opened, later.Add(2*connectFor))
	end := later.Add(3 * connectFor)
	_, ok = urls.open(token, end)
	require.False(t, ok)
	require.Empty(t, urls.list("rt", key, end))
	_, anew, err := urls.issue(rt, time.Time{}, key, end)
	require.NoError(t, err)
	require.NotEqual(t, token, anew)
	require.Len(t, urls.byOwner, 1, "what has expired is forgotten")
}

// A key may know of all connect URLs of a runtime and end each; a token of its own.
func TestARevokedConnectURLEndsWhatItOpened(t *testing.T) {
	var urls connectURLs
	now := time.Now()
	rt := store.Runtime{ID: "rt"}
	key := access.Caller{Org: "o", KeyID: "k"}
	holder := func(id string) access.Caller {
		return access.Caller{Org: "o", Token: &access.Token{ID: id, Expires: now.Add(time.Hour)}}
	}
	of, tokens := map[string]bctrl.ConnectURLInfo{}, map[string]string{}
	for name, c := range map[string]access.Caller{"key": key, "t": holder("t"), "t2": holder("t2")} {
		info, token, err := urls.issue(rt, time.Time{}, c, now)
		require.NoError(t, err)
		of[name], tokens[name] = info, token
	}
	require.Len(t, urls.list("rt", key, now), 3)
	require.Equal(t, []bctrl.ConnectURLInfo{of["t"]}, urls.list("rt", holder("t"), now))
	require.Empty(t, urls.list("other", key, now))
	for _, wrong := range []struct {
		runtime, id string
		caller      access.Caller
	}{{"rt", of["key"].ID, holder("t")}, {"rt", of["t2"].ID, holder("t")}, {"other", of["t"].ID, key}, {"rt", "x", key}} {
		_, ok := urls.revoke(wrong.runtime, wrong.id, wrong.caller, now)
		require.False(t, ok)
	}
	opened, ok := urls.open(tokens["t"], now)
	require.True(t, ok)
	beside, ok := urls.open(tokens["t2"], now)
	require.True(t, ok)
	ended, ok := urls.revoke("rt", of["t"].ID, holder("t"), now)
	require.True(t, ok)
	require.Equal(t, of["t"].ID, ended.ID)
	require.Equal(t, 1, ended.Connections)
	require.Error(t, opened.life.Err())
	require.NoError(t, beside.life.Err())
	_, ok = urls.open(tokens["t"], now)
	require.False(t, ok)
	urls.leave(opened, now)
	_, anew, err := urls.issue(rt, time.Time{}, holder("t"), now)
	require.NoError(t, err)
	require.NotEqual(t, tokens["t"], anew)
	_, ok = urls.revoke("rt", of["key"].ID, key, now)
	require.True(t, ok)
}
