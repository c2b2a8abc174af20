package runtimes

import (
	"context"
	"encoding/json"
	"errors"
	"runtime/debug"
	"slices"
	"strconv"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/names"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/steptime"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/trace"
	"github.com/bctrl-go/bctrl/internal/wire"
)

func (s *Service) executeRoutes() []web.Route {
	return []web.Route{
		web.Endpoint("POST /v1/workspaces/{id}/execute", access.RuntimeExecute, s.execute).On(s.atRuntimeInBody()),
	}
}

// The limits of an execution.
const (
	maxSteps       = 100
	maxStepTimeout = 30 * time.Minute
)

// executeAnswer is the result of an execution, or with async the operation that will
// have it. One of the two is set.
type executeAnswer struct {
	*bctrl.ExecutionResult
	*bctrl.OperationInfo
}

// MarshalJSON implements [json.Marshaler].
func (a executeAnswer) MarshalJSON() ([]byte, error) {
	if a.OperationInfo != nil {
		return json.Marshal(a.OperationInfo)
	}
	return json.Marshal(a.ExecutionResult)
}

func (s *Service) execute(
	ctx context.Context, rq *web.Request, in wire.Execution[bctrl.Mounts],
) (out executeAnswer, err error) {
	x, err := s.newExecution(ctx, rq, in)
	if err != nil {
		return out, err
	}
	steps, err := s.parseSteps(ctx, x, in.Steps)
	if err != nil {
		return out, err
	}
	if in.Async {
		op, err := s.startOperation(ctx, rq, x, steps)
		return executeAnswer{OperationInfo: &op}, err
	}
	ev := rq.Event()
	ev.Workspace, ev.Group, ev.Runtime, ev.Execution = x.ws.ID, x.rt.Group, x.rt.ID, x.id
	rq.MarkRecorded()
	var result bctrl.ExecutionResult
	err = s.Use(ctx, ev, func() (err error) {
		result, err = s.runSteps(ctx, x, steps, nil)
		return err
	})
	return executeAnswer{ExecutionResult: &result}, err
}

// newExecution checks all of a request but its steps, and finds the runtime that is
// to run them.
func (s *Service) newExecution(
	ctx context.Context, rq *web.Request, in wire.Execution[bctrl.Mounts],
) (*execution, error) {
	if err := web.InvalidName("runtimes.invalid_alias", "runtime", names.Name(in.Runtime)); err != nil {
		return nil, err
	}
	if in.Mode != "" && in.Mode != string(bctrl.FailFast) {
		return nil, web.Invalid("executions.unknown_mode", "mode", "mode must be fail-fast")
	}
	if len(in.Steps) < 1 || len(in.Steps) > maxSteps {
		return nil, web.Invalid("executions.steps", "steps", "there must be 1 to "+strconv.Itoa(maxSteps)+" steps")
	}
	rt, ws, err := s.authorizedRuntimeNamed(ctx, rq, in.Runtime)
	if err != nil {
		return nil, err
	}
	x, err := s.executionOn(rq, rt, ws)
	if err != nil {
		return nil, err
	}
	return s.lowerExecution(ctx, x, in.Mounts)
}

// executionOn is an execution of the caller's in a runtime, which has to be live.
func (s *Service) executionOn(rq *web.Request, rt store.Runtime, ws store.Workspace) (*execution, error) {
	lr, ok := s.activeRuntime(rq.Context(), rt)
	if !ok {
		return nil, web.ErrNotActive
	}
	x := &execution{
		id:        web.NewID(),
		org:       rq.Caller.Org,
		live:      lr,
		ws:        ws,
		rt:        rt,
		caller:    rq.Caller,
		requestID: rq.ID,
		traceID:   rq.TraceID,
	}
	if own := rq.Caller.Runtime; own != nil {
		x.below = own.Chain[2:] // what a token and BCTRL-Mounts declared below the runtime
	}
	return x, nil
}

// underway is how far an execution is: done are its steps so far, the last of them
// perhaps with what it has done until now.
type underway struct {
	progress   bctrl.OperationProgress
	done       []bctrl.StepResult
	transcript *bctrl.TranscriptInfo
}

// runSteps runs steps in order until one fails, whose error is in the result. The
// error that it returns is why the execution could not run, or not to its end: its
// runtime or its caller ended, or it was cancelled. Tell is told how far it is; it is
// nil where somebody waits for the result, and then no transcript is kept either.
func (s *Service) runSteps(
	ctx context.Context, x *execution, steps []step, tell func(underway),
) (bctrl.ExecutionResult, error) {
	result := bctrl.ExecutionResult{Mode: bctrl.FailFast, Steps: []bctrl.StepResult{}}
	ctx, cancel := x.live.whileLive(ctx)
	defer cancel()
	// The caller alone is asked about: ctx ends with the runtime.
	err := s.WhileGranted(ctx, &web.Grant{Caller: x.actor(nil)}, func(ctx context.Context) error {
		release, err := x.live.takePage(ctx)
		if err != nil {
			return s.whyEnded(ctx, x, err)
		}
		defer release()
		defer x.live.activity.Begin()()
		var kept transcript
		for i, st := range steps {
			now := underway{
				progress:   bctrl.OperationProgress{Step: i + 1, TotalSteps: len(steps), CurrentCall: st.call},
				done:       slices.Clone(result.Steps),
				transcript: kept.info(),
			}
			report := x.live.activity.Tell
			if tell != nil {
				report = func(message string) {
					now.progress.Message = message
					tell(now)
					x.live.activity.Tell(message)
				}
				st.execution = st.execution.recordedBy(&recorder{
					transcript: &kept,
					call:       st.call,
					index:      i,
					tell: func(soFar bctrl.StepResult) {
						now.done, now.transcript = append(slices.Clone(result.Steps), soFar), kept.info()
						tell(now)
					},
				})
			}
			report("")
			s.tellStep(x, bctrl.StepStartedEvent{Call: st.call, Step: i + 1, TotalSteps: len(steps)})
			x.live.activity.Tell(string(st.call))
			x.live.mark("step", string(st.call))
			st.execution = st.execution.reporting(report)
			release := s.limitHosts(ctx, x.live, x.ws.ID, st.execution.below)
			done := s.runStep(ctx, x, st, report)
			release()
			s.tellStepEnded(x, i+1, len(steps), done)
			result.Steps = append(result.Steps, done)
			if ctx.Err() != nil {
				return s.whyEnded(ctx, x, ctx.Err())
			}
			if done.Error != nil {
				break
			}
		}
		return nil
	})
	return result, err
}

var (
	errCancelled    = web.Unprocessable("executions.cancelled", "the execution was cancelled")
	errRuntimeEnded = web.Unprocessable("runtimes.ended", "the runtime ended while it executed")
	errTimedOut     = web.GatewayTimeout("executions.timed_out", "the step did not end in its time")
)

// whyEnded is the refusal for an execution whose context has ended with err: its
// runtime has ended, its caller has, or nobody waits for it any more. The last is
// what a caller is told who left, and sends the request once more with the same
// idempotency key: nothing runs twice.
func (s *Service) whyEnded(ctx context.Context, x *execution, err error) error {
	if x.live.life.Err() != nil {
		return errRuntimeEnded
	}
	if why := web.EndedBecause(ctx); why != nil {
		return why
	}
	if errors.Is(err, context.Canceled) {
		return errCancelled
	}
	return err
}

// runStep runs one step within its time. Whatever becomes of it is in the result.
func (s *Service) runStep(ctx context.Context, x *execution, st step, report func(string)) bctrl.StepResult {
	begun := time.Now()
	ctx, span := trace.Start(ctx, trace.Step, trace.Internal)
	span.Text(trace.StepCall, string(st.call))
	bounded, cancel := steptime.With(ctx, st.timeout, context.DeadlineExceeded)
	defer cancel()
	value, err := s.runRecovered(bounded, x, st, report)
	done := bctrl.StepResult{Call: st.call}
	if value != nil {
		raw, notJSON := json.Marshal(value)
		if done.Result = raw; err == nil {
			err = notJSON
		}
	}
	done.Duration = time.Since(begun)
	switch {
	case err == nil:
		span.End(nil)
		return done
	case ctx.Err() != nil:
		err = s.whyEnded(ctx, x, ctx.Err())
	case bounded.Err() != nil:
		err = errTimedOut
	case errors.Is(err, browser.ErrGone) && x.live.endsSoon(bounded):
		err = errRuntimeEnded
	}
	e := web.AsError(err)
	if e == web.ErrInternal {
		s.Log.Error("a step failed", "execution", x.id, "call", string(st.call), "error", err)
	}
	done.Error = e
	span.End(e)
	return done
}

// runRecovered runs a step, and takes a panic for a failure of the step alone: an
// operation runs in a goroutine of its own, where a panic would end the server.
func (s *Service) runRecovered(ctx context.Context, x *execution, st step, report func(string)) (value any, err error) {
	defer func() {
		if p := recover(); p != nil {
			// Its text may hold a secret value. The stack holds none.
			s.Log.Error("a step panicked", "execution", x.id, "call", string(st.call), "stack", string(debug.Stack()))
			err = web.ErrInternal
		}
	}()
	return st.run(ctx, st.execution, report)
}
