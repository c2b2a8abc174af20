// Package protocol is one end of a connection of the DevTools protocol: commands
// and their answers, events, sessions, and the names of documents and elements.
//
// It knows no command by itself, and neither tabs nor clients: those who speak
// over it do.
package protocol

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/chromedp/cdproto"
	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/cdproto/target"

	"github.com/bctrl-go/bctrl/internal/browser"
)

// ErrGone answers a call on a tab, frame or worker that has ended.
var ErrGone = errors.New("the page is gone")

// Conn is a client of the DevTools protocol over whole messages, with flat sessions:
// it matches answers to calls and hands every event to one handler.
//
// It does less than a context of chromedp, which mirrors the DOM of the page in memory
// and drops the sessions of frames in other processes: a hostile page decides how
// large that mirror gets.
type Conn struct {
	conn    browser.CDPConn
	onEvent func(session target.SessionID, method string, params jsonv2.Value)

	mu      sync.Mutex
	lastID  int64
	waiting map[int64]waitingCall
	err     error // set once the connection has ended

	writeMu sync.Mutex // held while a message is written
	done    chan struct{}
}

// waitingCall is a call whose answer has not come.
type waitingCall struct {
	session target.SessionID
	reply   chan<- *cdproto.Message
}

// NewConn reads conn until ctx ends or a read fails. onEvent is called for each event
// in order, from the goroutine that reads: it must neither block nor call.
func NewConn(ctx context.Context, conn browser.CDPConn,
	onEvent func(session target.SessionID, method string, params jsonv2.Value)) *Conn {
	c := &Conn{
		conn:    conn,
		onEvent: onEvent,
		waiting: map[int64]waitingCall{},
		done:    make(chan struct{}),
	}
	go c.read(ctx)
	return c
}

// Done is closed when the connection has ended and its handler is called no more.
func (c *Conn) Done() <-chan struct{} { return c.done }

func (c *Conn) read(ctx context.Context) {
	defer close(c.done)
	for {
		data, err := c.conn.Read(ctx)
		if err != nil {
			c.failAll(fmt.Errorf("%w: %w", browser.ErrGone, err))
			return
		}
		msg := new(cdproto.Message)
		if err := jsonv2.Unmarshal(data, msg, PageText()); err != nil {
			continue // no message of the protocol, so nobody waits for it
		}
		if msg.ID == 0 {
			c.onEvent(msg.SessionID, string(msg.Method), msg.Params)
			continue
		}
		c.mu.Lock()
		w, ok := c.waiting[msg.ID]
		delete(c.waiting, msg.ID)
		c.mu.Unlock()
		if ok {
			w.reply <- msg // never blocks: the channel has room for the one message
		}
	}
}

// failAll fails every waiting call, now and later.
func (c *Conn) failAll(err error) {
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

// EndSession fails the calls that wait for an answer of a session that has
// ended: the browser never sends one.
func (c *Conn) EndSession(session target.SessionID) {
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
func (c *Conn) post(ctx context.Context, session target.SessionID, method string,
	params any) (int64, <-chan *cdproto.Message, error) {
	msg := &cdproto.Message{SessionID: session, Method: cdproto.MethodType(method)}
	if params != nil {
		raw, err := jsonv2.Marshal(params, PageText())
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
	c.lastID++
	msg.ID = c.lastID
	c.waiting[msg.ID] = waitingCall{session: session, reply: reply}
	c.mu.Unlock()

	data, err := jsonv2.Marshal(msg, PageText())
	if err == nil {
		c.writeMu.Lock()
		err = c.conn.Write(ctx, data)
		c.writeMu.Unlock()
	}
	if err != nil {
		c.forget(msg.ID)
		return 0, nil, fmt.Errorf("sending %s: %w", method, err)
	}
	return msg.ID, reply, nil
}

func (c *Conn) forget(id int64) {
	c.mu.Lock()
	delete(c.waiting, id)
	c.mu.Unlock()
}

// call sends a command and decodes its answer into result, which may be nil.
func (c *Conn) call(ctx context.Context, session target.SessionID, method string, params, result any) error {
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
			return ErrGone
		case msg.Error != nil:
			return fmt.Errorf("%s: %w", method, msg.Error)
		case result == nil:
			return nil
		}
		if err := jsonv2.Unmarshal(msg.Result, result, PageText()); err != nil {
			return fmt.Errorf("decoding the answer to %s: %w", method, err)
		}
		return nil
	}
}

// PageText are the options to read and write messages with: pages put lone surrogates
// into titles and names, which are not valid UTF-8.
func PageText() jsonv2.Options { return jsonv2.AllowInvalidUTF8(true) }
