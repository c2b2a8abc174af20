package page

import "github.com/chromedp/cdproto/target"

// Whose a tab is. The agent's are the one that the browser began with, those
// that were opened for it, and those that their pages open. A client's are all
// others: what it opened itself, also in a browser context of its own, and what
// their pages open. The agent neither works on a client's tab, nor closes it,
// nor answers its dialogs. A client may drive the agent's tabs too, which both
// then share: what a client hears of there is the client's while no action of
// the agent runs.

// whose says whose a tab is, once that is settled.
type whose int

const (
	unsettled whose = iota
	theAgents
	aClients
)

// newest returns the agent's newest tab, or nil. Call it with mu held.
func (s *Set) newest() *tab {
	for i := len(s.tabs) - 1; i >= 0; i-- {
		if !s.theirs(s.tabs[i]) {
			return s.tabs[i]
		}
	}
	return nil
}

// theirs reports whether a tab is a client's. Call it with mu held.
func (s *Set) theirs(t *tab) bool {
	if t.whose != unsettled {
		return t.whose == aClients
	}
	if t.opener == "" { // a tab that is opened for the agent becomes its own with the answer
		return !s.own[t.session.targetID]
	}
	opener := s.tabOf(t.opener)
	return opener != nil && opener != t && s.theirs(opener)
}

// theirs reports whether the tab is a client's.
func (t *tab) theirs() bool {
	t.set.mu.Lock()
	defer t.set.mu.Unlock()
	return t.set.theirs(t)
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

// leaveTab settles whose the tabs are that a tab has opened, before it goes.
// Call it with mu held.
func (s *Set) leaveTab(t *tab) {
	for _, other := range s.tabs {
		if other.opener == t.session.targetID && other.whose == unsettled {
			other.whose = theAgents
			if s.theirs(t) {
				other.whose = aClients
			}
		}
	}
	delete(s.own, t.session.targetID)
}

// counts reports whether a new tab counts against what pages may open: not
// where a client or the agent asked for it, and not what a page opens that a
// client drives. Call it with mu held.
func (s *Set) counts(t *tab) bool {
	if t.opener == "" || s.theirs(t) {
		return false
	}
	opener := s.tabOf(t.opener)
	return opener == nil || opener.isWorkedOn() || !s.clients.Attached(t.opener)
}

// counted is how many tabs count. Call it with mu held.
func (s *Set) counted() (n int) {
	for _, t := range s.tabs {
		if t.counted {
			n++
		}
	}
	return n
}

// begin starts an action of the agent: the page may raise dialogs again, and
// one that waits for a client, while the page stands still, does so no longer.
func (t *tab) begin() {
	t.mu.Lock()
	t.dialogs = 0
	t.working++
	t.mu.Unlock()
	if w := t.takeWaiting(); w != nil {
		t.noteDialog(w.ev, false)
		t.dismiss(w.session, w.ev)
	}
}

// finish ends an action.
func (t *tab) finish() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.working--
}

func (t *tab) isWorkedOn() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.working > 0
}
