package web

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
)

// underway is what callers have begun and have not ended: requests, streams,
// executions, DevTools connections, downloads by a link, questions to a model,
// files on their way into storage. Whoever changes what is permitted, by
// lowering a workspace, ending a runtime, a key, a token or a credential, asks
// about all of it again before the change is acknowledged ([Kernel.Obey]), on every
// node, and what is no longer permitted ends.
//
// All of it comes in through [underway.begin]. A call to a provider does not: it
// is part of the request or the question that makes it, and adds a condition to
// what that was granted.
type underway struct {
	mu sync.Mutex
	// changes counts how often rules have changed.
	changes uint64
	// last is the count at each organization's last change; open is by
	// organization too. What is done for a subaccount with a key of its parent is
	// among what both have open.
	last map[string]uint64
	// lastOfAll is the count at the last change that concerned everybody, such as a lock,
	// or the loss of the lease.
	lastOfAll uint64
	// valid refuses while the server has no lease; nil is a server that needs none.
	valid func() error
	open  map[string]map[*activity]struct{}
}

// entry is what was decided about something that begins.
type entry struct {
	// caller is who begins it.
	caller access.Caller
	// workspace is one whose rules count beside those of the caller's; "" is none.
	workspace string
	// keyless is set where it goes on while the server is locked.
	keyless bool
	// stillPermitted decides about it once more.
	stillPermitted func(context.Context) error
}

// activity is one thing that is underway.
type activity struct {
	entry
	underway *underway
	// end ends its context, with why as the cause.
	end context.CancelCauseFunc
	// stopClock lets go of the time at which its caller's token expires.
	stopClock context.CancelFunc
}

// begin decides about something and counts it as underway. The context that it
// returns ends once it is no longer permitted, for which [EndedBecause] tells
// the reason, and when the caller's token expires.
//
// Nothing is decided under old rules and missed by a change of them: begin notes
// how often rules have changed, decides, and enters what was decided. Where those
// of its organization have changed since, entering fails and all is done again;
// where they change after, what was entered is asked about.
func (u *underway) begin(
	ctx context.Context, decide func(context.Context) (entry, error),
) (context.Context, *activity, error) {
	for {
		changes := u.changesSoFar()
		if u.valid != nil {
			if err := u.valid(); err != nil {
				return ctx, nil, err
			}
		}
		e, err := decide(ctx)
		if err != nil {
			return ctx, nil, err
		}
		of, end := context.WithCancelCause(ctx)
		a := &activity{
			entry:     e,
			underway:  u,
			end:       end,
			stopClock: func() {},
		}
		if t := e.caller.Token; t != nil {
			of, a.stopClock = context.WithDeadlineCause(of, t.Expires, errTokenExpired)
		}
		if u.add(a, changes) {
			return of, a, nil
		}
		a.close()
	}
}

// while runs do for as long as it is permitted. Once it is not, the context of
// do ends, and the error is the reason.
func (u *underway) while(
	ctx context.Context, decide func(context.Context) (entry, error), do func(context.Context) error,
) error {
	ctx, a, err := u.begin(ctx, decide)
	if err != nil {
		return err
	}
	defer a.close()
	err = do(ctx)
	if why := EndedBecause(ctx); err != nil && why != nil {
		return why
	}
	return err
}

// leave takes the activity out of what is underway: no change ends it any more.
func (a *activity) leave() {
	u := a.underway
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, org := range a.organizations() {
		delete(u.open[org], a)
		if len(u.open[org]) == 0 {
			delete(u.open, org)
		}
	}
}

// close leaves and lets go of the activity's context.
func (a *activity) close() {
	a.leave()
	a.end(nil)
	a.stopClock()
}

// organizations are those whose rules the activity depends on.
func (a *activity) organizations() []string {
	if a.caller.Parent == "" {
		return []string{a.caller.Org}
	}
	return []string{a.caller.Org, a.caller.Parent}
}

// isIn reports whether the activity is one of a workspace, or of the organization
// where that is "".
func (a *activity) isIn(workspace string) bool {
	return workspace == "" || a.workspace == workspace ||
		a.caller.Runtime != nil && a.caller.Runtime.WorkspaceID == workspace
}

// len is how much is underway.
func (u *underway) len() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	all := map[*activity]struct{}{}
	for _, of := range u.open {
		maps.Copy(all, of)
	}
	return len(all)
}

// changesSoFar is how often the rules have changed.
func (u *underway) changesSoFar() uint64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.changes
}

// add takes in what was decided when the rules had changed so often. It refuses
// where those of its organization have changed since.
func (u *underway) add(a *activity, changes uint64) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, org := range a.organizations() {
		if max(u.last[org], u.lastOfAll) > changes {
			return false
		}
	}
	if u.open == nil {
		u.open = map[string]map[*activity]struct{}{}
	}
	for _, org := range a.organizations() {
		if u.open[org] == nil {
			u.open[org] = map[*activity]struct{}{}
		}
		u.open[org][a] = struct{}{}
	}
	return true
}

// countChange counts a change of the rules and returns what it may concern: what is
// underway in a workspace, or with "" in all of the organization's.
func (u *underway) countChange(org, workspace string) []*activity {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.last == nil {
		u.last = map[string]uint64{}
	}
	u.changes++
	u.last[org] = u.changes
	var list []*activity
	for a := range u.open[org] {
		if a.isIn(workspace) {
			list = append(list, a)
		}
	}
	return list
}

// recheck decides once more about everything underway in a workspace, or with ""
// in all of the organization's, and ends what is no longer permitted.
func (u *underway) recheck(ctx context.Context, org, workspace string) {
	decideAgain(ctx, u.countChange(org, workspace))
}

// decidedAtOnce is how many are decided about at the same time: each asks the database,
// while other nodes wait for this one.
const decidedAtOnce = 8

// decideAgain decides once more about what is underway, and ends what is no longer permitted.
func decideAgain(ctx context.Context, list []*activity) {
	var group errgroup.Group
	group.SetLimit(decidedAtOnce)
	for _, a := range list {
		group.Go(func() error {
			if err := a.stillPermitted(ctx); err != nil {
				a.end(AsError(err)) // what cannot be told is not permitted
			}
			return nil
		})
	}
	_ = group.Wait() // there is no error
}

// recheckAll is recheck of everybody's.
func (u *underway) recheckAll(ctx context.Context) {
	decideAgain(ctx, slices.Collect(maps.Keys(u.countChangeOfAll())))
}

// lock ends what cannot go on while the server is locked.
func (u *underway) lock(why error) {
	for a := range u.countChangeOfAll() {
		if !a.keyless {
			a.end(why)
		}
	}
}

// endAll ends everything.
func (u *underway) endAll(why error) {
	for a := range u.countChangeOfAll() {
		a.end(why)
	}
}

// countChangeOfAll counts a change that concerns everybody, and returns all that is
// underway. What was decided before it and has not been entered yet is decided once more.
func (u *underway) countChangeOfAll() map[*activity]struct{} {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.changes++
	u.lastOfAll = u.changes
	list := map[*activity]struct{}{}
	for _, of := range u.open {
		maps.Copy(list, of)
	}
	return list
}

// RecheckUnderway decides once more about all that is underway on this node in a
// workspace, or with "" in all of an organization's, and ends what is no longer permitted.
func (k *Kernel) RecheckUnderway(ctx context.Context, org, workspace string) {
	// Also for a caller who does not wait for the acknowledgement.
	k.underway.recheck(context.WithoutCancel(ctx), org, workspace)
}

// EndedBecause returns the refusal that a context was ended with, as what is no
// longer permitted is, or nil.
func EndedBecause(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	if why, ok := errors.AsType[*bctrl.Error](context.Cause(ctx)); ok {
		return why
	}
	return nil
}
