package broker

import (
	"bufio"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"math"
	"net/http"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

// errCoding: a content coding of which nothing is known.
var errCoding = errors.New("a content coding that is not known here")

// coding is a content coding (RFC 9110 §8.4.1) that can be looked into.
type coding struct {
	names []string
	// window is how many bytes a decoder may have unpacked and not returned.
	window int64
	open   func(*bufio.Reader) (io.Reader, error)
}

// maxZstdWindow is what RFC 9659 lets a content coding use.
const maxZstdWindow = 8 << 20

// codings are those that providers use.
var codings = []coding{
	{[]string{"gzip", "x-gzip"}, 64 << 10, func(r *bufio.Reader) (io.Reader, error) { return gzip.NewReader(r) }},
	{[]string{"deflate"}, 64 << 10, openDeflate},
	{[]string{"br"}, 34 << 20, func(r *bufio.Reader) (io.Reader, error) { return brotli.NewReader(r), nil }},
	{[]string{"zstd"}, maxZstdWindow + 1<<20, func(r *bufio.Reader) (io.Reader, error) {
		return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxZstdWindow),
			zstd.WithDecoderLowmem(true))
	}},
}

// openDeflate reads zlib, which the name stands for (RFC 9110 §8.4.1.2), and the
// bare deflate that some servers send in its place and every client takes.
func openDeflate(r *bufio.Reader) (io.Reader, error) {
	const headerSize, deflates = 2, 8 // RFC 1950 §2.2
	h, err := r.Peek(headerSize)
	if err == nil && (h[0]&0x0f != deflates || (uint(h[0])<<8|uint(h[1]))%31 != 0) {
		return flate.NewReader(r), nil
	}
	return zlib.NewReader(r)
}

func findCoding(name string) (coding, bool) {
	for _, c := range codings {
		for _, n := range c.names {
			if strings.EqualFold(n, name) {
				return c, true
			}
		}
	}
	return coding{}, false
}

// contentCodings are those that were applied to an answer's body, the last one
// first. "identity" is none, and "aws-chunked" is one that is only ever said of
// what was uploaded.
func contentCodings(h http.Header) (list []coding, err error) {
	for _, value := range h.Values("Content-Encoding") {
		for name := range strings.SplitSeq(value, ",") {
			name = strings.TrimSpace(name)
			if name == "" || strings.EqualFold(name, "identity") || strings.EqualFold(name, "aws-chunked") {
				continue
			}
			c, ok := findCoding(name)
			if !ok {
				return nil, errCoding
			}
			list = append([]coding{c}, list...)
		}
	}
	if len(list) > maxCodings {
		return nil, errCoding
	}
	return list, nil
}

// maxCodings bounds how often a body is packed: each unpacks to a thousand
// times as much.
const maxCodings = 2

// unpack returns what a body says without its codings. What belongs to each
// decoder ends with the reading.
func unpack(body io.Reader, list []coding) (io.Reader, error) {
	for _, c := range list {
		packed := bufio.NewReader(body)
		if _, err := packed.Peek(1); err == io.EOF {
			return packed, nil // many servers name a coding where there is no body
		}
		next, err := c.open(packed)
		if err != nil {
			return nil, err
		}
		body = next
	}
	return body, nil
}

// windowOf is [coding.window] of a body. What several decoders in a row may hold
// has no bound: it is known once they are at the end.
func windowOf(list []coding) int64 {
	if len(list) > 1 {
		return math.MaxInt64 / 2
	}
	return list[0].window
}

// acceptedCodings is what of a caller's Accept-Encoding is sent on: what can be
// looked into. A caller that says nothing gets what it can read without.
func acceptedCodings(h http.Header) string {
	var kept []string
	for _, value := range h.Values("Accept-Encoding") {
		for part := range strings.SplitSeq(value, ",") {
			name, _, _ := strings.Cut(part, ";")
			if _, ok := findCoding(strings.TrimSpace(name)); ok || strings.EqualFold(strings.TrimSpace(name), "identity") {
				kept = append(kept, strings.TrimSpace(part))
			}
		}
	}
	if len(kept) == 0 {
		return "identity"
	}
	return strings.Join(kept, ", ")
}
