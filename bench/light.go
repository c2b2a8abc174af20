package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// lightRequest is a request as bytes, around the key of an entry: all but what has to be new for
// each call is made before.
type lightRequest struct {
	before, after []byte
	// body comes after the header.
	body []byte
	// keyed is set where each call has an idempotency key of its own, as one of the SDK has that
	// changes something.
	keyed bool
}

// newLightRequest makes one to a path, in which {key} stands where the key is to be.
func newLightRequest(method, path, apiKey string, body []byte, keyed bool) lightRequest {
	before, after, _ := strings.Cut(path, "{key}")
	after += " HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer " + apiKey + "\r\n"
	if body != nil {
		after += "Content-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n"
	}
	return lightRequest{before: []byte(method + " " + before), after: []byte(after), body: body, keyed: keyed}
}

// lightConn is the least of clients: a connection that is kept, and no more of an answer read
// than whether it went well and where it ends.
type lightConn struct {
	conn    net.Conn
	answers *bufio.Reader
	out     []byte
}

// dialLight connects to the server at an address of HTTP, for each of the callers.
func dialLight(ctx context.Context, url string, callers int) (conns []*lightConn, err error) {
	for range callers {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			return conns, errors.Join(err, closeLight(conns))
		}
		conns = append(conns, &lightConn{conn: conn, answers: bufio.NewReader(conn)})
	}
	return conns, nil
}

func closeLight(conns []*lightConn) (err error) {
	for _, c := range conns {
		err = errors.Join(err, c.conn.Close())
	}
	return err
}

// call sends a request about a key, whose escaped form it takes, and reads the answer. It ends
// with the server.
func (c *lightConn) call(r lightRequest, key string) error {
	c.out = append(c.out[:0], r.before...)
	c.out = append(c.out, key...)
	c.out = append(c.out, r.after...)
	if r.keyed {
		key, err := uuid.NewV7() // as the SDK makes them
		if err != nil {
			return err
		}
		c.out = append(c.out, "Idempotency-Key: "...)
		c.out = append(c.out, key.String()...)
		c.out = append(c.out, "\r\n"...)
	}
	c.out = append(c.out, "\r\n"...)
	c.out = append(c.out, r.body...)
	if _, err := c.conn.Write(c.out); err != nil {
		return err
	}
	return c.skipAnswer()
}

// skipAnswer reads to the end of an answer, which has to be 200.
func (c *lightConn) skipAnswer() error {
	status, err := c.line()
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(status, []byte("HTTP/1.1 200 ")) {
		return fmt.Errorf("the server answered %q", status)
	}
	length, chunked := -1, false
	for {
		header, err := c.line()
		if err != nil {
			return err
		}
		if len(header) == 0 {
			break
		}
		name, value, _ := bytes.Cut(header, []byte(": "))
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = strconv.Atoi(string(value)); err != nil {
				return err
			}
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			chunked = bytes.EqualFold(value, []byte("chunked"))
		}
	}
	switch {
	case chunked:
		return c.skipChunks()
	case length < 0:
		return errors.New("an answer does not say where it ends")
	}
	_, err = c.answers.Discard(length)
	return err
}

// skipChunks reads a body in chunks, after which there is no trailer.
func (c *lightConn) skipChunks() error {
	for {
		size, err := c.line()
		if err != nil {
			return err
		}
		n, err := strconv.ParseUint(string(size), 16, 31)
		if err != nil {
			return err
		}
		if _, err := c.answers.Discard(int(n)); err != nil {
			return err
		}
		if end, err := c.line(); err != nil || len(end) > 0 {
			return errors.Join(err, errors.New("a chunk does not end where it says"))
		}
		if n == 0 {
			return nil
		}
	}
}

// line is the next line, until more is read.
func (c *lightConn) line() ([]byte, error) {
	text, err := c.answers.ReadSlice('\n')
	return bytes.TrimSuffix(text, []byte("\r\n")), err
}
