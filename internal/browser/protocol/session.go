package protocol

import (
	"context"

	"github.com/chromedp/cdproto"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/cdproto/target"
)

// Session is a session of a connection: the attachment to a tab, a frame's process or a
// worker. The one with an empty id is the browser itself.
type Session struct {
	Conn *Conn
	ID   target.SessionID
}

// Root is the session of the browser itself.
func (c *Conn) Root() Session { return c.Session("") }

// Session is the session of that id.
func (c *Conn) Session(id target.SessionID) Session { return Session{Conn: c, ID: id} }

// Call sends a command and decodes its answer into result, which may be nil.
func (s Session) Call(ctx context.Context, method string, params, result any) error {
	return s.Conn.call(ctx, s.ID, method, params, result)
}

// Post sends a command and returns where its answer will arrive; the channel is
// closed when none can come.
func (s Session) Post(ctx context.Context, method string, params any) (<-chan *cdproto.Message, error) {
	_, reply, err := s.Conn.post(ctx, s.ID, method, params)
	return reply, err
}

// Caller is a [Session], or a type that has one embedded.
type Caller interface {
	Call(ctx context.Context, method string, params, result any) error
}

// Call runs a typed command on a session.
func Call[P, R any](ctx context.Context, s Caller, cmd cdp.Command[P, R], params P) (R, error) {
	var result R
	err := s.Call(ctx, cmd.Method, params, &result)
	return result, err
}

// Tell runs a typed command and drops its result.
func Tell[P, R any](ctx context.Context, s Caller, cmd cdp.Command[P, R], params P) error {
	return s.Call(ctx, cmd.Method, params, nil)
}

// Event decodes the parameters of an event and hands them to fn. It drops an event that
// does not decode.
func Event[E any](params jsonv2.Value, fn func(E)) {
	var ev E
	if jsonv2.Unmarshal(params, &ev, PageText()) == nil {
		fn(ev)
	}
}
