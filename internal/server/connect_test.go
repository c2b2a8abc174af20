package server

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/access"
)

func TestAConnectTokenOpensItsRuntimeUntilItExpires(t *testing.T) {
	var open tickets
	now := time.Now()
	token, expires := open.issue("rt", access.Caller{}, now)
	other, _ := open.issue("other", access.Caller{}, now)
	require.NotEqual(t, token, other)
	for _, tc := range []struct {
		at  time.Time
		ok  bool
		why string
	}{
		{now, true, "fresh"}, {now.Add(time.Minute), true, "used again: clients reconnect"},
		{expires.Add(-time.Millisecond), true, "its last moment"}, {expires, false, "expired"},
	} {
		opened, ok := open.redeem(token, tc.at)
		require.Equal(t, tc.ok, ok, tc.why)
		require.Equal(t, "rt", opened.runtime, tc.why)
	}
	require.LessOrEqual(t, expires.Sub(now), 5*time.Minute)
	for _, wrong := range []string{"", token[1:], token + "A"} {
		_, ok := open.redeem(wrong, now)
		require.False(t, ok)
	}
	open.issue("later", access.Caller{}, expires)
	_, ok := open.redeem(token, now)
	require.False(t, ok, "what has expired is forgotten")
}
