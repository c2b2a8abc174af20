package broker

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/scrub"
)

// acceptable refuses answers that must not reach a caller at all.
func (c *Client) acceptable(resp *http.Response, asked *span) error {
	switch {
	case redirects(resp):
		return fail(ErrRedirect, "status %d", resp.StatusCode)
	case headerSize(resp.Header) > maxHeader:
		return ErrHeader
	case resp.StatusCode == http.StatusSwitchingProtocols:
		return fail(ErrAnswer, "another protocol")
	case resp.StatusCode < http.StatusOK || resp.StatusCode > maxStatus:
		// net/http reads such an answer, and panics when it is told to send one.
		return fail(ErrAnswer, "a status that HTTP does not have")
	case bodiless(resp):
		return nil
	case resp.ContentLength > c.maxAnswer && asked == nil:
		return fail(ErrTooLarge, "more than %d bytes", c.maxAnswer)
	case asked == nil && (c.auth.reusable || c.unpack) && isPart(resp):
		return fail(ErrAnswer, "a part that was not asked for as a range of bytes")
	}
	return nil
}

// maxStatus is the last that can be written in three digits (RFC 9110 §15).
const maxStatus = 999

// headerSize is how many bytes a header has over HTTP/1.1.
func headerSize(h http.Header) (n int) {
	for name, values := range h {
		for _, v := range values {
			n += len(name) + len(": \r\n") + len(v)
		}
	}
	return n
}

// bodiless reports whether an answer has no body, whatever its headers say of one.
func bodiless(resp *http.Response) bool {
	return resp.Request != nil && resp.Request.Method == http.MethodHead ||
		resp.StatusCode == http.StatusNoContent || resp.StatusCode == http.StatusNotModified
}

// answeredAuth are the headers of an answer that are about authentication, and
// the length, which has a field of its own.
var answeredAuth = []string{
	"Set-Cookie", "Set-Cookie2", "Www-Authenticate", "Proxy-Authenticate", "Authentication-Info", "Content-Length",
	"Authorization", "Proxy-Authorization", "X-Api-Key", "Api-Key", "X-Goog-Api-Key", "X-Auth-Token", sessionHeader,
}

// cleanAnswer returns resp as the caller may see it, without the target's secrets
// and those that were made for the request. Trailers are left out.
func (c *Client) cleanAnswer(
	req *http.Request, resp *http.Response, made []bctrl.Secret, asked *span,
) (*http.Response, error) {
	set := c.auth.scrubber()
	if len(made) > 0 {
		set = scrub.New(slices.Concat(made, c.auth.scrubbed)...)
	}
	header := make(http.Header, len(resp.Header))
	for name, values := range resp.Header {
		clean := set.String(name)
		if slices.Contains(answeredAuth, clean) || slices.Contains(c.auth.places.Headers, clean) {
			continue
		}
		for _, v := range values {
			header[clean] = append(header[clean], set.String(v))
		}
	}
	out := &http.Response{
		Status:        set.String(resp.Status),
		StatusCode:    resp.StatusCode,
		Proto:         resp.Proto,
		ProtoMajor:    resp.ProtoMajor,
		ProtoMinor:    resp.ProtoMinor,
		Header:        header,
		ContentLength: resp.ContentLength,
		Body:          resp.Body,
		Request:       req, // the caller's, not the one that held the key
		TLS:           resp.TLS,
	}
	if bodiless(resp) {
		return out, nil
	}
	var text io.Reader
	var err error
	if asked != nil && resp.StatusCode == http.StatusPartialContent {
		text, err = c.partBody(out, resp, asked, set)
	} else {
		text, err = c.body(out, resp, set)
	}
	out.Body = body{Reader: text, Closer: resp.Body}
	return out, err
}

type body struct {
	io.Reader
	io.Closer
}

// Whole returns the body of an answer that has been read from the provider already, and
// waits in memory, as short ones do: what of it is not read yet, which is not to be changed. It is false for any other.
func Whole(resp *http.Response) (text []byte, read bool) {
	b, _ := resp.Body.(body)
	if whole, read := b.Reader.(*bytes.Buffer); read {
		return whole.Bytes(), true
	}
	return nil, false
}

// partBody is the body of an answer to a widened request: the bytes that the caller
// asked for.
func (c *Client) partBody(out, resp *http.Response, asked *span, set *scrub.Set) (io.Reader, error) {
	part, err := asked.partOf(resp)
	if err != nil {
		return nil, err
	}
	out.Header.Set("Content-Range", part.contentRange)
	for _, name := range []string{"Content-Digest", "Content-Md5"} { // of what came, which is more (RFC 9530 §2)
		out.Header.Del(name)
	}
	out.ContentLength = part.n
	limit := c.maxAnswer
	switch {
	case part.beyond:
		out.StatusCode = http.StatusRequestedRangeNotSatisfiable
		out.Status = "416 " + http.StatusText(out.StatusCode)
		out.ContentLength = 0
		return new(bytes.Buffer), nil
	case part.n > limit:
		return nil, fail(ErrTooLarge, "more than %d bytes", limit)
	}
	limit += 2 * asked.margin
	return &partReader{
		src: set.Mask(&bounded{
			src:   resp.Body,
			left:  limit,
			limit: limit,
			ctx:   out.Request.Context(),
		}),
		skip: part.skip,
		n:    part.n,
	}, nil
}

// body is the body of any other answer.
func (c *Client) body(out, resp *http.Response, set *scrub.Set) (io.Reader, error) {
	raw := &bounded{
		src:   resp.Body,
		left:  c.maxAnswer,
		limit: c.maxAnswer,
		ctx:   out.Request.Context(),
	}
	list, err := contentCodings(resp.Header)
	switch {
	case err != nil && (c.auth.reusable || c.unpack):
		return nil, fail(ErrAnswer, "in an encoding that is not known here")
	case err != nil, isPart(resp) && len(list) > 0: // passed on unseen: what was sent is good for one request
		list = nil
	case c.unpack || len(list) > 0 && isMadeAsSent(out.Header, resp):
		return c.unpackedBody(out, raw, list, set)
	}
	if len(list) == 0 {
		if list = packedFile(resp.Header); list == nil {
			return plainBody(out, raw, set)
		}
		return c.fileBody(raw, list, set)
	}
	p, first, err := newPacked(raw.ctx, raw, list, set, c.auth.reusable)
	switch {
	case err == nil:
		return p, nil
	case errors.Is(err, errHeld):
		return c.unpackedBody(out, io.MultiReader(bytes.NewReader(first), raw), list, set)
	}
	return nil, err
}

// plainBody is a body that has no content coding. A short one is read first, so
// that its length is known before it is said; in a longer one a secret is replaced
// by as many bytes, which keeps the length.
func plainBody(out *http.Response, raw io.Reader, set *scrub.Set) (io.Reader, error) {
	switch {
	case out.ContentLength < 0:
		return set.Reader(raw), nil
	case out.ContentLength > firstLook:
		return set.Mask(raw), nil
	}
	most := out.ContentLength + 1 // one byte more: that there is none has to be seen
	text := bytes.NewBuffer(make([]byte, 0, most+bytes.MinRead))
	switch n, err := text.ReadFrom(io.LimitReader(raw, most)); {
	case err != nil:
		return nil, err
	case n == most:
		return nil, fail(ErrAnswer, "more than its length")
	}
	if set.Holds(text.Bytes()) {
		text, out.ContentLength = bytes.NewBufferString(set.String(text.String())), -1
		DropDigests(out.Header)
	}
	return text, nil
}

// isMadeAsSent reports whether a packed answer is made while it is sent, rather
// than stored by the provider: such an answer is passed on as it comes, unpacked.
// Server-sent events are, and JSON that has neither a length nor a version.
func isMadeAsSent(h http.Header, resp *http.Response) bool {
	media, _, _ := mime.ParseMediaType(h.Get("Content-Type"))
	switch {
	case media == "text/event-stream":
		return true
	case resp.ContentLength >= 0 || h.Get("Etag") != "" || h.Get("Last-Modified") != "":
		return false
	}
	return strings.Contains(media, "json")
}

// unpackedBody is a packed body without its content coding. The headers that
// describe the packed bytes are deleted.
func (c *Client) unpackedBody(out *http.Response, raw io.Reader, list []coding, set *scrub.Set) (io.Reader, error) {
	if len(list) == 0 {
		return plainBody(out, raw, set)
	}
	DropDigests(out.Header)
	out.Header.Del("Content-Encoding")
	out.ContentLength = -1
	// Nothing is read before the caller does.
	return set.Reader(&bounded{
		src:   &lazyReader{open: func() (io.Reader, error) { return unpack(raw, list) }},
		left:  c.maxAnswer,
		limit: c.maxAnswer,
		ctx:   out.Request.Context(),
	}), nil
}

// DropDigests deletes what is said about the bytes of a body that are not those
// that are passed on.
func DropDigests(h http.Header) {
	for name := range h {
		if strings.HasPrefix(name, "X-Amz-Checksum-") {
			delete(h, name)
		}
	}
	for _, name := range []string{"Etag", "Content-Md5", "Digest", "Content-Digest", "Repr-Digest",
		"X-Goog-Hash", "Accept-Ranges"} {
		h.Del(name)
	}
}

// lazyReader opens its source at the first read.
type lazyReader struct {
	open func() (io.Reader, error)
	r    io.Reader
	err  error
}

// Read implements [io.Reader].
func (l *lazyReader) Read(p []byte) (int, error) {
	if l.open != nil {
		l.r, l.err = l.open()
		l.open = nil
	}
	if l.err != nil {
		return 0, l.err
	}
	return l.r.Read(p)
}

// packedFile is the coding of a body whose media type alone says that it is packed,
// such as application/gzip: a file, which is looked through and passed on packed.
func packedFile(h http.Header) []coding {
	var name string
	switch media, _, _ := strings.Cut(h.Get("Content-Type"), ";"); strings.ToLower(strings.TrimSpace(media)) {
	case "application/gzip", "application/x-gzip", "application/x-tgz":
		name = "gzip"
	case "application/zstd":
		name = "zstd"
	case "application/x-brotli":
		name = "br"
	default:
		return nil
	}
	c, _ := findCoding(name)
	return []coding{c}
}

// fileBody is the body of a packed file. One that holds a secret is refused.
func (c *Client) fileBody(raw io.Reader, list []coding, set *scrub.Set) (io.Reader, error) {
	p, _, err := newPacked(raw.(*bounded).ctx, raw, list, set, false)
	if err != nil {
		return nil, err
	}
	return p, nil
}

// redirects reports whether an answer sends its request elsewhere. Google's
// uploads answer 308 without a place to mean that more is to be sent.
func redirects(resp *http.Response) bool {
	switch {
	case resp.StatusCode < 300 || resp.StatusCode > 399 || resp.StatusCode == http.StatusNotModified:
		return false
	case resp.StatusCode == http.StatusPermanentRedirect:
		return resp.Header.Get("Location") != ""
	}
	return true
}
