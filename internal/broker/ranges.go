package broker

import (
	"fmt"
	"io"
	"math"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/bctrl-go/bctrl"
)

// Parts of an answer. A key that comes back is taken out of what is read in one
// piece, so nobody may choose the pieces:
//
//   - where fields are hidden, no part is asked for;
//   - where what is sent can be used again by who reads it, as a key in a header
//     can, more is asked for than the caller wants, looked through, and cut to
//     what was wanted: one range of bytes, of what is not packed;
//   - elsewhere, as for requests that are signed, ranges are the caller's.

// ErrRange: a part of an answer is asked for in a way in which a secret could
// be had in pieces.
var ErrRange = fmt.Errorf("%w: a range", ErrRefused)

// longestChar is how many bytes stand at most for one of a value that comes
// back: as base64, four characters for three, each an HTML entity that was
// escaped and with a line break behind it, in UTF-16.
const longestChar = (24+8)*4/3 + 1

// span is a range of bytes that a caller wants (RFC 9110 §14.1.2).
type span struct {
	// first and last are offsets; last is -1 for the end. suffix, if not zero,
	// stands for that many bytes at the end, instead.
	first, last, suffix int64
	// margin is how much more is asked for on both sides.
	margin int64
}

// spanOf returns the range that a request asks for, nil for none that is looked
// through.
func (c *Client) spanOf(req *http.Request) (*span, error) {
	values := req.Header.Values("Range")
	if len(values) == 0 {
		return nil, nil //nolint:nilnil // no range, no error
	}
	unit, text, _ := strings.Cut(values[0], "=")
	switch {
	case c.unpack:
		return nil, fail(ErrRange, "fields of the answer are hidden")
	case !c.auth.reusable, req.Method == http.MethodHead: // of which no part comes
		return nil, nil //nolint:nilnil // as above
	case len(values) > 1:
		return nil, fail(ErrRange, "twice")
	case !strings.EqualFold(strings.TrimSpace(unit), "bytes"):
		return nil, nil //nolint:nilnil // it counts something else: items, pages
	}
	s := &span{last: -1}
	from, to, ok := strings.Cut(strings.TrimSpace(text), "-")
	var bad error
	switch {
	case !ok || from == "" && to == "":
		bad = ErrRange
	case from == "":
		s.suffix, bad = offset(to)
	default:
		if s.first, bad = offset(from); bad == nil && to != "" {
			s.last, bad = offset(to)
		}
	}
	if bad != nil || s.last >= 0 && s.last < s.first || from == "" && s.suffix == 0 {
		return nil, fail(ErrRange, "not one range of bytes")
	}
	return s, nil
}

// offset reads a number of bytes that leaves room for a margin.
func offset(text string) (int64, error) {
	n, err := strconv.ParseUint(text, 10, 62)
	return int64(n), err
}

// widen asks for more, so that each secret that touches the range is in it
// whole.
func (s *span) widen(out *http.Request, secrets []bctrl.Secret) {
	for _, secret := range secrets {
		s.margin = max(s.margin, int64(longestChar*len(secret.Expose())))
	}
	var text string
	switch {
	case s.suffix > 0:
		text = fmt.Sprintf("bytes=-%d", s.suffix+s.margin)
	case s.last < 0:
		text = fmt.Sprintf("bytes=%d-", max(0, s.first-s.margin))
	default:
		text = fmt.Sprintf("bytes=%d-%d", max(0, s.first-s.margin), s.last+s.margin)
	}
	out.Header.Set("Range", text)
	out.Header.Set("Accept-Encoding", "identity") // a part of what is packed cannot be looked through
}

// wantedPart is the part of an answer to a widened request that the caller asked
// for: n bytes, after the first skip.
type wantedPart struct {
	skip, n      int64
	contentRange string
	// beyond is set where the answer ends before the range begins.
	beyond bool
}

// partOf finds in an answer what the caller asked for.
func (s *span) partOf(resp *http.Response) (wantedPart, error) {
	first, last, total, ok := contentRange(resp.Header)
	if codings, err := contentCodings(resp.Header); !ok || err != nil || len(codings) > 0 {
		return wantedPart{}, fail(ErrAnswer, "a part that cannot be looked through")
	}
	wanted, end := s.first, last
	if s.suffix > 0 {
		wanted = max(0, last+1-s.suffix)
	} else if s.last >= 0 {
		end = min(end, s.last)
	}
	switch {
	case wanted < first:
		return wantedPart{}, fail(ErrAnswer, "another part than was asked for")
	case wanted > end:
		return wantedPart{beyond: true, contentRange: "bytes */" + total}, nil
	}
	return wantedPart{skip: wanted - first, n: end - wanted + 1,
			contentRange: fmt.Sprintf("bytes %d-%d/%s", wanted, end, total)},
		nil
}

// contentRange reads the header of that name, of a range of bytes.
func contentRange(h http.Header) (first, last int64, total string, ok bool) {
	text, total, _ := strings.Cut(h.Get("Content-Range"), "/")
	unit, text, _ := strings.Cut(text, " ")
	from, to, _ := strings.Cut(text, "-")
	first, err := offset(strings.TrimSpace(from))
	if err == nil {
		last, err = offset(strings.TrimSpace(to))
	}
	return first, last, total, err == nil && strings.EqualFold(unit, "bytes") && last >= first && last < math.MaxInt64
}

// isPart reports whether an answer holds a part of something in bytes, however
// it was asked for.
func isPart(resp *http.Response) bool {
	unit, _, _ := strings.Cut(strings.TrimSpace(resp.Header.Get("Content-Range")), " ")
	if strings.EqualFold(unit, "bytes") && resp.StatusCode != http.StatusRequestedRangeNotSatisfiable {
		return true
	}
	if resp.StatusCode != http.StatusPartialContent {
		return false
	}
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return media == "multipart/byteranges"
}

// partReader reads a part of src and then src to its end, so that its connection
// can be used for another request.
type partReader struct {
	src     io.Reader
	skip, n int64
}

// Read implements [io.Reader].
func (c *partReader) Read(p []byte) (int, error) {
	if c.skip > 0 {
		skipped, err := io.CopyN(io.Discard, c.src, c.skip)
		if c.skip -= skipped; err != nil {
			return 0, err
		}
	}
	if c.n == 0 {
		if _, err := io.Copy(io.Discard, c.src); err != nil {
			return 0, err
		}
		return 0, io.EOF
	}
	n, err := c.src.Read(p[:min(int64(len(p)), c.n)])
	if c.n -= int64(n); err == io.EOF && c.n > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}
