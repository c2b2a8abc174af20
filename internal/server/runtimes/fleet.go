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

// fleet holds the browsers that start or run. A runtime's row says what the
// world may know of it; its member here is the process.
type fleet struct {
	mu      sync.Mutex
	members map[string]*member // by runtime id
	closing bool
	running sync.WaitGroup // one for each member
}

// member is one browser.
type member struct {
	org string
	id  string
	// started is closed once the launch is over. Then browser is what runs, or
	// nil where nothing ever did.
	started chan struct{}
	browser browser.Browser
	// turn is held by the execution that has the page: one at a time.
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

// maxLanded is how many downloads of a runtime are remembered for those who
// work in it. The files themselves stay in storage.
const maxLanded = 1000

func newMember(org, id string) *member {
	m := &member{
		org:     org,
		id:      id,
		started: make(chan struct{}),
		turn:    make(chan struct{}, 1),
		secrets: scrub.New(),
	}
	m.life, m.end = context.WithCancel(context.Background())
	return m
}

// join takes a member into the fleet, before it is launched: what starts can be
// stopped, and closing waits for it.
func (f *fleet) join(m *member) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closing {
		return web.ErrStopping
	}
	if f.members == nil {
		f.members = map[string]*member{}
	}
	f.members[m.id] = m
	f.running.Add(1)
	return nil
}

// of lists the members of an organization.
func (f *fleet) of(org string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var ids []string
	for id, m := range f.members {
		if m.org == org {
			ids = append(ids, id)
		}
	}
	return ids
}

// leave takes a member out; what runs in it ends.
func (f *fleet) leave(m *member) {
	m.end()
	f.mu.Lock()
	delete(f.members, m.id)
	f.mu.Unlock()
	f.running.Done()
}

// watchBrowser waits for the end of a member's browser and records it.
func (s *Service) watchBrowser(m *member) {
	<-m.browser.Done()
	status, reason := bctrl.RuntimeFailed, "the browser ended unexpectedly"
	if m.ended() {
		status, reason = bctrl.RuntimeStopped, ""
	}
	m.end()
	s.tickets.forget(m.id)
	// The process is gone; this removes what it left.
	if err := m.browser.Stop(context.Background()); err != nil {
		s.Log.Error("a browser did not end well", "runtime", m.id, "error", err)
	}
	if err := s.setRuntimeStatus(m.org, m.id, status, reason); err != nil {
		s.Log.Error("the end of a runtime was not recorded", "runtime", m.id, "error", err)
	}
	s.fleet.leave(m)
}

// runtimeChanged records the state that a runtime has come into by itself, in the
// transaction that writes it.
func runtimeChanged(tx *store.Tx, org string, rt store.Runtime, status bctrl.RuntimeStatus) error {
	e := web.ServerEvent("runtime."+string(status), rt.Alias)
	e.Org, e.Workspace, e.Group, e.Runtime = org, rt.WorkspaceID, rt.Group, rt.ID
	return audit.Append(tx, e)
}

// setRuntimeStatus records the end of a runtime, and ends what it had underway.
func (s *Service) setRuntimeStatus(org, id string, status bctrl.RuntimeStatus, reason string) error {
	ctx := context.Background()
	err := s.DB.Write(ctx, func(tx *store.Tx) error {
		rt, err := tx.SetRuntimeStatus(ctx, org, id, status, reason, store.Now())
		if err != nil {
			return err
		}
		return runtimeChanged(tx, org, rt, status)
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

// get returns a member, which may still start.
func (f *fleet) get(id string) (*member, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	m, ok := f.members[id]
	return m, ok
}

// member returns the running browser of a runtime.
func (s *Service) member(id string) (*member, bool) {
	m, ok := s.fleet.get(id)
	if !ok {
		return nil, false
	}
	select {
	case <-m.started:
		return m, true
	default:
		return nil, false
	}
}

// ended reports whether somebody asked for the member's end.
func (m *member) ended() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.stopping
}

// stopBound is how long a browser may take to write its profile and leave.
const stopBound = 15 * time.Second

// stopRuntime ends a runtime and waits until nothing of it is left. One that
// still starts is stopped too; one that does not run is left as it is.
func (s *Service) stopRuntime(ctx context.Context, id string) error {
	m, ok := s.fleet.get(id)
	if !ok {
		return nil
	}
	m.mu.Lock()
	m.stopping = true
	m.mu.Unlock()
	m.end() // launch, executions and connections first, so that the page is nobody's
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopBound)
	defer cancel()
	select {
	case <-m.started:
	case <-ctx.Done():
		return ctx.Err()
	}
	if m.browser == nil {
		return nil // the launch has recorded its end
	}
	reason := ""
	if err := m.browser.Stop(ctx); err != nil {
		select {
		case <-m.browser.Done(): // it crashed in this moment, or lost its profile
			reason = "the browser did not end well: the server's log says more"
		default:
			return err
		}
	}
	// Recorded here too, so that the alias is free when the caller hears of it.
	return s.setRuntimeStatus(m.org, m.id, bctrl.RuntimeStopped, reason)
}

// EndAbandoned gives an end to the runtimes and operations that a server before
// this one left without: its browsers died with it.
func (s *Service) EndAbandoned(ctx context.Context) error {
	now := store.Now()
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		return errors.Join(tx.FailLiveRuntimes(ctx, "the server ended", now, func(org string, rt store.Runtime) error {
			return runtimeChanged(tx, org, rt, bctrl.RuntimeFailed)
		}), tx.EndOperations(ctx, now, interruptOperation))
	})
}

// Close ends every runtime and every operation, and waits for both.
func (s *Service) Close(ctx context.Context) error {
	err := s.closeFleet(ctx)
	s.closeOperations()
	return err
}

// StopOrganization ends every runtime of an organization, those that still
// start too.
func (s *Service) StopOrganization(ctx context.Context, org string) error {
	var errs []error
	for _, id := range s.fleet.of(org) {
		errs = append(errs, s.stopRuntime(ctx, id))
	}
	return errors.Join(errs...)
}

// closeFleet ends every runtime.
func (s *Service) closeFleet(ctx context.Context) error {
	s.fleet.mu.Lock()
	s.fleet.closing = true
	var ids []string
	for id := range s.fleet.members {
		ids = append(ids, id)
	}
	s.fleet.mu.Unlock()
	var wg sync.WaitGroup
	errs := make([]error, len(ids))
	for i, id := range ids {
		wg.Go(func() { errs[i] = s.stopRuntime(ctx, id) })
	}
	wg.Wait()
	s.fleet.running.Wait()
	return errors.Join(errs...)
}

// acquire waits for the member's page.
func (m *member) acquire(ctx context.Context) (release func(), err error) {
	select {
	case m.turn <- struct{}{}:
		return func() { <-m.turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-m.life.Done():
		return nil, web.ErrNotActive
	}
}

// bound returns a context that ends with ctx or with the runtime.
func (m *member) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(m.life, cancel)
	return ctx, func() { stop(); cancel() }
}

// land adds a download that came to rest in storage.
func (m *member) land(o bctrl.StorageObject) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.downloads) == maxLanded {
		m.downloads = slices.Delete(m.downloads, 0, 1)
	}
	m.downloads = append(m.downloads, o)
}

// landed lists the newest downloads that came to rest in storage.
func (m *member) landed() []bctrl.StorageObject {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.downloads)
}
