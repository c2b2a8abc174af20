package devtools

import (
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/stretchr/testify/require"
)

// TestAScriptThatWasAddedAgainIsAsNewAsThat has one be removed in between: it goes when its newer
// place is another's, and not when the older one is.
func TestAScriptThatWasAddedAgainIsAsNewAsThat(t *testing.T) {
	const most = 3
	scripts := newNewestScripts(most)
	add := func(ids ...cdp.ScriptID) {
		for _, id := range ids {
			scripts.add(id)
		}
		require.LessOrEqual(t, len(scripts.ids), most)
	}
	add("a", "b")
	scripts.remove("a")
	add("a", "c")
	require.True(t, scripts.has("a"))
	require.True(t, scripts.has("b"))
	add("d")
	require.False(t, scripts.has("b"), "it is the oldest")
	require.True(t, scripts.has("a"))
	add("e")
	require.False(t, scripts.has("a"))
	require.True(t, scripts.has("c"))
}
