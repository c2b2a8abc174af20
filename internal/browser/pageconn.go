package browser

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/chromedp/cdproto"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/cdproto/target"
)

// errSessionGone answers a call on a tab, frame or worker that has ended.
var errSessionGone = errors.New("the page is gone")

// pageConn is a DevTools client over whole messages with flat sessions: it
// matches answers to calls and hands every event to one handler.
//
// It is deliberately thinner than a chromedp context, which mirrors the DOM of
// the page in our memory and drops the sessions of frames in other processes:
// a hostile page decides how large that mirror gets.
type pageConn struct {
	conn   CDPConn
	handle func(session target.SessionID, method string, params jsonv2.Value)

	mu      sync.Mutex
	next    int64
	waiting map[int64]waitingCall
	err     error // set once the connection has ended

	writing sync.Mutex
	done    chan struct{}
}

type waitingCall struct {
	session target.SessionID
	reply   chan<- *cdproto.Message
}

// newPageConn reads conn until ctx ends or a read fails. handle is called for
// each event in order, from the reading goroutine: it must not block and must
// not call.
func newPageConn(ctx context.Context, conn CDPConn, handle func(target.SessionID, string, jsonv2.Value)) *pageConn {
	c := &pageConn{conn: conn, handle: handle, waiting: map[int64]waitingCall{}, done: make(chan struct{})}
	go c.read(ctx)
	return c
}

func (c *pageConn) read(ctx context.Context) {
	defer close(c.done)
	for {
		data, err := c.conn.Read(ctx)
		if err != nil {
			c.end(fmt.Errorf("the browser is gone: %w", err))
			return
		}
		msg := new(cdproto.Message)
		if err := jsonv2.Unmarshal(data, msg, pageText()); err != nil {
			continue // not a message of the protocol; nobody waits for it
		}
		if msg.ID == 0 {
			c.handle(msg.SessionID, string(msg.Method), msg.Params)
			continue
		}
		c.mu.Lock()
		w, ok := c.waiting[msg.ID]
		delete(c.waiting, msg.ID)
		c.mu.Unlock()
		if ok {
			w.reply <- msg // holds one message, and only one is sent
		}
	}
}

// end fails every waiting call, now and later.
func (c *pageConn) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
	}
	for id, w := range c.waiting {
		close(w.reply)
		delete(c.waiting, id)
	}
}

// endSession fails the calls that wait for an answer of a session that has
// ended: the browser never sends one.
func (c *pageConn) endSession(session target.SessionID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, w := range c.waiting {
		if w.session == session {
			close(w.reply)
			delete(c.waiting, id)
		}
	}
}

// post sends a command and returns where its answer will arrive; the channel
// is closed when none can come.
func (c *pageConn) post(ctx context.Context, session target.SessionID, method string, params any) (int64, <-chan *cdproto.Message, error) {
	msg := &cdproto.Message{SessionID: session, Method: cdproto.MethodType(method)}
	if params != nil {
		raw, err := jsonv2.Marshal(params, pageText())
		if err != nil {
			return 0, nil, fmt.Errorf("encoding %s: %w", method, err)
		}
		msg.Params = raw
	}
	reply := make(chan *cdproto.Message, 1)
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return 0, nil, c.err
	}
	c.next++
	msg.ID = c.next
	c.waiting[msg.ID] = waitingCall{session: session, reply: reply}
	c.mu.Unlock()

	data, err := jsonv2.Marshal(msg, pageText())
	if err == nil {
		c.writing.Lock()
		err = c.conn.Write(ctx, data)
		c.writing.Unlock()
	}
	if err != nil {
		c.forget(msg.ID)
		return 0, nil, fmt.Errorf("sending %s: %w", method, err)
	}
	return msg.ID, reply, nil
}

func (c *pageConn) forget(id int64) {
	c.mu.Lock()
	delete(c.waiting, id)
	c.mu.Unlock()
}

// call sends a command and decodes its answer into result, which may be nil.
func (c *pageConn) call(ctx context.Context, session target.SessionID, method string, params, result any) error {
	id, reply, err := c.post(ctx, session, method, params)
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		c.forget(id)
		return fmt.Errorf("%s: %w", method, ctx.Err())
	case msg, ok := <-reply:
		switch {
		case !ok:
			c.mu.Lock()
			defer c.mu.Unlock()
			if c.err != nil {
				return c.err
			}
			return errSessionGone
		case msg.Error != nil:
			return fmt.Errorf("%s: %w", method, msg.Error)
		case result == nil:
			return nil
		}
		if err := jsonv2.Unmarshal(msg.Result, result, pageText()); err != nil {
			return fmt.Errorf("decoding the answer to %s: %w", method, err)
		}
		return nil
	}
}

// pageText accepts what pages really put into titles and names: a lone
// surrogate is not valid UTF-8.
func pageText() jsonv2.Options { return jsonv2.AllowInvalidUTF8(true) }

// link is a session of a connection: what is attached by it is called over it.
// That with an empty id is the browser itself.
type link struct {
	conn *pageConn
	id   target.SessionID
}

// root is the session of the browser itself.
func (c *pageConn) root() link { return c.session("") }

// session is an attached session.
func (c *pageConn) session(id target.SessionID) link { return link{conn: c, id: id} }

// call sends a command and decodes its answer into result, which may be nil.
func (l link) call(ctx context.Context, method string, params, result any) error {
	return l.conn.call(ctx, l.id, method, params, result)
}

// post sends a command and returns where its answer will arrive; the channel is
// closed when none can come.
func (l link) post(ctx context.Context, method string, params any) (<-chan *cdproto.Message, error) {
	_, reply, err := l.conn.post(ctx, l.id, method, params)
	return reply, err
}

// caller is a session, or what has one embedded.
type caller interface {
	call(ctx context.Context, method string, params, result any) error
}

// callOn runs a typed command on a session.
func callOn[P, R any](ctx context.Context, s caller, cmd cdp.Command[P, R], params P) (R, error) {
	var result R
	err := s.call(ctx, cmd.Method, params, &result)
	return result, err
}

// tell runs a typed command whose answer nobody needs.
func tell[P, R any](ctx context.Context, s caller, cmd cdp.Command[P, R], params P) error {
	return s.call(ctx, cmd.Method, params, nil)
}

// event decodes an event and hands it on; one that does not decode is none.
func event[E any](params jsonv2.Value, fn func(E)) {
	var ev E
	if jsonv2.Unmarshal(params, &ev, pageText()) == nil {
		fn(ev)
	}
}
