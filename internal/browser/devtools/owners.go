package devtools

import (
	"context"
	"errors"
	"maps"
	"strings"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/target"

	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

// A browser context that a client made is its own: to the other clients it is not
// there, nor are its tabs and its cookies. Tabs outside such contexts are everybody's,
// since a client that comes back has to find what it left; but one that a client
// opened is closed by nobody else while that is connected.

// owners are the clients that made what there is. All of it is guarded by the lock of
// the mux.
type owners struct {
	contexts map[cdp.BrowserContextID]*Client
	// hidden are the targets in those contexts, by the client that made the context.
	hidden map[target.ID]*Client
	// opened are the other targets that clients opened.
	opened map[target.ID]*Client
}

func newOwners() owners {
	return owners{
		contexts: map[cdp.BrowserContextID]*Client{},
		hidden:   map[target.ID]*Client{},
		opened:   map[target.ID]*Client{},
	}
}

// named are the names that parameters or a result hold.
type named struct {
	target  target.ID
	context cdp.BrowserContextID
}

func namedIn(in jsonv2.Value) named {
	var p struct {
		TargetID         target.ID            `json:"targetId"`
		BrowserContextID cdp.BrowserContextID `json:"browserContextId"`
	}
	_ = jsonv2.Unmarshal(in, &p, protocol.PageText()) // none is ""
	return named{p.TargetID, p.BrowserContextID}
}

// answered notes what a command of a client has made or ended.
func (o *owners) answered(p pendingCommand, answer message) {
	if answer.Error != nil || p.client.isServer {
		return
	}
	switch made := namedIn(answer.Result); p.method {
	case target.CommandCreateBrowserContext:
		o.contexts[made.context] = p.client
	case target.CommandDisposeBrowserContext:
		delete(o.contexts, p.context)
	case target.CommandCreateTarget:
		if made.target != "" {
			o.opened[made.target] = p.client
		}
	}
}

// closeTabs closes the tabs that a client opened, as the end of a browser of its own would.
func (c *Client) closeTabs(ctx context.Context) {
	c.m.mu.Lock()
	var own []target.ID
	for id, by := range c.m.owners.opened {
		if by == c {
			own = append(own, id)
		}
	}
	c.m.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, detachTimeout)
	defer cancel()
	for _, id := range own {
		// Fails only when the tab or the browser is gone.
		_ = c.m.Call(ctx, target.CommandCloseTarget, target.CloseTargetParams{TargetID: id}, nil)
	}
}

// forget gives up what a client owned that has left: its contexts have ended.
func (o *owners) forget(c *Client) {
	own := func(_ target.ID, by *Client) bool { return by == c }
	maps.DeleteFunc(o.contexts, func(_ cdp.BrowserContextID, by *Client) bool { return by == c })
	maps.DeleteFunc(o.hidden, own)
	maps.DeleteFunc(o.opened, own)
}

// hides reports whether a target is in a context that another client made.
func (o *owners) hides(c *Client, info jsonv2.Value) bool {
	if c.isServer {
		return false
	}
	of := namedIn(info)
	by := o.contexts[of.context]
	if by == nil {
		by = o.hidden[of.target]
	} else if of.target != "" {
		o.hidden[of.target] = by
	}
	return by != nil && by != c
}

// hidesFrame reports whether a frame may be of a context that another client made, as far
// as the targets tell that the client knows of: those of frames are known that have a
// process of their own alone. Call it with mu held.
func (m *Mux) hidesFrame(c *Client, frame cdp.FrameID) bool {
	id, others, o := target.ID(frame), false, &m.owners
	for _, by := range o.contexts {
		others = others || by != c
	}
	if !others {
		return false
	}
	if by := o.hidden[id]; by != nil {
		return by != c
	}
	for _, s := range m.sessions {
		if _, told := s.told[id]; told && s.client == c {
			return false
		}
	}
	return o.opened[id] == nil
}

// refuses says why a client may not give a command, in the words of the browser where
// what it names is not there to the client.
func (o *owners) refuses(c *Client, session *clientSession, msg message) *messageError {
	domain, _, _ := strings.Cut(msg.Method, ".")
	if c.isServer || domain != "Target" && domain != "Browser" && domain != "Storage" && msg.Method != page.CommandClose {
		return nil
	}
	on := namedIn(msg.Params)
	if by := o.contexts[on.context]; by != nil && by != c {
		return &messageError{Code: codeInvalidParams, Message: "Failed to find browser context with id " + string(on.context)}
	}
	if by := o.hidden[on.target]; by != nil && by != c {
		return &messageError{Code: codeInvalidParams, Message: "No target with given id found"}
	}
	closes := on.target
	switch {
	case msg.Method == page.CommandClose && session != nil:
		closes = session.target
	case msg.Method != target.CommandCloseTarget:
		return nil
	}
	if by := o.opened[closes]; by != nil && by != c {
		return &messageError{Code: codeServerError, Message: refusedText(msg.Method,
			errors.New(notOwn+"another client, which is connected, opened the tab"))}
	}
	return nil
}

// answerTo takes what other clients have made out of an answer.
func (o *owners) answerTo(c *Client, msg message, method string) message {
	if c.isServer || msg.Error != nil {
		return msg
	}
	switch method {
	case target.CommandGetTargets:
		msg.Result = withoutSome(msg.Result, "targetInfos", func(info jsonv2.Value) bool { return o.hides(c, info) })
	case target.CommandGetBrowserContexts:
		msg.Result = withoutSome(msg.Result, "browserContextIds", func(id jsonv2.Value) bool {
			var context cdp.BrowserContextID
			_ = jsonv2.Unmarshal(id, &context) // none is ""
			by := o.contexts[context]
			return by != nil && by != c
		})
	}
	return msg
}

// withoutSome takes items out of the list that is under name.
func withoutSome(in jsonv2.Value, name string, which func(jsonv2.Value) bool) jsonv2.Value {
	var outer params
	var items []jsonv2.Value
	if jsonv2.Unmarshal(in, &outer, protocol.PageText()) != nil ||
		jsonv2.Unmarshal(outer[name], &items, protocol.PageText()) != nil {
		return in
	}
	kept := []jsonv2.Value{}
	for _, item := range items {
		if !which(item) {
			kept = append(kept, item)
		}
	}
	if len(kept) == len(items) {
		return in
	}
	inner, err := jsonv2.Marshal(kept, protocol.PageText())
	if err != nil {
		return in
	}
	outer[name] = inner
	whole, err := jsonv2.Marshal(outer, protocol.PageText())
	if err != nil {
		return in
	}
	return whole
}

// showsEvent reports whether an event is for a session of a client to see. It lets go of a target of
// another client that the browser has attached to this one by itself. Call it with mu
// held.
func (m *Mux) showsEvent(s *clientSession, msg *message) bool {
	c := s.client
	switch msg.Method {
	case target.TargetCreated.Method, target.TargetInfoChanged.Method, target.AttachedToTarget.Method:
		var p params
		if jsonv2.Unmarshal(msg.Params, &p, protocol.PageText()) != nil {
			return true
		}
		if m.owners.hides(c, p["targetInfo"]) || m.hidesOutside(c, p["targetInfo"]) {
			if msg.Method == target.AttachedToTarget.Method {
				m.release(*msg)
			}
			return false
		}
		id := namedIn(p["targetInfo"]).target
		if _, told := s.told[id]; !told && c.rights != nil && msg.Method == target.TargetInfoChanged.Method {
			msg.Method = target.TargetCreated.Method // it may be seen from now on
		}
		if msg.Method == target.TargetCreated.Method {
			s.told[id] = nil
		}
	case target.TargetDestroyed.Method, target.TargetCrashed.Method:
		id := namedIn(msg.Params).target
		_, told := s.told[id]
		if msg.Method == target.TargetDestroyed.Method {
			delete(s.told, id)
			delete(m.owners.hidden, id)
			delete(m.owners.opened, id)
		}
		return told || c.isServer
	}
	return true
}

// release detaches a session that nobody will hear of, which else could keep its target
// waiting for a debugger.
func (m *Mux) release(attached message) {
	session, _ := attachmentOf(attached.Params)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), detachTimeout)
		defer cancel()
		// Fails only when the session or the browser is gone.
		_ = m.callIn(ctx, attached.SessionID, target.CommandDetachFromTarget,
			target.DetachFromTargetParams{SessionID: session}, nil)
	}()
}
