package browser

import (
	"context"
	"net/http"
	"strings"

	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/network"
)

// paused decides about one intercepted request or answer. It must always let
// the request go on or end: a page would wait for ever.
func (s *pageSet) paused(ctx context.Context, session *pageSession, ev fetch.EventRequestPaused) {
	if ev.Request == nil {
		ev.Request = &network.Request{}
	}
	id := flightID{session: session.id, request: ev.NetworkID}
	if ev.ResponseStatusCode != 0 || ev.ResponseErrorReason != "" {
		s.answered(ctx, session, ev, id)
		return
	}
	out := outgoingOf(id, ev.Request)
	out.frame, out.kind = ev.FrameID, ev.ResourceType
	if session.tab != nil {
		out.tab = session.tab.session.id
	}
	out.worker = strings.Contains(session.kind, "worker")
	s.lookBefore(ctx, out)
	v := s.guards.complete(ctx, out, s.guards.judge(out))
	if v.block != "" {
		s.block(ctx, session, ev, v.by, v.block)
		return
	}
	params := fetch.ContinueRequestParams{RequestID: ev.RequestID}
	if v.swapped {
		params.PostData = v.body
	}
	if v.watch {
		params.InterceptResponse = &v.watch
	}
	if err := tell(ctx, session, fetch.ContinueRequest, params); err != nil && v.swapped {
		// Never let it leave with the placeholder as if it were the value.
		_ = tell(ctx, session, fetch.FailRequest, fetch.FailRequestParams{RequestID: ev.RequestID, ErrorReason: network.ErrorReasonAborted})
	}
}

// answered lets the answer to a watched request in, unless it redirects the
// value to where it may not go.
func (s *pageSet) answered(ctx context.Context, session *pageSession, ev fetch.EventRequestPaused, id flightID) {
	if by := s.guards.landed(id, redirectOf(ev)); by != nil {
		s.block(ctx, session, ev, by, "a redirect that would take a login's value to "+canonicalOrigin(redirectOf(ev)))
		return
	}
	_ = tell(ctx, session, fetch.ContinueRequest, fetch.ContinueRequestParams{RequestID: ev.RequestID})
}

// block ends a request, and says so to the model and to whoever recorded the
// fill.
func (s *pageSet) block(ctx context.Context, session *pageSession, ev fetch.EventRequestPaused, by *fillGuard, why string) {
	reason := network.ErrorReasonBlockedByClient
	if ev.ResourceType == network.ResourceTypeDocument {
		reason = network.ErrorReasonAborted // else an error page takes the place of the form
	}
	_ = tell(ctx, session, fetch.FailRequest, fetch.FailRequestParams{RequestID: ev.RequestID, ErrorReason: reason})
	t := session.tab
	if t == nil { // a worker that serves many tabs
		if of := s.session(by.tab); of != nil {
			t = of.tab
		}
	}
	if t != nil {
		t.note("blocked: %s", clip(why, maxText))
	}
	s.guards.report(ctx, by, refuse(http.StatusForbidden, codeStopped, why, ""))
}

// noteUnsent tells of fields of a tab whose form has left without their value.
// It is called when a page is read: by then a page that asks something else
// first has sent the login, too.
func (t *tab) noteUnsent(ctx context.Context) {
	for _, g := range t.set.guards.takeUnsent(t.session.id) {
		why := "the page has sent its form without the " + g.name + " that was filled, or with something that " +
			"it made of it; " +
			"if the login fails, the entry needs fill: direct"
		t.note("%s: %s", codeUnsent, why)
		t.set.guards.report(ctx, g, refuse(http.StatusConflict, codeUnsent, why, "set fill: direct on the entry"))
	}
}
