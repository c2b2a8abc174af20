package live

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestWhatWasReadWhileAPersonWorksIsOldOnceTheyAreDone: they may change it after.
func TestWhatWasReadWhileAPersonWorksIsOldOnceTheyAreDone(t *testing.T) {
	var c Control
	before := c.Turns()
	require.True(t, c.Take("p", func() (release func()) { return func() {} }))
	during := c.Turns()
	require.NotEqual(t, before, during)
	c.HandBack("p")
	require.NotEqual(t, during, c.Turns())
}
