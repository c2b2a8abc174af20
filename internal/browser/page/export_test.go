package page

import (
	"context"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/target"

	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

// MaxTabs is how many tabs pages may open.
const MaxTabs = maxTabs

// Guarded reports whether a filled field waits to be sent.
func (s *Set) Guarded() bool { return s.guards.Armed() }

// AttachedTabs are the tabs that are attached, oldest first.
func (s *Set) AttachedTabs() []target.ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []target.ID
	for _, t := range s.tabs {
		ids = append(ids, t.session.targetID)
	}
	return ids
}

// DialogWaits reports whether a dialog of the oldest tab waits for a client.
func (s *Set) DialogWaits() bool {
	s.mu.Lock()
	t := s.tabs[0]
	s.mu.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.waitingDialog != nil
}

// Crash ends the process of the page that the agent works on.
func (s *Set) Crash(ctx context.Context) error {
	t, err := s.agentTab(ctx)
	if err != nil {
		return err
	}
	return protocol.Tell(ctx, t.session, page.Crash, cdp.Empty{})
}
