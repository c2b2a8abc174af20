package bctrl

import (
	"context"
	"iter"
	"net/http"

	"github.com/bctrl-go/bctrl/internal/wire"
)

// ReplayArgs are the arguments of [CallReplay].
type ReplayArgs struct {
	// Steps are done in order: of each, its actions, on the site of its URL. What else
	// a step holds does not matter.
	Steps []TranscriptStep `json:"steps"`
}

// ReplayStep makes a step of [CallReplay].
func ReplayStep(args ReplayArgs) (Step, error) { return stepOf(CallReplay, args) }

// Transcript ranges over the steps of an operation's agents, as far as it has come:
// what each saw, chose and did, secrets masked. The pictures that the steps name are in
// the namespace of [OperationInfo.Transcript]. It takes the right to storage.get there,
// too. Without storage there is no transcript, which is "operations.no_transcript";
// files that are not as they were written are "operations.transcript_changed".
//
// Access: operation.read
func (o *Operation) Transcript(ctx context.Context, opts ...CallOption) iter.Seq2[TranscriptStep, error] {
	return o.transcript().all(ctx, opts)
}

// TranscriptPage returns one page of [Operation.Transcript].
//
// Access: operation.read
func (o *Operation) TranscriptPage(
	ctx context.Context, p PageOptions, opts ...CallOption,
) (*Page[TranscriptStep], error) {
	return o.transcript().page(ctx, p, opts)
}

func (o *Operation) transcript() listing[TranscriptStep] {
	return listing[TranscriptStep]{
		via:    o.via,
		as:     o.limits,
		path:   pathOperation + "/transcript",
		params: []string{o.ID},
		plural: wire.TranscriptSteps,
	}
}

// Replay starts to do the whole transcript again in a runtime, without a model, as an
// operation of its own. Each element is found by its role, name and surroundings; the
// first that is not there ends it with "replay.not_there". Logins are filled by vault
// key, as the mounts of now permit, lowered as the handle is. The runtime may be another
// than the operation's, also of another workspace: it is this client that has to have the
// right to read the one and to use the other. [OperationInfo.Agent] reads the result.
//
// Access: runtime.execute
func (o *Operation) Replay(ctx context.Context, rt *Runtime, opts ...CallOption) (*Operation, error) {
	in := wire.Replay[Mounts]{WorkspaceID: rt.workspaceID, Runtime: rt.Alias}
	if rt.limits != nil && rt.limits.narrowed != "" {
		in.Mounts = &rt.limits.declared
	}
	var info OperationInfo
	err := o.via().call(ctx, &request{
		method: http.MethodPost,
		path:   pathOperation + "/replay",
		params: []string{o.ID},
		in:     in,
		out:    &info,
		opts:   opts,
	})
	if err != nil {
		return nil, err
	}
	return newOperation(o.via, rt.limits, info), nil
}

// Replay does steps of a transcript again in the runtime, without a model, as
// [Operation.Replay] does: through the same tools and checks as an agent's. Where one
// fails, the result beside the error is what was done until then.
//
// Access: runtime.execute
func (rt *Runtime) Replay(ctx context.Context, steps []TranscriptStep, opts ...CallOption) (*AgentResult, error) {
	step, err := ReplayStep(ReplayArgs{Steps: steps})
	if err != nil {
		return nil, err
	}
	return step1[AgentResult](ctx, rt, step, opts)
}
