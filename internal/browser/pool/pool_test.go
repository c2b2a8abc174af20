package pool

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/egress"
)

// startTime is how long a testDriver takes to start a browser.
const startTime = 150 * time.Millisecond

// testDriver starts fake browsers, counts them, and can fail.
type testDriver struct {
	browser.Fake
	mu       sync.Mutex
	starting int
	running  map[*testBrowser]bool
	// most is how many that were nobody's ran or started at a time.
	most, attempts int
	err            error
}

// testBrowser is a fake browser that knows whose it was.
type testBrowser struct {
	browser.Prepared
	driver   *testDriver
	assigned []string
}

func (b *testBrowser) Assign(spec browser.Spec) {
	b.assigned = append(b.assigned, spec.ID)
	b.Prepared.Assign(spec)
	b.driver.forget(b)
}

func (b *testBrowser) Stop(ctx context.Context) error {
	b.driver.forget(b)
	return b.Prepared.Stop(ctx)
}

func (d *testDriver) forget(b *testBrowser) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.running, b)
}

func (d *testDriver) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err = err
}

func (d *testDriver) Prepare(ctx context.Context) (browser.Prepared, error) {
	d.mu.Lock()
	d.attempts++
	d.starting++
	d.most = max(d.most, d.starting+len(d.running))
	d.mu.Unlock()
	select {
	case <-time.After(startTime):
	case <-ctx.Done():
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.starting--
	if err := errors.Join(d.err, ctx.Err()); err != nil {
		return nil, err
	}
	fake, err := d.Fake.Prepare(ctx)
	if err != nil {
		return nil, err
	}
	b := &testBrowser{Prepared: fake, driver: d}
	if d.running == nil {
		d.running = map[*testBrowser]bool{}
	}
	d.running[b] = true
	return b, nil
}

// inPool runs a test with a pool in a bubble, whose time passes when nobody runs.
func inPool(t *testing.T, warm int, test func(t *testing.T, d *testDriver, p *Pool)) {
	synctest.Test(t, func(t *testing.T) {
		d := &testDriver{}
		p := New(Config{Driver: d, Warm: warm})
		defer func() { _ = p.Close() }() // also of a test that has failed
		test(t, d, p)
		require.NoError(t, p.Close())
		require.NoError(t, p.Close(), "twice")
		require.Empty(t, d.running, "no browser outlives its pool")
		require.Zero(t, p.Counts().Ready)
	})
}

func passes(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // the time of the bubble
	synctest.Wait()
}

func TestAPoolHandsOutEachBrowserOnce(t *testing.T) {
	inPool(t, 3, func(t *testing.T, d *testDriver, p *Pool) {
		passes(time.Second)
		require.Equal(t, Counts{Ready: 3, Want: 3}, p.Counts())
		seen := map[*testBrowser]bool{}
		var mu sync.Mutex
		var all sync.WaitGroup
		for i := range 20 {
			all.Go(func() {
				b, err := p.Launch(t.Context(), browser.Spec{ID: fmt.Sprint("r", i)})
				if err != nil {
					t.Errorf("launch: %v", err)
					return
				}
				defer func() { _ = b.Stop(context.Background()) }()
				mu.Lock()
				defer mu.Unlock()
				if warm, ok := b.(*testBrowser); ok {
					if seen[warm] || len(warm.assigned) != 1 {
						t.Errorf("a used browser was handed out: %v", warm.assigned)
					}
					seen[warm] = true
				}
			})
		}
		all.Wait()
		require.Len(t, seen, 3)
		require.Equal(t, 17, p.Counts().Fresh)
		passes(time.Minute)
		require.Equal(t, 3, p.Counts().Ready, "it fills again")
		require.Equal(t, 3, d.most, "there are never more than that")
	})
}

func TestOnlyALaunchAsByDefaultTakesAWarmBrowser(t *testing.T) {
	inPool(t, 1, func(t *testing.T, _ *testDriver, p *Pool) {
		passes(time.Second)
		for i, spec := range []browser.Spec{
			{Config: bctrl.LaunchConfig{Locale: "de"}}, {Route: egress.Route{Upstream: &egress.Upstream{}}},
			{Profile: &browser.Profile{}},
		} {
			spec.ID = fmt.Sprint("fresh", i)
			b, err := p.Launch(t.Context(), spec)
			require.NoError(t, err)
			_, warm := b.(*testBrowser)
			require.False(t, warm)
			require.NoError(t, b.Stop(t.Context()))
		}
		b, err := p.Launch(t.Context(), browser.Spec{
			ID:         "warm",
			OnDownload: func(context.Context, browser.Download) (string, error) { return "", nil },
			Gate:       func(context.Context, string, func(context.Context)) error { return nil },
		})
		require.NoError(t, err)
		require.Equal(t, []string{"warm"}, b.(*testBrowser).assigned)
		require.False(t, isGone(b))
		require.NoError(t, b.Stop(t.Context()))
	})
}

func TestAPoolReplacesWhatDiesOrGetsOld(t *testing.T) {
	inPool(t, 2, func(t *testing.T, d *testDriver, p *Pool) {
		passes(time.Second)
		first := p.ready[0].Prepared.(*testBrowser)
		require.NoError(t, first.Stop(t.Context()))
		b, err := p.Launch(t.Context(), browser.Spec{ID: "r"})
		require.NoError(t, err)
		require.NotSame(t, first, b, "what has died is not handed out")
		require.NoError(t, b.Stop(t.Context()))
		passes(10 * time.Second)
		require.Equal(t, Counts{Ready: 2, Want: 2, Warm: 1, Died: 1}, p.Counts())

		p.mu.Lock()
		old := p.ready[0].Prepared
		p.mu.Unlock()
		passes(maxAge + time.Second)
		require.True(t, isGone(old))
		require.Equal(t, 2, p.Counts().Ready)
		require.Equal(t, 2, d.most)
	})
}

func TestAPoolThatCannotStartBrowsersTriesLessAndLess(t *testing.T) {
	inPool(t, 2, func(t *testing.T, d *testDriver, p *Pool) {
		d.fail(errors.New("no browser starts"))
		passes(10 * time.Minute)
		require.Less(t, d.attempts, 20)
		require.Equal(t, d.attempts, p.Counts().Failed)
		_, err := p.Launch(t.Context(), browser.Spec{ID: "r"})
		require.NoError(t, err, "who asks for one has it started, and hears for himself what fails")
		d.fail(nil)
		passes(2 * retryMax)
		require.Equal(t, 2, p.Counts().Ready)
	})
}

func TestAPoolDoesNotStartABrowserWhileOneIsAboutToBeUsed(t *testing.T) {
	inPool(t, 2, func(t *testing.T, d *testDriver, p *Pool) {
		passes(time.Second)
		before := d.attempts
		_, err := p.Launch(t.Context(), browser.Spec{ID: "r1"})
		require.NoError(t, err)
		passes(refillPause / 2)
		require.Equal(t, before, d.attempts, "it waits while it has another")
		_, err = p.Launch(t.Context(), browser.Spec{ID: "r2"})
		require.NoError(t, err)
		synctest.Wait()
		require.Equal(t, before+1, d.attempts, "and not where it has none")
	})
}

func TestAPoolThatIsClosedAsItFillsLeavesNothing(t *testing.T) {
	inPool(t, 3, func(t *testing.T, d *testDriver, p *Pool) {
		passes(startTime + startTime/2)
		require.Equal(t, 1, d.starting)
		require.NoError(t, p.Close())
		require.Zero(t, d.starting)
		_, err := p.Launch(t.Context(), browser.Spec{ID: "r"})
		require.NoError(t, err)
		require.Equal(t, 2, d.attempts, "it starts none for itself")
	})
}
