package page

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

const (
	// maxBack is how many entries of the history are tried: a page may add some that
	// lead to itself.
	maxBack = 5
	// historyTimeout is how long the browser may take to come to an entry.
	historyTimeout = 10 * time.Second
	// historyStep is the time between two looks at where it is.
	historyStep = 20 * time.Millisecond
)

// errHistoryHeld is the error of an entry that the page has left again.
var errHistoryHeld = errors.New("the page went forward again")

// Back goes to the document before. See [browser.Page].
func (s *Set) Back(ctx context.Context) error {
	return s.onNavigatingTab(ctx, func(ctx context.Context, t *tab) error {
		t.endHangingScript(ctx)
		at, entries, err := t.history(ctx)
		if err != nil {
			return err
		}
		if at <= 0 {
			return browser.Conflict("page.no_history", "there is no page before this one", "navigate to an address")
		}
		tried := 0
		for i := at - 1; i >= 0 && tried < maxBack; i-- {
			// A page that holds its visitor adds entries that lead to itself.
			if tried > 0 && samePage(entries[i].URL, entries[at].URL) && i > 0 {
				continue
			}
			tried++
			if err = t.goToEntry(ctx, entries[i].ID); !errors.Is(err, errHistoryHeld) || t.wasToStay() {
				return err
			}
		}
		return browser.Conflict("page.history_loop", "the page leads its visitor forward again", "navigate to an address")
	})
}

// history returns the entries of the tab's history, and which of them is shown. The
// browser does not tell while it puts one document in the place of another.
func (t *tab) history(ctx context.Context) (at int, entries []*page.NavigationEntry, err error) {
	limit, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	step := time.NewTicker(historyStep)
	defer step.Stop()
	for {
		got, err := protocol.Call(limit, t.session, page.GetNavigationHistory, cdp.Empty{})
		if at = int(got.CurrentIndex); err == nil && at >= 0 && at < len(got.Entries) {
			return at, got.Entries, nil
		}
		select {
		case <-step.C:
		case <-limit.Done():
			if err == nil {
				err = protocol.ErrGone
			}
			return 0, nil, fmt.Errorf("reading the history: %w", err)
		}
	}
}

// goToEntry goes to an entry of the history, and waits for its document.
func (t *tab) goToEntry(ctx context.Context, id int64) error {
	if err := protocol.Tell(ctx, t.session, page.NavigateToHistoryEntry,
		page.NavigateToHistoryEntryParams{EntryID: id}); err != nil {
		return fmt.Errorf("going back: %w", err)
	}
	if err := t.awaitEntry(ctx, id); err != nil {
		return err
	}
	if err := t.waitCurrent(ctx, ""); err != nil {
		return err
	}
	// What a page does as it is shown again it does at once.
	_ = t.waitQuiet(ctx, scrollQuiet, maxScrollWait)
	at, entries, err := t.history(ctx)
	if err == nil && entries[at].ID != id {
		return errHistoryHeld
	}
	return err
}

// awaitEntry waits until an entry of the history is the one that is shown.
func (t *tab) awaitEntry(ctx context.Context, id int64) error {
	limit, cancel := context.WithTimeout(ctx, historyTimeout)
	defer cancel()
	step := time.NewTicker(historyStep)
	defer step.Stop()
	for {
		if at, entries, err := t.history(limit); err == nil && entries[at].ID == id {
			return nil
		}
		select {
		case <-step.C:
		case <-t.session.gone:
			return protocol.ErrGone
		case <-limit.Done():
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return errHistoryHeld
		}
		if t.wasToStay() {
			return errNotLeft()
		}
	}
}

// samePage reports whether two addresses are of one path of one site.
func samePage(a, b string) bool {
	path := func(address string) string {
		return address[:cmp.Or(strings.IndexAny(address, "?#")+1, len(address)+1)-1]
	}
	return path(a) == path(b)
}

// waitCurrent waits until the document that is shown has loaded, where it is another
// than the one of before.
func (t *tab) waitCurrent(ctx context.Context, before cdp.LoaderID) error {
	id := cdp.FrameID(t.session.targetID)
	for {
		t.mu.Lock()
		now, changed, stays := t.loads[id], t.loadsChange, t.stays
		t.mu.Unlock()
		if stays {
			return errNotLeft()
		}
		if now.loader != "" && now.loader != before {
			return t.waitLoad(ctx, id, now.loader, "")
		}
		if before == "" {
			return nil // it was there before the tab was watched
		}
		select {
		case <-changed:
		case <-t.session.gone:
			return protocol.ErrGone
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Reload loads the document anew. See [browser.Page].
func (s *Set) Reload(ctx context.Context) error {
	return s.onNavigatingTab(ctx, func(ctx context.Context, t *tab) error {
		t.endHangingScript(ctx)
		tree, err := t.frameTree(ctx)
		if err != nil {
			return err
		}
		if err := protocol.Tell(ctx, t.session, page.Reload, page.ReloadParams{}); err != nil {
			return fmt.Errorf("loading the page again: %w", err)
		}
		return t.waitCurrent(ctx, tree.top.loader)
	})
}
