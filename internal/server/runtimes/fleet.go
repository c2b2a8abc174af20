package runtimes

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
)

// fleet holds the runtimes that start or run in this process, with their browsers.
// What callers are told of a runtime is in its row.
type fleet struct {
	mu      sync.Mutex
	live    map[string]*liveRuntime // by runtime id
	closing bool
	closed  chan struct{}  // closed with closing
	running sync.WaitGroup // counts live
	// ending are the ids of what this node ends since another one has asked, runtimes and
	// organizations.
	ending sync.Map
}

// isClosing reports whether the server ends, and all of its runtimes with it.
func (f *fleet) isClosing() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.closing
}

func newFleet() fleet { return fleet{closed: make(chan struct{})} }

// errIsHere is why a runtime is not taken in that is among those here.
var errIsHere = errors.New("the runtime is here already")

// add takes a runtime in before its browser is started: from then on it can be
// stopped, and closing waits for it.
func (f *fleet) add(lr *liveRuntime) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closing {
		return web.ErrStopping
	}
	if _, is := f.live[lr.id]; is {
		return errIsHere
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

// all lists the live runtimes.
func (f *fleet) all() []*liveRuntime {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Collect(maps.Values(f.live))
}

// remove takes a runtime out, and ends what runs in it.
func (f *fleet) remove(lr *liveRuntime) {
	lr.end()
	f.mu.Lock()
	delete(f.live, lr.id)
	f.mu.Unlock()
	if lr.place != nil {
		lr.place.release()
	}
	f.running.Done()
}

// hold has closing wait until it is released, where a runtime is still live.
func (f *fleet) hold(lr *liveRuntime) (release func(), ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.live[lr.id] != lr {
		return nil, false
	}
	f.running.Add(1)
	return f.running.Done, true
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

// activeRuntime is [Service.startedRuntime] after [Service.awaitLaunch].
func (s *Service) activeRuntime(ctx context.Context, rt store.Runtime) (*liveRuntime, bool) {
	s.awaitLaunch(ctx, rt)
	return s.startedRuntime(rt.ID)
}

// awaitLaunch waits for the end of the launch of a runtime that is active by its row: it comes a
// moment after it was put on record.
func (s *Service) awaitLaunch(ctx context.Context, rt store.Runtime) {
	lr, ok := s.fleet.find(rt.ID)
	if !ok || rt.Status != bctrl.RuntimeActive {
		return
	}
	select {
	case <-lr.started:
	case <-ctx.Done():
	}
}

// Close ends every runtime and every operation, and waits until all of them are on
// record as ended. A launch is refused from then on with [web.ErrStopping]. A browser
// has 15 seconds to end, also when ctx ends; the error joins those of all that did
// not, and then Close waits for them longer.
func (s *Service) Close(ctx context.Context) error {
	err := s.closeFleet(ctx)
	s.closeOperations()
	return err
}

// StopOrganization ends every runtime of an organization, also those that are
// starting, one after the other. It waits 15 seconds at most for each, also when ctx
// ends, and joins the errors of those that it could not end. Recordings that are not kept
// by then are lost, with all else that the organization has.
func (s *Service) StopOrganization(ctx context.Context, org string) error {
	var errs []error
	for _, id := range s.fleet.ofOrganization(org) {
		errs = append(errs, s.stopBrowser(ctx, id))
	}
	s.keepings.giveUp(org)
	return errors.Join(errs...)
}

// closeFleet ends all runtimes at once, and waits for them.
func (s *Service) closeFleet(ctx context.Context) error {
	s.fleet.mu.Lock()
	if !s.fleet.closing {
		s.fleet.closing = true
		close(s.fleet.closed)
	}
	var ids []string
	for id := range s.fleet.live {
		ids = append(ids, id)
	}
	s.fleet.mu.Unlock()
	var wg sync.WaitGroup
	errs := make([]error, len(ids))
	for i, id := range ids {
		wg.Go(func() {
			if err := s.stopBrowser(ctx, id); !errors.Is(err, store.ErrFenced) { // else others put its end on record
				errs[i] = err
			}
		})
	}
	wg.Wait()
	s.fleet.running.Wait()
	s.keepings.running.Wait()
	return errors.Join(errs...)
}

// ofEach returns a live runtime of each organization that has one here.
func (f *fleet) ofEach() map[string]*liveRuntime {
	f.mu.Lock()
	defer f.mu.Unlock()
	one := map[string]*liveRuntime{}
	for _, lr := range f.live {
		one[lr.org] = lr
	}
	return one
}

// EndDeleted begins to end the runtimes that this node has of organizations that any node
// is deleting, among those of which there is news. Its error is that nobody can tell of one.
func (s *Service) EndDeleted(ctx context.Context, news store.RuleNews) error {
	var errs []error
	for org, lr := range s.fleet.ofEach() {
		if !news.Concerns(org) {
			continue
		}
		// Whoever could forge the row could delete the runtimes' rows as well.
		o, err := s.DB.Read().Unproven().Organization(ctx, org)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			errs = append(errs, fmt.Errorf("looking whether an organization was deleted: %w", err))
			continue
		}
		if err == nil && !o.Closed {
			continue
		}
		release, ok := s.beginToldEnd(lr, org)
		if !ok {
			continue
		}
		go func() {
			defer release()
			if err := s.StopOrganization(ctx, org); err != nil {
				s.Log.Error("a runtime of a deleted organization did not end", "organization", org, "error", err)
			}
		}()
	}
	return errors.Join(errs...)
}

// EndTold begins to end the runtimes of this node that another one has asked to end: those
// that the news name, and where some were missed those that the store does. Its error is
// that nobody can tell.
func (s *Service) EndTold(ctx context.Context, news store.RuleNews) error {
	told := news.Changes
	if news.All && len(s.fleet.all()) > 0 {
		var err error
		if told, err = s.DB.Read().AskedToEnd(ctx); err != nil {
			return fmt.Errorf("looking which runtimes are to end: %w", err)
		}
	}
	for _, c := range told {
		lr, live := s.fleet.find(c.Runtime)
		if !live || lr.org != c.Org {
			continue
		}
		release, ok := s.beginToldEnd(lr, lr.id)
		if !ok {
			continue
		}
		go func() {
			defer release()
			if err := s.stopBrowser(ctx, lr.id); err != nil {
				s.Log.Error("a runtime did not end that another node asked to end", "runtime", lr.id, "error", err)
			}
		}()
	}
	return nil
}

// beginToldEnd has one at a time end what this node was told to, a runtime or all of its
// organization, by the id of either. Closing waits for it until done.
func (s *Service) beginToldEnd(lr *liveRuntime, id string) (done func(), ok bool) {
	release, ok := s.fleet.hold(lr)
	if !ok {
		return nil, false
	}
	if _, ends := s.fleet.ending.LoadOrStore(id, true); ends {
		release()
		return nil, false
	}
	return func() { s.fleet.ending.Delete(id); release() }, true
}

// otherNodesTime is how long the other nodes may take to end the runtimes of what is
// deleted, one of them after the other, or to be found dead.
const otherNodesTime = stopBound + 15*time.Second

// stopAnywhere is stopBrowser also of a runtime that another node has, which it refuses with a code
// where that takes too long.
func (s *Service) stopAnywhere(ctx context.Context, org, id, code string) error {
	if lr, here := s.fleet.find(id); here {
		return s.stopLive(ctx, lr, "")
	}
	if s.Cluster.Alone() {
		return nil
	}
	return s.stopElsewhere(ctx, org, id, code)
}

// stopElsewhere has the node that has a runtime end it, and waits for that.
func (s *Service) stopElsewhere(ctx context.Context, org, id, code string) error {
	err := s.DB.Write(ctx, func(tx *store.Tx) error {
		return tx.AskToEnd(ctx, org, id)
	})
	if err != nil {
		return err
	}
	return awaitEnd(ctx, code, func(ctx context.Context) (live bool, err error) {
		rt, err := s.DB.Read().Runtime(ctx, org, id)
		if errors.Is(err, store.ErrNotFound) {
			return false, nil
		}
		return rt.Live, err
	})
}

// AwaitStopped waits until no node has a runtime of an organization any more.
func (s *Service) AwaitStopped(ctx context.Context, org string) error {
	return awaitEnd(ctx, "subaccounts.still_ending", func(ctx context.Context) (live bool, err error) {
		return s.DB.Read().HasLiveRuntimes(ctx, org)
	})
}

// awaitEnd waits until something has ended on another node, and refuses with a code where
// it does not.
func awaitEnd(ctx context.Context, code string, lives func(context.Context) (bool, error)) error {
	ctx, done := context.WithTimeout(ctx, otherNodesTime)
	defer done()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		live, err := lives(ctx)
		if err != nil || !live {
			return err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return web.WithHint(web.Unavailable(code, "a runtime has not ended on another node yet"), "try again soon")
		}
	}
}
