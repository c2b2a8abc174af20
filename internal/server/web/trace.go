package web

import (
	"net/http"
	"regexp"
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
	version, rest, _ := strings.Cut(values[0], "-")
	// A later version may have more behind what this one has.
	m := regexp.MustCompile(`^([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?$`).FindStringSubmatch(rest)
	switch {
	case m == nil || !regexp.MustCompile(`^[0-9a-f]{2}$`).MatchString(version) || version == "ff":
		return ""
	case version == "00" && m[3] != "":
		return ""
	case strings.Trim(m[1], "0") == "" || strings.Trim(m[2], "0") == "":
		return ""
	}
	return m[1]
}

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
