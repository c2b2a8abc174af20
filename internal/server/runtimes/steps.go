package runtimes

import (
	"bytes"
	"context"
	"encoding/json"
	"net/url"
	"strconv"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/agent"
	"github.com/bctrl-go/bctrl/internal/server/files"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/strictjson"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// step is a step that has been checked, and can be run.
type step struct {
	call    bctrl.Call
	timeout time.Duration
	// execution is that of the step, under the mounts that the step declares.
	execution *execution
	run       func(ctx context.Context, x *execution, report func(string)) (any, error)
}

// doing does a call, and reports what it is about in words. Beside an error its result
// is what was done until then; nil is nothing.
type doing[Args, Out any] func(ctx context.Context, x *execution, a Args, report func(string)) (*Out, error)

// endingGrace is how much longer than its own time a task may take to say what it did.
const endingGrace = 10 * time.Second

// parseSteps checks all steps before any runs. The first that is malformed, or whose
// mounts would widen those of the execution, is the error.
func (s *Service) parseSteps(ctx context.Context, x *execution, in []wire.Step[bctrl.Mounts]) ([]step, error) {
	steps := make([]step, len(in))
	for i, w := range in {
		field := web.FieldAt("steps", i)
		st, err := s.parseStep(field, w)
		if err != nil {
			return nil, err
		}
		if st.execution, err = s.lowerExecution(ctx, x, w.Mounts); err != nil {
			if web.AsError(err).Field == "" { // it is not of the step's mounts
				return nil, err
			}
			return nil, under(field, err)
		}
		steps[i] = st
	}
	return steps, nil
}

// parseStep checks one step, whose field in the request names it in errors.
func (s *Service) parseStep(field string, w wire.Step[bctrl.Mounts]) (st step, err error) {
	st.call = bctrl.Call(w.Call)
	if st.timeout, err = stepTimeout(field, st.call, w.TimeoutMs); err != nil {
		return st, err
	}
	switch st.call {
	case bctrl.CallAct:
		st.run, err = parseArgs(field, w.Args, checkArgs(checkAct), s.act)
	case bctrl.CallObserve:
		st.run, err = parseArgs(field, w.Args, checkArgs(agent.CheckObserve), s.observe)
	case bctrl.CallExtract:
		st.run, err = parseArgs(field, w.Args, checkArgs(agent.CheckExtract), s.extract)
	case bctrl.CallAgent:
		st.run, err = parseArgs(field, w.Args, checkArgs(agent.CheckAgent), s.agentFor(st.timeout))
		st.timeout += endingGrace
	case bctrl.CallBrowserUse:
		st.run, err = parseArgs(field, w.Args, checkArgs(checkBrowserUse), s.browserUseFor(st.timeout))
		st.timeout += endingGrace
	case bctrl.CallReplay:
		st.run, err = parseArgs(field, w.Args, checkReplay, s.replay)
	case bctrl.CallGoto:
		st.run, err = parseArgs(field, w.Args, checkGoto, s.gotoURL)
	case bctrl.CallScreenshot:
		st.run, err = parseArgs(field, w.Args, checkScreenshot, s.screenshot)
	case bctrl.CallPDF:
		st.run, err = parseArgs(field, w.Args, checkPDF, s.printPDF)
	case bctrl.CallFill:
		st.run, err = parseArgs(field, w.Args, checkArgs(bctrl.FillArgs.Validate), s.fillLogin)
	case bctrl.CallPages:
		st.run, err = parseArgs(field, w.Args, checkArgs(bctrl.PagesArgs.Validate), s.changePages)
	}
	return st, err
}

// defaultTimeouts are how long a step of each call may take that does not say.
func defaultTimeouts() map[bctrl.Call]time.Duration {
	return map[bctrl.Call]time.Duration{
		bctrl.CallAct:        5 * time.Minute,
		bctrl.CallObserve:    2 * time.Minute,
		bctrl.CallExtract:    2 * time.Minute,
		bctrl.CallAgent:      maxStepTimeout,
		bctrl.CallBrowserUse: maxStepTimeout,
		bctrl.CallReplay:     maxStepTimeout,
		bctrl.CallGoto:       30 * time.Second,
		bctrl.CallScreenshot: 30 * time.Second,
		bctrl.CallPDF:        2 * time.Minute,
		bctrl.CallFill:       time.Minute,
		bctrl.CallPages:      30 * time.Second,
	}
}

func errUnknownCall(field string) *bctrl.Error {
	e := web.Invalid("executions.unknown_call", field, "there is no such call")
	e.Hint = "it is stagehand.act, .observe, .extract or .agent, browserUse.agent, agent.replay, " +
		"page.goto, .screenshot, .pdf or .fill, or pages"
	return e
}

// stepTimeout is how long a step of a call may take: what it asks for, or the default
// of its call.
func stepTimeout(field string, call bctrl.Call, ms int64) (time.Duration, error) {
	timeout, known := defaultTimeouts()[call]
	switch {
	case !known:
		return 0, errUnknownCall(field + ".call")
	case ms == 0:
		return timeout, nil
	case ms < 1 || ms > maxStepTimeout.Milliseconds():
		return 0, web.Invalid("executions.timeout", field+".timeoutMs",
			"timeoutMs must be 1 to "+strconv.FormatInt(maxStepTimeout.Milliseconds(), 10))
	}
	return time.Duration(ms) * time.Millisecond, nil
}

// parseArgs decodes the arguments of a step, refusing fields that its call does not
// have, and returns what does the call with them.
func parseArgs[Args, Out any](
	field string, raw json.RawMessage, check func(field string, a Args) error, do doing[Args, Out],
) (func(context.Context, *execution, func(string)) (any, error), error) {
	var args Args
	if len(bytes.TrimSpace(raw)) == 0 {
		raw = json.RawMessage("{}")
	}
	if err := strictjson.Unmarshal(raw, &args); err != nil {
		return nil, under(field+".args", web.BadJSON(err))
	}
	if err := check(field+".args", args); err != nil {
		return nil, err
	}
	return func(ctx context.Context, x *execution, report func(string)) (any, error) {
		out, err := do(ctx, x, args, report)
		if out == nil {
			return nil, err
		}
		return out, err
	}, nil
}

func checkGoto(field string, a bctrl.GotoArgs) error {
	u, err := url.Parse(a.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
		return web.Invalid("executions.invalid_url", field+".url", "url must be an http or https address without user info")
	}
	return under(field, a.Validate())
}

func (s *Service) gotoURL(
	ctx context.Context, x *execution, a bctrl.GotoArgs, _ func(string),
) (*bctrl.GotoResult, error) {
	page, err := s.page(ctx, x)
	if err != nil {
		return nil, err
	}
	if err := page.Goto(ctx, a.URL, a.WaitUntil); err != nil {
		return nil, err
	}
	seen, err := page.Observe(ctx)
	if err != nil {
		return nil, err
	}
	out := &bctrl.GotoResult{URL: bareURL(seen.URL), Title: seen.Title}
	return out, s.recordGoto(ctx, x, a)
}

// bareURL is an address without query and fragment, where sites put session tokens,
// and without user info. It is "" for what is no address.
func bareURL(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	u.RawQuery, u.Fragment, u.User, u.ForceQuery = "", "", nil, false
	return u.String()
}

func checkScreenshot(field string, a bctrl.ScreenshotArgs) error {
	return checkPath(field, a.Path)
}

// checkPath refuses what cannot be the path of a stored file; empty lets the server choose.
func checkPath(field, path string) error {
	if path == "" {
		return nil
	}
	if _, err := files.CanonicalPath(path); err != nil {
		e := web.AsError(err)
		e.Field = field + ".path"
		return e
	}
	return nil
}

func (s *Service) screenshot(
	ctx context.Context, x *execution, a bctrl.ScreenshotArgs, _ func(string),
) (*bctrl.StorageObject, error) {
	page, err := s.page(ctx, x)
	if err != nil {
		return nil, err
	}
	png, err := page.Screenshot(ctx, a.FullPage)
	if err != nil {
		return nil, err
	}
	f := files.Incoming{Path: a.Path, ContentType: "image/png", Source: bctrl.SourceScreenshot}
	if f.Path == "" {
		f.Path, f.Unique = "screenshots/"+x.rt.Alias+"-"+time.Now().UTC().Format("20060102T150405.000Z")+".png", true
	}
	object, err := s.putFile(ctx, x, f, bytes.NewReader(png))
	if err != nil {
		return nil, err
	}
	return &object, nil
}
