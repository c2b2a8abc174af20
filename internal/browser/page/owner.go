package page

import "github.com/chromedp/cdproto/target"

// Whose a tab is. The agent's are the one that the browser began with, those
// that were opened for it, and those that their pages open. A client's are all
// others: what it opened itself, also in a browser context of its own, and what
// their pages open. The agent neither works on a client's tab, nor closes it,
// nor answers its dialogs. A client may drive the agent's tabs too, which both
// then share: what a client hears of there is the client's while no action of
// the agent runs.

// owner says whose a tab is, once that is settled.
type owner int

const (
	ownerUnsettled owner = iota
	ownerAgent
	ownerClient
)

// newestAgentTab returns the agent's newest tab, or nil. Call it with mu held.
func (s *Set) newestAgentTab() *tab {
	for i := len(s.tabs) - 1; i >= 0; i-- {
		if !s.isClients(s.tabs[i]) {
			return s.tabs[i]
		}
	}
	return nil
}

// isClients reports whether a tab is a client's. Call it with mu held.
func (s *Set) isClients(t *tab) bool {
	if t.owner != ownerUnsettled {
		return t.owner == ownerClient
	}
	if t.opener == "" { // a tab that is opened for the agent becomes its own with the answer
		return !s.agentTargets[t.session.targetID]
	}
	opener := s.tabOf(t.opener)
	return opener != nil && opener != t && s.isClients(opener)
}

// isClients reports whether the tab is a client's.
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

// settleOwnersOf settles whose the tabs are that a tab has opened, before it goes.
// Call it with mu held.
func (s *Set) settleOwnersOf(t *tab) {
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

// countsAgainstPages reports whether a new tab counts against what pages may open: not
// where a client or the agent asked for it, and not what a page opens that a
// client drives. Call it with mu held.
func (s *Set) countsAgainstPages(t *tab) bool {
	if t.opener == "" || s.isClients(t) {
		return false
	}
	opener := s.tabOf(t.opener)
	return opener == nil || opener.agentAtWork() || !s.clients.Attached(t.opener)
}

// openedByPages is how many tabs count. Call it with mu held.
func (s *Set) openedByPages() (n int) {
	for _, t := range s.tabs {
		if t.countsAgainstPages {
			n++
		}
	}
	return n
}

// beginAction starts an action of the agent: the page may raise dialogs again, and
// one that waits for a client, while the page stands still, does so no longer.
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
