package live

import (
	"bytes"
	"context"
	"image"
	"image/jpeg"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/browser"
)

// stage is a browser of one tab, whose pictures a test draws.
type stage struct {
	browser.Screen
	mu     sync.Mutex
	casts  int // screencasts that were begun
	going  int
	frames chan browser.Frame
	asked  int // pictures that were taken
	change chan struct{}
	url    string
}

func newStage() *stage {
	return &stage{frames: make(chan browser.Frame), change: make(chan struct{}), url: "about:blank"}
}

func (s *stage) count(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	do()
}

func (s *stage) Cast(ctx context.Context, _ browser.TabID, show func(browser.Frame)) error {
	s.count(func() { s.casts++; s.going++ })
	defer s.count(func() { s.going-- })
	for {
		select {
		case f := <-s.frames:
			s.count(func() { s.asked++ })
			show(f)
		case <-ctx.Done():
			return nil
		}
	}
}

func (s *stage) Tabs(context.Context) ([]browser.Tab, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return []browser.Tab{{ID: "t1", URL: s.url, Active: true}}, nil
}

func (s *stage) TabsChange() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.change
}

func (s *stage) visit(url string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.url = url
	close(s.change)
	s.change = make(chan struct{})
}

func frame(width int) browser.Frame {
	return browser.Frame{JPEG: drawn(width, 16), Width: width, Height: 16}
}

func drawn(width, height int) []byte {
	var out bytes.Buffer
	if err := jpeg.Encode(&out, image.NewGray(image.Rect(0, 0, width, height)), nil); err != nil {
		panic(err)
	}
	return out.Bytes()
}

// TestWatchersShareOneScreencast has two watch a tab, the second of whom stalls.
func TestWatchersShareOneScreencast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		s := newStage()
		h := NewHub(ctx, s)
		quick, err := h.Watch(ctx, "t1")
		require.NoError(t, err)
		slow, err := h.Watch(ctx, "t1")
		require.NoError(t, err)
		for i := range 5 {
			s.frames <- frame(20 + i)
			got, err := quick.Next(ctx)
			require.NoError(t, err)
			require.Equal(t, 20+i, got.Width)
			if i < 4 { // asks for the next one
				synctest.Wait()
				waiting, stop := context.WithCancel(ctx)
				done := make(chan struct{})
				go func() { defer close(done); _, _ = quick.Next(waiting) }()
				synctest.Wait()
				stop()
				<-done
			}
		}
		got, err := slow.Next(ctx)
		require.NoError(t, err)
		require.Equal(t, 24, got.Width, "who is slow misses pictures, and nothing is kept")
		require.Equal(t, 1, s.casts)
		quick.Close()
		synctest.Wait()
		require.Equal(t, 1, s.going, "one still watches")
		slow.Close()
		slow.Close()
		synctest.Wait()
		require.Zero(t, s.going, "nobody does")
		again, err := h.Watch(ctx, "t1")
		require.NoError(t, err)
		synctest.Wait()
		require.Equal(t, 2, s.casts)
		again.Close()
		cancel()
		h.Wait()
	})
}

// TestWatchersWhoStallAllCostNothing looks whether pictures are taken that nobody has room
// for.
func TestWatchersWhoStallAllCostNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s := newStage()
		h := NewHub(ctx, s)
		w, err := h.Watch(ctx, "t1")
		require.NoError(t, err)
		s.frames <- frame(20)
		synctest.Wait()
		select {
		case s.frames <- frame(21):
			t.Error("a picture was taken that nobody has asked for")
		case <-time.After(time.Minute):
		}
		_, err = w.Next(ctx)
		require.NoError(t, err)
		go func() { s.frames <- frame(22) }()
		got, err := w.Next(ctx)
		require.NoError(t, err)
		require.Equal(t, 22, got.Width)
		cancel()
		h.Wait()
		_, err = w.Next(t.Context())
		require.ErrorIs(t, err, ErrTabGone)
		w.Close()
		_, err = h.Watch(t.Context(), "t1")
		require.ErrorIs(t, err, ErrTabGone)
	})
}

// TestATaskWaitsForThePersonWhoWorks has a task come while a person works.
func TestATaskWaitsForThePersonWhoWorks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Control
		var released atomic.Int32
		begin := func() func() { return func() { released.Add(1) } }
		wait := func() (free bool, took time.Duration) {
			begun := time.Now()
			free, err := c.Wait(t.Context(), func() {})
			require.NoError(t, err)
			return free, time.Since(begun)
		}
		free, took := wait()
		require.True(t, free && took == 0, "nobody works")
		require.True(t, c.Take("ann", begin))
		require.False(t, c.Take("bob", begin), "one at a time")
		require.False(t, c.Touch("bob"))
		c.HandBack("bob")
		require.Zero(t, released.Load())

		free, took = wait()
		require.True(t, free)
		require.Equal(t, IdleAfter, took, "who does nothing is waited for a while")
		require.EqualValues(t, 1, released.Load())
		require.False(t, c.Touch("ann"), "and does not have the browser any more")

		require.True(t, c.Take("ann", begin))
		go func() {
			<-time.After(4 * time.Second)
			c.Touch("ann")
			<-time.After(4 * time.Second)
			c.HandBack("ann")
		}()
		free, took = wait()
		require.True(t, free)
		require.Equal(t, 8*time.Second, took, "it is handed back")
		require.EqualValues(t, 2, released.Load())

		require.True(t, c.Take("ann", begin))
		stop := make(chan struct{})
		go func() {
			for {
				select {
				case <-time.After(time.Second):
					c.Touch("ann")
				case <-stop:
					return
				}
			}
		}()
		free, took = wait()
		require.False(t, free, "a task does not wait without end")
		require.Equal(t, MaxWait, took)
		close(stop)
	})
}
