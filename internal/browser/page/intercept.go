package page

import (
	"context"
	"strings"
	"time"

	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/network"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/fill"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

// onRequestPaused decides about an intercepted request or answer. It always lets the
// request go on or ends it, since the page waits for it.
func (s *Set) onRequestPaused(ctx context.Context, session *session, ev fetch.EventRequestPaused, arrived time.Time) {
	if ev.Request == nil {
		ev.Request = &network.Request{}
	}
	id := fill.Flight{Session: session.ID, Request: ev.NetworkID}
	if ev.ResponseStatusCode != 0 || ev.ResponseErrorReason != "" {
		s.onAnswerPaused(ctx, session, ev, id)
		return
	}
	out := fill.RequestOf(id, ev.Request, arrived)
	out.Frame, out.Kind = ev.FrameID, ev.ResourceType
	if session.tab != nil {
		out.Tab = session.tab.session.ID
	}
	out.Worker = strings.Contains(session.kind, "worker")
	s.updateFieldsIn(ctx, out)
	v := s.guards.Complete(ctx, out, s.guards.Judge(out))
	if v.Reason != "" {
		s.blockRequest(ctx, session, ev, v.BlockedBy, v.Reason)
		return
	}
	if s.stopped(ctx, session, ev) {
		return
	}
	params := fetch.ContinueRequestParams{RequestID: ev.RequestID}
	if v.Swapped {
		params.PostData = v.Body
	}
	if v.WatchAnswer {
		params.InterceptResponse = &v.WatchAnswer
	}
	params.Headers = s.headersWithLogin(ctx, session, ev)
	if err := protocol.Tell(ctx, session, fetch.ContinueRequest, params); err != nil && v.Swapped {
		// It must not leave with the placeholder as if that were the value.
		_ = protocol.Tell(ctx, session, fetch.FailRequest, fetch.FailRequestParams{
			RequestID:   ev.RequestID,
			ErrorReason: network.ErrorReasonAborted,
		})
	}
}

// onAnswerPaused lets the answer to a request with a value pass, unless it redirects
// to where the value may not go.
func (s *Set) onAnswerPaused(ctx context.Context, session *session, ev fetch.EventRequestPaused, id fill.Flight) {
	if by := s.guards.Answered(id, fill.RedirectOf(ev)); by != nil {
		s.blockRequest(ctx, session, ev, by,
			"a redirect that would take a login's value to "+fill.CanonicalOrigin(fill.RedirectOf(ev)))
		return
	}
	_ = protocol.Tell(ctx, session, fetch.ContinueRequest, fetch.ContinueRequestParams{RequestID: ev.RequestID})
}

// blockRequest ends a request, notes it for the model and reports it to whoever
// recorded the fill.
func (s *Set) blockRequest(ctx context.Context, session *session, ev fetch.EventRequestPaused, by *fill.Guard,
	why string) {
	reason := network.ErrorReasonBlockedByClient
	if ev.ResourceType == network.ResourceTypeDocument {
		reason = network.ErrorReasonAborted // otherwise an error page would take the place of the form
	}
	_ = protocol.Tell(ctx, session, fetch.FailRequest, fetch.FailRequestParams{
		RequestID:   ev.RequestID,
		ErrorReason: reason,
	})
	t := session.tab
	if t == nil { // a worker that serves many tabs
		if of := s.session(by.Tab); of != nil {
			t = of.tab
		}
	}
	if t != nil {
		t.addNote("blocked: %s", clip(why, maxText))
	}
	s.guards.Report(ctx, by, browser.Forbidden(fill.CodeStopped, why, ""))
}

// noteUnsent tells the model, and whoever recorded the fills, of forms that were sent
// without the filled value. It is called when the page is read: by then also a page
// that asks something else first has sent the login.
func (t *tab) noteUnsent(ctx context.Context) {
	for _, g := range t.set.guards.TakeUnsent(t.session.ID) {
		why := "the page has sent its form without the " + g.Name + " that was filled, or with something that " +
			"it made of it; " +
			"if the login fails, the entry needs fill: direct"
		t.addNote("%s: %s", fill.CodeUnsent, why)
		t.set.guards.Report(ctx, g, browser.Conflict(fill.CodeUnsent, why, "set fill: direct on the entry"))
	}
}
