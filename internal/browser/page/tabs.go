package page

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/target"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/fill"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

// closeTimeout is how long a tab may take to close.
const closeTimeout = 5 * time.Second

// addTab adds a tab, which is in front from then on. Call it with mu held.
func (s *Set) addTab(t *tab) {
	t.id = s.tabIDs.Of(string(t.session.targetID))
	s.bring(t)
	s.tabs = append(s.tabs, t)
	if opener := s.tabOf(t.opener); opener != nil && !s.isClients(opener) {
		t.addNote("the page of tab %s has opened this tab, %s", opener.id, t.id)
	}
	s.signalTabsChange()
}

// bring puts a tab in front. Call it with mu held.
func (s *Set) bring(t *tab) {
	s.brought++
	t.brought = s.brought
}

// maxRefusedTabs is how many tabs beyond maxTabs a page may try to open before it is
// closed with those that it has open. A script between two calls of window.open cannot be
// ended otherwise.
const maxRefusedTabs = 50

// noteTabRefused counts a tab that a page has opened beyond maxTabs, and returns the page
// that has to be closed for it; nil for none. Call it with mu held.
func (s *Set) noteTabRefused(opener target.ID) (floods *tab) {
	t := s.tabOf(opener)
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.tabsRefused++; t.tabsRefused == maxRefusedTabs {
		s.floods[opener] = true
		return t
	}
	return nil
}

// endFlood closes a page that opens tabs without end, and the tabs that it has opened.
// What comes to the front says so once they are gone: until then they count among those
// that pages may have open.
func (s *Set) endFlood(ctx context.Context, floods *tab) {
	ctx, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	s.mu.Lock()
	var all []*tab
	for _, t := range s.tabs {
		if t == floods || t.opener == floods.session.targetID {
			all = append(all, t)
		}
	}
	s.mu.Unlock()
	var each sync.WaitGroup
	for _, t := range all {
		each.Go(func() {
			s.closeTab(ctx, t)
			select {
			case <-t.session.gone:
			case <-ctx.Done():
			}
		})
	}
	each.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addNote("page.tab_flood: a page that opens tabs without end was closed, with those that it had opened")
}

// addNote keeps a line for the next observation, of a tab that is gone. Call it with mu held.
func (s *Set) addNote(note string) {
	if len(s.notes) < maxNotes {
		s.notes = append(s.notes, note)
	}
}

// noteClosed takes note of a tab of the agent's that is gone without the agent having closed
// it. Call it with mu held.
func (s *Set) noteClosed(t *tab) {
	t.mu.Lock()
	told := t.shownDocument && !t.expected
	t.mu.Unlock()
	if told && !s.isClients(t) {
		s.addNote(fmt.Sprintf("page.closed: tab %s was closed by its page, or by a client", t.id))
	}
}

// takeNotes returns what the next observation says of no tab that is there.
func (s *Set) takeNotes() (notes []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	notes, s.notes = s.notes, nil
	return notes
}

// expectEnd says whether the tab is being closed for the agent.
func (t *tab) expectEnd(expected bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expected = expected
}

func (t *tab) isGone() bool {
	select {
	case <-t.session.gone:
		return true
	default:
		return false
	}
}

func (t *tab) hasCrashed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.crashed
}

// Tabs lists the agent's tabs. See [browser.Page].
func (s *Set) Tabs(ctx context.Context) ([]browser.Tab, error) {
	return s.listTabs(ctx, s.frontTab, func(t *tab) bool { return !s.isClients(t) })
}

// listTabs lists tabs of which included is true, which front, the one in front, is among.
// Both are called with mu held.
func (s *Set) listTabs(ctx context.Context, front func() *tab, included func(*tab) bool) ([]browser.Tab, error) {
	ctx, cancel := context.WithTimeout(ctx, s.actionTimeout)
	defer cancel()
	got, err := protocol.Call(ctx, s.conn.Root(), target.GetTargets, target.GetTargetsParams{})
	if err != nil {
		return nil, s.cleanError(ctx, fmt.Errorf("listing the tabs: %w", err))
	}
	infos := map[target.ID]*target.Info{}
	for _, info := range got.TargetInfos {
		infos[info.TargetID] = info
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	inFront := front()
	var out []browser.Tab
	for _, t := range s.tabs {
		info := infos[t.session.targetID]
		if info == nil || !included(t) {
			continue
		}
		out = append(out, browser.Tab{
			ID:     t.id,
			URL:    clip(s.scrub.Text(fill.OneLine(info.URL)), 2*maxText),
			Title:  clip(s.scrub.Text(fill.OneLine(info.Title)), maxName),
			Active: t == inFront,
		})
	}
	return out, nil
}

// OpenTab opens a tab. See [browser.Page].
func (s *Set) OpenTab(ctx context.Context, address string) error {
	if address != "" {
		if err := browser.CheckPageURL(address); err != nil {
			return err
		}
		if err := s.refusePlaceholder(address); err != nil {
			return err
		}
	}
	id, err := s.openBlankTab(ctx)
	if err != nil || address == "" {
		return err
	}
	err = s.Goto(ctx, address, "")
	if err == nil || hasCode(err, browser.CodeDialogOpened, codeLoadTimeout) {
		return err
	}
	s.mu.Lock()
	t := s.tabOf(id)
	s.mu.Unlock()
	if t == nil {
		return err
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	s.closeTab(closing, t) // nothing is to be seen there
	select {
	case <-t.session.gone:
	case <-s.conn.Done():
	case <-closing.Done():
	}
	return err
}

func (s *Set) openBlankTab(ctx context.Context) (target.ID, error) {
	if err := s.beginActing(ctx); err != nil {
		return "", err
	}
	defer s.endActing(ctx)
	s.mu.Lock()
	count := 0
	for _, t := range s.tabs {
		if !s.isClients(t) {
			count++
		}
	}
	s.mu.Unlock()
	if count > maxTabs {
		return "", browser.Conflict("page.too_many_tabs", fmt.Sprintf("there are %d tabs already", count), "close one first")
	}
	ctx, cancel := context.WithTimeout(ctx, s.actionTimeout)
	defer cancel()
	id, err := s.createTab(ctx)
	return id, s.cleanError(ctx, err)
}

// createTab opens a blank tab for the agent.
func (s *Set) createTab(ctx context.Context) (target.ID, error) {
	made, err := protocol.Call(ctx, s.conn.Root(), target.CreateTarget,
		target.CreateTargetParams{URL: "about:blank"})
	if err != nil {
		return "", fmt.Errorf("opening a tab: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.agentTargets[made.TargetID] = true
	s.signalTabsChange()
	return made.TargetID, nil
}

// agentsTab returns the agent's tab of a name.
func (s *Set) agentsTab(id browser.TabID) (*tab, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.tabs {
		if t.id == id && !s.isClients(t) {
			return t, nil
		}
	}
	return nil, errNoTab()
}

// ActivateTab brings a tab to the front. See [browser.Page].
func (s *Set) ActivateTab(ctx context.Context, id browser.TabID) error {
	if err := s.beginActing(ctx); err != nil {
		return err
	}
	defer s.endActing(ctx)
	t, err := s.agentsTab(id)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.bring(t)
	s.signalTabsChange()
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, frameTimeout)
	defer cancel()
	// A browser without windows has nothing to bring to the front.
	_ = protocol.Tell(ctx, s.conn.Root(), target.ActivateTarget, target.ActivateTargetParams{TargetID: t.session.targetID})
	return nil
}

// CloseTab closes a tab. See [browser.Page].
func (s *Set) CloseTab(ctx context.Context, id browser.TabID) (err error) {
	asked := s.dialogs.asked()
	if err := s.beginActing(ctx); err != nil {
		return err
	}
	defer s.endActing(ctx)
	t, err := s.agentsTab(id)
	if err != nil {
		return err
	}
	limit, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	// A page that takes longer to answer is closed unasked, so one that is busy is waited
	// for, a while: it is closed whether it answers or not.
	ready, cancelReady := context.WithTimeout(limit, frameTimeout)
	_, _ = t.viewport(ready)
	cancelReady()
	t.expectEnd(true)
	defer func() { t.expectEnd(err == nil) }()
	// Unlike Target.closeTarget this asks the page first.
	if _, err := t.session.Post(limit, page.Close.Method, nil); err != nil {
		return s.cleanError(limit, err)
	}
	for {
		select {
		case <-t.session.gone:
			return nil
		case <-s.conn.Done():
			return s.cleanError(ctx, protocol.ErrGone)
		case <-asked:
			asked = s.dialogs.asked()
			if browser.AnswersDialogs(ctx) {
				return errDialogOpened
			}
			s.answerAllByDefault()
		case <-limit.Done():
			if ctx.Err() != nil {
				return s.cleanError(ctx, ctx.Err())
			}
			return browser.Conflict("page.not_closed", "the page has not let its tab close", "switch to another tab")
		}
	}
}

// NoteDownload takes note that a frame has begun a download. A tab that was opened for
// nothing else shows no page: it is closed, so that the one that was in front before is
// there again.
func (s *Set) NoteDownload(frame cdp.FrameID) {
	s.mu.Lock()
	t := s.tabOf(target.ID(frame))
	s.mu.Unlock()
	if t == nil || t.opener == "" || t.isClients() || t.hasDocument() {
		return
	}
	s.spawn(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, closeTimeout)
		defer cancel()
		s.closeTab(ctx, t)
	})
}

// hasDocument reports whether the tab has shown a document of an address.
func (t *tab) hasDocument() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.shownDocument
}
