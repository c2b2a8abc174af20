package runtimes

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/access"
)

// Clients come back to the same address after hours: what ends it is the end of
// its runtime and of who asked for it.
func TestAConnectTokenIsItsCallersForAsLongAsBothAndTheRuntimeLast(t *testing.T) {
	var open tickets
	now := time.Now()
	soon := now.Add(time.Hour)
	holder := func(id string, expires time.Time) access.Caller {
		return access.Caller{Org: "o", Token: &access.Token{ID: id, Expires: expires}}
	}
	key := access.Caller{Org: "o", KeyID: "k"}
	issue := func(runtime string, c access.Caller, at time.Time) string {
		token, _ := open.issue(runtime, c, at)
		return token
	}
	token := issue("rt", key, now)
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
	} {
		other := issue(of.runtime, of.caller, now)
		require.NotEqual(t, token, other, why)
		require.Empty(t, others[other], why)
		others[other] = why
		require.Equal(t, other, issue(of.runtime, of.caller, now), why)
	}
	// A use and a question renew it; what nobody wants for long is forgotten.
	_, expires := open.issue("rt", key, now)
	require.Equal(t, now.Add(connectFor), expires)
	require.Greater(t, connectFor, 7*24*time.Hour)
	_, ofToken := open.issue("rt", holder("t", soon), now)
	require.Equal(t, soon, ofToken, "the token's own end")
	opened, ok := open.redeem(token, expires.Add(-1))
	require.True(t, ok)
	require.Equal(t, "rt", opened.runtime)
	require.Equal(t, key, opened.caller)
	_, ok = open.redeem(token, expires.Add(connectFor/2))
	require.True(t, ok, "it was used since")
	again, expires := open.issue("rt", key, expires.Add(connectFor))
	require.Equal(t, token, again, "asked for again")
	require.Len(t, open.open, 1, "what has expired is forgotten")
	_, ok = open.redeem(token, expires)
	require.False(t, ok)
	for _, wrong := range []string{"", token[1:], token + "A"} {
		_, ok := open.redeem(wrong, now)
		require.False(t, ok)
	}
	var elsewhere tickets
	other, _ := elsewhere.issue("rt", key, now)
	require.NotEqual(t, token, other, "another server draws another secret")
	issue("other", key, now)
	open.forget("rt")
	_, ok = open.redeem(token, now)
	require.False(t, ok, "its runtime has ended")
	require.Len(t, open.open, 1)
}
