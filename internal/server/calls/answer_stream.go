package calls

import (
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bctrl-go/bctrl/internal/broker"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// slowestReader is how long a caller may take to read a part of an answer.
const slowestReader = time.Minute

// notForCaller are the headers of a provider's answer that hold for its own host
// alone, and those that this server writes itself.
var notForCaller = []string{
	"Strict-Transport-Security", "Public-Key-Pins", "Alt-Svc", "Clear-Site-Data", "Set-Login", "Nel", "Report-To",
	"Reporting-Endpoints", "Service-Worker-Allowed", "Content-Security-Policy", wire.HeaderRequestID, "Date",
	"Server", "Cdn-Cache-Control", "Surrogate-Control", "X-Accel-Expires", "X-Accel-Redirect", "X-Sendfile",
}

// tokenPlaces are the headers in which a caller's token may stand with every
// provider, as the header Vary names them.
const tokenPlaces = "Authorization, X-Api-Key, X-Goog-Api-Key, X-Amz-Security-Token"

// placesInHeaders are the headers in which the token of the request stood or might
// have stood. By them a cache keeps the answers of different callers apart.
func (b *broughtToken) placesInHeaders() string {
	all := tokenPlaces
	if b == nil {
		return all
	}
	for _, at := range b.places {
		if at.header != "" && !slices.Contains(usualKeyHeaders, at.header) {
			all += ", " + at.header
		}
	}
	return all
}

// dropForCaller deletes the headers of a provider's answer that a caller does not get.
func dropForCaller(h http.Header) {
	broker.DropHopByHop(h)
	if id := h.Get(wire.HeaderRequestID); id != "" {
		h.Set(wire.HeaderUpstreamRequestID, id)
	}
	for name := range h {
		if strings.HasPrefix(name, "Access-Control-") || slices.Contains(notForCaller, name) ||
			wire.IsOwnHeader(name) && name != wire.HeaderUpstreamRequestID {
			delete(h, name)
		}
	}
}

// streamAnswer passes the provider's answer on while it comes. Where that breaks
// off, so does ours: nobody takes a part for the whole. The outcome is on record
// before the caller has the last byte.
func (s *Service) streamAnswer(w http.ResponseWriter, rq *web.Request, a *providerAnswer, status int) error {
	h := w.Header()
	dropForCaller(a.Header)
	maps.Copy(h, a.Header)
	if h.Get("Content-Type") == "" {
		h["Content-Type"] = nil // so that net/http guesses none
	}
	// Cache-Control stays the provider's, for the caller's own cache. Caches in front
	// of this server, which callers share, obey these before it.
	h.Set("Cdn-Cache-Control", "private, no-store")
	h.Set("X-Accel-Expires", "0")
	h.Add("Vary", a.call.brought.placesInHeaders())
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Accel-Buffering", "no")
	h.Set(wire.HeaderUpstreamStatus, strconv.Itoa(a.StatusCode))
	h.Set(wire.HeaderCredential, a.call.with.Credential.ID)
	h.Set(wire.HeaderTier, string(a.call.with.Tier))
	ofBody := a.call.method != http.MethodHead || rq.Method == http.MethodHead
	if a.ContentLength >= 0 && ofBody && mayHaveBody(a.StatusCode) {
		h.Set("Content-Length", strconv.FormatInt(a.ContentLength, 10))
	}
	conn := http.NewResponseController(w)
	if bodyRemains(rq) {
		_ = conn.EnableFullDuplex() // fails for HTTP/2, which needs none
		h.Set("Connection", "close")
	}
	left := bodyLength(rq, status, h)
	end := func() error {
		rq.LetFinish()
		return a.end(nil)
	}
	if left == 0 {
		if err := end(); err != nil {
			return err
		}
		w.WriteHeader(status)
		_ = conn.Flush() // the caller is gone; there is nobody to tell
		return nil
	}
	w.WriteHeader(status)
	if _, read := broker.Whole(a.Response); !read && conn.Flush() != nil { // else the body goes out with the header
		return a.end(web.ErrAbandoned)
	}
	buf := make([]byte, partOf(left))
	for {
		n, err := a.Read(buf)
		if left -= int64(n); left == 0 && err == nil {
			_, err = io.ReadFull(a, make([]byte, 1)) // that there is no more
		}
		ended := err == io.EOF
		if ended {
			err = end()
		}
		if n > 0 && (err == nil || !ended) {
			_ = conn.SetWriteDeadline(time.Now().Add(slowestReader))
			if _, lost := w.Write(buf[:n]); (lost != nil || conn.Flush() != nil) && !ended {
				return a.end(web.ErrAbandoned)
			}
		}
		switch {
		case ended:
			_ = conn.SetWriteDeadline(time.Time{})
			return err
		case err != nil:
			return a.end(err)
		}
	}
}

// largestPart is how much of an answer is passed on at a time, in bytes.
const largestPart = 64 << 10

// partOf is how much of an answer with so many bytes is read at a time; -1 is one of
// unknown length.
func partOf(length int64) int64 {
	if length < 0 {
		return largestPart / 2
	}
	return min(length, largestPart)
}

// bodyRemains reports whether the caller is still sending while its answer
// begins. In full duplex net/http ends with a panic where it reads the end of
// such a body after the handler, so the connection takes no other request.
func bodyRemains(rq *web.Request) bool {
	return rq.HasUnreadBody()
}

// bodyLength is the number of bytes after which a caller knows that it has the
// whole answer, or -1 where it knows by the answer's end alone.
func bodyLength(rq *web.Request, status int, h http.Header) int64 {
	if rq.Method == http.MethodHead || !mayHaveBody(status) {
		return 0
	}
	if n, err := strconv.ParseInt(h.Get("Content-Length"), 10, 64); err == nil {
		return n
	}
	return -1
}

// mayHaveBody reports whether an answer of a status may have a body.
func mayHaveBody(status int) bool {
	return status != http.StatusNoContent && status != http.StatusNotModified
}
