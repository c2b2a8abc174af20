package page

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/target"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

// screen is the browser as people see it. See [browser.Screen].
type screen struct{ s *Set }

var _ browser.Screen = screen{}

// Screen returns the browser as people see it.
func (s *Set) Screen() browser.Screen { return screen{s} }

// watched tells those who look at a browser what changes, and knows whether one of them
// works in it.
type watched struct {
	working atomic.Int64 // how many people work in the browser

	mu     sync.Mutex
	change chan struct{} // closed and replaced when something changes that people are told of
}

func (w *watched) signal() {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.change)
	w.change = make(chan struct{})
}

// takenOver reports whether a person works in the browser.
func (w *watched) takenOver() bool { return w.working.Load() > 0 }

// TabsChange implements [browser.Screen].
func (c screen) TabsChange() <-chan struct{} {
	c.s.watched.mu.Lock()
	defer c.s.watched.mu.Unlock()
	return c.s.watched.change
}

// Tabs implements [browser.Screen].
func (c screen) Tabs(ctx context.Context) ([]browser.Tab, error) {
	return c.s.listTabs(ctx, c.s.newestTab, func(*tab) bool { return true })
}

// newestTab returns the tab that was opened or chosen last, whoever has it. Call it with
// mu held.
func (s *Set) newestTab() (front *tab) {
	for _, t := range s.tabs {
		if front == nil || t.brought > front.brought {
			front = t
		}
	}
	return front
}

// anyTab returns a tab by its name, whoever has it.
func (s *Set) anyTab(id browser.TabID) (*tab, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.tabs {
		if t.id == id {
			return t, nil
		}
	}
	return nil, errNoTab()
}

func errNoTab() error {
	return browser.NotFound("page.unknown_tab", "there is no tab of that name",
		"use a name from the list of tabs, such as t2")
}

// Dialog implements [browser.Screen].
func (c screen) Dialog() *browser.Dialog {
	h := c.s.dialogs.oldest()
	if h == nil {
		return nil
	}
	return &browser.Dialog{
		Kind:    string(h.ev.Type),
		Message: c.s.dialogText(h.ev.Message),
		Default: c.s.dialogText(h.ev.DefaultPrompt),
		Tab:     h.tab.id,
	}
}

// Bring implements [browser.Screen].
func (c screen) Bring(ctx context.Context, id browser.TabID) error {
	t, err := c.s.anyTab(id)
	if err != nil {
		return err
	}
	c.s.mu.Lock()
	c.s.bring(t)
	c.s.signalTabsChange()
	c.s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, frameTimeout)
	defer cancel()
	// A browser without windows has nothing to bring to the front.
	_ = protocol.Tell(ctx, c.s.conn.Root(), target.ActivateTarget,
		target.ActivateTargetParams{TargetID: t.session.targetID})
	return nil
}

// TakeOver implements [browser.Screen].
func (c screen) TakeOver(context.Context) (release func()) {
	c.s.watched.working.Add(1)
	var once sync.Once
	return func() {
		once.Do(func() {
			if c.s.watched.working.Add(-1) > 0 {
				return
			}
			c.s.answerAllByDefault() // nobody is there to answer
			c.s.eachTab(func(t *tab) { t.letGo() })
		})
	}
}

// eachTab calls do for each tab.
func (s *Set) eachTab(do func(*tab)) {
	s.mu.Lock()
	tabs := append([]*tab(nil), s.tabs...)
	s.mu.Unlock()
	for _, t := range tabs {
		do(t)
	}
}

// hand is what a person does in a tab. It changes under mu of the tab.
type hand struct {
	works   bool            // the browser tells of drags of its own, for the person
	dragged *input.DragData // what the person drags; nil for nothing
	over    bool            // what is dragged has entered the page
}
