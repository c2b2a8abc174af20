package runtimes

import (
	"context"
	"errors"
	"path"
	"strings"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/live"
	"github.com/bctrl-go/bctrl/internal/server/files"
	"github.com/bctrl-go/bctrl/internal/server/web"
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
	if err != nil {
		return nil, err
	}
	lr.showing = &showing{screen: screen, hub: live.NewHub(lr.life, screen)}
	return lr.showing, nil
}

// errPersonWorks is the refusal of a step for which no room is made: a person works in the
// browser for longer than a step waits.
var errPersonWorks = web.WithHint(
	web.Conflict("runtimes.person_working", "a person works in the browser by a live view"),
	"run it again once the browser was handed back, or revoke the live view",
)

// awaitPerson waits while a person works in the browser of an execution.
func (s *Service) awaitPerson(ctx context.Context, x *execution) error {
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
			return lr.secrets.String(bareURL(address))
		})
		movie.End()
		if err != nil && lr.life.Err() == nil && !errors.Is(err, live.ErrFull) {
			s.Log.Error("a recording ended before its runtime", "runtime", lr.id, "error", err)
		}
	}()
	return nil
}

// keepRecording puts the recording of a runtime that has ended into its storage, once.
func (s *Service) keepRecording(lr *liveRuntime) {
	if lr.movie == nil {
		return
	}
	lr.keeping.Do(func() {
		<-lr.filmed
		ctx, cancel := context.WithTimeout(context.Background(), keepBound)
		defer cancel()
		film := lr.movie.Film()
		if err := s.putRecording(ctx, lr, film); err != nil {
			s.Log.Error("a recording was not kept", "runtime", lr.id, "error", err)
		}
		s.dropRecording(lr)
	})
}

// dropRecording removes what was recorded of a runtime that has ended.
func (s *Service) dropRecording(lr *liveRuntime) {
	if lr.movie == nil {
		return
	}
	<-lr.filmed
	if err := lr.movie.Close(); err != nil {
		s.Log.Error("the file of a recording was not closed", "runtime", lr.id, "error", err)
	}
}

// keepBound is how long it may take to put a recording into storage.
const keepBound = 2 * time.Minute

func (s *Service) putRecording(ctx context.Context, lr *liveRuntime, film *live.Film) error {
	if len(film.Index.Frames) == 0 {
		return nil // nothing was shown
	}
	rt, err := s.DB.Read().Runtime(ctx, lr.org, lr.id)
	if err != nil {
		return err
	}
	ws, err := s.DB.Read().Workspace(ctx, lr.org, rt.WorkspaceID)
	if err != nil {
		return err
	}
	r, err := film.Reader()
	if err != nil {
		return err
	}
	name := rt.Alias + "-" + film.Index.StartedAt.Format("20060102T150405Z") + live.Extension
	_, err = s.putFile(ctx, &execution{org: lr.org, live: lr, ws: ws, rt: rt}, files.Incoming{
		Path:        path.Join("recordings", name),
		Filename:    name,
		ContentType: live.ContentType,
		Source:      bctrl.SourceRecording,
		Unique:      true,
	}, r)
	return err
}
