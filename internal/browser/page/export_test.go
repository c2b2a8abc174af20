package page

import (
	"context"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/security"
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

// TrustEverybody has the browser take every certificate.
func (s *Set) TrustEverybody(ctx context.Context) error {
	root := s.conn.Root()
	return protocol.Tell(ctx, root, security.SetIgnoreCertificateErrors,
		security.SetIgnoreCertificateErrorsParams{Ignore: true})
}

// Crash ends the process of the page that the agent works on.
func (s *Set) Crash(ctx context.Context) error {
	t, err := s.agentTab(ctx)
	if err != nil {
		return err
	}
	return protocol.Tell(ctx, t.session, page.Crash, cdp.Empty{})
}

// SetActionTimeout bounds the actions that begin from now on, and returns a function that
// sets the bound back.
func (s *Set) SetActionTimeout(d time.Duration) (setBack func()) {
	before := s.actionTimeout
	s.actionTimeout = d
	return func() { s.actionTimeout = before }
}

// UploadedBytes is how many bytes of copies pages may read.
func (s *Set) UploadedBytes() int64 {
	s.uploads.mu.Lock()
	defer s.uploads.mu.Unlock()
	return s.uploads.bytes
}

// SetUploadGrace sets how long copies stay when their page is gone.
func (s *Set) SetUploadGrace(d time.Duration) {
	s.uploads.mu.Lock()
	defer s.uploads.mu.Unlock()
	s.uploads.grace = d
}

// PersonDrags reports whether the browser has told of a drag that a person makes.
func (s *Set) PersonDrags() (drags bool) {
	s.eachTab(func(t *tab) {
		t.mu.Lock()
		defer t.mu.Unlock()
		drags = drags || t.hand.dragged != nil
	})
	return drags
}
