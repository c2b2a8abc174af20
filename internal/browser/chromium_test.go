package browser

import (
	"context"
	"net/netip"
	"testing"
	"time"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/egress"
)

// loopback lets pages reach the servers of tests.
func loopback() egress.Policy {
	return egress.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
}

// launch starts a real browser that is stopped when the test ends.
func launch(t *testing.T, spec Spec) *chromium {
	t.Helper()
	driver, err := NewChromium(Options{})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	b, err := driver.Launch(ctx, spec)
	require.NoError(t, err)
	t.Cleanup(func() {
		if err := b.Stop(context.Background()); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return b.(*chromium)
}

func TestLaunch(t *testing.T) {
	b := launch(t, Spec{ID: "test"})
	var v cdpbrowser.GetVersionResult
	require.NoError(t, b.mux.call(t.Context(), cdpbrowser.CommandGetVersion, struct{}{}, &v))
	t.Log(v.Product)
}
