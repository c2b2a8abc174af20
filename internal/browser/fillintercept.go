package browser

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
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
	id := flightID{session.id, ev.NetworkID}
	if ev.ResponseStatusCode != 0 || ev.ResponseErrorReason != "" {
		s.answered(ctx, session, ev, id)
		return
	}
	out := outgoingOf(id, ev.Request)
	out.tab, out.frame, out.kind = session.tab, ev.FrameID, ev.ResourceType
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

func outgoingOf(id flightID, r *network.Request) outgoing {
	out := outgoing{flight: id, method: r.Method, url: r.URL + r.URLFragment, whole: true}
	for name, value := range r.Headers {
		text := fmt.Sprint(value)
		switch strings.ToLower(name) {
		case "content-type":
			out.contentType = text
		case "referer", "origin", "user-agent", "accept", "accept-language", "cookie":
			// The browser's own; a cookie goes where the site has put it.
		default:
			out.headers = append(out.headers, text)
		}
	}
	for _, entry := range r.PostDataEntries {
		if entry == nil || len(entry.Bytes) == 0 {
			out.whole = false // a file, or a stream
			continue
		}
		out.body = append(out.body, entry.Bytes...)
	}
	return out
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

// redirectOf returns where an answer sends the request on to with its body.
func redirectOf(ev fetch.EventRequestPaused) string {
	if ev.ResponseStatusCode != http.StatusTemporaryRedirect && ev.ResponseStatusCode != http.StatusPermanentRedirect {
		return "" // the others turn the request into one without a body
	}
	for _, h := range ev.ResponseHeaders {
		if h == nil || !strings.EqualFold(h.Name, "Location") {
			continue
		}
		base, err := url.Parse(ev.Request.URL)
		if err != nil {
			return h.Value
		}
		to, err := base.Parse(h.Value)
		if err != nil {
			return h.Value
		}
		return to.String()
	}
	return ""
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
	if t == nil {
		t = by.tab // a worker that serves many tabs
	}
	if t != nil {
		t.note("blocked: %s", clip(why, maxText))
	}
	s.guards.tell(ctx, by, refuse(http.StatusForbidden, codeStopped, why, ""))
}
