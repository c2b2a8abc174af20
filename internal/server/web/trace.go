package web

import (
	"net/http"
	"strings"

	"github.com/bctrl-go/bctrl/internal/trace"
)

// headerTraceParent is that of W3C Trace Context, https://www.w3.org/TR/trace-context/.
const headerTraceParent = "Traceparent"

// traceID is the trace that a caller says its request belongs to, for the log; empty is none. A header that
// is not as the recommendation has it is as none, so that nothing else of a caller comes into the log.
func traceID(h http.Header) string {
	values := h.Values(headerTraceParent)
	if len(values) != 1 {
		return ""
	}
	const length = len("00-0123456789abcdef0123456789abcdef-0123456789abcdef-00")
	text := values[0]
	if len(text) < length || text[2] != '-' || text[35] != '-' || text[52] != '-' {
		return ""
	}
	version, id, parent, flags, more := text[:2], text[3:35], text[36:52], text[53:length], text[length:]
	isOneOfAny := func(id string) bool { return isHex(id) && strings.Trim(id, "0") != "" }
	switch {
	case !isHex(version) || version == "ff" || !isHex(flags) || !isOneOfAny(id) || !isOneOfAny(parent):
		return ""
	case more != "" && (version == "00" || more[0] != '-'): // a later version may have more
		return ""
	}
	return id
}

// isHex reports whether a text is of hexadecimal digits as the recommendation has them.
func isHex(s string) bool { return strings.Trim(s, "0123456789abcdef") == "" }

// traced begins the span of a request, within that of its caller where it says which, and returns the request
// whose context is of it. Without a tracer it does nothing.
func (k *Kernel) traced(r *http.Request, rt *Route) (*http.Request, *trace.Span) {
	if k.Tracer == nil {
		return r, nil
	}
	parent := ""
	if traceID(r.Header) != "" {
		parent = r.Header.Get(headerTraceParent)
	}
	ctx, span := trace.Begin(r.Context(), k.Tracer, rt.Method+" "+rt.Path, trace.Server, parent)
	span.Text(trace.Method, rt.Method)
	span.Text(trace.Route, rt.Path)
	return r.WithContext(ctx), span
}

// endTraced ends the span of a request with its status, 0 where nothing was answered, and the code of its refusal.
func endTraced(span *trace.Span, status int, refused error) {
	if span == nil {
		return
	}
	code := ""
	if status != 0 {
		span.Number(trace.Status, status)
	}
	if refused != nil {
		code = AsError(refused).Code
	}
	span.EndWith(code)
}

// traceIDOf is the trace that a request is in: the one that the server tells of, else the one that its caller names.
func traceIDOf(r *http.Request) string {
	if parts := strings.Split(trace.Of(r.Context()).Traceparent(), "-"); len(parts) == 4 {
		return parts[1]
	}
	return traceID(r.Header)
}
