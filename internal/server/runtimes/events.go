package runtimes

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/scrub"
	"github.com/bctrl-go/bctrl/internal/server/events"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/wire"
)

func (s *Service) eventRoutes() []web.Route {
	return web.On(
		web.AnyNode(), // every node is told of what happens on the others
		web.Raw("GET /v1/workspaces/{id}/runtimes/{alias}/events", access.RuntimeRead, s.streamEvents, "types", "after"),
		web.Endpoint("POST /v1/workspaces/{id}/runtimes/{alias}/events/wait", access.RuntimeRead, s.waitEvent),
	)
}

// streamEvents sends what happens in a runtime: from its launch on, or after an event,
// until its end.
func (s *Service) streamEvents(w http.ResponseWriter, rq *web.Request) error {
	ctx := rq.Context()
	types, err := events.QueryTypes(rq)
	if err != nil {
		return err
	}
	after, hasPosition, err := events.QueryPosition(rq)
	if err != nil {
		return err
	}
	rt, ws, err := s.authorizedRuntime(ctx, rq)
	if err != nil {
		return err
	}
	f := events.Filter{
		Org:       rq.Caller.Org,
		Workspace: ws.ID,
		Runtime:   rt.ID,
		Types:     append(types, endTypes(types)...),
	}
	r := s.events.ReadAfter(f, after)
	if !hasPosition {
		if r, err = s.events.ReadRuntime(ctx, f); err != nil {
			return err
		}
	}
	return s.events.Stream(w, rq, r, func(e bctrl.Event) bool { return isEndOf(rt.ID, e) })
}

// endTypes are the types of a runtime's end, which whoever follows it is always told.
func endTypes(selected []bctrl.EventType) []bctrl.EventType {
	if len(selected) == 0 {
		return nil
	}
	return []bctrl.EventType{bctrl.EventStopped, bctrl.EventFailed}
}

func isEndOf(runtime string, e bctrl.Event) bool {
	return e.RuntimeID == runtime && (e.Type == bctrl.EventStopped || e.Type == bctrl.EventFailed)
}

// waitEvent waits for the next event of a runtime, from now on or after an event.
func (s *Service) waitEvent(ctx context.Context, rq *web.Request, in wire.EventWait) (out wire.EventWaited[bctrl.Event],
	err error,
) {
	wait := time.Duration(in.TimeoutMs) * time.Millisecond
	switch {
	case in.TimeoutMs == 0:
		wait = defaultWait
	case in.TimeoutMs < 0 || in.TimeoutMs > maxWait.Milliseconds():
		return out, web.Invalid("events.timeout", "timeoutMs", "timeoutMs must be 1 to 60000")
	}
	if in.After != nil && *in.After < 0 {
		return out, web.Invalid("events.after", "after", "after must be the number of an event")
	}
	f := events.Filter{Org: rq.Caller.Org}
	if f.Types, err = events.TypesOf("types", in.Types); err != nil {
		return out, err
	}
	rt, ws, err := s.authorizedRuntime(ctx, rq)
	if err != nil {
		return out, err
	}
	f.Workspace, f.Runtime = ws.ID, rt.ID
	var r *events.Reader
	if in.After != nil {
		r = s.events.ReadAfter(f, *in.After)
	} else if r, err = s.events.ReadNew(ctx, f); err != nil {
		return out, err
	}
	found, err := s.events.Wait(rq, r, wait)
	out = wire.EventWaited[bctrl.Event]{Event: found, WaitStatus: wire.WaitCompleted, After: r.Position}
	if found == nil {
		out.WaitStatus = wire.WaitTimeout
	}
	return out, err
}

// tell tells what has happened in a live runtime.
func (s *Service) tell(lr *liveRuntime, data bctrl.EventData) {
	e := bctrl.NewEvent(store.Now(), data)
	e.WorkspaceID, e.RuntimeID = lr.workspace, lr.id
	s.events.Tell(lr.org, e)
}

// maxEarly bounds the events of a browser from before its launch was told.
const maxEarly = 100

// tellBrowser tells what has happened in a browser: not before its launch was.
func (s *Service) tellBrowser(lr *liveRuntime, happened browser.Event) {
	data := lr.describe(happened)
	if data == nil {
		return
	}
	e := bctrl.NewEvent(store.Now(), data)
	e.WorkspaceID, e.RuntimeID = lr.workspace, lr.id
	lr.mu.Lock()
	defer lr.mu.Unlock()
	switch {
	case lr.launched:
		s.events.Tell(lr.org, e)
	case len(lr.early) < maxEarly:
		lr.early = append(lr.early, e)
	}
}

// tellEarly tells what happened in a browser before its launch was told.
func (s *Service) tellEarly(lr *liveRuntime) {
	lr.mu.Lock()
	defer lr.mu.Unlock()
	for _, e := range lr.early {
		s.events.Tell(lr.org, e)
	}
	lr.launched, lr.early = true, nil
}

// What of a page's texts is told, in bytes.
const (
	maxToldAddress = 2048
	maxToldText    = 500
)

// describe is an event of a browser without what was filled there, and without what may
// be a credential in an address. It is nil for one that nobody is told of.
func (lr *liveRuntime) describe(e browser.Event) bctrl.EventData {
	address, message := lr.toldAddress(e.URL), lr.toldText(e.Message)
	switch e.Kind {
	case browser.EventNavigated:
		return bctrl.NavigatedEvent{Tab: string(e.Tab), URL: address}
	case browser.EventTabOpened:
		return bctrl.TabOpenedEvent{Tab: string(e.Tab), Opener: string(e.Opener), Target: e.Target, URL: address}
	case browser.EventTabClosed:
		return bctrl.TabClosedEvent{Tab: string(e.Tab)}
	case browser.EventCrashed:
		return bctrl.CrashedEvent{Tab: string(e.Tab)}
	case browser.EventDialog:
		return bctrl.DialogEvent{Tab: string(e.Tab), Kind: e.Dialog, Message: message, URL: address}
	}
	return nil
}

func (lr *liveRuntime) toldAddress(text string) string {
	if text == "" {
		return ""
	}
	scheme, _, _ := strings.Cut(text, ":")
	switch strings.ToLower(scheme) {
	case "data", "blob", "javascript": // a document itself, or the name of one
		return scheme + ":"
	}
	return cut(lr.secrets.String(scrub.Address(text)), maxToldAddress)
}

func (lr *liveRuntime) toldText(text string) string { return cut(lr.secrets.String(text), maxToldText) }

// cut is a text of at most max bytes, without half a character at its end.
func cut(text string, max int) string {
	if len(text) <= max {
		return text
	}
	return strings.ToValidUTF8(text[:max], "")
}

// tellStep tells of a step of an execution.
func (s *Service) tellStep(x *execution, data bctrl.EventData) {
	e := bctrl.NewEvent(store.Now(), data)
	e.WorkspaceID, e.RuntimeID, e.ExecutionID = x.ws.ID, x.rt.ID, x.id
	s.events.Tell(x.org, e)
}

func (s *Service) tellStepEnded(x *execution, number, total int, done bctrl.StepResult) {
	data := bctrl.StepEndedEvent{
		Call:       done.Call,
		Step:       number,
		TotalSteps: total,
		DurationMs: done.Duration.Milliseconds(),
	}
	if done.Error != nil {
		data.Code = done.Error.Code
	}
	s.tellStep(x, data)
}

func (s *Service) tellProgress(x *execution, p bctrl.OperationProgress) {
	s.tellStep(x, bctrl.OperationProgressEvent{
		Step:        p.Step,
		TotalSteps:  p.TotalSteps,
		CurrentCall: p.CurrentCall,
		Message:     x.live.toldText(p.Message),
	})
}

// tellDownload tells of a file that a page has delivered, and what became of it.
func (s *Service) tellDownload(lr *liveRuntime, d browser.Download, put bctrl.StorageObject, err error) {
	data := bctrl.DownloadedEvent{Filename: lr.toldText(d.Filename), SizeBytes: d.Size, URL: lr.toldAddress(d.URL)}
	if err != nil {
		data.Code = web.AsError(err).Code
	} else {
		data.Namespace, data.Path, data.ObjectID = put.Workspace, lr.secrets.String(put.LogicalPath), put.ID
	}
	s.tell(lr, data)
}

func (s *Service) appendLaunched(ctx context.Context, tx *store.Tx, org string, rt store.Runtime) error {
	return s.appendOfRuntime(ctx, tx, org, rt, bctrl.LaunchedEvent{Alias: rt.Alias, Driver: rt.Driver})
}

func (s *Service) appendEnded(
	ctx context.Context, tx *store.Tx, org string, rt store.Runtime, status bctrl.RuntimeStatus, reason string,
) error {
	code := codeOfEnd(status, reason)
	if status == bctrl.RuntimeStopped {
		return s.appendOfRuntime(ctx, tx, org, rt, bctrl.StoppedEvent{Alias: rt.Alias, Reason: reason, Code: code})
	}
	return s.appendOfRuntime(ctx, tx, org, rt, bctrl.FailedEvent{Alias: rt.Alias, Reason: reason, Code: code})
}

func (s *Service) appendOfRuntime(
	ctx context.Context, tx *store.Tx, org string, rt store.Runtime, data bctrl.EventData,
) error {
	e := bctrl.NewEvent(store.Now(), data)
	e.WorkspaceID, e.RuntimeID = rt.WorkspaceID, rt.ID
	return s.events.Append(ctx, tx, org, e)
}

func (s *Service) appendOperation(
	ctx context.Context, tx *store.Tx, org string, o bctrl.OperationInfo, data bctrl.EventData,
) error {
	e := bctrl.NewEvent(store.Now(), data)
	e.WorkspaceID, e.RuntimeID, e.ExecutionID = o.WorkspaceID, o.RuntimeID, o.ID
	return s.events.Append(ctx, tx, org, e)
}

func (s *Service) appendOperationEnded(ctx context.Context, tx *store.Tx, org string, o bctrl.OperationInfo) error {
	data := bctrl.OperationEndedEvent{Status: o.Status}
	if o.Error != nil {
		data.Code = o.Error.Code
	}
	return s.appendOperation(ctx, tx, org, o, data)
}

func (s *Service) appendWorkspace(
	ctx context.Context, tx *store.Tx, org, workspace string, data bctrl.EventData,
) error {
	e := bctrl.NewEvent(store.Now(), data)
	e.WorkspaceID = workspace
	return s.events.Append(ctx, tx, org, e)
}
