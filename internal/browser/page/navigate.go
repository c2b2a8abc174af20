package page

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"
	"github.com/bctrl-go/bctrl/internal/egress"
)

const (
	// pingTimeout is how long a script may keep the page from answering before a
	// navigation ends it.
	pingTimeout = time.Second
	// leaveTime is how long a page may keep a navigation from beginning. Chromium waits
	// without end for what a page does as it is left, while DevTools are attached.
	leaveTime = 2 * time.Second
	// maxHops is how many navigations by scripts Goto follows.
	maxHops = 20
)

// codeNavigation is the code of an address that the browser could not open.
const codeNavigation = "page.navigation_failed"

// contentGrace is how long a navigation that says nothing of what it waits for goes on
// waiting for a page whose document is there.
const contentGrace = 5 * time.Second

// Goto navigates. See [browser.Page].
func (s *Set) Goto(ctx context.Context, address string, until bctrl.WaitUntil) error {
	if err := browser.CheckPageURL(address); err != nil {
		return err
	}
	if err := checkUntil(until); err != nil {
		return err
	}
	if err := s.refusePlaceholder(address); err != nil {
		return err
	}
	return s.onNavigatingTab(ctx, func(ctx context.Context, t *tab) error { return t.navigate(ctx, address, until) })
}

// onNavigatingTab runs a navigation on the tab in front. One that takes too long is
// ended: nothing is left running.
func (s *Set) onNavigatingTab(ctx context.Context, navigate func(context.Context, *tab) error) error {
	limit := browser.GotoTimeout
	if deadline, ok := ctx.Deadline(); ok {
		limit = time.Until(deadline)
	}
	return s.onTabFor(ctx, limit, func(ctx context.Context, t *tab) error {
		t.mu.Lock()
		t.stays = false
		t.mu.Unlock()
		mark := s.proxy.Mark()
		err := t.explainNavigation(ctx, mark, navigate(ctx, t))
		if t.wasToStay() {
			return errNotLeft()
		}
		if errors.Is(context.Cause(ctx), context.DeadlineExceeded) && !hasCode(err, codeLoadTimeout) {
			err = errNotAnswered()
		}
		if ctx.Err() != nil {
			t.stopLoading(ctx)
		}
		return err
	})
}

// stopLoading ends what a navigation has begun, also when its context has ended.
func (t *tab) stopLoading(ctx context.Context) {
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), pingTimeout)
	defer cancel()
	_ = protocol.Tell(stop, t.session, page.StopLoading, cdp.Empty{})
}

// wasToStay reports whether the page asked before it was left, and is to stay.
func (t *tab) wasToStay() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.stays
}

func errNotLeft() error {
	return browser.Conflict("page.not_left", "the page was not left, as its dialog was answered", "")
}

const codeLoadTimeout = "page.load_timeout"

func errNotAnswered() error {
	return browser.GatewayTimeout(codeLoadTimeout, "the site did not answer in time", "")
}

func checkUntil(until bctrl.WaitUntil) error {
	switch until {
	case "", bctrl.WaitLoad, bctrl.WaitDOMContentLoaded, bctrl.WaitCommit, bctrl.WaitNetworkIdle:
		return nil
	}
	return browser.BadRequest("page.invalid_wait", "a navigation cannot wait for that",
		"wait for load, domcontentloaded, commit or networkidle")
}

// explainNavigation returns the error of a navigation that ended with err. The
// browser cannot tell when the proxy did not reach the address: it shows the proxy's
// answer as if it were the page, or says only that there is none.
func (t *tab) explainNavigation(ctx context.Context, mark uint64, err error) error {
	why := t.set.proxy.FailedSince(mark, "")
	if why == nil {
		return err
	}
	if failed, ok := errors.AsType[*bctrl.Error](err); err != nil && (!ok || failed.Code != codeNavigation) {
		return err
	}
	got, readErr := protocol.Call(ctx, t.session, page.GetFrameTree, cdp.Empty{})
	if readErr != nil {
		return fmt.Errorf("opening the page: %w", readErr)
	}
	address := asked(got.FrameTree.Frame)
	if of := t.set.proxy.FailedSince(mark, address); err == nil || of != nil {
		why = of
	}
	switch why {
	case egress.ErrRefused:
		return browser.Forbidden("page.address_refused", "the server's egress policy does not permit this address", "")
	case egress.ErrHostRefused:
		return errHostOutside(hostOf(address))
	case egress.ErrUnanswered:
		return browser.BadGateway(codeNavigation, "the page could not be opened: "+why.Error(), "")
	}
	return err
}

// noteHostRefused tells an agent that its tab was to show a page of a host that the
// mounts do not permit. A page that the proxy answered itself is as one that never came.
func (t *tab) noteHostRefused(f *cdp.Frame) {
	if f.ParentID != "" {
		return
	}
	address := asked(f)
	t.mu.Lock()
	mark := t.proxyMark
	t.proxyMark = t.set.proxy.Mark()
	t.mu.Unlock()
	if t.set.proxy.FailedSince(mark, address) == egress.ErrHostRefused {
		t.addNote("%s: the mounts do not permit the browser to speak to %s", browser.CodeHostOutside,
			t.set.scrub.Text(clip(hostOf(address), maxName)))
	}
}

// asked is the address that a frame was to show: its document's, or the one of which
// it shows that there is none.
func asked(f *cdp.Frame) string {
	if f.UnreachableURL != "" {
		return f.UnreachableURL
	}
	return f.URL
}

// hostOf is the host of an address, or "".
func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// errHostOutside refuses a page of a host that the mounts do not permit.
func errHostOutside(host string) error {
	return browser.Forbidden(browser.CodeHostOutside, "the mounts do not permit the browser to speak to "+host,
		"mount it in the workspace, in web.allow, and keep it in every narrower level")
}

func (t *tab) navigate(ctx context.Context, address string, until bctrl.WaitUntil) error {
	t.endHangingScript(ctx)
	err := t.openAddress(ctx, address, until)
	if !errors.Is(err, errLoop) {
		return err
	}
	// Either the address sends its visitor on without end, or the page that was
	// there before does. From a blank page it shows which of them it is.
	for range maxHops {
		t.stopLoading(ctx)
		if !errors.Is(t.openAddress(ctx, "about:blank", ""), errLoop) {
			break
		}
	}
	if err = t.openAddress(ctx, address, until); errors.Is(err, errLoop) {
		_ = t.openAddress(ctx, "about:blank", "")
		return browser.BadGateway("page.redirect_loop", "the page sends its visitor on without end", "")
	}
	return err
}

// openAddress navigates once and waits.
func (t *tab) openAddress(ctx context.Context, address string, until bctrl.WaitUntil) error {
	hurry := time.AfterFunc(leaveTime, func() { t.set.spawn(t.endSlowLeaving) })
	got, err := protocol.Call(ctx, t.session, page.Navigate, page.NavigateParams{URL: address})
	hurry.Stop()
	if err != nil {
		return fmt.Errorf("opening the page: %w", err)
	}
	switch {
	case got.IsDownload:
		t.addNote("the address is that of a file, which is downloaded: the page stays as it was")
		return nil
	case got.ErrorText != "":
		return browser.BadGateway(codeNavigation, "the page could not be opened: "+clip(got.ErrorText, maxName), "")
	case got.LoaderID == "":
		return nil // within the document
	}
	return t.waitLoad(ctx, got.FrameID, got.LoaderID, until)
}

// errLoop ends the waiting for a page that is replaced more than maxHops times.
var errLoop = errors.New("the page sends its visitor on without end")

// waitLoad waits for a document, or for the one that a script puts in its place before
// it is as far as that.
func (t *tab) waitLoad(ctx context.Context, id cdp.FrameID, loader cdp.LoaderID, until bctrl.WaitUntil) error {
	var grace <-chan time.Time
	for hops := 0; ; {
		t.mu.Lock()
		now, changed := t.loads[id], t.loadsChange
		there := now.loader == loader && now.isAt(until)
		content := now.loader == loader && now.reached[eventContent]
		replaced := now.replaced(loader)
		t.mu.Unlock()
		switch {
		case there:
			return nil
		case replaced:
			if loader = now.loader; until == bctrl.WaitCommit {
				return nil
			}
			if hops++; hops > maxHops {
				return errLoop
			}
			grace = nil
			continue
		}
		if until == "" && content && grace == nil {
			timer := time.NewTimer(contentGrace)
			defer timer.Stop()
			grace = timer.C
		}
		select {
		case <-changed:
		case <-grace:
			return nil
		case <-t.session.gone:
			return protocol.ErrGone
		case <-ctx.Done():
			if errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
				return browser.GatewayTimeout(codeLoadTimeout, "the page did not finish loading in time",
					"observe it: what there is can be used; or wait for less, such as domcontentloaded")
			}
			return ctx.Err()
		}
	}
}

// isAt reports whether a document has come as far as a navigation waits for.
func (l documentLoad) isAt(until bctrl.WaitUntil) bool {
	switch until {
	case bctrl.WaitCommit:
		return true
	case bctrl.WaitDOMContentLoaded:
		return l.reached[eventContent]
	case bctrl.WaitNetworkIdle:
		return l.reached[eventIdle]
	}
	return l.reached[eventLoad]
}

// endSlowLeaving ends a script that keeps the page from being left, unless it waits for an
// answer to what it asks.
func (t *tab) endSlowLeaving(ctx context.Context) {
	t.mu.Lock()
	asks := t.waitingDialog != nil
	t.mu.Unlock()
	if !asks && t.set.dialogs.oldest() == nil {
		t.endHangingScript(ctx)
	}
}

// endHangingScript ends a script that keeps the page from answering.
func (t *tab) endHangingScript(ctx context.Context) {
	ping, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	if _, err := protocol.Call(ping, t.session, page.GetFrameTree, cdp.Empty{}); err == nil || ping.Err() == nil {
		return
	}
	stop, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	_ = protocol.Tell(stop, t.session, runtime.TerminateExecution, cdp.Empty{}) // it may have ended by itself
}
