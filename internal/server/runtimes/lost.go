package runtimes

import (
	"context"
	"errors"
	"sync"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/store"
)

// EndAbandoned records as failed the runtimes and operations that are on record as living
// and are nobody's any more: those of a server that had the database to itself and has
// ended, and in a cluster those of nodes whose lease has run out, which are ended by it.
// Its errors are of the store.
func (s *Service) EndAbandoned(ctx context.Context) error {
	now := store.Now()
	reason := reasonServerEnded
	if !s.Cluster.Alone() {
		reason = reasonNodeLost
	}
	var orgs map[string]struct{}
	err := s.DB.Write(ctx, func(tx *store.Tx) error {
		orgs = map[string]struct{}{}
		if _, err := tx.EndDeadNodes(ctx); err != nil {
			return err
		}
		err := tx.EndOperations(ctx, now, func(org string, o *bctrl.OperationInfo) error {
			interruptOperation(o)
			return s.appendOperationEnded(ctx, tx, org, *o)
		})
		return errors.Join(err, tx.FailLiveRuntimes(ctx, reason, now, func(org string, rt store.Runtime) error {
			orgs[org] = struct{}{}
			tx.ChangedRules(store.RuleChange{Org: org}) // the tokens of the runtimes end with them
			if err := s.appendEnded(ctx, tx, org, rt, bctrl.RuntimeFailed, reason); err != nil {
				return err
			}
			return appendRuntimeEvent(tx, org, rt, bctrl.RuntimeFailed)
		}))
	})
	if err != nil {
		return err
	}
	if s.Cluster.Alone() { // else it comes as news to this node too, and nobody waits
		for org := range orgs {
			s.RecheckUnderway(ctx, org, "")
		}
	}
	return nil
}

// LoseAll ends every runtime and operation at once, since this server has lost its lease:
// what they were is no longer its to do. Nothing is saved, and what can be recorded of it
// is left to the others. It returns once the browsers have ended, or after 15 seconds.
func (s *Service) LoseAll() {
	ctx, cancel := context.WithTimeout(context.Background(), stopBound)
	defer cancel()
	var gone sync.WaitGroup
	for _, lr := range s.fleet.all() {
		lr.lose()
		gone.Go(func() { s.kill(ctx, lr) })
	}
	s.operations.cancelAll()
	gone.Wait()
}

// kill ends the browser of a runtime without asking it.
func (s *Service) kill(ctx context.Context, lr *liveRuntime) {
	select {
	case <-lr.started: // its launch has ended with its life
	case <-ctx.Done():
		return
	}
	if lr.browser == nil {
		return
	}
	now, kill := context.WithCancel(ctx)
	kill()
	_ = lr.browser.Stop(now) // a browser that is not asked does not wait
	select {
	case <-lr.browser.Done():
	case <-ctx.Done():
		s.Log.Error("a browser did not end with the lease of its node", "runtime", lr.id)
	}
}

// lose ends what runs in the runtime, which is no longer this server's.
func (lr *liveRuntime) lose() {
	lr.mu.Lock()
	lr.lost = true
	lr.mu.Unlock()
	lr.stop(reasonNodeLost)
	lr.end()
}

// isLost reports whether the server has lost its lease, and the runtime with it.
func (lr *liveRuntime) isLost() bool {
	lr.mu.Lock()
	defer lr.mu.Unlock()
	return lr.lost
}
