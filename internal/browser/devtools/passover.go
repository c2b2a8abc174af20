package devtools

import (
	"context"
	"maps"
	"slices"

	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/cdproto/debugger"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/target"

	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

// commandPassOver names the contexts that a debugger does not stop in.
const commandPassOver = "Debugger.setBlackboxExecutionContexts"

// notePasses notes how a client's command sets its debugger, and has it go on passing over the
// contexts of the server. Call it with mu held.
func (s *sight) notePasses(msg message) message {
	switch msg.Method {
	case debugger.CommandDisable:
		s.pauses, s.passes, s.changed, s.goesOn = false, nil, true, false
	case commandPassOver:
		var p struct {
			UniqueIDs []string `json:"uniqueIds"`
		}
		if jsonv2.Unmarshal(msg.Params, &p, protocol.PageText()) != nil || p.UniqueIDs == nil {
			return msg // the browser says what is wrong with it
		}
		s.passes = p.UniqueIDs
		msg.Params = s.passedOver()
	}
	return msg
}

// passedOver are the parameters of [commandPassOver].
func (s *sight) passedOver() jsonv2.Value {
	all := append(slices.Clone(s.passes), slices.Sorted(maps.Values(s.hidden))...)
	encoded, err := jsonv2.Marshal(map[string][]string{"uniqueIds": all}, protocol.PageText())
	if err != nil {
		return nil // texts that were read are written too
	}
	return encoded
}

// noteDebugger notes that a client's debugger is on. Call it with mu held.
func (m *Mux) noteDebugger(p pendingCommand, answer message) {
	if s := m.sessions[p.session]; s != nil && p.method == debugger.CommandEnable && answer.Error == nil {
		s.sight.pauses = true
		m.startPassingOver(p.session, s.sight)
	}
}

// startPassingOver is passOver beside the reader. Call it with mu held.
func (m *Mux) startPassingOver(in target.SessionID, see *sight) {
	if see.pauses && see.changed && len(see.hidden) > 0 {
		m.work.Go(func() { m.passOver(in, see) })
	}
}

// passOver has a client's debugger stop in no script of the server's: a client that pauses the
// page at its next statement would else stop the agent, and be shown nothing.
func (m *Mux) passOver(in target.SessionID, see *sight) {
	see.telling.Lock()
	defer see.telling.Unlock()
	m.mu.Lock()
	changed := see.changed && see.pauses
	see.changed = see.changed && !changed
	what := see.passedOver()
	m.mu.Unlock()
	if !changed {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), detachTimeout)
	defer cancel()
	// Fails only when the session or the browser is gone, or its page hangs.
	_ = m.callIn(ctx, in, commandPassOver, what, nil)
}

// holdWorld holds the answer of the world that the server has asked for back until no debugger
// stops there. It reports whether it does. Call it with mu held.
func (m *Mux) holdWorld(p pendingCommand, answer message) bool {
	s := m.sessions[p.session]
	if s == nil || !p.client.isServer || p.method != page.CommandCreateIsolatedWorld {
		return false
	}
	stopping := map[target.SessionID]*sight{}
	for id, other := range m.sessions {
		if other.target == s.target && other.sight.pauses {
			stopping[id] = other.sight
		}
	}
	if len(stopping) == 0 {
		return false
	}
	m.work.Go(func() {
		for id, see := range stopping {
			m.passOver(id, see)
		}
		p.client.enqueue(answer, p.method)
	})
	return true
}

// pausesInHidden reports whether a debugger has stopped in a script of the server's: it passes
// over these but for what stops it before every script.
func (s *sight) pausesInHidden(paused jsonv2.Value) bool {
	var of struct {
		CallFrames []struct {
			Location place `json:"location"`
		} `json:"callFrames"`
	}
	return jsonv2.Unmarshal(paused, &of, protocol.PageText()) == nil && len(of.CallFrames) > 0 &&
		s.scripts.has(of.CallFrames[0].Location.ScriptID)
}

// goOn has a debugger go on that has stopped in a script of the server's. Call it with mu held.
func (m *Mux) goOn(in target.SessionID, see *sight) {
	see.goesOn = true
	m.work.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), detachTimeout)
		defer cancel()
		// Fails only when the session or the browser is gone.
		_ = m.callIn(ctx, in, "Debugger.resume", struct{}{}, nil)
	})
}
