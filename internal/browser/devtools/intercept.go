package devtools

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/target"

	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

// Clients intercept requests in the browser itself, each in sessions of its own, beside
// the server, which fills logins there. The browser hands a request to one session after
// the other: first to that which attached the tab last, each next one sees what the one
// before made of it, and the one that attached first is next to the network. A client's
// connection as a whole, where it intercepts without a session, comes after all tabs'.
//
// A request that has to do with what was filled is no client's. The mux lets it go on in
// the client's place before that is told of it, whether the server's session comes
// earlier, so that the value is in the request by then, or later. So neither a client that
// hangs nor one that reads slowly holds it up. The same goes for requests of browser
// contexts that another client made.

// pauseLimit is how long a client may hold up a request, from when it is told of it or
// last did something with it. A page would stand still for a client that hangs.
const pauseLimit = 30 * time.Second

// stalledLimit takes the place of pauseLimit once a client has let that pass, until it
// says anything: a page has many requests.
const stalledLimit = time.Second

// releaseTimeout bounds letting a request go on in a client's place.
const releaseTimeout = 5 * time.Second

// errNoPause answers a client that names a request which it was not told of, or which
// went on meanwhile, as the browser answers it.
var errNoPause = &messageError{Code: codeInvalidParams, Message: "Invalid InterceptionId."}

// pauseKey names a request that is paused. Ids of requests are unique within a session.
type pauseKey struct {
	session target.SessionID
	request fetch.RequestID
}

// pause is a request that waits for a client.
type pause struct {
	request *network.Request // without its body
	network network.RequestID
	login   bool        // the site asks for a login
	limit   *time.Timer // lets it go on
}

// pausedEvent is what the two events of a paused request have in common.
type pausedEvent struct {
	RequestID fetch.RequestID   `json:"requestId"`
	NetworkID network.RequestID `json:"networkId"`
	FrameID   cdp.FrameID       `json:"frameId"`
	Request   *network.Request  `json:"request"`
}

// keepPaused decides about a request that the browser has paused for a client: one that
// has to do with what was filled goes on at once, and the client is not told. It reports
// whether that is so. It is called by the reader, and neither blocks nor calls.
func (m *Mux) keepPaused(msg message) bool {
	login := msg.Method == fetch.AuthRequired.Method
	if !login && msg.Method != fetch.RequestPaused.Method {
		return false
	}
	m.mu.Lock()
	s := m.sessions[msg.SessionID]
	m.mu.Unlock()
	if s == nil || s.client.isServer {
		return false
	}
	var ev pausedEvent
	if jsonv2.Unmarshal(msg.Params, &ev, protocol.PageText()) != nil || ev.Request == nil {
		var p params
		_ = jsonv2.Unmarshal(msg.Params, &p, protocol.PageText()) // else there is nothing to let go
		m.spawn(func(ctx context.Context) {
			m.letGo(ctx, pauseKey{msg.SessionID, fetch.RequestID(p.text("requestId"))}, login)
		})
		return true // what cannot be read is shown to nobody
	}
	key := pauseKey{msg.SessionID, ev.RequestID}
	m.mu.Lock()
	others := s.whole && m.hidesFrame(s.client, ev.FrameID)
	m.mu.Unlock()
	by := s.client.host
	others = others || !s.client.sees(ev.Request.URL)
	if others || by != nil && (by.KeepsRequest(ev.NetworkID, ev.Request) || by.HoldsFilled(msg.Params)) {
		m.takePause(s.client, key) // what was paused by this id before is over
		m.spawn(func(ctx context.Context) { m.letGo(ctx, key, login) })
		return true
	}
	ev.Request.PostDataEntries = nil
	p := &pause{request: ev.Request, network: ev.NetworkID, login: login}
	m.holdPause(s.client, key, p)
	return false
}

// holdPause has a request wait for a client, for a while.
func (m *Mux) holdPause(c *Client, key pauseKey, p *pause) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.gone || m.sessions[key.session] == nil {
		return // the browser lets it go on with the session's end
	}
	if old := c.pauses[key]; old != nil {
		old.limit.Stop()
	}
	limit := pauseLimit
	if c.stalled {
		limit = stalledLimit
	}
	p.limit = time.AfterFunc(limit, func() {
		m.mu.Lock()
		due := c.pauses[key] == p
		if due {
			delete(c.pauses, key)
			c.stalled = true
		}
		m.mu.Unlock()
		if due {
			m.spawn(func(ctx context.Context) { m.letGo(ctx, key, p.login) })
		}
	})
	c.pauses[key] = p
}

// takePause ends the waiting of a request for a client, and returns it; nil when it does
// not wait.
func (m *Mux) takePause(c *Client, key pauseKey) *pause {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := c.pauses[key]
	if p != nil {
		p.limit.Stop()
		delete(c.pauses, key)
	}
	return p
}

// dropPauses forgets the requests that wait for a client in a session, which has ended,
// or in all of them. Call it with mu held.
func (c *Client) dropPauses(in target.SessionID) {
	for key, p := range c.pauses {
		if in == "" || key.session == in {
			p.limit.Stop()
			delete(c.pauses, key)
		}
	}
}

// letGo has a paused request go on as it is.
func (m *Mux) letGo(ctx context.Context, key pauseKey, login bool) {
	ctx, cancel := context.WithTimeout(ctx, releaseTimeout)
	defer cancel()
	if login {
		_ = m.callIn(ctx, key.session, fetch.CommandContinueWithAuth, fetch.ContinueWithAuthParams{
			RequestID:             key.request,
			AuthChallengeResponse: &fetch.AuthChallengeResponse{Response: fetch.AuthChallengeResponseResponseDefault},
		}, nil)
		return
	}
	err := m.callIn(ctx, key.session, fetch.CommandContinueRequest,
		fetch.ContinueRequestParams{RequestID: key.request}, nil)
	if err != nil {
		// A client has taken its answer to read, and cannot give it back. Else the request is
		// gone, and so is this command.
		_ = m.callIn(ctx, key.session, fetch.CommandFailRequest, fetch.FailRequestParams{
			RequestID:   key.request,
			ErrorReason: network.ErrorReasonTimedOut,
		}, nil)
	}
}

// spawn runs fn beside the reader until the pipe ends.
func (m *Mux) spawn(fn func(context.Context)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.gone {
		m.work.Go(func() { fn(context.Background()) }) // its calls end with the pipe
	}
}

// answersPause says of the commands of a client that name a paused request whether they
// decide about it, so that it waits no longer.
func answersPause(method string) (decides, names bool) {
	switch method {
	case fetch.CommandContinueRequest, fetch.CommandContinueResponse, fetch.CommandContinueWithAuth,
		fetch.CommandFailRequest, fetch.CommandFulfillRequest:
		return true, true
	case fetch.CommandGetResponseBody, fetch.CommandTakeResponseBodyAsStream:
		return false, true
	}
	return false, false
}

// pauseOf is the request that a command of a client names; nil when the client was not
// told of it, or it has gone on. It waits anew from now on.
func (c *Client) pauseOf(in target.SessionID, id fetch.RequestID) *pause {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	p := c.pauses[c.pauseKey(in, id)]
	if p != nil {
		p.limit.Reset(pauseLimit)
	}
	return p
}

func (c *Client) pauseKey(in target.SessionID, id fetch.RequestID) pauseKey {
	if in == "" {
		in = c.root
	}
	return pauseKey{in, id}
}

// decidePause ends the waiting of a request that a command decides about, until the
// browser has answered it. Call it with mu held.
func (c *Client) decidePause(p *pendingCommand, params jsonv2.Value) {
	if decides, _ := answersPause(p.method); !decides || c.isServer {
		return
	}
	var named struct {
		RequestID fetch.RequestID `json:"requestId"`
	}
	if jsonv2.Unmarshal(params, &named, protocol.PageText()) != nil {
		return
	}
	p.paused = c.pauseKey(p.session, named.RequestID)
	if p.decided = c.pauses[p.paused]; p.decided != nil {
		p.decided.limit.Stop()
		delete(c.pauses, p.paused)
	}
}

// undecidePause has a request wait on whose decision the browser has refused. Call it
// with mu held.
func (c *Client) undecidePause(p pendingCommand) {
	if p.decided == nil || c.m.sessions[p.paused.session] == nil || c.pauses[p.paused] != nil {
		return
	}
	c.pauses[p.paused] = p.decided
	p.decided.limit.Reset(pauseLimit)
}

// checkPaused permits a command about a request that the client was told of.
func checkPaused(_ context.Context, f *filter, in target.SessionID, p params) error {
	if f.client.pauseOf(in, fetch.RequestID(p.text("requestId"))) == nil {
		return errNoPause
	}
	return nil
}

// checkChanged permits what a client makes of a request, unless that would take along
// what stands for a filled value: it is swapped in what pages send alone.
func checkChanged(_ context.Context, f *filter, in target.SessionID, p params) error {
	paused := f.client.pauseOf(in, fetch.RequestID(p.text("requestId")))
	if paused == nil {
		return errNoPause
	}
	changed := *paused.request
	if p.has("url") {
		changed.URL, changed.URLFragment = p.text("url"), ""
		if err := checkNavigation(f, p); err != nil {
			return err
		}
	}
	if p.has("method") {
		changed.Method = p.text("method")
	}
	if p.has("headers") {
		var headers []fetch.HeaderEntry
		if jsonv2.Unmarshal(p["headers"], &headers, protocol.PageText()) != nil {
			return errors.New(badParams)
		}
		changed.Headers = network.Headers{}
		for _, h := range headers {
			if old, twice := changed.Headers[h.Name].(string); twice {
				h.Value = old + "\n" + h.Value
			}
			changed.Headers[h.Name] = h.Value
		}
	}
	if p.has("postData") {
		body, err := base64.StdEncoding.DecodeString(strings.TrimRight(p.text("postData"), "\n"))
		if err != nil {
			return errors.New(badParams)
		}
		changed.PostDataEntries = []*network.PostDataEntry{{Bytes: body}}
	}
	if f.client.KeepsRequest("", &changed) {
		return errors.New(holdsFill + "what it makes of the request holds what stands for a filled value")
	}
	return nil
}
