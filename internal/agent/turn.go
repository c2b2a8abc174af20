package agent

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/model"
	"github.com/bctrl-go/bctrl/internal/wire"
)

const (
	maxArguments   = 64 << 10 // bytes that a tool accepts
	maxHistoryText = 4 << 10  // bytes of one text or call that are sent again
	maxLongText    = 48 << 10 // bytes of a text that the model asked to read
	maxMessage     = 4 << 10  // bytes of the model's final words that are kept

	// A call that met the same page maxRepeats times is refused, and
	// maxCircling refusals end the task.
	maxRepeats  = 3
	maxCircling = 3

	// maxSentCalls bounds the calls of one answer that are sent again, each with why it
	// was not done.
	maxSentCalls = 2 * wire.MaxStepActions
	// maxResultArguments bounds what a result holds of its actions' arguments, in
	// bytes. Later actions are listed without.
	maxResultArguments = 1 << 20
)

// outcome is what came of a call of a tool.
type outcome struct {
	// text is for the model; failed marks it as an error.
	text   string
	failed bool
	// code is that of the refusal, where it has one.
	code string
	// wasRun says that the call was run, whether it failed or not.
	wasRun bool
	// mayHaveChanged says that the page may have changed.
	mayHaveChanged bool
	// finished says that the model has finished.
	finished bool
	// png is a picture of the page for the model; nil for none.
	png []byte
	// long says that text is what the model asked to read, and may be longer.
	long bool
}

// refuse is the outcome of a call that was not run.
func refuse(text string) outcome { return outcome{text: text, failed: true} }

// runTurn does what one answer of the model asks for, within the time of its step. It
// reports whether the task is over.
func (r *run) runTurn(ctx, stepCtx context.Context, answer *model.Response) (over bool, err error) {
	t := turn{assistant: r.recordAnswer(answer)}
	did, err := r.runCalls(ctx, stepCtx, answer.Calls[:len(t.assistant.Calls)], &t)
	if err != nil {
		return true, err
	}
	switch {
	case did.succeeded:
		r.failures = 0
	case len(answer.Calls) == 0:
		r.fail("agent.no_call: the model called no tool that could be run")
	default:
		r.fail(r.shortSafe(did.failure))
	}
	if did.finished || r.stopsIfHopeless(answer) {
		r.refreshURL(ctx, did.acted)
		return true, nil
	}
	if len(answer.Calls) == 0 {
		t.nudge = "Call a tool. When the task is finished, or cannot be finished, call done."
		if answer.Stop == model.StopLength {
			t.nudge = "Your answer was cut because it was too long. Answer with a tool call and few words."
		}
	}
	if did.acted {
		view, err := r.observe(ctx)
		if err != nil {
			return true, err
		}
		t.view = &view
	}
	r.history.turns = append(r.history.turns, t)
	return false, nil
}

// turnOutcome is what came of the calls of one answer.
type turnOutcome struct {
	// acted says that the page may have changed, succeeded that a call did what it is
	// for, finished that the model has finished; failure is why the last one did not.
	acted, succeeded, finished bool
	failure                    string
}

// runCalls runs the calls of one answer, until one fails. Each gets its result, since
// providers take no conversation without.
func (r *run) runCalls(ctx, stepCtx context.Context, calls []model.ToolCall, t *turn) (did turnOutcome, err error) {
	for i, call := range calls {
		var o outcome
		switch {
		case i >= r.set.maxActions:
			o = refuse(fmt.Sprintf("not done: more than %d calls in one turn", r.set.maxActions))
		case len(t.results) > 0 && t.results[len(t.results)-1].IsError:
			o = refuse("not done: the call before it failed")
		default:
			if o, err = r.runCall(stepCtx, call); err != nil {
				if ctx.Err() != nil || !errors.Is(context.Cause(stepCtx), errStepTime) {
					return did, err
				}
				o = outcome{text: "failed: " + errorForModel(r.timedOut(stepCtx, err)), failed: true, mayHaveChanged: true}
			}
		}
		did.acted = did.acted || o.mayHaveChanged
		if o.png != nil {
			t.png = o.png
		}
		did.succeeded = did.succeeded || !o.failed || o.code == browser.CodePersonWorked // nobody's fault
		if o.failed && did.failure == "" {
			did.failure = o.text
			if !o.wasRun {
				did.failure = "agent.no_call: the model called no tool that could be run (" + o.text + ")"
			}
		}
		t.results = append(t.results, model.Message{
			Role:    model.ToolResult,
			CallID:  t.assistant.Calls[i].ID,
			Text:    clip(o.text, r.textLimit(o)),
			IsError: o.failed,
		})
		if did.finished = o.finished; did.finished {
			return did, nil
		}
	}
	return did, nil
}

// textLimit is how much of an outcome is told.
func (r *run) textLimit(o outcome) int {
	if o.long {
		return maxLongText
	}
	return maxHistoryText
}

// refreshURL reads the page once more for the result's URL, where it may have changed.
// That it fails because the page is gone does not undo what was done.
func (r *run) refreshURL(ctx context.Context, acted bool) {
	if acted {
		_, _ = r.observe(ctx)
	}
}

// stopsIfHopeless ends the task, and reports so, when it is of no use to ask the model
// again.
func (r *run) stopsIfHopeless(answer *model.Response) bool {
	switch {
	case answer.Stop == model.StopRefusal && len(answer.Calls) == 0:
		r.stop("the model refuses the task")
	case r.circling >= maxCircling:
		r.limit(bctrl.LimitFailures, "the task was stopped: the model repeats calls that change nothing")
	default:
		return false
	}
	return true
}

// runCall runs one call of a tool. Its error ends the task.
func (r *run) runCall(ctx context.Context, call model.ToolCall) (outcome, error) {
	tool, known := r.tools[call.Name]
	switch {
	case !known:
		return refuse("there is no such tool"), nil
	case len(call.Arguments) > maxArguments:
		return refuse(fmt.Sprintf("not done: the arguments are longer than %d bytes", maxArguments)), nil
	}
	key := sha256.Sum256([]byte(call.Name + "\x00" + call.Arguments + "\x00" + r.pageState))
	if r.repeats[key] >= maxRepeats {
		r.circling++
		return refuse(fmt.Sprintf("not done: this call was made %d times and the page stayed the same; try something else",
			maxRepeats)), nil
	}
	action, err := tool.decode(call.Arguments)
	if err != nil {
		return refuse("not done: " + clip(err.Error(), 300)), nil
	}
	if r.set.hosts != nil { // whatever is called was meant for the page that was seen
		if _, left, err := r.lookWithin(ctx); left > 0 || err != nil {
			return refuse("not done: a page had gone where this task may not be, and was left"), err
		}
	}
	r.repeats[key]++
	r.arguments = r.recordedArguments(call.Arguments)
	o, err := action.do(ctx, r)
	r.arguments = nil
	if err != nil {
		return outcome{}, err
	}
	o.wasRun = true
	if o.code == browser.CodePersonWorked {
		r.repeats[key]-- // it was not done
	}
	return o, nil
}

// progress tells whoever wants to know which call comes next.
func (r *run) progress(call, target string) {
	if r.deps.Progress != nil {
		r.deps.Progress(r.step, r.set.budget.MaxSteps, call, call+" "+r.shortSafe(target))
	}
}

// recordAction adds an action to the result, with what came of it, and returns its
// outcome.
func (r *run) recordAction(a bctrl.ActAction, err error, success string) outcome {
	a.Target = r.shortSafe(a.Target)
	o := outcome{text: success, mayHaveChanged: true}
	if known, ok := errors.AsType[*bctrl.Error](err); ok && known.Code == browser.CodeDialogOpened {
		o.text += ", but the page asks something first: answer its dialog with answer_dialog, and it goes on"
		err = nil
	}
	if err != nil {
		a.Error = r.shortSafe(errorForModel(err))
		o.text, o.failed = "failed: "+a.Error, true
		if known, ok := errors.AsType[*bctrl.Error](err); ok {
			o.code = known.Code
		}
	}
	if a.Arguments == nil {
		a.Arguments = r.arguments
	}
	if r.argumentBytes += len(a.Arguments); r.argumentBytes > maxResultArguments {
		a.Arguments = nil
	}
	r.result.Actions = append(r.result.Actions, a)
	r.actionPages = append(r.actionPages, r.seen.url)
	return o
}

// shortSafe makes one short line without secrets of text that came from a page or a
// model.
func (r *run) shortSafe(text string) string {
	return clip(r.deps.Secrets.String(clean(text)), 300) // clipped last: half a secret would not be found
}

// errorForModel returns what the model is told of a failure: the text of an error that
// is meant to be read, of any other only that something failed.
func errorForModel(err error) string {
	known, ok := errors.AsType[*bctrl.Error](err)
	if !ok {
		return "the page did not do it"
	}
	text := known.Code + ": " + known.Message
	if known.Hint != "" {
		text += " (" + known.Hint + ")"
	}
	return text
}

// isCallID reports whether every provider takes id as the id of a call.
func isCallID(id string) bool {
	return id != "" && len(id) <= 128 && !strings.ContainsFunc(id, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("_.:-", r)
	})
}

// recordAnswer returns the model's message as it is sent again: bounded, with
// arguments that are objects and ids that are unique.
func (r *run) recordAnswer(answer *model.Response) model.Message {
	m := model.Message{Role: model.Assistant, Text: clip(answer.Text, maxHistoryText), Opaque: answer.Opaque}
	if len(m.Opaque) > maxArguments {
		m.Opaque = nil
	}
	calls := answer.Calls
	if len(calls) > maxSentCalls {
		// What is opaque belongs to the calls that it came with.
		calls, m.Opaque = calls[:maxSentCalls], nil
	}
	for _, c := range calls {
		if _, known := r.tools[c.Name]; !known {
			c.Name = "unknown"
		}
		if len(c.Arguments) > maxHistoryText || !isObject(c.Arguments) {
			c.Arguments = "{}"
		}
		c.ID = r.freshID(c.ID)
		m.Calls = append(m.Calls, c)
	}
	return m
}

// freshID returns the id of a call, or where it cannot be used, another.
func (r *run) freshID(id string) string {
	for n := len(r.callIDs); !isCallID(id) || r.callIDs[id]; n++ {
		id = "call_" + strconv.Itoa(n)
	}
	r.callIDs[id] = true
	return id
}

func isObject(text string) bool {
	var fields map[string]json.RawMessage
	return json.Unmarshal([]byte(text), &fields) == nil && fields != nil
}
