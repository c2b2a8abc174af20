package runtimes

import (
	"context"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/agent"
	"github.com/bctrl-go/bctrl/internal/names"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// maxReplaySteps bounds the steps of one replay.
const maxReplaySteps = 10000

func checkReplay(field string, a bctrl.ReplayArgs) error {
	if len(a.Steps) < 1 || len(a.Steps) > maxReplaySteps {
		return web.Invalid("replay.no_actions", field+".steps", "there must be 1 to 10000 steps, with actions")
	}
	return nil
}

// replay does steps again without a model. Each action is decided and recorded as an
// agent's: by the mounts of now.
func (s *Service) replay(
	ctx context.Context, x *execution, a bctrl.ReplayArgs, report func(string),
) (*bctrl.AgentResult, error) {
	return agent.Replay(ctx, s.agentDeps(x, bctrl.ModelChoice{}, nil, report), a.Steps)
}

// replayOperation starts to do the transcript of an operation again, in a runtime, as an
// operation of its own. It takes the right to use the runtime, and those to read the
// operation and its files.
func (s *Service) replayOperation(
	ctx context.Context, rq *web.Request, in wire.Replay[bctrl.Mounts],
) (out bctrl.OperationInfo, err error) {
	id, err := rq.Path("id", web.ValidUUID)
	if err != nil {
		return out, err
	}
	if web.ValidUUID(in.WorkspaceID) != nil {
		return out, web.Invalid("request.invalid_id", "workspaceId", "workspaceId must be a uuid")
	}
	if err := web.InvalidName("runtimes.invalid_alias", "runtime", names.Name(in.Runtime)); err != nil {
		return out, err
	}
	rt, ws, err := s.authorizedRuntimeIn(ctx, rq, in.WorkspaceID, in.Runtime)
	if err != nil {
		return out, err
	}
	steps, err := s.wholeTranscript(ctx, rq, id)
	if err != nil {
		return out, err
	}
	x, err := s.executionOn(rq, rt, ws)
	if err != nil {
		return out, err
	}
	if x, err = s.lowerExecution(ctx, x, in.Mounts); err != nil {
		return out, err
	}
	return s.startOperation(ctx, rq, x, []step{{
		call:      bctrl.CallReplay,
		timeout:   maxStepTimeout,
		execution: x,
		run: func(ctx context.Context, x *execution, report func(string)) (any, error) {
			result, err := s.replay(ctx, x, bctrl.ReplayArgs{Steps: steps}, report)
			if result == nil {
				return nil, err
			}
			return result, err
		},
	}})
}

// wholeTranscript reads all of an operation's transcript, which has to be whole.
func (s *Service) wholeTranscript(ctx context.Context, rq *web.Request, id string) ([]bctrl.TranscriptStep, error) {
	info, _, err := s.findOperation(ctx, rq, id, func(runtime string) error {
		if !rq.Granted.Decide(&rq.Caller, access.Action{Verb: access.OperationRead, Object: runtime}) {
			return web.OutsideMount(access.OperationRead)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	sums, err := s.grantedTranscript(ctx, rq, info)
	if err != nil {
		return nil, err
	}
	if !info.Status.Final() {
		return nil, web.WithHint(web.Conflict("operations.not_ended", "the operation has not ended"), "wait for its end")
	}
	if info.Transcript.Cut {
		return nil, web.WithHint(
			web.Conflict("operations.transcript_cut", "the mounts did not permit to keep the whole transcript"),
			"do the task again with a model, in a runtime whose storage stays mounted",
		)
	}
	steps := make([]bctrl.TranscriptStep, len(sums))
	for i, sum := range sums {
		if steps[i], err = s.readStep(ctx, rq.Caller.Org, info, i+1, sum); err != nil {
			return nil, err
		}
	}
	return steps, nil
}
