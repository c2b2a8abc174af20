package bctrl

import (
	"context"
	"iter"
	"net/http"
	"time"

	"github.com/bctrl-go/bctrl/internal/wire"
)

// OperationStatus is where an operation is in its life.
type OperationStatus string

// The life of an operation. The last six are final.
const (
	OperationQueued     OperationStatus = "queued"
	OperationRunning    OperationStatus = "running"
	OperationCancelling OperationStatus = "cancelling"
	OperationSucceeded  OperationStatus = "succeeded"
	OperationFailed     OperationStatus = "failed"
	OperationCancelled  OperationStatus = "cancelled"
	OperationTimedOut   OperationStatus = "timed_out"
	// OperationLimited ended because of its budget, with what was done until then.
	OperationLimited OperationStatus = "limited"
	// OperationInterrupted ended with its server. Nothing of it is done again.
	OperationInterrupted OperationStatus = "interrupted"
)

// Final reports whether an operation with this status changes no more.
func (s OperationStatus) Final() bool {
	switch s {
	case OperationSucceeded, OperationFailed, OperationCancelled, OperationTimedOut, OperationLimited,
		OperationInterrupted:
		return true
	}
	return false
}

// OperationInfo is what the server knows of an operation.
type OperationInfo struct {
	ID          string          `json:"id"`
	WorkspaceID string          `json:"workspaceId"`
	RuntimeID   string          `json:"runtimeId,omitempty"`
	Status      OperationStatus `json:"status"`
	// Calls are those of its steps, in order.
	Calls    []Call            `json:"calls,omitempty"`
	Progress OperationProgress `json:"progress"`
	// Result is what its steps have done; nil where none has begun. While it runs, and
	// where its server died, the last step's is what was done so far.
	Result *ExecutionResult `json:"result,omitempty"`
	// Transcript says where the operation's transcript is; nil where there is none.
	Transcript *TranscriptInfo `json:"transcript,omitempty"`
	// Error says why it did not succeed.
	Error     *Error    `json:"error,omitempty"`
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
}

// OperationProgress says how far an operation is.
type OperationProgress struct {
	// Step counts from 1; 0 before the first.
	Step        int    `json:"step"`
	TotalSteps  int    `json:"totalSteps"`
	CurrentCall Call   `json:"currentCall,omitempty"`
	Message     string `json:"message,omitempty"`
}

// TranscriptInfo says where the transcript of an operation is: the files
// operations/<id>/0001.json and so on, a [TranscriptStep] each, with its picture
// beside it. They are put as the operation, by what its mounts permit at each step. What
// is waited for, as [Stagehand.Agent], keeps none.
type TranscriptInfo struct {
	// Namespace is the storage namespace that holds the files.
	Namespace string `json:"namespace"`
	// Steps is how many there are.
	Steps int `json:"steps"`
	// Digest is in hexadecimal: of one step, the SHA-256 of no byte and the SHA-256 of
	// its file; of more, that of the digest before and the SHA-256 of the last file.
	// Files that it does not fit are refused with "operations.transcript_changed".
	Digest string `json:"digest"`
	// Cut reports that the mounts stopped permitting it: later steps are not in it.
	Cut bool `json:"cut,omitempty"`
}

// OperationFilter selects operations. What is empty selects all.
type OperationFilter struct {
	WorkspaceID string
	RuntimeID   string
	Status      OperationStatus
	// Call selects operations that have a step with this call.
	Call Call
}

// OperationsService finds operations. See [Client.Operations].
type OperationsService struct{ via via }

const (
	pathOperations = "/v1/operations"
	pathOperation  = pathOperations + "/{id}"
)

// Get returns the operation with an id.
//
// Access: operation.read
func (s *OperationsService) Get(ctx context.Context, id string, opts ...CallOption) (*Operation, error) {
	var info OperationInfo
	err := s.via().call(ctx, &request{
		method: http.MethodGet,
		path:   pathOperation,
		params: []string{id},
		out:    &info,
		opts:   opts,
	})
	if err != nil {
		return nil, err
	}
	return newOperation(s.via, nil, info), nil
}

// List ranges over the operations that the filter selects, the newest first; with a
// runtime token, over those of the token's runtime.
//
// Access: operation.read
func (s *OperationsService) List(
	ctx context.Context, f OperationFilter, opts ...CallOption,
) iter.Seq2[*Operation, error] {
	return mapped(s.listing(f).all(ctx, opts), s.handle)
}

// Page returns one page of [OperationsService.List]. A page may hold fewer operations
// than its limit, or none, and still have a next one.
//
// Access: operation.read
func (s *OperationsService) Page(
	ctx context.Context, f OperationFilter, p PageOptions, opts ...CallOption,
) (*Page[*Operation], error) {
	page, err := s.listing(f).page(ctx, p, opts)
	return mappedPage(page, err, s.handle)
}

func (s *OperationsService) listing(f OperationFilter) listing[OperationInfo] {
	return listing[OperationInfo]{
		via:  s.via,
		path: pathOperations,
		query: []string{
			"workspaceId", f.WorkspaceID, "runtimeId", f.RuntimeID, "status", string(f.Status), "call", string(f.Call),
		},
		plural: wire.Operations,
	}
}

func (s *OperationsService) handle(info OperationInfo) (*Operation, error) {
	return newOperation(s.via, nil, info), nil
}

// Operation is a handle on a call that runs on the server.
type Operation struct {
	ID string
	// Info is the operation as it was when the handle was made. Wait and Cancel
	// return what it became.
	Info OperationInfo

	via    via
	limits *limits
}

func newOperation(via via, as *limits, info OperationInfo) *Operation {
	return &Operation{
		ID:     info.ID,
		Info:   info,
		via:    via,
		limits: as,
	}
}

const (
	// waitRound is how long one request waits on the server; progressRound how
	// old a progress may be.
	waitRound     = 20 * time.Second
	progressRound = 500 * time.Millisecond
	waitPauseMax  = 5 * time.Second
)

// Wait waits until the operation has ended, for as long as the context allows,
// and returns what became of it. An operation that did not succeed is returned
// together with its error.
//
// Access: operation.read
func (o *Operation) Wait(ctx context.Context, opts ...CallOption) (*OperationInfo, error) {
	ctx, cancel := bounded(ctx, opts)
	defer cancel()
	for {
		info, err := o.round(ctx, waitRound, opts)
		if err != nil {
			return nil, err
		}
		if info.Status.Final() {
			return info, info.Err()
		}
	}
}

// Progress ranges over the operation's progress as it changes, and ends with
// the operation. How it ended is for [Operation.Wait] to say.
//
// Access: operation.read
func (o *Operation) Progress(ctx context.Context, opts ...CallOption) iter.Seq2[OperationProgress, error] {
	return func(yield func(OperationProgress, error) bool) {
		ctx, cancel := bounded(ctx, opts)
		defer cancel()
		var last OperationProgress
		for first := true; ; first = false {
			info, err := o.round(ctx, progressRound, opts)
			if err != nil {
				yield(OperationProgress{}, err)
				return
			}
			if (first || info.Progress != last) && !yield(info.Progress, nil) || info.Status.Final() {
				return
			}
			last = info.Progress
		}
	}
}

// round waits once on the server, and then as long as the server asks for.
func (o *Operation) round(ctx context.Context, d time.Duration, opts []CallOption) (*OperationInfo, error) {
	var out wire.Waited[OperationInfo]
	err := callOfEnded(ctx, o.via, &request{
		method: http.MethodPost,
		path:   pathOperation + "/wait",
		params: []string{o.ID},
		as:     o.limits,
		in:     wire.Wait{TimeoutMs: millis(d)},
		out:    &out,
		safe:   true,
		slow:   true,
		opts:   opts,
	})
	if err != nil {
		return nil, err
	}
	if pause := min(fromMillis(out.RetryAfterMs), waitPauseMax); pause > 0 && !out.Operation.Status.Final() {
		timer := time.NewTimer(pause)
		defer timer.Stop()
		select {
		case <-ctx.Done(): // the next request says so
		case <-timer.C:
		}
	}
	return &out.Operation, nil
}

// Cancel asks the server to end the operation. It returns at once; Wait sees
// the end. Cancelling what has ended changes nothing.
//
// Access: operation.cancel
func (o *Operation) Cancel(ctx context.Context, opts ...CallOption) (*OperationInfo, error) {
	var out OperationInfo
	return ptr(&out, callOfEnded(ctx, o.via, &request{
		method: http.MethodPost,
		path:   pathOperation + "/cancel",
		params: []string{o.ID},
		as:     o.limits,
		out:    &out,
		opts:   opts,
	}))
}

// Err returns why a final operation did not succeed, or nil. One that its budget
// ended has a result that says so, and is no error.
func (i *OperationInfo) Err() error {
	switch {
	case !i.Status.Final() || i.Status == OperationSucceeded || i.Status == OperationLimited:
		return nil
	case i.Error != nil:
		return i.Error
	}
	return refusal(http.StatusConflict, "operations."+string(i.Status), "", "the operation ended without success")
}

// Act returns the result of an operation that [Stagehand.ActAsync] started.
func (i *OperationInfo) Act() (*ActResult, error) { return operationResult[ActResult](i) }

// Observe returns the result of an operation that [Stagehand.ObserveAsync] started,
// with the models that were asked.
func (i *OperationInfo) Observe() (*ObserveResult, error) { return operationResult[ObserveResult](i) }

// Extract returns the result of an operation that [Stagehand.ExtractAsync] started.
func (i *OperationInfo) Extract() (*ExtractResult, error) { return operationResult[ExtractResult](i) }

// Agent returns the result of an operation that [Stagehand.AgentAsync],
// [BrowserUse.AgentAsync] or [Operation.Replay] started. Where its budget ended it, that is what was done
// until then.
func (i *OperationInfo) Agent() (*AgentResult, error) { return operationResult[AgentResult](i) }

// operationResult decodes the result of an operation's only step. Beside an error it is
// what was done until then.
func operationResult[T any](i *OperationInfo) (*T, error) {
	err := i.Err()
	if !i.Status.Final() || err == nil && i.Result == nil {
		err = refusal(http.StatusConflict, "operations.no_result", "",
			"the operation has no result yet").hinted("call Wait first")
	}
	if i.Result == nil {
		return nil, err
	}
	out, failed := stepResult[T](i.Result)
	if err == nil {
		err = failed
	}
	return out, err
}
