package chromium

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/browser"
)

func TestManyBrowsersStartTogether(t *testing.T) {
	driver, err := New(Options{})
	require.NoError(t, err)
	const n = 10
	took := make([]time.Duration, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			began := time.Now()
			b, err := driver.Launch(t.Context(), browser.Spec{ID: "many"})
			if err != nil {
				t.Errorf("launch: %v", err)
				return
			}
			took[i] = time.Since(began)
			if err := b.Stop(context.Background()); err != nil {
				t.Errorf("stop: %v", err)
			}
		})
	}
	all.Wait()
	t.Log(took)
}
