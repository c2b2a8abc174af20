//go:build unix

package chromium

import (
	"strings"
	"sync"

	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/target"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

// tabEvents tells what happens in the tabs of a browser, whoever made them: the
// browser reports its targets without anybody having attached them. Only dialogs are
// told where the server or a client hears of those of a tab.
type tabEvents struct {
	mu sync.Mutex
	// tell is [browser.Spec.OnEvent]; nil is nobody.
	tell func(browser.Event)
	// ids names the tabs. It has a lock of its own.
	ids browser.TabIDs
	// tabs are the addresses that tabs show.
	tabs map[target.ID]string
	// dialogs are the tabs with an open dialog, of which each session of the tab tells.
	dialogs map[target.ID]struct{}
}

func newTabEvents() *tabEvents {
	return &tabEvents{tabs: map[target.ID]string{}, dialogs: map[target.ID]struct{}{}}
}

// deliverTo says who is told from now on. The tabs that are there already are not told.
func (e *tabEvents) deliverTo(tell func(browser.Event)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.tell = tell
}

// onEvent handles an event of the browser, or one about a dialog from a session of a
// target. It does not block.
func (e *tabEvents) onEvent(of target.ID, method string, params jsonv2.Value) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch method {
	case target.TargetCreated.Method:
		protocol.Event(params, func(ev target.EventTargetCreated) { e.created(ev.TargetInfo) })
	case target.TargetInfoChanged.Method:
		protocol.Event(params, func(ev target.EventTargetInfoChanged) { e.changed(ev.TargetInfo) })
	case target.TargetDestroyed.Method:
		protocol.Event(params, func(ev target.EventTargetDestroyed) {
			if _, isTab := e.tabs[ev.TargetID]; isTab {
				delete(e.tabs, ev.TargetID)
				delete(e.dialogs, ev.TargetID)
				e.say(browser.Event{Kind: browser.EventTabClosed, Tab: e.ids.Of(string(ev.TargetID))})
				e.ids.Forget(string(ev.TargetID))
			}
		})
	case target.TargetCrashed.Method:
		protocol.Event(params, func(ev target.EventTargetCrashed) {
			if _, isTab := e.tabs[ev.TargetID]; isTab {
				e.say(browser.Event{Kind: browser.EventCrashed, Tab: e.ids.Of(string(ev.TargetID))})
			}
		})
	case page.JavascriptDialogOpening.Method:
		protocol.Event(params, func(ev page.EventJavascriptDialogOpening) { e.asked(of, ev) })
	case page.JavascriptDialogClosed.Method:
		delete(e.dialogs, of)
	}
}

// say tells somebody. e.mu is held, which keeps events in order.
func (e *tabEvents) say(happened browser.Event) {
	if e.tell != nil {
		e.tell(happened)
	}
}

func (e *tabEvents) created(info *target.Info) {
	if info == nil || info.Type != "page" {
		return
	}
	e.tabs[info.TargetID] = shownAddress(info.URL)
	opened := browser.Event{
		Kind:   browser.EventTabOpened,
		Tab:    e.ids.Of(string(info.TargetID)),
		Target: string(info.TargetID),
		URL:    shownAddress(info.URL),
	}
	if _, isTab := e.tabs[info.OpenerID]; isTab {
		opened.Opener = e.ids.Of(string(info.OpenerID))
	}
	e.say(opened)
}

func (e *tabEvents) changed(info *target.Info) {
	if info == nil {
		return
	}
	shown, isTab := e.tabs[info.TargetID]
	if now := shownAddress(info.URL); isTab && now != shown {
		e.tabs[info.TargetID] = now
		e.say(browser.Event{Kind: browser.EventNavigated, Tab: e.ids.Of(string(info.TargetID)), URL: now})
	}
}

// shownAddress is an address as it is told: a tab that shows nothing yet has none.
func shownAddress(url string) string {
	if strings.HasPrefix(url, "about:blank") {
		return ""
	}
	return url
}

// asked tells of a dialog, once: each session of the tab says that it is there, those of
// the tab's frames too, which are no tabs.
func (e *tabEvents) asked(of target.ID, ev page.EventJavascriptDialogOpening) {
	_, isTab := e.tabs[of]
	if _, told := e.dialogs[of]; told || !isTab {
		return
	}
	e.dialogs[of] = struct{}{}
	e.say(browser.Event{
		Kind:    browser.EventDialog,
		Tab:     e.ids.Of(string(of)),
		URL:     ev.URL,
		Dialog:  string(ev.Type),
		Message: ev.Message,
	})
}
