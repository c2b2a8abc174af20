package runtimes

import (
	"context"
	"errors"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
)

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

// appendRuntimeEvent records the state that a runtime has come into by itself, in the
// transaction that writes it.
func appendRuntimeEvent(tx *store.Tx, org string, rt store.Runtime, status bctrl.RuntimeStatus) error {
	e := web.ServerEvent("runtime."+string(status), rt.Alias)
	e.Org, e.Workspace, e.Group, e.Runtime = org, rt.WorkspaceID, rt.Group, rt.ID
	return audit.Append(tx, e)
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
