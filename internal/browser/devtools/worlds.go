package devtools

import (
	"crypto/rand"
	"strings"
	"sync"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/cdproto/debugger"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"

	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

// The server reads pages and acts in them by scripts in a world of its own in each document.
// Clients are told nothing of these worlds and of what runs there, as if the browser were
// theirs alone, and reach none of them: who could run a script there would decide what the
// agent sees, and where a login is filled.
//
// A world is known by its name, which nobody else knows, and by the answer to the command
// that has made it. A client may name the contexts and the call frames alone that it was told
// of: their numbers can be guessed. It is handed no object by its place in the heap, which may
// be one of a world, and puts no binding into every context under a name that scripts there
// may use: rules.go.

// worlds are those of the server. All of it is guarded by the lock of the mux.
type worlds struct {
	name string
	// ofFrames are their contexts, by target and frame: of the newest document alone. A
	// target is there once the server has asked for the first.
	ofFrames map[target.ID]map[cdp.FrameID]runtime.ExecutionContextID
}

// maxWorlds bounds the frames of a target whose worlds are remembered. Each that is used
// again is told of again.
const maxWorlds = 4096

func newWorlds() worlds {
	return worlds{
		name:     "w" + rand.Text(),
		ofFrames: map[target.ID]map[cdp.FrameID]runtime.ExecutionContextID{},
	}
}

// World is the name of the worlds that the server makes in pages.
func (m *Mux) World() string { return m.worlds.name }

// sight is what a session of a client was told of, and what it was not. The lock of the mux
// guards it.
type sight struct {
	told map[runtime.ExecutionContextID]struct{}
	// hidden are contexts of the server's, each with the name that it has among all.
	hidden map[runtime.ExecutionContextID]string
	// scripts are the newest of the server's.
	scripts newestScripts
	// toldScripts are the newest that the client was told of.
	toldScripts newestScripts
	// frames are the call frames that the client was told of where it is paused now.
	frames map[debugger.CallFrameID]struct{}

	// goesOn says that the debugger has stopped in a script of the server's, of which the client
	// was not told, and goes on.
	goesOn bool

	// pauses says that the client's debugger is on. It has to pass over hidden contexts: see
	// [Mux.passOver].
	pauses bool
	// passes are the contexts that the client itself has it pass over.
	passes []string
	// changed says that the browser has not been told of all that is passed over.
	changed bool
	// telling is held while it is told, and never under the lock of the mux.
	telling sync.Mutex
}

const (
	// maxScripts bounds the server's scripts that are remembered. What a page still runs is
	// among the newest.
	maxScripts = 1024
	// maxToldScripts bounds those of pages.
	maxToldScripts = 1 << 17
)

// newestScripts are the newest of the scripts that were added, up to a bound.
type newestScripts struct {
	ids  map[cdp.ScriptID]int // the place of each in ring
	ring []cdp.ScriptID       // with some that were removed
	next int                  // the place of the oldest in ring, once it is full
	most int
}

func newNewestScripts(most int) newestScripts {
	return newestScripts{ids: map[cdp.ScriptID]int{}, most: most}
}

func (n *newestScripts) has(id cdp.ScriptID) bool {
	_, has := n.ids[id]
	return has
}

// add remembers a script, in the place of the oldest where there is no room.
func (n *newestScripts) add(id cdp.ScriptID) {
	if n.has(id) {
		return
	}
	if len(n.ring) < n.most {
		n.ids[id] = len(n.ring)
		n.ring = append(n.ring, id)
		return
	}
	if oldest := n.ring[n.next]; n.ids[oldest] == n.next { // else it was removed, and may have been added since
		delete(n.ids, oldest)
	}
	n.ids[id], n.ring[n.next] = n.next, id
	n.next = (n.next + 1) % n.most
}

// remove forgets a script, whose id another one has by now: ids are a process's own.
func (n *newestScripts) remove(id cdp.ScriptID) { delete(n.ids, id) }

func newSight() *sight {
	s := &sight{scripts: newNewestScripts(maxScripts)}
	s.forgetContexts()
	return s
}

// forgetContexts forgets what the client was told of a document that is gone. Scripts of the
// server's may still be told of by a profiler.
func (s *sight) forgetContexts() {
	s.told, s.hidden = map[runtime.ExecutionContextID]struct{}{}, map[runtime.ExecutionContextID]string{}
	s.toldScripts = newNewestScripts(maxToldScripts)
}

func (s *sight) hideScript(id cdp.ScriptID) {
	s.toldScripts.remove(id)
	s.scripts.add(id)
}

func (s *sight) tellScript(id cdp.ScriptID) {
	s.scripts.remove(id)
	s.toldScripts.add(id)
}

func (s *sight) forgetContext(id runtime.ExecutionContextID) {
	delete(s.told, id)
	delete(s.hidden, id)
}

func (s *sight) tell(id runtime.ExecutionContextID) {
	s.forgetContext(id)
	s.told[id] = struct{}{}
}

func (s *sight) hide(id runtime.ExecutionContextID, unique string) {
	s.forgetContext(id)
	s.hidden[id] = unique
	s.changed = true
}

func (s *sight) hides(id runtime.ExecutionContextID) bool {
	_, hidden := s.hidden[id]
	return hidden
}

// tellFrames remembers the call frames of a pause that is told.
func (s *sight) tellFrames(paused jsonv2.Value) {
	var of struct {
		CallFrames []struct {
			ID debugger.CallFrameID `json:"callFrameId"`
		} `json:"callFrames"`
	}
	s.frames = map[debugger.CallFrameID]struct{}{}
	if jsonv2.Unmarshal(paused, &of, protocol.PageText()) != nil {
		return
	}
	for _, frame := range of.CallFrames {
		s.frames[frame.ID] = struct{}{}
	}
}

// noteWorldAsked notes that the server asks for a world, and in which frame. Call it with mu held.
func (m *Mux) noteWorldAsked(s *clientSession, msg message) (in cdp.FrameID) {
	if s == nil || !s.client.isServer || msg.Method != page.CommandCreateIsolatedWorld {
		return ""
	}
	if m.worlds.ofFrames[s.target] == nil {
		m.worlds.ofFrames[s.target] = map[cdp.FrameID]runtime.ExecutionContextID{}
	}
	var p struct {
		FrameID cdp.FrameID `json:"frameId"`
	}
	_ = jsonv2.Unmarshal(msg.Params, &p, protocol.PageText()) // none is ""
	return p.FrameID
}

// noteWorld notes the context of a world that was made for a client or the server. Call it
// with mu held.
func (m *Mux) noteWorld(p pendingCommand, answer message) {
	s := m.sessions[p.session]
	var made struct {
		ID runtime.ExecutionContextID `json:"executionContextId"`
	}
	if s == nil || p.method != page.CommandCreateIsolatedWorld || answer.Error != nil ||
		jsonv2.Unmarshal(answer.Result, &made) != nil {
		return
	}
	if !p.client.isServer {
		s.sight.tell(made.ID)
		return
	}
	known := m.worlds.ofFrames[s.target]
	switch {
	case known == nil:
		return // the target is gone
	case len(known) >= maxWorlds:
		clear(known)
	}
	known[p.frame] = made.ID
	for _, other := range m.sessions { // what one was told of by this number was in another process
		if other.target == s.target && !other.client.isServer {
			delete(other.sight.told, made.ID)
		}
	}
}

// scriptOf is of a script that the browser tells of.
type scriptOf struct {
	ID      cdp.ScriptID               `json:"scriptId"`
	Context runtime.ExecutionContextID `json:"executionContextId"`
	Aux     struct {
		Type    string      `json:"type"`
		FrameID cdp.FrameID `json:"frameId"`
	} `json:"executionContextAuxData"`
}

// place is a place in a script.
type place struct {
	ScriptID cdp.ScriptID `json:"scriptId"`
}

// withoutWorlds takes what is of the server's worlds out of an event. It reports false for one
// that is not told at all. Call it with mu held.
func (m *Mux) withoutWorlds(s *clientSession, msg message) (message, bool) {
	switch domain, _, _ := strings.Cut(msg.Method, "."); {
	case s.client.isServer:
		return msg, true
	case domain == "Runtime":
		return msg, m.tellsContext(msg.SessionID, s.sight, msg)
	case domain == "Debugger":
		return m.withoutWorldsScripts(s, msg)
	}
	return msg, true
}

// tellsContext reports whether an event of Runtime is told, which may be of a context.
func (m *Mux) tellsContext(in target.SessionID, see *sight, msg message) bool {
	switch msg.Method {
	case runtime.ExecutionContextsCleared.Method:
		see.forgetContexts()
		return true
	case runtime.ExecutionContextCreated.Method:
		var created struct {
			Context struct {
				ID     runtime.ExecutionContextID `json:"id"`
				Name   string                     `json:"name"`
				Unique string                     `json:"uniqueId"`
			} `json:"context"`
		}
		if jsonv2.Unmarshal(msg.Params, &created, protocol.PageText()) != nil {
			return true
		}
		if created.Context.Name == m.worlds.name {
			see.hide(created.Context.ID, created.Context.Unique)
			m.startPassingOver(in, see)
			return false
		}
		see.tell(created.Context.ID)
		return true
	}
	var of struct {
		ID        runtime.ExecutionContextID `json:"executionContextId"`
		Exception struct {
			ID runtime.ExecutionContextID `json:"executionContextId"`
		} `json:"exceptionDetails"`
	}
	if jsonv2.Unmarshal(msg.Params, &of, protocol.PageText()) != nil {
		return true
	}
	hidden := see.hides(of.ID) || see.hides(of.Exception.ID)
	if msg.Method == runtime.ExecutionContextDestroyed.Method {
		see.forgetContext(of.ID)
	}
	return !hidden
}

// withoutWorldsScripts is [Mux.withoutWorlds] for an event of Debugger.
func (m *Mux) withoutWorldsScripts(s *clientSession, msg message) (message, bool) {
	switch msg.Method {
	case debugger.ScriptParsed.Method, debugger.ScriptFailedToParse.Method:
		var script scriptOf
		if jsonv2.Unmarshal(msg.Params, &script, protocol.PageText()) != nil {
			return msg, true
		}
		if m.isOfWorld(s, script) {
			s.sight.hideScript(script.ID)
			return msg, false
		}
		s.sight.tell(script.Context)
		s.sight.tellScript(script.ID)
	case debugger.Paused.Method:
		if s.sight.pausesInHidden(msg.Params) {
			m.goOn(msg.SessionID, s.sight)
			return msg, false
		}
		msg.Params = withoutSome(msg.Params, "callFrames", func(frame jsonv2.Value) bool {
			var of struct {
				Location place `json:"location"`
			}
			return jsonv2.Unmarshal(frame, &of, protocol.PageText()) == nil && s.sight.scripts.has(of.Location.ScriptID)
		})
		s.sight.tellFrames(msg.Params)
	case debugger.Resumed.Method:
		s.sight.frames = nil
		if s.sight.goesOn {
			s.sight.goesOn = false
			return msg, false
		}
	}
	return msg, true
}

// isOfWorld reports whether a script is one of the server's. A session without Runtime.enable is
// not told of contexts, so that they are known by who made them.
func (m *Mux) isOfWorld(s *clientSession, script scriptOf) bool {
	if s.sight.hides(script.Context) {
		return true
	}
	_, told := s.sight.told[script.Context]
	id, known := m.worlds.ofFrames[s.target][script.Aux.FrameID]
	return !told && known && id == script.Context && script.Aux.Type == "isolated"
}

// hidesLocation reports whether a place is in a script of the server's.
func (s *sight) hidesLocation(location jsonv2.Value) bool {
	var of place
	return jsonv2.Unmarshal(location, &of, protocol.PageText()) == nil && s.scripts.has(of.ScriptID)
}

// withoutScripts takes places in the server's scripts out of an answer. Call it with mu held.
func (s *sight) withoutScripts(msg message, method string) message {
	if msg.Error != nil || len(s.scripts.ids) == 0 {
		return msg
	}
	switch method {
	case debugger.CommandSetBreakpointByURL:
		msg.Result = withoutSome(msg.Result, "locations", s.hidesLocation)
	case "Profiler.takePreciseCoverage", "Profiler.getBestEffortCoverage":
		msg.Result = withoutSome(msg.Result, "result", s.hidesLocation)
	}
	return msg
}

// Where a client names what it was not told of, it is answered as the browser answers where
// there is no such thing.
var (
	errNoContext    = &messageError{Code: codeServerError, Message: "Cannot find context with specified id"}
	errNoFrame      = &messageError{Code: codeServerError, Message: "Could not find call frame with given id"}
	errNotPaused    = &messageError{Code: codeServerError, Message: "Can only perform operation while paused."}
	errNoBreakpoint = &messageError{Code: codeServerError, Message: "Could not resolve breakpoint"}
	errNoScript     = &messageError{Code: codeServerError, Message: "No script with given id found"}

	errUnreadable = &messageError{Code: codeInvalidParams, Message: "Invalid parameters"}
)

// refusesScript says why a client may not give a command that names scripts, nil where it may.
// Where it would have something run in a script it has to have been told of that: the id of the
// server's next one can be guessed. Call it with mu held.
func (m *Mux) refusesScript(s *clientSession, method string, named ...cdp.ScriptID) *messageError {
	runs := m.worlds.ofFrames[s.target] != nil &&
		(method == debugger.CommandSetBreakpoint || method == "Debugger.setScriptSource")
	for _, id := range named {
		switch {
		case id == "", !s.sight.scripts.has(id) && (!runs || s.sight.toldScripts.has(id)):
		case method == debugger.CommandSetBreakpoint:
			return errNoBreakpoint
		default:
			return errNoScript
		}
	}
	return nil
}

// refusesWorld says why a client may not give a command that names a context, a script or a
// call frame, nil where it may. Call it with mu held.
func (m *Mux) refusesWorld(s *clientSession, msg message) *messageError {
	domain, _, _ := strings.Cut(msg.Method, ".")
	names := domain == "Runtime" || domain == "Debugger" || msg.Method == dom.CommandResolveNode
	if s == nil || s.client.isServer || !names || len(msg.Params) == 0 {
		return nil
	}
	var named struct {
		ContextID          *runtime.ExecutionContextID `json:"contextId"`
		ExecutionContextID *runtime.ExecutionContextID `json:"executionContextId"`
		ScriptID           cdp.ScriptID                `json:"scriptId"`
		CallFrameID        *debugger.CallFrameID       `json:"callFrameId"`
		Location           place                       `json:"location"`
		Start              place                       `json:"start"`
	}
	if jsonv2.Unmarshal(msg.Params, &named, protocol.PageText()) != nil {
		return errUnreadable // the browser may read it, as it does 5.0 for 5
	}
	if refused := m.refusesScript(s, msg.Method, named.ScriptID, named.Location.ScriptID,
		named.Start.ScriptID); refused != nil {
		return refused
	}
	if named.CallFrameID != nil {
		if s.sight.frames == nil {
			return errNotPaused
		}
		if _, told := s.sight.frames[*named.CallFrameID]; !told {
			return errNoFrame // the browser finds a frame by its place alone, which can be guessed
		}
	}
	for _, id := range []*runtime.ExecutionContextID{named.ContextID, named.ExecutionContextID} {
		if id == nil || m.worlds.ofFrames[s.target] == nil {
			continue // the server has made no world there
		}
		if _, told := s.sight.told[*id]; !told {
			return errNoContext
		}
	}
	return nil
}
