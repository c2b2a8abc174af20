package httpconn

import (
	"bytes"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
)

// ErrUnasked: a server sent something that answers no request.
var ErrUnasked = errors.New("the server sent more than it was asked for")

// ErrNotHTTP: an answer does not begin as one. net/http would quote it.
var ErrNotHTTP = errors.New("the server does not answer in HTTP")

// what of an answer a connection passes on.
type what uint8

const (
	// all of it: a body that ends with the connection, another protocol, and what
	// is said to a SOCKS proxy before the first request.
	all what = iota
	// none: no answer is due.
	none
	// header: the lines of an answer's header, with the empty one at its end.
	header
	// sized: the bytes that the answer's length promises.
	sized
	// chunks: a chunked body with its trailer.
	chunks
)

// conn hands to net/http what it waits for and no byte more, so that its own
// buffer never holds any. It is read by one goroutine at a time.
type conn struct {
	net.Conn
	tls *tls.ConnectionState // nil for plain text

	// asked is set once something was written since an answer is due.
	asked atomic.Bool

	mu  sync.Mutex
	due what
	// left is how many bytes follow of a sized body.
	left   int64
	status statusLine
	line   lineState
	part   chunked
	// err ends the connection.
	err error

	// ahead is what was read and not passed on: buf[r:w].
	buf  []byte
	r, w int
}

// readAhead is how much is read at a time of what must be looked through.
const readAhead = 4 << 10

// expect is called before a request is written.
func (c *conn) expect() {
	c.asked.Store(false)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.r < c.w && c.due == none {
		c.err = ErrUnasked
	}
	c.due, c.status, c.line = header, statusLine{}, lineState{}
}

// expectMore is called behind an interim answer.
func (c *conn) expectMore() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.due, c.status, c.line = header, statusLine{}, lineState{}
}

// begin is called between the header of an answer and its body, which nobody
// reads before.
func (c *conn) begin(resp *http.Response) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case resp.StatusCode == http.StatusSwitchingProtocols:
		c.due = all
	case resp.Request.Method == http.MethodHead || resp.ContentLength == 0: // the connection may serve another already
	case resp.ContentLength > 0:
		c.due, c.left = sized, resp.ContentLength
	case len(resp.TransferEncoding) > 0:
		c.due, c.part = chunks, chunked{}
	default:
		c.due = all // up to the connection's end
	}
}

// Write implements [net.Conn].
func (c *conn) Write(p []byte) (int, error) {
	if !c.asked.Load() {
		c.mu.Lock()
		err := c.err
		c.mu.Unlock()
		if err != nil {
			return 0, err
		}
		c.asked.Store(true)
	}
	return c.Conn.Write(p)
}

// Read implements [net.Conn].
func (c *conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		c.mu.Lock()
		n, err := c.take(p)
		direct := c.straight(len(p))
		c.mu.Unlock()
		switch {
		case n > 0 || err != nil:
			return n, err
		case direct > 0:
			n, err := c.Conn.Read(p[:direct])
			c.mu.Lock()
			c.passed(n)
			c.mu.Unlock()
			return n, err
		}
		if c.buf == nil {
			c.buf = make([]byte, readAhead)
		}
		n, err = c.Conn.Read(c.buf)
		c.mu.Lock()
		c.r, c.w = 0, n
		if n > 0 && c.due == header && !c.asked.Load() {
			c.err = ErrUnasked // it came before anybody asked
		}
		c.mu.Unlock()
		if n == 0 && err != nil {
			return 0, err
		}
	}
}

// take passes on what was read ahead.
func (c *conn) take(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	ahead := c.buf[c.r:c.w]
	if len(ahead) == 0 {
		return 0, nil
	}
	n := min(len(p), len(ahead))
	switch c.due {
	case none:
		c.err = ErrUnasked
		return 0, c.err
	case header:
		var over bool
		if n, over = c.line.upTo(ahead[:n]); over {
			c.due = none
		}
		if !c.status.takes(ahead[:n]) {
			c.err = ErrNotHTTP
			return 0, c.err
		}
	case sized:
		n = int(min(int64(n), c.left))
		c.passed(n)
	case chunks:
		n = c.part.upTo(ahead[:n])
		if c.part.over {
			c.due = none
		}
	}
	copy(p, ahead[:n])
	c.r += n
	return n, nil
}

// straight is how many of n bytes can be read from the connection unseen, while
// nothing was read ahead.
func (c *conn) straight(n int) int {
	switch {
	case c.err != nil || c.r < c.w:
		return 0
	case c.due == all:
		return n
	case c.due == sized:
		return int(min(int64(n), c.left))
	case c.due == chunks:
		return int(min(int64(n), c.part.data()))
	}
	return 0
}

// passed counts what of a body was passed on.
func (c *conn) passed(n int) {
	switch c.due {
	case sized:
		if c.left -= int64(n); c.left == 0 {
			c.due = none
		}
	case chunks:
		c.part.skip(int64(n))
	}
}

// statusForm is how an answer begins (RFC 9112 §4), a 9 being any digit.
const statusForm = "HTTP/9.9 999"

// statusLine holds the beginning of an answer to its form.
type statusLine struct {
	n    int // how much of the form has been there
	over bool
}

// takes reports whether an answer may go on with text.
func (s *statusLine) takes(text []byte) bool {
	for _, b := range text {
		switch {
		case s.over:
			return true
		case s.n == len(statusForm):
			s.over = true
			return b == ' ' || b == '\r' || b == '\n'
		case s.n == len("HTTP/9.9 ") && b == ' ': // as net/http takes it
		case statusForm[s.n] == '9' && b >= '0' && b <= '9', statusForm[s.n] != '9' && b == statusForm[s.n]:
			s.n++
		default:
			return false
		}
	}
	return true
}

// lineState looks for the empty line that ends a header (RFC 9112 §2.2, with a
// bare line feed as net/http takes it).
type lineState struct {
	// n counts the bytes of the line before; first is the first of them.
	n     int
	first byte
}

// upTo returns how much of text is the header's, and whether it ends there.
func (l *lineState) upTo(text []byte) (n int, over bool) {
	for {
		rest := text[n:]
		i := bytes.IndexByte(rest, '\n')
		if i < 0 {
			l.grow(rest)
			return len(text), false
		}
		l.grow(rest[:i])
		empty := l.n == 0 || l.n == 1 && l.first == '\r'
		*l = lineState{}
		n += i + 1
		if empty {
			return n, true
		}
	}
}

func (l *lineState) grow(text []byte) {
	if l.n == 0 && len(text) > 0 {
		l.first = text[0]
	}
	l.n = min(l.n+len(text), 2)
}
