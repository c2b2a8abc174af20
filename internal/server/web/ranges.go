package web

import (
	"net/http"
	"strconv"
	"strings"
)

// maxRanges is how many ranges of a file are served at once. A bucket is asked for each by a request of its own.
const maxRanges = 100

// SettleRange leaves in a request for size bytes the ranges that [http.ServeContent] is to serve, as RFC 9110 §14
// has them. It reports false where they are malformed, or hold no byte; a range of an empty file from its start on
// is all of it. A Range is ignored that is in another unit than bytes, of more ranges than are served at once, or,
// by If-Range, of another version than the one with this entity tag; without a tag there is no such version.
func SettleRange(h http.Header, tag string, size int64) bool {
	unit, set, isSet := strings.Cut(h.Get("Range"), "=")
	version, conditional := h["If-Range"]
	h.Del("Range")
	h.Del("If-Range")
	if !isSet || !strings.EqualFold(unit, "bytes") || strings.Count(set, ",") >= maxRanges ||
		conditional && (tag == "" || strings.Join(version, ",") != tag) {
		return true
	}
	var ranges []string
	allOfNone := false
	for spec := range strings.SplitSeq(set, ",") {
		if spec = strings.Trim(spec, " \t"); spec == "" {
			continue
		}
		first, last, ok := boundsOf(spec, size)
		switch {
		case !ok:
			return false
		case first <= last:
			ranges = append(ranges, strconv.FormatInt(first, 10)+"-"+strconv.FormatInt(last, 10))
		case size == 0 && first == 0:
			allOfNone = true
		}
	}
	if ranges == nil {
		return allOfNone
	}
	h.Set("Range", "bytes="+strings.Join(ranges, ","))
	return true
}

// NoneOf is the Content-Range of a refusal to serve a range of size bytes.
func NoneOf(size int64) string { return "bytes */" + strconv.FormatInt(size, 10) }

// boundsOf reads "5-9", "5-" or "-5" of size bytes. The first is behind the last where it holds none of them.
func boundsOf(spec string, size int64) (first, last int64, ok bool) {
	from, to, ok := strings.Cut(spec, "-")
	if !ok {
		return 0, 0, false
	}
	last, ok = position(to)
	if from == "" { // the last so many bytes
		if last == 0 {
			return 1, 0, ok
		}
		return max(size-last, 0), size - 1, ok
	}
	if to == "" {
		last, ok = size, true
	}
	first, isNumber := position(from)
	if !isNumber || !ok || to != "" && first > last {
		return 0, 0, false
	}
	return first, min(last, size-1), true
}

// position reads a number; one that is too large for 63 bits is the largest.
func position(text string) (int64, bool) {
	if text == "" || strings.Trim(text, "0123456789") != "" {
		return 0, false
	}
	n, _ := strconv.ParseInt(text, 10, 64)
	return n, true
}
