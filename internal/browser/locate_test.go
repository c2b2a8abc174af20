package browser

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAMissingBrowserNamesTheCommandThatInstallsOne(t *testing.T) {
	_, err := locate("", []string{"no-such-browser", "/nor/this"})
	require.ErrorIs(t, err, ErrNoChromium)
	require.ErrorContains(t, err, "apt-get install --no-install-recommends chromium-headless-shell")
}
