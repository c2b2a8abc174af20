package page

import (
	"context"
	"slices"

	"github.com/bctrl-go/bctrl/internal/browser/fill"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
)

// maxDialogs is how many dialogs one action may raise before the script that
// raises them is ended.
const maxDialogs = 20

// waitingDialog is a dialog that waits for a client to answer it.
type waitingDialog struct {
	session *session
	ev      page.EventJavascriptDialogOpening
}

// dialog deals with a dialog, since the page stands still until it is answered.
// Where a client hears of it, it is the client's to answer, unless the agent is
// at work there.
func (t *tab) dialog(session *session, ev page.EventJavascriptDialogOpening) {
	heard, theirs := t.set.clients.HearsDialogs(t.session.targetID), t.theirs()
	t.mu.Lock()
	if t.waiting = nil; heard && t.working == 0 {
		t.waiting = &waitingDialog{session, ev}
	}
	waits := t.waiting != nil
	t.mu.Unlock()
	switch {
	case waits:
		t.stopWaiting() // the client may have left while it was asked for
	case theirs:
		t.dismiss(session, ev)
	default:
		t.answer(session, ev)
	}
}

// dialogClosed hears that a dialog has been answered, by whomever.
func (t *tab) dialogClosed(session *session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.waiting != nil && t.waiting.session == session {
		t.waiting = nil
	}
}

// dismiss answers a dialog as a browser does without anybody who hears of it:
// with no, but a page that is left is left.
func (t *tab) dismiss(session *session, ev page.EventJavascriptDialogOpening) {
	params := page.HandleJavaScriptDialogParams{Accept: ev.Type == page.DialogTypeBeforeunload}
	t.set.spawn(func(ctx context.Context) { _ = protocol.Tell(ctx, session, page.HandleJavaScriptDialog, params) })
}

// takeWaiting returns the dialog that waits for a client, which it does no
// longer, or nil.
func (t *tab) takeWaiting() *waitingDialog {
	t.mu.Lock()
	defer t.mu.Unlock()
	waiting := t.waiting
	t.waiting = nil
	return waiting
}

// watchClients dismisses what waits for a client that has let go of its tab,
// where no other hears of it, until ctx ends.
func (s *Set) watchClients(ctx context.Context, left <-chan struct{}) {
	for {
		select {
		case <-left:
		case <-ctx.Done():
			return
		}
		s.mu.Lock()
		tabs := slices.Clone(s.tabs)
		s.mu.Unlock()
		for _, t := range tabs {
			t.stopWaiting()
		}
	}
}

// stopWaiting dismisses what waits for a client where none hears of it.
func (t *tab) stopWaiting() {
	if t.set.clients.HearsDialogs(t.session.targetID) {
		return
	}
	if w := t.takeWaiting(); w != nil {
		t.dismiss(w.session, w.ev)
	}
}

// answer answers a dialog of the agent's page at once. The model asked for what
// raised it, so questions are answered with yes; a prompt, which wants text that
// nobody has, is cancelled.
func (t *tab) answer(session *session, ev page.EventJavascriptDialogOpening) {
	t.mu.Lock()
	t.dialogs++
	endless := t.dialogs > maxDialogs
	t.mu.Unlock()
	accept := ev.Type != page.DialogTypePrompt && (!endless || ev.Type == page.DialogTypeBeforeunload)
	if !endless && ev.Type != page.DialogTypeBeforeunload {
		t.noteDialog(ev, accept)
	}
	t.set.spawn(func(ctx context.Context) {
		if endless {
			ctx, cancel := context.WithTimeout(ctx, frameTimeout)
			defer cancel()
			// Reaches the script between two statements, as no other command does.
			t.set.spawn(func(ctx context.Context) {
				_ = protocol.Tell(ctx, session, runtime.TerminateExecution, cdp.Empty{})
			})
			_ = protocol.Tell(ctx, session, page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{Accept: accept})
			return
		}
		_ = protocol.Tell(ctx, session, page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{Accept: accept})
	})
}

// noteDialog says in the next observation what became of a dialog.
func (t *tab) noteDialog(ev page.EventJavascriptDialogOpening, accepted bool) {
	answer := "accepted"
	if !accepted {
		answer = "cancelled"
	}
	t.note("%s dialog %s: %s", ev.Type, quote(t.set.scrub.Text(fill.OneLine(ev.Message)), 200), answer)
}
