package server

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/access"
)

// Clients come back to the same address after hours: it has no end of its own,
// but that of its runtime and of who asked for it.
func TestAConnectTokenIsItsCallersForAsLongAsBothAndTheRuntimeLast(t *testing.T) {
	var open tickets
	now := time.Now()
	soon := now.Add(time.Hour)
	holder := func(id string, expires time.Time) access.Caller {
		return access.Caller{Org: "o", Token: &access.Token{ID: id, Expires: expires}}
	}
	key := access.Caller{Org: "o", KeyID: "k"}
	token := open.issue("rt", key, now)
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
		other := open.issue(of.runtime, of.caller, now)
		require.NotEqual(t, token, other, why)
		require.Empty(t, others[other], why)
		others[other] = why
		require.Equal(t, other, open.issue(of.runtime, of.caller, now), why)
	}
	require.Equal(t, token, open.issue("rt", key, now.Add(100*24*time.Hour)), "asked for again: nothing piles up")
	opened, ok := open.find(token)
	require.True(t, ok)
	require.Equal(t, ticket{"rt", key}, opened)
	require.Len(t, open.open, 4, "what has expired is forgotten")
	for _, wrong := range []string{"", token[1:], token + "A"} {
		_, ok := open.find(wrong)
		require.False(t, ok)
	}
	var elsewhere tickets
	require.NotEqual(t, token, elsewhere.issue("rt", key, now), "another server draws another secret")
	open.forget("rt")
	_, ok = open.find(token)
	require.False(t, ok, "its runtime has ended")
	require.Len(t, open.open, 1)
}
