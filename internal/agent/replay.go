package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/model"
	"github.com/bctrl-go/bctrl/internal/scrub"
	"github.com/bctrl-go/bctrl/internal/steptime"
	"github.com/bctrl-go/bctrl/internal/wire"
)

const (
	// replayTime bounds a replay; whoever calls it may have less.
	replayTime = 30 * time.Minute
	// maxReplayed bounds the actions of one.
	maxReplayed = wire.MaxAgentSteps * wire.MaxStepActions
)

// replaySettings are those of doing something again: everything that a task has, and no
// model.
func replaySettings() settings {
	s := settings{vision: bctrl.VisionOff, timeout: replayTime}
	s.complete()
	return s
}

// Replay does the actions of steps again, without a model, through the same tools and
// checks: logins by vault key are decided by the mounts of now. An action that had failed
// is left out. Each element is found by its role, name and surroundings; the first that
// is not there, or action that fails, ends it with an error that names it, and the result
// says what was done until then.
func Replay(ctx context.Context, deps Deps, steps []bctrl.TranscriptStep) (*bctrl.AgentResult, error) {
	n := 0
	for _, s := range steps {
		n += len(s.Actions)
	}
	if n == 0 || n > maxReplayed {
		return nil, invalid("replay.no_actions", "steps",
			fmt.Sprintf("the steps hold no action, or more than %d", maxReplayed))
	}
	r := newRun(deps, replaySettings())
	r.result.FromCache = true
	err := r.onOnePage(ctx, func(ctx context.Context) error { return r.replay(ctx, steps) })
	return &r.result, err
}

func (r *run) replay(ctx context.Context, steps []bctrl.TranscriptStep) error {
	if err := r.listLogins(ctx); err != nil {
		return err
	}
	if err := r.beginWhere(ctx, steps[0].URL); err != nil {
		return err
	}
	for i, s := range steps {
		r.step = i + 1
		rec := r.beginRecord(ctx)
		err := r.replayStep(ctx, i, s)
		if len(s.Actions) > 0 || err != nil {
			if errRecord := r.endRecord(ctx, rec, nil, err != nil); err == nil {
				err = errRecord
			}
		}
		if err != nil {
			return err
		}
	}
	r.result.Success = true
	r.result.Message = counting(len(r.result.Actions), "action") + " done again"
	return nil
}

// beginWhere opens the page that was there at the start, if another one is there now.
func (r *run) beginWhere(ctx context.Context, address string) error {
	if _, err := r.observe(ctx); err != nil {
		return err
	}
	if !strings.HasPrefix(address, "http") || r.seen.url == address {
		return nil
	}
	err := errPersonWorked
	for errors.Is(err, errPersonWorked) {
		err = r.again(ctx, "steps[0].url", model.ToolCall{
			Name:      "navigate",
			Arguments: encodeObject(map[string]string{"url": address}),
		})
	}
	return err
}

// replayStep does the actions of one step again, on the site where it was done. An action
// of its own may lead to another, a page may not.
func (r *run) replayStep(ctx context.Context, i int, s bctrl.TranscriptStep) error {
	site := s.URL
	for j, a := range s.Actions {
		if a.Error != "" || readsOnly(a.Kind) {
			continue
		}
		field := fmt.Sprintf("steps[%d].actions[%d]", i, j)
		if holdsMask(a) {
			e := browser.Conflict("replay.masked",
				"something of the action was masked: a secret, or what may be one in an address",
				"do the task again with a model")
			e.Field = field
			return e
		}
		err := r.findAndDo(ctx, field, site, a)
		for errors.Is(err, errPersonWorked) { // the page is another now: its element is found anew
			err = r.findAndDo(ctx, field, site, a)
		}
		if err != nil && a.Kind != "scroll" { // there may be less to scroll now
			return err
		}
		if leads(a.Kind) {
			site = r.pageURL
		}
	}
	return nil
}

// errPersonWorked is the error of an action that was not done because a person has worked in the
// browser. The newest view is of the page since.
var errPersonWorked = errors.New("a person has worked in the browser")

// findAndDo does an action again, on the element that it finds on the page of now.
func (r *run) findAndDo(ctx context.Context, field, site string, a bctrl.ActAction) error {
	there, err := r.awaitView(ctx, func() bool {
		_, found := r.callAgain(a)
		return found && sameSite(site, r.pageURL)
	})
	if err != nil {
		return err
	}
	if !there {
		e := browser.Conflict("replay.not_there", "the page is not as it was: the element of this action is not there",
			"do the task again with a model")
		e.Field = field
		return e
	}
	call, _ := r.callAgain(a)
	return r.again(ctx, field, call)
}

// leads reports whether a kind of action is there to come to another page.
func leads(kind string) bool {
	switch kind {
	case "navigate", "back", "open_tab", "switch_tab", "close_tab":
		return true
	}
	return false
}

// sameSite reports whether two addresses are of one site, as far as they have one.
func sameSite(was, is string) bool {
	a, errA := url.Parse(was)
	b, errB := url.Parse(is)
	return errA == nil && errB == nil && (a.Host == "" || a.Scheme == b.Scheme && a.Host == b.Host)
}

// again runs one call. What a model would be told is an error here.
func (r *run) again(ctx context.Context, field string, call model.ToolCall) error {
	stepCtx, cancel := steptime.With(ctx, r.set.stepTimeout, errStepTime)
	defer cancel()
	if call.Name == "wait_download" {
		r.shownDownloads = r.landed // a file that came meanwhile is the one that is waited for
		r.landed++
	}
	out, err := r.runCall(stepCtx, call)
	if err != nil {
		return r.timedOut(stepCtx, err)
	}
	if out.code == browser.CodePersonWorked {
		if _, err := r.observe(ctx); err != nil {
			return err
		}
		return errPersonWorked
	}
	if out.failed {
		e := browser.Conflict("replay.failed", "the action was not done again: "+r.shortSafe(out.text), "")
		e.Field = field
		return e
	}
	_, err = r.observe(ctx)
	return err
}

// callAgain is the call of a tool that does an action again; false where an element of it
// is not in the newest view.
func (r *run) callAgain(a bctrl.ActAction) (call model.ToolCall, found bool) {
	var args map[string]json.RawMessage
	if json.Unmarshal(a.Arguments, &args) != nil || args == nil {
		args = make(map[string]json.RawMessage)
	}
	found = true
	put := func(name string, d bctrl.ElementDescription) {
		e, there := r.find(d)
		found = found && there
		args[name] = encodeValue(string(e.Ref))
	}
	for name, raw := range args {
		what, isElement := strings.CutSuffix(name, "_element")
		var d bctrl.ElementDescription
		if !isElement || json.Unmarshal(raw, &d) != nil {
			continue
		}
		delete(args, name)
		put(what+"_ref", d)
	}
	call.Name = a.Kind
	switch a.Kind {
	case "download":
		call.Name = "wait_download"
	case "totp":
		call.Name = "enter_totp"
		delete(args, "field")
	case "fill":
		call.Name = "fill_login"
		var field string
		_ = json.Unmarshal(args["field"], &field) // without one, fill_login says what is missing
		delete(args, "field")
		if a.Element != nil {
			put(field+"_ref", *a.Element)
		}
	}
	_, named := args["from_ref"]
	if a.Element != nil && a.Kind != "fill" && !named {
		put("ref", *a.Element)
	}
	call.Arguments = encodeObject(args)
	return call, found
}

// holdsMask reports whether something was masked in an action, which can then not be done
// again.
func holdsMask(a bctrl.ActAction) bool { return strings.Contains(string(a.Arguments), scrub.Mark) }
