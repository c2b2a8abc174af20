package live

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/bctrl-go/bctrl/internal/browser"
)

const (
	// recordEvery is the shortest time between two pictures of a recording.
	recordEvery = 250 * time.Millisecond
	// lookEvery is the shortest time between two looks at the tabs of a browser.
	lookEvery = 50 * time.Millisecond
	// lookAgain is how long it takes to look at a browser again that did not answer.
	lookAgain = time.Second
)

// Record adds to a movie what a browser shows, from its first document on: the tab in
// front, whichever it is. It ends with ctx, and with [ErrFull] when the movie is full.
// shown says how the address of a document is marked; "" is not.
func (h *Hub) Record(ctx context.Context, m *Movie, shown func(address string) string) error {
	r := &recorder{h: h, movie: m, shown: shown}
	for ctx.Err() == nil {
		change := h.screen.TabsChange()
		tab, ok := r.front(ctx)
		if !ok {
			if err := pause(ctx, change, lookAgain); err != nil {
				return err
			}
			continue
		}
		r.markPage(tab.URL)
		if err := r.follow(ctx, tab.ID); err != nil {
			return err
		}
	}
	return ctx.Err()
}

type recorder struct {
	h     *Hub
	movie *Movie
	shown func(address string) string
	// begun is set once a document was shown, page its mark.
	begun bool
	page  string
	next  time.Time // when another picture may be added
}

// front returns the tab in front, once a document was shown in the browser.
func (r *recorder) front(ctx context.Context) (browser.Tab, bool) {
	tabs, err := r.h.screen.Tabs(ctx)
	if err != nil {
		return browser.Tab{}, false
	}
	for _, t := range tabs {
		r.begun = r.begun || t.URL != "" && !strings.HasPrefix(t.URL, "about:")
		if t.Active {
			return t, r.begun
		}
	}
	return browser.Tab{}, false
}

// markPage marks a document that was not shown before.
func (r *recorder) markPage(address string) {
	if text := r.shown(address); text != r.page {
		if r.page = text; text != "" {
			r.movie.Mark("page", text)
		}
	}
}

// follow records a tab for as long as it is in front.
func (r *recorder) follow(ctx context.Context, tab browser.TabID) error {
	w, err := r.h.Watch(ctx, tab)
	if err != nil {
		return pause(ctx, nil, recordEvery)
	}
	defer w.Close()
	frames := make(chan browser.Frame)
	watching, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			f, err := w.Next(watching)
			if err != nil {
				return
			}
			select {
			case frames <- f:
			case <-watching.Done():
				return
			}
		}
	}()
	defer func() { stop(); <-ended }()
	var ready chan browser.Frame // nil while the last picture is too new for another
	rested := time.NewTimer(time.Until(r.next))
	defer rested.Stop()
	for {
		change := r.h.screen.TabsChange()
		front, ok := r.front(ctx)
		if ok && front.ID != tab {
			return nil
		}
		if ok {
			r.markPage(front.URL)
		}
		for moved := false; !moved; {
			select {
			case f := <-ready:
				if err := r.movie.Add(f); errors.Is(err, ErrFull) {
					return err
				}
				ready, r.next = nil, time.Now().Add(recordEvery)
				rested.Reset(recordEvery)
			case <-rested.C:
				ready = frames
			case <-change:
				moved = true
				if err := pause(ctx, nil, lookEvery); err != nil { // what else changes with it
					return err
				}
			case <-ended:
				return pause(ctx, change, recordEvery)
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}

// pause waits for a change, for a time at most.
func pause(ctx context.Context, change <-chan struct{}, most time.Duration) error {
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-change:
		return nil
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Pause waits for a time, or until ctx ends.
func Pause(ctx context.Context, d time.Duration) error { return pause(ctx, nil, d) }
