package page

import (
	"context"
	"errors"
	"fmt"
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
	// maxHops is how many navigations by scripts Goto follows.
	maxHops = 20
)

// codeNavigation is the code of an address that the browser could not open.
const codeNavigation = "page.navigation_failed"

// Goto navigates. See [browser.Page].
func (s *Set) Goto(ctx context.Context, address string) error {
	if err := browser.CheckPageURL(address); err != nil {
		return err
	}
	if err := s.refusePlaceholder(address); err != nil {
		return err
	}
	return s.onTab(ctx, func(ctx context.Context, t *tab) error {
		mark := s.proxy.Mark()
		err := t.navigate(ctx, address)
		return t.explainNavigation(ctx, mark, err)
	})
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
	if err == nil {
		got, readErr := protocol.Call(ctx, t.session, page.GetFrameTree, cdp.Empty{})
		if readErr != nil {
			return fmt.Errorf("opening the page: %w", readErr)
		}
		why = t.set.proxy.FailedSince(mark, got.FrameTree.Frame.URL)
	}
	switch why {
	case egress.ErrRefused:
		return browser.Forbidden("page.address_refused", "the server's egress policy does not permit this address", "")
	case egress.ErrUnanswered:
		return browser.BadGateway(codeNavigation, "the page could not be opened: "+why.Error(), "")
	}
	return err
}

func (t *tab) navigate(ctx context.Context, address string) error {
	t.endHangingScript(ctx)
	err := t.openAddress(ctx, address)
	if !errors.Is(err, errLoop) {
		return err
	}
	// Either the address sends its visitor on without end, or the page that was
	// there before does. From a blank page it shows which of them it is.
	for range maxHops {
		_ = protocol.Tell(ctx, t.session, page.StopLoading, cdp.Empty{})
		if !errors.Is(t.openAddress(ctx, "about:blank"), errLoop) {
			break
		}
	}
	if err = t.openAddress(ctx, address); errors.Is(err, errLoop) {
		_ = t.openAddress(ctx, "about:blank")
		return browser.BadGateway("page.redirect_loop", "the page sends its visitor on without end", "")
	}
	return err
}

// openAddress navigates once and waits for the load event.
func (t *tab) openAddress(ctx context.Context, address string) error {
	got, err := protocol.Call(ctx, t.session, page.Navigate, page.NavigateParams{URL: address})
	if err != nil {
		return fmt.Errorf("opening the page: %w", err)
	}
	switch {
	case got.IsDownload:
		return nil
	case got.ErrorText != "":
		return browser.BadGateway(codeNavigation, "the page could not be opened: "+clip(got.ErrorText, maxName), "")
	case got.LoaderID == "":
		return nil // within the document
	}
	return t.waitLoad(ctx, got.FrameID, got.LoaderID)
}

// errLoop ends the waiting for a page that is replaced more than maxHops times.
var errLoop = errors.New("the page sends its visitor on without end")

// waitLoad waits for the load event of a document, or of the one that a script
// puts in its place before it is loaded.
func (t *tab) waitLoad(ctx context.Context, id cdp.FrameID, loader cdp.LoaderID) error {
	for hops := 0; ; {
		t.mu.Lock()
		now, changed := t.loads[id], t.loadsChange
		t.mu.Unlock()
		switch {
		case now.loader == loader && now.loaded:
			return nil
		case now.replaced(loader):
			loader = now.loader
			if hops++; hops > maxHops {
				return errLoop
			}
			continue
		}
		select {
		case <-changed:
		case <-t.session.gone:
			return protocol.ErrGone
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return browser.GatewayTimeout("page.load_timeout", "the page did not finish loading in time",
					"observe it: what there is can be used")
			}
			return ctx.Err()
		}
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
