package browser

import (
	"context"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/target"
)

// maxTabsOfPages is how many tabs pages may open.
const maxTabsOfPages = maxTabs

// guarded reports whether a filled field waits to be sent.
func (s *pageSet) guarded() bool { return s.guards.armed() }

// attachedTabs are the tabs that are attached, oldest first.
func (s *pageSet) attachedTabs() []target.ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []target.ID
	for _, t := range s.tabs {
		ids = append(ids, t.session.targetID)
	}
	return ids
}

// dialogWaits reports whether a dialog of the oldest tab waits for a client.
func (s *pageSet) dialogWaits() bool {
	s.mu.Lock()
	t := s.tabs[0]
	s.mu.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.waiting != nil
}

// crash ends the process of the page that the agent works on.
func (s *pageSet) crash(ctx context.Context) error {
	t, err := s.current(ctx)
	if err != nil {
		return err
	}
	return tell(ctx, t.session, page.Crash, cdp.Empty{})
}
