package runtimes

import (
	"bytes"
	"context"
	"encoding/json"
	"net/url"
	"strconv"
	"time"

	"github.com/bctrl-go/bctrl"
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
			return nil, err
		}
		steps[i] = st
	}
	return steps, nil
}

// parseStep checks one step, whose field in the request names it in errors. Without
// a timeout of its own, acting may take 5 minutes, the others 30 seconds.
func (s *Service) parseStep(field string, w wire.Step[bctrl.Mounts]) (st step, err error) {
	st.call = bctrl.Call(w.Call)
	switch st.call {
	case bctrl.CallAct:
		st.timeout = 5 * time.Minute
		st.run, err = parseArgs(field, w.Args, checkAct, s.act)
	case bctrl.CallGoto:
		st.timeout = 30 * time.Second
		st.run, err = parseArgs(field, w.Args, checkGoto, s.gotoURL)
	case bctrl.CallScreenshot:
		st.timeout = 30 * time.Second
		st.run, err = parseArgs(field, w.Args, checkScreenshot, s.screenshot)
	default:
		return st, web.Invalid("executions.unknown_call", field+".call",
			"call must be stagehand.act, page.goto or page.screenshot")
	}
	if err != nil {
		return st, err
	}
	if w.TimeoutMs != 0 {
		st.timeout = time.Duration(w.TimeoutMs) * time.Millisecond
		if w.TimeoutMs < 1 || w.TimeoutMs > maxStepTimeout.Milliseconds() {
			return st, web.Invalid("executions.timeout", field+".timeoutMs",
				"timeoutMs must be 1 to "+strconv.FormatInt(maxStepTimeout.Milliseconds(), 10))
		}
	}
	return st, nil
}

// parseArgs decodes the arguments of a step, refusing fields that its call does not
// have, and returns what does the call with them.
func parseArgs[Args, Out any](
	field string, raw json.RawMessage, check func(field string, a Args) error,
	do func(ctx context.Context, x *execution, a Args, report func(string)) (Out, error),
) (func(context.Context, *execution, func(string)) (any, error), error) {
	var args Args
	if len(bytes.TrimSpace(raw)) == 0 {
		raw = json.RawMessage("{}")
	}
	if err := strictjson.Unmarshal(raw, &args); err != nil {
		return nil, web.BadJSON(err)
	}
	if err := check(field+".args", args); err != nil {
		return nil, err
	}
	return func(ctx context.Context, x *execution, report func(string)) (any, error) {
		return do(ctx, x, args, report)
	}, nil
}

func checkGoto(field string, a bctrl.GotoArgs) error {
	u, err := url.Parse(a.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
		return web.Invalid("executions.invalid_url", field+".url", "url must be an http or https address without user info")
	}
	return nil
}

func (s *Service) gotoURL(
	ctx context.Context, x *execution, a bctrl.GotoArgs, _ func(string),
) (out bctrl.GotoResult, err error) {
	page, err := x.live.browser.Page(ctx)
	if err != nil {
		return out, err
	}
	if err := page.Goto(ctx, a.URL); err != nil {
		return out, err
	}
	seen, err := page.Observe(ctx)
	if err != nil {
		return out, err
	}
	return bctrl.GotoResult{URL: bareURL(seen.URL), Title: seen.Title}, nil
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
	if a.Path == "" {
		return nil
	}
	if err := bctrl.ValidStoragePath(a.Path); err != nil {
		e := web.AsError(err)
		e.Field = field + ".path"
		return e
	}
	return nil
}

func (s *Service) screenshot(
	ctx context.Context, x *execution, a bctrl.ScreenshotArgs, _ func(string),
) (out bctrl.StorageObject, err error) {
	page, err := x.live.browser.Page(ctx)
	if err != nil {
		return out, err
	}
	png, err := page.Screenshot(ctx, a.FullPage)
	if err != nil {
		return out, err
	}
	f := files.Incoming{Path: a.Path, ContentType: "image/png", Source: bctrl.SourceScreenshot}
	if f.Path == "" {
		f.Path, f.Unique = "screenshots/"+x.rt.Alias+"-"+time.Now().UTC().Format("20060102T150405.000Z")+".png", true
	}
	return s.putFile(ctx, x, f, bytes.NewReader(png))
}
