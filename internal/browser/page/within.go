package page

import (
	"context"
	"slices"
	"sync"

	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/network"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/fill"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

// maxStopped bounds what is kept of where pages were to go.
const maxStopped = 100

// bounds say where the agent's tabs may go for one task. They implement [browser.Bounds].
type bounds struct {
	set     *Set
	permits func(address string) bool

	mu      sync.Mutex
	stopped []string
}

// Stopped implements [browser.Bounds].
func (b *bounds) Stopped() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := b.stopped
	b.stopped = nil
	return all
}

// stop reports whether the bounds keep a tab from an address, and keeps it for [bounds.Stopped].
func (b *bounds) stop(address string) bool {
	if b.permits(address) {
		return false
	}
	shown := b.set.scrub.Text(fill.OneLine(address))
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.stopped) < maxStopped && !slices.Contains(b.stopped, shown) {
		b.stopped = append(b.stopped, shown)
	}
	return true
}

// Release implements [browser.Bounds].
func (b *bounds) Release() {
	b.set.bounds.remove(b)
	b.set.applyInterception()
}

// boundsList are the bounds that hold, of several tasks at once.
type boundsList struct {
	mu  sync.Mutex
	all []*bounds
}

func (l *boundsList) add(b *bounds) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, b)
}

func (l *boundsList) remove(b *bounds) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = slices.DeleteFunc(l.all, func(other *bounds) bool { return other == b })
}

// now are the bounds that hold at the moment.
func (l *boundsList) now() []*bounds {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.all)
}

// interception is which requests are looked at.
type interception int

const (
	interceptsNothing   interception = iota
	interceptsDocuments              // where tabs may go is bounded
	interceptsAll                    // a login is filled
)

// params are what a session intercepts. No patterns are all requests.
func (i interception) params() (p fetch.EnableParams) {
	if i == interceptsDocuments {
		p.Patterns = []*fetch.RequestPattern{{ResourceType: network.ResourceTypeDocument}}
	}
	return p
}

func (s *Set) wantedInterception() interception {
	switch {
	case s.guards.Watching():
		return interceptsAll
	case len(s.bounds.now()) > 0:
		return interceptsDocuments
	}
	return interceptsNothing
}

// applyInterception has all sessions intercept what is wanted now.
func (s *Set) applyInterception() {
	s.intercepting.mu.Lock()
	defer s.intercepting.mu.Unlock()
	if want := s.wantedInterception(); want != s.intercepting.now {
		s.intercept(want)
		s.intercepting.now = want
	}
}

// KeepTo bounds where the agent's tabs go. See [browser.Page].
func (s *Set) KeepTo(permits func(address string) bool) browser.Bounds {
	b := &bounds{set: s, permits: permits}
	s.bounds.add(b)
	s.applyInterception()
	return b
}

// stopped ends the request for a document that is to take the place of the one in a tab of
// the agent's, where that may not go there, and reports so. The page stays.
func (s *Set) stopped(ctx context.Context, session *session, ev fetch.EventRequestPaused) bool {
	t := session.tab
	if t == nil || ev.ResourceType != network.ResourceTypeDocument || ev.FrameID != t.mainFrame() || t.isClients() {
		return false
	}
	stopped := false
	for _, b := range s.bounds.now() {
		stopped = b.stop(ev.Request.URL) || stopped // each has its task told
	}
	if !stopped {
		return false
	}
	_ = protocol.Tell(ctx, session, fetch.FailRequest, fetch.FailRequestParams{
		RequestID:   ev.RequestID,
		ErrorReason: network.ErrorReasonAborted, // otherwise an error page would take the place of the page
	})
	if t.opener != "" && !t.hasDocument() { // it was opened for nothing else
		s.closeTab(ctx, t)
	}
	return true
}
