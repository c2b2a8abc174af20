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
	return s.stopBrowserBecause(ctx, id, "")
}

// stopBrowserBecause is stopBrowser for a reason that is recorded: no caller asks.
func (s *Service) stopBrowserBecause(ctx context.Context, id, reason string) error {
	if lr, ok := s.fleet.find(id); ok {
		return s.stopLive(ctx, lr, reason)
	}
	return nil
}

// stopLive is stopBrowserBecause of a runtime that was found here.
func (s *Service) stopLive(ctx context.Context, lr *liveRuntime, reason string) error {
	lr.stop(reason)
	lr.end() // the launch, executions and connections end before the browser does
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopBound)
	defer cancel()
	select {
	case <-lr.started:
	case <-ctx.Done():
		return ctx.Err()
	}
	if lr.isElsewhere {
		return s.stopMoved(ctx, lr)
	}
	if lr.browser == nil {
		return nil // the launch has recorded its end
	}
	_, reason = lr.whyStopping()
	if err := lr.browser.Stop(ctx); err != nil {
		select {
		case <-lr.browser.Done(): // it has ended, but crashed, or did not keep its profile
			reason = "the browser did not end well: the server's log says more"
		default:
			return err
		}
	}
	s.keepRecording(lr)
	// watchBrowser records it too. Here, the alias is free before the caller is answered.
	return s.recordRuntimeEnd(lr.org, lr.id, bctrl.RuntimeStopped, reason)
}

// stopMoved ends a runtime that is not this node's after all: another one took its launch, or has
// kept it. Where this one closes, it lives on there.
func (s *Service) stopMoved(ctx context.Context, lr *liveRuntime) error {
	select {
	case <-s.fleet.closed:
		return nil
	default:
		return s.stopElsewhere(ctx, lr.org, lr.id, web.ErrNodeLost.Code)
	}
}

// watchBrowser waits for the end of a browser, and records it as that of its runtime.
func (s *Service) watchBrowser(lr *liveRuntime) {
	<-lr.browser.Done()
	status, reason := bctrl.RuntimeFailed, whyFailed(lr.browser.Err())
	if stopping, why := lr.whyStopping(); stopping {
		status, reason = bctrl.RuntimeStopped, why
	}
	if lr.isLost() {
		status, reason = bctrl.RuntimeFailed, reasonNodeLost
	}
	lr.end()
	s.connectURLs.forget(lr.id)
	s.views.forget(lr.id, time.Now())
	if status == bctrl.RuntimeFailed && !lr.isLost() {
		s.tell(lr, bctrl.CrashedEvent{})
	}
	// The process is gone; this removes what it left.
	if err := lr.browser.Stop(context.Background()); err != nil {
		s.Log.Error("a browser did not end well", "runtime", lr.id, "error", err)
	}
	lr.awaitShown()
	if lr.place != nil {
		lr.place.release() // its end may be on record later
	}
	s.keepRecording(lr)
	if err := s.recordRuntimeEnd(lr.org, lr.id, status, reason); err != nil {
		s.recordRuntimeEndLater(lr, status, reason, err)
	}
	s.fleet.remove(lr)
}

// endPause is between two attempts to record the end of a runtime.
const endPause = time.Second

// recordRuntimeEndLater records the end of a runtime that could not be recorded because of
// err, as on a full disk. It returns once that is done, or when the service closes: then
// the next start of the server records it. Until then the runtime is told as it was.
func (s *Service) recordRuntimeEndLater(lr *liveRuntime, status bctrl.RuntimeStatus, reason string, err error) {
	s.Log.Error("the end of a runtime is not recorded yet", "runtime", lr.id, "error", err)
	pause := time.NewTicker(endPause)
	defer pause.Stop()
	for {
		select {
		case <-pause.C:
		case <-s.fleet.closed:
			if err := s.recordRuntimeEnd(lr.org, lr.id, status, reason); err != nil {
				s.Log.Error("the end of a runtime was not recorded", "runtime", lr.id, "error", err)
			}
			return
		}
		if s.recordRuntimeEnd(lr.org, lr.id, status, reason) == nil {
			return
		}
	}
}

// recordUnstarted records the end of a runtime that has no browser, later where it cannot
// be recorded now.
func (s *Service) recordUnstarted(lr *liveRuntime, status bctrl.RuntimeStatus, reason string) error {
	err := s.recordRuntimeEnd(lr.org, lr.id, status, reason)
	if err == nil {
		return nil
	}
	if release, ok := s.fleet.hold(lr); ok {
		go func() {
			defer release()
			s.recordRuntimeEndLater(lr, status, reason, err)
		}()
	}
	return err
}

// recordRuntimeEnd records the end of a runtime, and ends what is underway and acts as
// it, on every node: it waits for the others as a change of rules does. A runtime whose
// end is on record is left as it is. A row that was changed outside the server is logged,
// and left too.
func (s *Service) recordRuntimeEnd(org, id string, status bctrl.RuntimeStatus, reason string) error {
	ctx := context.Background()
	if lr, ok := s.fleet.find(id); ok {
		s.events.Forget(lr.org, lr.workspace, lr.id)
	}
	s.events.Flush() // what was told of it comes before its end
	err := s.DB.Write(ctx, func(tx *store.Tx) error {
		rt, err := tx.SetRuntimeStatus(ctx, org, id, status, reason, store.Now())
		if err != nil {
			return err
		}
		if err := s.appendEnded(ctx, tx, org, rt, status, reason); err != nil {
			return err
		}
		tx.ChangedRules(store.RuleChange{Org: org})
		return appendRuntimeEvent(tx, org, rt, status)
	})
	if errors.Is(err, store.ErrNotFound) {
		err = nil // it has ended already, and perhaps in this moment
	}
	if _, forged := errors.AsType[*store.ForgedError](err); forged {
		s.Log.Error("a runtime ended whose row was changed outside the server; the row is left as it is", "runtime", id)
		err = nil
	}
	if err == nil {
		err = s.Obey(ctx, store.RuleChange{Org: org})
	}
	return err
}

// appendRuntimeEvent records a new status of a runtime as an event of the server, in
// the transaction that writes it.
func appendRuntimeEvent(tx *store.Tx, org string, rt store.Runtime, status bctrl.RuntimeStatus) error {
	e := web.ServerEvent("runtime."+string(status), rt.Alias)
	e.Org, e.Workspace, e.Group, e.Runtime = org, rt.WorkspaceID, rt.Group, rt.ID
	return audit.Append(tx, e)
}
