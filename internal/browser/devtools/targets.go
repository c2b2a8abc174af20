package devtools

import (
	"bytes"
	"context"
	"maps"
	"strconv"

	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/target"

	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

// The mux knows which tabs each client has attached and what it has set there. So
// the server's own driver can leave alone what is a client's, and a client does
// not see that the server has attached a tab as well.

// clientSession is a session that a client has attached.
type clientSession struct {
	client *Client
	// target is what it is attached to; empty for a browser session.
	target target.ID
	// whole says that it is a browser session, which tells of every tab.
	whole bool
	// dialogs is set while the client hears of the dialogs of its tab, asked while it has been
	// told of one that is open.
	dialogs, asked bool
	// metrics are the parameters of the client's emulation of a screen; nil is
	// none.
	metrics jsonv2.Value
	// told are the targets that it was told of and that are there, as it was told of them last.
	told map[target.ID]params
	// sight is what it sees of the scripts of its target.
	sight *sight
}

func newClientSession(c *Client, of target.ID, whole bool) *clientSession {
	return &clientSession{
		client: c,
		target: of,
		whole:  whole,
		told:   map[target.ID]params{},
		sight:  newSight(),
	}
}

// attachmentOf returns the session and the target in the parameters of an
// attach or detach.
func attachmentOf(params jsonv2.Value) (target.SessionID, target.ID) {
	var p struct {
		SessionID  target.SessionID `json:"sessionId"`
		TargetInfo struct {
			TargetID target.ID `json:"targetId"`
		} `json:"targetInfo"`
	}
	_ = jsonv2.Unmarshal(params, &p, protocol.PageText()) // none is ""
	return p.SessionID, p.TargetInfo.TargetID
}

// isOfBrowser reports whether an attachment is to the browser as a whole.
func isOfBrowser(params jsonv2.Value) bool {
	var p struct {
		TargetInfo struct {
			Type string `json:"type"`
		} `json:"targetInfo"`
	}
	return jsonv2.Unmarshal(params, &p, protocol.PageText()) == nil && p.TargetInfo.Type == "browser"
}

// forgetSession forgets a session. Call it with mu held.
func (m *Mux) forgetSession(id target.SessionID) {
	s := m.sessions[id]
	if s != nil {
		delete(s.client.downloads, id)
	}
	delete(m.sessions, id)
	if s != nil && id != "" {
		s.client.dropPauses(id)
	}
	if s != nil && s.dialogs {
		m.signalRelease()
	}
}

// signalRelease says that a client has let go of a tab. Call it with mu held.
func (m *Mux) signalRelease() {
	if m.listener != nil {
		m.listener.signal()
	}
	select {
	case m.released <- struct{}{}:
	default: // there is one already
	}
}

// Released has an element when a client has let go of a tab, whose dialogs nobody
// may hear of any more.
func (m *Mux) Released() <-chan struct{} { return m.released }

// recordSetting remembers what a command sets in a session. Call it with mu held.
func (m *Mux) recordSetting(s *clientSession, msg message) {
	switch msg.Method {
	case fetch.CommandDisable:
		s.client.dropPauses(msg.SessionID)
	case page.CommandEnable:
		s.dialogs = true
	case page.CommandDisable:
		s.dialogs, s.asked = false, false
		m.signalRelease()
	case emulation.CommandSetDeviceMetricsOverride, "Page.setDeviceMetricsOverride":
		s.metrics = msg.Params
	case emulation.CommandClearDeviceMetricsOverride, "Page.clearDeviceMetricsOverride":
		s.metrics = nil
	}
}

// Attached reports whether a client from outside has attached a target.
func (m *Mux) Attached(id target.ID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.hasClientSession(id, func(*clientSession) bool { return true })
}

// HearsDialogs reports whether a client from outside is told of the dialogs of a
// target.
func (m *Mux) HearsDialogs(id target.ID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.hasClientSession(id, func(s *clientSession) bool { return s.dialogs })
}

// hasClientSession reports whether a client from outside has a session of a target
// for which matches is true. Call it with mu held.
func (m *Mux) hasClientSession(id target.ID, matches func(*clientSession) bool) bool {
	for _, s := range m.sessions {
		if s.target == id && !s.client.isServer && matches(s) {
			return true
		}
	}
	return false
}

// asSeenBy returns a message as a client may see it: a target counts as attached
// where a client from outside has attached it, whatever the server has done. Else
// clients would pass over new tabs, as those of somebody else. Call it with mu
// held.
func (m *Mux) asSeenBy(c *Client, msg message, method string) message {
	if c.isServer {
		return msg
	}
	switch method {
	case target.TargetCreated.Method, target.TargetInfoChanged.Method, target.AttachedToTarget.Method:
		msg.Params = m.changeInfos(c, msg.Params, "targetInfo")
	case target.CommandGetTargetInfo:
		msg.Result = m.changeInfos(c, msg.Result, "targetInfo")
	case target.CommandGetTargets:
		msg.Result = m.changeInfos(c, msg.Result, "targetInfos")
	}
	return msg
}

// changeInfos changes the description of a target, or those of a list of them,
// that is under name.
func (m *Mux) changeInfos(c *Client, in jsonv2.Value, name string) jsonv2.Value {
	var outer params
	if jsonv2.Unmarshal(in, &outer, protocol.PageText()) != nil {
		return in
	}
	var changed any
	if name == "targetInfo" {
		var info params
		if jsonv2.Unmarshal(outer[name], &info, protocol.PageText()) != nil {
			return in
		}
		changed = m.changeInfo(c, info)
	} else {
		var infos []params
		if jsonv2.Unmarshal(outer[name], &infos, protocol.PageText()) != nil {
			return in
		}
		for i := range infos {
			infos[i] = m.changeInfo(c, infos[i])
		}
		changed = infos
	}
	inner, err := jsonv2.Marshal(changed, protocol.PageText())
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

func (m *Mux) changeInfo(c *Client, info params) params {
	c.withoutTitle(info)
	id := target.ID(info.text("targetId"))
	if id == "" {
		return info // of no tab
	}
	for _, s := range m.sessions {
		if s.target == id && s.client.isServer && !m.hasClientSession(id, func(*clientSession) bool { return true }) {
			info["attached"] = jsonv2.Value("false")
			break
		}
	}
	return info
}

// RestoreScreens sets again the screens that clients emulate in a tab, and the server
// itself: the browser forgets them for all when one takes a picture of the whole page.
// Those of clients come last, and so hold.
func (m *Mux) RestoreScreens(ctx context.Context, id target.ID) {
	type screen struct {
		session target.SessionID
		metrics jsonv2.Value
	}
	var servers, clients []screen
	m.mu.Lock()
	for session, s := range m.sessions {
		switch {
		case s.target != id || s.metrics == nil:
		case s.client.isServer:
			servers = append(servers, screen{session, s.metrics})
		default:
			clients = append(clients, screen{session, s.metrics})
		}
	}
	m.mu.Unlock()
	for _, s := range append(servers, clients...) {
		// The browser ignores a screen that it believes to be set, so it is cleared
		// first. A client that has left meanwhile needs neither.
		_ = m.callIn(ctx, s.session, emulation.CommandClearDeviceMetricsOverride, struct{}{}, nil)
		_ = m.callIn(ctx, s.session, emulation.CommandSetDeviceMetricsOverride, s.metrics, nil)
	}
}

// endsDiscovery reports whether a command has its session be told of targets no more.
func endsDiscovery(msg message) bool {
	var p struct {
		Discover bool `json:"discover"`
	}
	return msg.Method == target.CommandSetDiscoverTargets &&
		jsonv2.Unmarshal(msg.Params, &p, protocol.PageText()) == nil && !p.Discover
}

// noteDiscovery forgets what a session was told of that is told of targets no more. Call it with
// mu held.
func (m *Mux) noteDiscovery(p pendingCommand, answer message) {
	in := p.session
	if in == "" {
		in = p.client.root
	}
	if s := m.sessions[in]; s != nil && p.undiscovers && answer.Error == nil {
		clear(s.told)
	}
}

// wasTold reports whether an event says of a target what the session was told: the browser has
// told of what is the server's. Call it with mu of the mux held.
func (s *clientSession) wasTold(msg message) bool {
	var p struct {
		Info params `json:"targetInfo"`
	}
	switch {
	case s.client.isServer:
		return false
	case msg.Method != target.TargetCreated.Method && msg.Method != target.TargetInfoChanged.Method:
		return false
	case jsonv2.Unmarshal(msg.Params, &p, protocol.PageText()) != nil:
		return false
	}
	id := target.ID(p.Info.text("targetId"))
	before, told := s.told[id]
	if !told {
		return false
	}
	s.told[id] = p.Info
	return maps.EqualFunc(before, p.Info, func(a, b jsonv2.Value) bool { return bytes.Equal(a, b) })
}

// tellAttached tells clients of a tab that the first client has just attached, or the last one
// left, as the browser does where the server has not attached it as well. Call it with mu held.
func (m *Mux) tellAttached(changed *clientSession) {
	if changed.client.isServer || changed.target == "" {
		return
	}
	attached, servers := false, false
	for _, s := range m.sessions {
		switch {
		case s.target != changed.target:
		case s.client.isServer:
			servers = true
		case s != changed:
			return // it was and is attached
		default:
			attached = true
		}
	}
	if !servers {
		return
	}
	for id, s := range m.sessions {
		info := s.told[changed.target]
		if info.text("type") != "page" {
			continue
		}
		info = maps.Clone(info)
		info["attached"] = jsonv2.Value(strconv.FormatBool(attached))
		s.told[changed.target] = info
		told, err := jsonv2.Marshal(map[string]params{"targetInfo": info}, protocol.PageText())
		if err != nil {
			continue
		}
		if id == s.client.root {
			id = ""
		}
		method := target.TargetInfoChanged.Method
		s.client.enqueue(message{SessionID: id, Method: method, Params: told}, method)
	}
}
