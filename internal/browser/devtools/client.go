package devtools

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/cdproto/target"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

// Client is one user of a mux. It has a queue of what the browser said to it, and
// sends commands to the browser.
type Client struct {
	m        *Mux
	root     target.SessionID // the browser session that stands for the connection
	isServer bool             // it is the server's own driver
	host     Host             // whose browser it is; nil for the server's own driver
	// rights say which hosts it may see; nil is all.
	rights browser.ClientRights

	pending int // guarded by m.mu
	// downloads are its sessions that want events of downloads, "" for the connection's
	// own; guarded by m.mu.
	downloads map[target.SessionID]struct{}

	// pauses are the requests that wait for the client; guarded by m.mu.
	pauses map[pauseKey]*pause
	// stalled says that it has held up a request for too long, and said nothing since;
	// guarded by m.mu.
	stalled bool

	mu      sync.Mutex
	queue   []queued
	bytes   int
	err     error
	changed chan struct{} // has an element when the queue or err changed

	ended       context.Context // is done once err is set
	cancelEnded context.CancelFunc
}

// queued is a message and the method it belongs to: an answer has none itself.
type queued struct {
	msg    message
	method string
}

var _ browser.CDPConn = (*Client)(nil)

// Read returns the next message to the client. One goroutine at a time may
// call it.
func (c *Client) Read(ctx context.Context) ([]byte, error) {
	msg, _, err := c.nextMessage(ctx)
	if err != nil {
		return nil, err
	}
	return jsonv2.Marshal(msg, protocol.PageText())
}

// Write sends one of the client's messages to the browser.
func (c *Client) Write(_ context.Context, b []byte) error {
	var msg message
	if err := jsonv2.Unmarshal(b, &msg); err != nil {
		return fmt.Errorf("decode a DevTools command: %w", err)
	}
	return c.sendCommand(msg)
}

// Call sends a command of the mux itself, outside any client's session, and
// decodes its result into res.
func (m *Mux) Call(ctx context.Context, method string, params, res any) error {
	return m.callIn(ctx, "", method, params, res)
}

// IsRefusal reports whether an error of [Mux.Call] is the browser's answer: it did not do
// what the command says, and is there.
func IsRefusal(err error) bool {
	_, refused := errors.AsType[*messageError](err)
	return refused
}

// callIn is Call in a session, which may be a client's.
func (m *Mux) callIn(ctx context.Context, session target.SessionID, method string, params, res any) error {
	b, err := jsonv2.Marshal(params)
	if err != nil {
		return fmt.Errorf("encode %s: %w", method, err)
	}
	answer := make(chan message, 1)
	m.mu.Lock()
	if m.gone {
		m.mu.Unlock()
		return ErrBrowserGone
	}
	m.nextID++
	id := m.nextID
	m.pending[id] = pendingCommand{answer: answer}
	m.mu.Unlock()

	if err := m.write(message{
		ID:        id,
		SessionID: session,
		Method:    method,
		Params:    b,
	}); err != nil {
		m.forgetCommand(id)
		return err
	}
	select {
	case <-ctx.Done():
		m.forgetCommand(id)
		return fmt.Errorf("%s: %w", method, ctx.Err())
	case msg, ok := <-answer:
		switch {
		case !ok:
			return ErrBrowserGone
		case msg.Error != nil:
			return fmt.Errorf("%s: %w", method, msg.Error)
		case res == nil:
			return nil
		}
		defer clear(msg.Result) // it may have been the cookies
		return jsonv2.Unmarshal(msg.Result, res, protocol.PageText())
	}
}

func (m *Mux) forgetCommand(id int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.pending, id)
}

// attachClient adds a client from outside.
func (m *Mux) attachClient(ctx context.Context, by Host, rights browser.ClientRights) (*Client, error) {
	return m.attach(ctx, by, rights, false)
}

// AttachServer adds the server's own driver: no filter stands before it, and other
// clients are not shown what it attaches.
func (m *Mux) AttachServer(ctx context.Context) (*Client, error) {
	return m.attach(ctx, nil, nil, true)
}

// attach adds a client; isServer says that it is the server's own driver.
func (m *Mux) attach(ctx context.Context, by Host, rights browser.ClientRights, own bool) (*Client, error) {
	var res target.AttachToBrowserTargetResult
	if err := m.Call(ctx, target.CommandAttachToBrowserTarget, struct{}{}, &res); err != nil {
		return nil, err
	}
	c := &Client{
		m:        m,
		root:     res.SessionID,
		isServer: own,
		host:     by,
		rights:   rights,
		changed:  make(chan struct{}, 1),

		downloads: map[target.SessionID]struct{}{},
		pauses:    map[pauseKey]*pause{},
	}
	c.ended, c.cancelEnded = context.WithCancel(context.Background())
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.gone {
		return nil, ErrBrowserGone
	}
	m.sessions[c.root] = newClientSession(c, "", true)
	m.clients[c] = struct{}{}
	return c, nil
}

// sendCommand passes a client's command on under a new id. A command for a session
// that is not the client's is answered as the browser answers an unknown one.
func (c *Client) sendCommand(msg message) error {
	p := pendingCommand{
		client:  c,
		id:      msg.ID,
		session: msg.SessionID,
		method:  msg.Method,
		noted:   msg.noted,
	}
	m := c.m
	m.mu.Lock()
	session := m.sessions[msg.SessionID]
	refused := cmp.Or(m.owners.refuses(c, session, msg), m.refusesWorld(session, msg))
	switch {
	case m.gone:
		m.mu.Unlock()
		return ErrBrowserGone
	case m.sessions[c.root] == nil:
		m.mu.Unlock()
		return errClientDone
	case msg.SessionID != "" && (session == nil || session.client != c):
		m.mu.Unlock()
		c.answerError(msg, &messageError{Code: codeSessionNotFound, Message: "Session with given id not found."})
		return nil
	case refused != nil:
		m.mu.Unlock()
		c.answerError(msg, refused)
		return nil
	case c.pending >= maxPending:
		m.mu.Unlock()
		c.answerError(msg, &messageError{Code: codeServerError, Message: "too many unanswered commands"})
		return nil
	}
	if session != nil {
		m.recordSetting(session, msg)
		msg = session.sight.notePasses(msg)
	}
	if msg.Method == target.CommandDisposeBrowserContext {
		p.context = namedIn(msg.Params).context
	}
	p.frame = m.noteWorldAsked(session, msg)
	p.undiscovers = endsDiscovery(msg)
	c.stalled = false
	c.decidePause(&p, msg.Params)
	c.pending++
	m.nextID++
	m.pending[m.nextID] = p
	msg.ID = m.nextID
	m.mu.Unlock()

	if msg.SessionID == "" {
		msg.SessionID = c.root
	}
	return m.write(msg)
}

// answerError replies to the client in the browser's place.
func (c *Client) answerError(to message, failure *messageError) {
	c.enqueue(message{ID: to.ID, SessionID: to.SessionID, Error: failure}, to.Method)
}

// enqueue queues a message and never blocks: one client that hangs must not
// stop the others, so it is dropped when its queue is full.
func (c *Client) enqueue(msg message, method string) {
	size := len(msg.Params) + len(msg.Result) + 128
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	if c.bytes+size > maxQueued && len(c.queue) > 0 {
		c.queue = nil
		c.endLocked(errSlowClient)
		return
	}
	c.queue, c.bytes = append(c.queue, queued{msg, method}), c.bytes+size
	c.signalChange()
}

// endLocked ends the client with err. Call it with mu held.
func (c *Client) endLocked(err error) {
	if c.err == nil {
		c.err = err
		c.cancelEnded()
		c.signalChange()
	}
}

func (c *Client) signalChange() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

func (c *Client) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endLocked(err)
}

// failure says why the client was ended, nil while it was not.
func (c *Client) failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// nextMessage returns the oldest message. One goroutine at a time may call it.
func (c *Client) nextMessage(ctx context.Context) (message, string, error) {
	for {
		c.mu.Lock()
		if len(c.queue) > 0 {
			q := c.queue[0]
			c.queue[0] = queued{}
			c.queue = c.queue[1:]
			c.bytes -= len(q.msg.Params) + len(q.msg.Result) + 128
			c.mu.Unlock()
			return q.msg, q.method, nil
		}
		err := c.err
		c.mu.Unlock()
		if err != nil {
			return message{}, "", err
		}
		select {
		case <-ctx.Done():
			return message{}, "", ctx.Err()
		case <-c.changed:
		}
	}
}

// Close ends the client: its sessions are detached, so what it paused or
// enabled is undone by the browser.
func (c *Client) Close(ctx context.Context) {
	c.end(errClientDone)
	m := c.m
	m.mu.Lock()
	_, attached := m.clients[c]
	delete(m.clients, c)
	c.dropPauses("") // the browser lets them go on with their sessions
	for id, s := range m.sessions {
		if s.client == c {
			m.forgetSession(id)
			m.tellAttached(s)
		}
	}
	for id, p := range m.pending {
		if p.client == c {
			delete(m.pending, id)
		}
	}
	m.mu.Unlock()
	if attached {
		// Fails only when the browser is gone, and the session with it.
		_ = m.Call(ctx, target.CommandDetachFromTarget, target.DetachFromTargetParams{SessionID: c.root}, nil)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.owners.forget(c)
}
