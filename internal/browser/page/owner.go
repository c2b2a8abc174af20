package page

import "github.com/chromedp/cdproto/target"

// A tab belongs to the agent or to a client from outside. The agent's are the tab
// that the browser began with, those that were opened for the agent, and those that
// their pages open. All others are a client's: those that it opened itself, also in
// a browser context of its own, and those that their pages open.
//
// The agent neither works on a client's tab, nor closes it, nor answers its dialogs.
// A client may drive the agent's tabs too. Dialogs there that the client is told of
// are the client's to answer, unless an action of the agent runs.

// owner says to whom a tab belongs.
type owner int

const (
	ownerUnsettled owner = iota
	ownerAgent
	ownerClient
)

// frontTab returns the agent's tab in front, or nil: the one that was opened or chosen
// last. Call it with mu held.
func (s *Set) frontTab() (front *tab) {
	for _, t := range s.tabs {
		if !s.isClients(t) && (front == nil || t.brought > front.brought) {
			front = t
		}
	}
	return front
}

// isClients reports whether a tab belongs to a client. Call it with mu held.
func (s *Set) isClients(t *tab) bool {
	if t.owner != ownerUnsettled {
		return t.owner == ownerClient
	}
	if t.opener == "" { // one that is opened for the agent is known once that is answered
		return !s.agentTargets[t.session.targetID]
	}
	opener := s.tabOf(t.opener)
	return opener != nil && opener != t && s.isClients(opener)
}

// isClients reports whether the tab belongs to a client.
func (t *tab) isClients() bool {
	t.set.mu.Lock()
	defer t.set.mu.Unlock()
	return t.set.isClients(t)
}

// tabOf returns the tab of a target, or nil. Call it with mu held.
func (s *Set) tabOf(id target.ID) *tab {
	for _, t := range s.tabs {
		if t.session.targetID == id {
			return t
		}
	}
	return nil
}

// keepOwnersOf notes, before a tab is gone, to whom the tabs belong that it has
// opened. Call it with mu held.
func (s *Set) keepOwnersOf(t *tab) {
	for _, other := range s.tabs {
		if other.opener == t.session.targetID && other.owner == ownerUnsettled {
			other.owner = ownerAgent
			if s.isClients(t) {
				other.owner = ownerClient
			}
		}
	}
	delete(s.agentTargets, t.session.targetID)
}

// countsAgainstPages reports whether a new tab counts among those that pages may
// open. It does not when a client or the agent asked for it, nor when the page that
// opened it is driven by a client. Call it with mu held.
func (s *Set) countsAgainstPages(t *tab) bool {
	if t.opener == "" || s.isClients(t) {
		return false
	}
	opener := s.tabOf(t.opener)
	return opener == nil || opener.agentAtWork() || !s.clients.Attached(t.opener)
}

// openedByPages returns how many tabs count against [maxTabs]. Call it with mu held.
func (s *Set) openedByPages() (n int) {
	for _, t := range s.tabs {
		if t.countsAgainstPages {
			n++
		}
	}
	return n
}

// beginAction starts an action of the agent. Dialogs are counted anew, and one that
// waits for a client is dismissed, since the page stands still for it.
func (t *tab) beginAction() {
	t.mu.Lock()
	t.dialogs = 0
	t.actions++
	t.mu.Unlock()
	if w := t.takeWaitingDialog(); w != nil {
		t.noteDialog(w.ev, false)
		t.dismissDialog(w.session, w.ev)
	}
}

// endAction ends an action.
func (t *tab) endAction() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.actions--
}

func (t *tab) agentAtWork() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.actions > 0
}
