package runtimes

import (
	"context"
	"errors"
	"net/url"
	"strings"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/live"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/steptime"
	"github.com/bctrl-go/bctrl/internal/store"
)

// showing is what people see of a live runtime, and what is recorded of it.
type showing struct {
	screen browser.Screen
	hub    *live.Hub
}

// show returns what people see of a live runtime, which is begun with the first of them.
func (lr *liveRuntime) show(ctx context.Context) (*showing, error) {
	lr.mu.Lock()
	defer lr.mu.Unlock()
	if lr.showing != nil {
		return lr.showing, nil
	}
	if lr.life.Err() != nil || lr.browser == nil {
		return nil, web.ErrNotActive
	}
	screen, err := lr.browser.Screen(ctx)
	if errors.Is(err, browser.ErrGone) {
		return nil, web.ErrNotActive // its runtime ends in a moment
	}
	if err != nil {
		return nil, err
	}
	lr.showing = &showing{screen: screen, hub: live.NewHub(lr.life, screen)}
	return lr.showing, nil
}

// awaitShown waits until nothing is shown any more of a runtime that has ended.
func (lr *liveRuntime) awaitShown() {
	lr.mu.Lock()
	shown := lr.showing
	lr.mu.Unlock()
	if shown != nil {
		shown.hub.Wait()
	}
}

// errPersonWorks is the refusal of a step for which no room is made: a person works in the
// browser for longer than a step waits.
var errPersonWorks = web.WithHint(
	web.Conflict("runtimes.person_working", "a person works in the browser by a live view"),
	"run it again once the browser was handed back, or revoke the live view",
)

// awaitPerson waits while a person works in the browser of an execution. That takes nothing
// of the time of its step.
func (s *Service) awaitPerson(ctx context.Context, x *execution) error {
	defer steptime.Pause(ctx)()
	free, err := x.live.control.Wait(ctx, func() {
		if x.report != nil {
			x.report("waits for a person who works in the browser")
		}
	})
	if err == nil && !free {
		return errPersonWorks
	}
	return err
}

// mark notes in the recording of a runtime what happens in it, without secrets.
func (lr *liveRuntime) mark(kind, text string) {
	if lr.movie != nil {
		lr.movie.Mark(kind, lr.secrets.String(text))
	}
}

// errNoRecordingStorage is the refusal of a launch whose recording could not be kept.
var errNoRecordingStorage = web.WithHint(
	web.Invalid("runtimes.recording_needs_storage", "launch.record",
		"a recording is kept in the mounted storage, and none is mounted"),
	"mount storage, or leave record out",
)

// film records the browser of a runtime that was launched so, until it ends.
func (s *Service) film(ctx context.Context, lr *liveRuntime, rt store.Runtime) error {
	if !rt.Launch.Record {
		return nil
	}
	movie, err := live.NewMovie(live.DefaultLimits())
	if err != nil {
		return err
	}
	shown, err := lr.show(ctx)
	if err != nil {
		return errors.Join(err, movie.Close())
	}
	lr.movie, lr.filmed = movie, make(chan struct{})
	go func() {
		defer close(lr.filmed)
		err := shown.hub.Record(lr.life, movie, func(address string) string {
			if strings.HasPrefix(address, "about:") {
				return ""
			}
			if u, err := url.Parse(address); err == nil && u.Hostname() != "" {
				lr.hosts.noteSpoken(u.Hostname())
			}
			return lr.secrets.String(bareURL(address))
		})
		movie.End()
		if err != nil && lr.life.Err() == nil && !errors.Is(err, live.ErrFull) {
			s.Log.Error("a recording ended before its runtime", "runtime", lr.id, "error", err)
		}
	}()
	return nil
}
