//go:build unix

package chromium

import (
	"strings"
	"sync"

	"github.com/chromedp/cdproto/cdp"
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
	// tabs are the addresses that tabs show.
	tabs map[target.ID]string
	// dialogs are the frames with an open dialog, of which each session of the tab tells.
	dialogs map[cdp.FrameID]struct{}
}

func newTabEvents() *tabEvents {
	return &tabEvents{tabs: map[target.ID]string{}, dialogs: map[cdp.FrameID]struct{}{}}
}

// deliverTo says who is told from now on. The tabs that are there already are not told.
func (e *tabEvents) deliverTo(tell func(browser.Event)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.tell = tell
}

// onEvent handles an event of the browser, or one about a dialog of a tab. It does not
// block.
func (e *tabEvents) onEvent(method string, params jsonv2.Value) {
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
				e.say(browser.Event{Kind: browser.EventTabClosed, Target: string(ev.TargetID)})
			}
		})
	case target.TargetCrashed.Method:
		protocol.Event(params, func(ev target.EventTargetCrashed) {
			if _, isTab := e.tabs[ev.TargetID]; isTab {
				e.say(browser.Event{Kind: browser.EventCrashed, Target: string(ev.TargetID)})
			}
		})
	case page.JavascriptDialogOpening.Method:
		protocol.Event(params, e.opened)
	case page.JavascriptDialogClosed.Method:
		protocol.Event(params, func(ev page.EventJavascriptDialogClosed) { delete(e.dialogs, ev.FrameID) })
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
	e.say(browser.Event{
		Kind:   browser.EventTabOpened,
		Target: string(info.TargetID),
		Opener: string(info.OpenerID),
		URL:    shownAddress(info.URL),
	})
}

func (e *tabEvents) changed(info *target.Info) {
	if info == nil {
		return
	}
	shown, isTab := e.tabs[info.TargetID]
	if now := shownAddress(info.URL); isTab && now != shown {
		e.tabs[info.TargetID] = now
		e.say(browser.Event{Kind: browser.EventNavigated, Target: string(info.TargetID), URL: now})
	}
}

// shownAddress is an address as it is told: a tab that shows nothing yet has none.
func shownAddress(url string) string {
	if strings.HasPrefix(url, "about:blank") {
		return ""
	}
	return url
}

func (e *tabEvents) opened(ev page.EventJavascriptDialogOpening) {
	if _, told := e.dialogs[ev.FrameID]; told {
		return
	}
	e.dialogs[ev.FrameID] = struct{}{}
	e.say(browser.Event{
		Kind:    browser.EventDialog,
		Target:  string(ev.FrameID),
		URL:     ev.URL,
		Dialog:  string(ev.Type),
		Message: ev.Message,
	})
}
