package web

import (
	"net/http"
	"regexp"
	"strings"
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
