package runtimes

import (
	"context"
	"path"
	"sync"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/live"
	"github.com/bctrl-go/bctrl/internal/server/files"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
)

// keepings are the recordings of runtimes that have ended, while they are put into storage.
// That may take minutes, and nothing of the runtime waits for it.
type keepings struct {
	mu      sync.Mutex
	open    map[string]*keeping // by runtime id
	running sync.WaitGroup      // counts open
}

// keeping is one of them, until done is closed.
type keeping struct {
	org    string
	movie  *live.Movie
	cancel context.CancelFunc
	done   chan struct{}
}

// find returns the recording that is being kept of a runtime.
func (k *keepings) find(runtime string) (*keeping, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	found, ok := k.open[runtime]
	return found, ok
}

// add takes in a recording, which is removed once.
func (k *keepings) add(runtime string, added *keeping) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.open == nil {
		k.open = map[string]*keeping{}
	}
	k.open[runtime] = added
	k.running.Add(1)
}

// await waits until the recording of a runtime is kept, or could not be.
func (k *keepings) await(ctx context.Context, runtime string) error {
	found, ok := k.find(runtime)
	if !ok {
		return nil
	}
	select {
	case <-found.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// giveUp has no recording of an organization be kept any more, and waits until none is.
func (k *keepings) giveUp(org string) {
	k.mu.Lock()
	var abandoned []*keeping
	for _, one := range k.open {
		if one.org == org {
			abandoned = append(abandoned, one)
		}
	}
	k.mu.Unlock()
	for _, one := range abandoned {
		one.cancel()
		<-one.done
	}
}

// remove takes a recording out that was kept, or could not be.
func (k *keepings) remove(runtime string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	close(k.open[runtime].done)
	delete(k.open, runtime)
	k.running.Done()
}

// keepBound is how long it may take to put a recording into storage.
const keepBound = 2 * time.Minute

// recordingKept is the action of the event of a recording that is put into storage. Where
// the server is killed meanwhile, its outcome stays unknown.
const recordingKept = "recording.kept"

// keepRecording begins to put the recording of a runtime that has ended into its storage. It
// waits for nothing, and begins once.
func (s *Service) keepRecording(lr *liveRuntime) {
	if lr.movie == nil {
		return
	}
	lr.keeping.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), keepBound)
		s.keepings.add(lr.id, &keeping{lr.org, lr.movie, cancel, make(chan struct{})})
		go func() {
			defer cancel()
			<-lr.filmed
			if err := s.putRecording(ctx, lr); err != nil {
				s.Log.Error("a recording was not kept", "runtime", lr.id, "error", err)
			}
			s.dropRecording(lr)
			s.keepings.remove(lr.id)
		}()
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

// putRecording puts a recording into the namespace that the mounts of its runtime give now.
// The runtime has ended and may do nothing any more: it is the server that does it, and what
// it was launched with, and what its workspace has been lowered to since, say where to.
func (s *Service) putRecording(ctx context.Context, lr *liveRuntime) error {
	film := lr.movie.Film()
	defer film.Close()
	if len(film.Index.Frames) == 0 {
		return nil // nothing was shown
	}
	rt, err := s.DB.Read().Runtime(ctx, lr.org, lr.id)
	if err != nil {
		return err
	}
	name := rt.Alias + "-" + film.Index.StartedAt.Format("20060102T150405Z") + live.Extension
	f := files.Incoming{
		Path:        path.Join("recordings", name),
		Filename:    name,
		ContentType: live.ContentType,
		Source:      bctrl.SourceRecording,
		Unique:      true,
		RuntimeID:   rt.ID,
		Driver:      rt.Driver,
	}
	ev := web.ServerEvent(recordingKept, rt.ID)
	ev.Org, ev.Workspace, ev.Group, ev.Runtime = lr.org, rt.WorkspaceID, rt.Group, rt.ID
	ev.Outcome = ""
	return s.Use(ctx, ev, func() error {
		decide := func(ctx context.Context) (g *web.Grant, err error) {
			f.Namespace, g, err = s.grantKeeping(ctx, lr.org, rt)
			return g, err
		}
		return s.WhileDecided(ctx, decide, func(ctx context.Context) error {
			r, err := film.Reader()
			if err != nil {
				return err
			}
			put := web.ServerEvent(string(bctrl.PutStorage), f.Namespace)
			put.Org, put.Workspace, put.Group, put.Runtime = ev.Org, ev.Workspace, ev.Group, ev.Runtime
			_, err = s.files.Put(ctx, lr.org, f, readerOf(ctx, r), put)
			return err
		})
	})
}

// grantKeeping decides where the recording of a runtime that has ended is kept, for as long
// as the mounts say the same.
func (s *Service) grantKeeping(
	ctx context.Context, org string, rt store.Runtime,
) (namespace string, g *web.Grant, err error) {
	if s.Custody.Locked() {
		return "", nil, web.ErrLocked
	}
	now := func(ctx context.Context, q store.Queries) (string, error) {
		ws, err := q.Workspace(ctx, org, rt.WorkspaceID)
		if err != nil {
			return "", err
		}
		bound := web.RuntimeOf(rt, ws)
		storage := bound.Chain.Effective().Storage
		if storage == nil || storage.Access == bctrl.StorageNone || !access.Decide(
			access.Caller{Org: org, Runtime: bound}, access.Action{Verb: bctrl.PutStorage, Object: storage.Workspace}) {
			return "", web.OutsideMount(bctrl.PutStorage)
		}
		return storage.Workspace, nil
	}
	if namespace, err = now(ctx, s.DB.Read()); err != nil {
		return "", nil, err
	}
	g = &web.Grant{Caller: access.Caller{Org: org}, Workspace: rt.WorkspaceID}
	g.Require(s.CheckUnlocked)
	g.Require(func(ctx context.Context, q store.Queries, _ access.Caller) error {
		if is, err := now(ctx, q); err != nil || is != namespace {
			return web.OutsideMount(bctrl.PutStorage)
		}
		return nil
	})
	return namespace, g, nil
}
