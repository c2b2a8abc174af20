package runtimes

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/scrub"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
)

// fleet holds the runtimes that start or run in this process, with their browsers.
// What callers are told of a runtime is in its row.
type fleet struct {
	mu      sync.Mutex
	live    map[string]*liveRuntime // by runtime id
	closing bool
	running sync.WaitGroup // counts live
}

// liveRuntime is a runtime that starts or runs, with its browser.
type liveRuntime struct {
	org string
	id  string
	// started is closed once the launch is over. Then browser is what runs, or
	// nil where nothing ever did.
	started chan struct{}
	browser browser.Browser
	// turn has room for the one execution that has the page.
	turn chan struct{}
	// life ends when the runtime does, and with it everything that runs in it.
	life context.Context
	end  context.CancelFunc

	// secrets are the values filled so far: pages outlive a task, so none of
	// them is shown to a model for as long as the browser runs.
	secrets *scrub.Set

	mu        sync.Mutex
	stopping  bool
	downloads []bctrl.StorageObject // the newest
}

// maxDownloads is how many downloads a live runtime lists for an agent that works
// in it. The files themselves stay in storage.
const maxDownloads = 1000

func newLiveRuntime(org, id string) *liveRuntime {
	lr := &liveRuntime{
		org:     org,
		id:      id,
		started: make(chan struct{}),
		turn:    make(chan struct{}, 1),
		secrets: scrub.New(),
	}
	lr.life, lr.end = context.WithCancel(context.Background())
	return lr
}

// add takes a runtime in before its browser is started: from then on it can be
// stopped, and closing waits for it.
func (f *fleet) add(lr *liveRuntime) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closing {
		return web.ErrStopping
	}
	if f.live == nil {
		f.live = map[string]*liveRuntime{}
	}
	f.live[lr.id] = lr
	f.running.Add(1)
	return nil
}

// ofOrganization lists the ids of the live runtimes of an organization.
func (f *fleet) ofOrganization(org string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var ids []string
	for id, lr := range f.live {
		if lr.org == org {
			ids = append(ids, id)
		}
	}
	return ids
}

// remove takes a runtime out, and ends what runs in it.
func (f *fleet) remove(lr *liveRuntime) {
	lr.end()
	f.mu.Lock()
	delete(f.live, lr.id)
	f.mu.Unlock()
	f.running.Done()
}

// watchBrowser waits for the end of a browser, and records it as that of its runtime.
func (s *Service) watchBrowser(lr *liveRuntime) {
	<-lr.browser.Done()
	status, reason := bctrl.RuntimeFailed, "the browser ended unexpectedly"
	if lr.ended() {
		status, reason = bctrl.RuntimeStopped, ""
	}
	lr.end()
	s.tickets.forget(lr.id)
	// The process is gone; this removes what it left.
	if err := lr.browser.Stop(context.Background()); err != nil {
		s.Log.Error("a browser did not end well", "runtime", lr.id, "error", err)
	}
	if err := s.recordRuntimeEnd(lr.org, lr.id, status, reason); err != nil {
		s.Log.Error("the end of a runtime was not recorded", "runtime", lr.id, "error", err)
	}
	s.fleet.remove(lr)
}

// appendRuntimeEvent records the state that a runtime has come into by itself, in the
// transaction that writes it.
func appendRuntimeEvent(tx *store.Tx, org string, rt store.Runtime, status bctrl.RuntimeStatus) error {
	e := web.ServerEvent("runtime."+string(status), rt.Alias)
	e.Org, e.Workspace, e.Group, e.Runtime = org, rt.WorkspaceID, rt.Group, rt.ID
	return audit.Append(tx, e)
}

// recordRuntimeEnd records the end of a runtime, and ends what it had underway.
func (s *Service) recordRuntimeEnd(org, id string, status bctrl.RuntimeStatus, reason string) error {
	ctx := context.Background()
	err := s.DB.Write(ctx, func(tx *store.Tx) error {
		rt, err := tx.SetRuntimeStatus(ctx, org, id, status, reason, store.Now())
		if err != nil {
			return err
		}
		return appendRuntimeEvent(tx, org, rt, status)
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil // it has ended already
	}
	if _, forged := errors.AsType[*store.ForgedError](err); forged {
		s.Log.Error("a runtime ended whose row was changed outside the server; the row is left as it is", "runtime", id)
		err = nil
	}
	if err == nil {
		s.RecheckUnderway(ctx, org, "")
	}
	return err
}

// find returns a live runtime, also one whose browser is starting.
func (f *fleet) find(id string) (*liveRuntime, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	lr, ok := f.live[id]
	return lr, ok
}

// startedRuntime returns a live runtime whose launch is over.
func (s *Service) startedRuntime(id string) (*liveRuntime, bool) {
	lr, ok := s.fleet.find(id)
	if !ok {
		return nil, false
	}
	select {
	case <-lr.started:
		return lr, true
	default:
		return nil, false
	}
}

// ended reports whether somebody asked for the end of the runtime.
func (lr *liveRuntime) ended() bool {
	lr.mu.Lock()
	defer lr.mu.Unlock()
	return lr.stopping
}

// stopBound is how long a browser may take to write its profile and leave.
const stopBound = 15 * time.Second

// stopBrowser ends a runtime, waits until its browser is gone, and records it. One
// whose browser is starting ends too; one that is not live is left as it is.
func (s *Service) stopBrowser(ctx context.Context, id string) error {
	lr, ok := s.fleet.find(id)
	if !ok {
		return nil
	}
	lr.mu.Lock()
	lr.stopping = true
	lr.mu.Unlock()
	lr.end() // launch, executions and connections first, so that the page is nobody's
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopBound)
	defer cancel()
	select {
	case <-lr.started:
	case <-ctx.Done():
		return ctx.Err()
	}
	if lr.browser == nil {
		return nil // the launch has recorded its end
	}
	reason := ""
	if err := lr.browser.Stop(ctx); err != nil {
		select {
		case <-lr.browser.Done(): // it crashed in this moment, or lost its profile
			reason = "the browser did not end well: the server's log says more"
		default:
			return err
		}
	}
	// Recorded here too, so that the alias is free when the caller hears of it.
	return s.recordRuntimeEnd(lr.org, lr.id, bctrl.RuntimeStopped, reason)
}

// EndAbandoned gives an end to the runtimes and operations that a server before
// this one left without: its browsers died with it.
func (s *Service) EndAbandoned(ctx context.Context) error {
	now := store.Now()
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		return errors.Join(tx.FailLiveRuntimes(ctx, "the server ended", now, func(org string, rt store.Runtime) error {
			return appendRuntimeEvent(tx, org, rt, bctrl.RuntimeFailed)
		}), tx.EndOperations(ctx, now, interruptOperation))
	})
}

// Close ends every runtime and every operation, and waits for both.
func (s *Service) Close(ctx context.Context) error {
	err := s.closeFleet(ctx)
	s.closeOperations()
	return err
}

// StopOrganization ends every runtime of an organization, also those that are
// starting, one after the other. It waits 15 seconds at most for each, also when ctx
// ends, and joins the errors of those that it could not end.
func (s *Service) StopOrganization(ctx context.Context, org string) error {
	var errs []error
	for _, id := range s.fleet.ofOrganization(org) {
		errs = append(errs, s.stopBrowser(ctx, id))
	}
	return errors.Join(errs...)
}

// closeFleet ends every runtime.
func (s *Service) closeFleet(ctx context.Context) error {
	s.fleet.mu.Lock()
	s.fleet.closing = true
	var ids []string
	for id := range s.fleet.live {
		ids = append(ids, id)
	}
	s.fleet.mu.Unlock()
	var wg sync.WaitGroup
	errs := make([]error, len(ids))
	for i, id := range ids {
		wg.Go(func() { errs[i] = s.stopBrowser(ctx, id) })
	}
	wg.Wait()
	s.fleet.running.Wait()
	return errors.Join(errs...)
}

// takePage waits for the turn to use the page, which one execution has at a time.
func (lr *liveRuntime) takePage(ctx context.Context) (release func(), err error) {
	select {
	case lr.turn <- struct{}{}:
		return func() { <-lr.turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-lr.life.Done():
		return nil, web.ErrNotActive
	}
}

// whileLive returns a context that ends with ctx, or when the runtime does.
func (lr *liveRuntime) whileLive(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(lr.life, cancel)
	return ctx, func() { stop(); cancel() }
}

// rememberDownload adds a download that was put into storage.
func (lr *liveRuntime) rememberDownload(o bctrl.StorageObject) {
	lr.mu.Lock()
	defer lr.mu.Unlock()
	if len(lr.downloads) == maxDownloads {
		lr.downloads = slices.Delete(lr.downloads, 0, 1)
	}
	lr.downloads = append(lr.downloads, o)
}

// newestDownloads lists the newest downloads that were put into storage, oldest first.
func (lr *liveRuntime) newestDownloads() []bctrl.StorageObject {
	lr.mu.Lock()
	defer lr.mu.Unlock()
	return slices.Clone(lr.downloads)
}
