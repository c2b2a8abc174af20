package runtimes

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/wire"
)

func (s *Service) operationRoutes() []web.Route {
	return []web.Route{
		web.Endpoint("GET /v1/operations", access.OperationRead, s.listOperations,
			"workspaceId", "runtimeId", "status", "call", "limit", "cursor").On(web.AnyNode()),
		web.Endpoint("GET /v1/operations/{id}", access.OperationRead, s.getOperation).On(s.atOperation().OrHere()),
		web.Endpoint("GET /v1/operations/{id}/transcript", access.OperationRead, s.getTranscript, "limit", "cursor").
			On(s.atOperation().OrHere()),
		web.Endpoint("POST /v1/operations/{id}/replay", access.RuntimeExecute, s.replayOperation).On(s.atRuntimeInBody()),
		web.Endpoint("POST /v1/operations/{id}/wait", access.OperationRead, s.waitOperation).On(s.atOperation().OrHere()),
		web.Endpoint("POST /v1/operations/{id}/cancel", access.OperationCancel, s.cancelOperation).On(s.atOperation()),
	}
}

// operations are the executions that run in this process without a caller who waits.
// They end with their runtime; their rows stay.
type operations struct {
	mu   sync.Mutex
	open map[string]*operation // by id; from before their rows are written
	wg   sync.WaitGroup        // counts those that run
}

// operation is an operation that runs.
type operation struct {
	org    string
	cancel context.CancelFunc
	ended  chan struct{} // closed once info is final, and on record

	mu   sync.Mutex
	info bctrl.OperationInfo
}

// snapshot is what is known of the operation now.
func (o *operation) snapshot() bctrl.OperationInfo {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.info
}

// update changes the operation and returns what it is now.
func (o *operation) update(change func(*bctrl.OperationInfo)) bctrl.OperationInfo {
	o.mu.Lock()
	defer o.mu.Unlock()
	change(&o.info)
	o.info.UpdatedAt = store.Now()
	return o.info
}

// startOperation records an execution as an operation and lets it run.
func (s *Service) startOperation(
	ctx context.Context, rq *web.Request, x *execution, steps []step,
) (bctrl.OperationInfo, error) {
	now := store.Now()
	info := bctrl.OperationInfo{
		ID:          x.id,
		WorkspaceID: x.ws.ID,
		RuntimeID:   x.rt.ID,
		Status:      bctrl.OperationQueued,
		Calls:       callsOf(steps),
		Progress:    bctrl.OperationProgress{TotalSteps: len(steps)},
		CreatedAt:   now,
		UpdatedAt:   now,
	}
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	op := &operation{
		org:    x.org,
		cancel: cancel,
		ended:  make(chan struct{}),
		info:   info,
	}
	s.operations.add(x.id, op) // whoever finds its row may cancel it
	ev, done, err := s.Audit.BeginChanging(ctx, func(tx *store.Tx) (e audit.Event, err error) {
		e = rq.Event()
		e.Workspace, e.Group, e.Runtime, e.Execution = x.ws.ID, x.rt.Group, x.rt.ID, x.id
		if err := tx.InsertOperation(ctx, x.org, info); err != nil {
			return e, err
		}
		if err := s.appendOperation(ctx, tx, x.org, info, bctrl.OperationStartedEvent{Calls: info.Calls}); err != nil {
			return e, err
		}
		return e, rq.KeepAnswer(ctx, tx, info)
	})
	if err != nil {
		s.operations.remove(x.id)
		cancel()
		return info, err
	}
	rq.MarkRecorded()
	s.operations.wg.Go(func() {
		s.runOperation(life, op, x, steps, func(outcome string) { s.RecordOutcome(ev, done, audit.End{Outcome: outcome}) })
		close(op.ended)
	})
	return info, nil
}

// runOperation runs an operation to its end. It calls recordOutcome before anybody can
// see that the operation has ended, so that the log has its outcome by then.
func (s *Service) runOperation(
	ctx context.Context, op *operation, x *execution, steps []step, recordOutcome func(outcome string),
) {
	defer op.cancel()
	var published bctrl.OperationProgress
	result, err := s.runSteps(ctx, x, steps, func(now underway) {
		if now.progress != published {
			published = now.progress
			s.tellProgress(x, published)
		}
		s.saveOperation(op, op.update(func(o *bctrl.OperationInfo) {
			o.Progress = now.progress
			if len(now.done) > 0 {
				o.Result = &bctrl.ExecutionResult{Mode: bctrl.FailFast, Steps: now.done}
			}
			o.Transcript = now.transcript
			if o.Status == bctrl.OperationQueued {
				o.Status = bctrl.OperationRunning
			}
		}))
	})
	conclude := func(o *bctrl.OperationInfo) {
		concludeOperation(o, result, err)
		if o.Error != nil && o.Error.Code == errRuntimeEnded.Code && s.fleet.isClosing() {
			interruptOperation(o)
		}
	}
	end := op.snapshot()
	conclude(&end)
	outcome := audit.OK
	if end.Error != nil {
		outcome = end.Error.Code
	}
	recordOutcome(outcome)
	s.events.Flush() // what was told of it comes before its end
	s.saveOperation(op, op.update(conclude))
	s.operations.remove(x.id)
}

// concludeOperation gives an operation the status, result and error that runSteps
// ended with.
func concludeOperation(o *bctrl.OperationInfo, result bctrl.ExecutionResult, err error) {
	o.Status = bctrl.OperationSucceeded
	if len(result.Steps) > 0 {
		o.Result = &result
		if slices.ContainsFunc(result.Steps, endedByBudget) {
			o.Status = bctrl.OperationLimited
		}
		if last := result.Steps[len(result.Steps)-1]; last.Error != nil {
			o.Status, o.Error = bctrl.OperationFailed, last.Error
		}
	}
	if err != nil {
		o.Status, o.Error = bctrl.OperationFailed, web.AsError(err)
	}
	switch {
	case o.Error == nil:
	case o.Error.Code == errTimedOut.Code:
		o.Status = bctrl.OperationTimedOut
	case o.Error.Code == errCancelled.Code:
		o.Status = bctrl.OperationCancelled
	}
}

// endedByBudget reports whether a bound ended the step, whose result then names it.
func endedByBudget(s bctrl.StepResult) bool {
	var r struct{ Limit bctrl.Limit }
	return json.Unmarshal(s.Result, &r) == nil && r.Limit != ""
}

// interruptOperation gives an operation the end that it has when its server ends. Its
// result stays what was done; the step that ran is its last, and did not end.
func interruptOperation(o *bctrl.OperationInfo) {
	o.Status = bctrl.OperationInterrupted
	o.Error = web.WithHint(
		web.Unavailable("operations.interrupted", "the server ended while the operation ran"),
		"nothing of it is done again: look at what it did, then start what is missing",
	)
	if o.Result != nil && len(o.Result.Steps) == o.Progress.Step && o.Progress.Step > 0 {
		o.Result.Steps[o.Progress.Step-1].Error = o.Error
	}
}

func callsOf(steps []step) (calls []bctrl.Call) {
	for _, st := range steps {
		calls = append(calls, st.call)
	}
	return calls
}

// saveOperation writes what is known of an operation. Where it cannot, that is logged:
// the operation goes on.
func (s *Service) saveOperation(op *operation, info bctrl.OperationInfo) {
	ctx := context.Background()
	err := s.DB.Write(ctx, func(tx *store.Tx) error {
		if err := tx.UpdateOperation(ctx, op.org, info); err != nil || !info.Status.Final() {
			return err
		}
		return s.appendOperationEnded(ctx, tx, op.org, info)
	})
	if err != nil {
		s.Log.Error("an operation was not recorded", "operation", info.ID, "error", err)
	}
}

// authorizedOperation reads the operation that the path names, and authorises the
// request for it. The second result is nil once it has ended.
func (s *Service) authorizedOperation(ctx context.Context, rq *web.Request) (bctrl.OperationInfo, *operation, error) {
	id, err := rq.Path("id", web.ValidUUID)
	if err != nil {
		return bctrl.OperationInfo{}, nil, err
	}
	return s.findOperation(ctx, rq, id, rq.Authorize)
}

// findOperation reads an operation for a caller that authorize lets at its runtime. The
// second result is nil once it has ended.
func (s *Service) findOperation(
	ctx context.Context, rq *web.Request, id string, authorize func(runtime string) error,
) (bctrl.OperationInfo, *operation, error) {
	// Looked up before the row is read: one that ends between the two has written its end.
	s.operations.mu.Lock()
	run := s.operations.open[id]
	s.operations.mu.Unlock()
	info, err := s.DB.Read().Operation(ctx, rq.Caller.Org, id)
	missing := errors.Is(err, store.ErrNotFound)
	if err != nil && !missing {
		return info, nil, err
	}
	// A runtime caller may see its own runtime's: one that is missing is
	// refused like one that is another's.
	if err := authorize(info.RuntimeID); err != nil {
		return info, nil, err
	}
	if missing {
		return info, nil, web.NotFound("operations.not_found", "there is no such operation")
	}
	return info, run, nil
}

func (s *Service) getOperation(ctx context.Context, rq *web.Request, _ web.None) (bctrl.OperationInfo, error) {
	info, op, err := s.authorizedOperation(ctx, rq)
	if err == nil && op != nil {
		info = op.snapshot()
	}
	return info, err
}

// The limits of a wait. Proxies end requests that take much longer.
const (
	defaultWait = 30 * time.Second
	maxWait     = 60 * time.Second
	// waitPause is how often a caller should ask. One that waited for less is told to
	// pause for the rest.
	waitPause = 250 * time.Millisecond
)

func (s *Service) waitOperation(
	ctx context.Context, rq *web.Request, in wire.Wait,
) (out wire.Waited[bctrl.OperationInfo], err error) {
	wait := time.Duration(in.TimeoutMs) * time.Millisecond
	switch {
	case in.TimeoutMs == 0:
		wait = defaultWait
	case in.TimeoutMs < 0 || in.TimeoutMs > maxWait.Milliseconds():
		return out, web.Invalid("operations.timeout", "timeoutMs", "timeoutMs must be 1 to 60000")
	}
	info, op, err := s.authorizedOperation(ctx, rq)
	if err != nil {
		return out, err
	}
	begun := time.Now()
	if op != nil {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-op.ended:
		case <-timer.C:
		case <-s.StreamsEnd(): // the caller asks once more, the next server
		case <-ctx.Done():
			return out, ctx.Err()
		}
		info = op.snapshot()
	}
	out = wire.Waited[bctrl.OperationInfo]{Operation: info, WaitStatus: wire.WaitCompleted}
	if !info.Status.Final() {
		out.WaitStatus, out.RetryAfterMs = wire.WaitTimeout, max(0, waitPause-time.Since(begun)).Milliseconds()
	}
	return out, nil
}

func (s *Service) cancelOperation(ctx context.Context, rq *web.Request, _ web.None) (bctrl.OperationInfo, error) {
	info, op, err := s.authorizedOperation(ctx, rq)
	if err != nil {
		return info, err
	}
	if op == nil {
		return info, nil // it has ended
	}
	out, err := web.Change(ctx, rq, func(tx *store.Tx, e *audit.Event) (bctrl.OperationInfo, error) {
		now := op.snapshot()
		markCancelling(&now)
		e.Workspace, e.Runtime, e.Execution = now.WorkspaceID, now.RuntimeID, now.ID
		err := tx.UpdateOperation(ctx, rq.Caller.Org, now)
		if errors.Is(err, store.ErrNotFound) {
			err = nil // it has ended since
		}
		return now, err
	})
	if err == nil { // the request to cancel is on record
		op.update(markCancelling)
		op.cancel()
	}
	return out, err
}

// markCancelling gives an operation the status of one that somebody cancels, unless it
// has ended.
func markCancelling(o *bctrl.OperationInfo) {
	if !o.Status.Final() {
		o.Status = bctrl.OperationCancelling
	}
}

// closeOperations cancels the operations that run, and waits for their ends.
func (s *Service) closeOperations() {
	s.operations.cancelAll()
	s.operations.wg.Wait()
}

// Operations is how many operations run here.
func (s *Service) Operations() int {
	s.operations.mu.Lock()
	defer s.operations.mu.Unlock()
	return len(s.operations.open)
}

func (o *operations) add(id string, op *operation) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.open == nil {
		o.open = map[string]*operation{}
	}
	o.open[id] = op
}

func (o *operations) remove(id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.open, id)
}

func (o *operations) cancelAll() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, op := range o.open {
		op.cancel()
	}
}
