package page

import (
	"context"
	"slices"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"

	"github.com/bctrl-go/bctrl/internal/browser/fill"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

// maxDialogs is how many dialogs one action may raise before the script that
// raises them is ended.
const maxDialogs = 20

// waitingDialog is a dialog that waits for a client to answer it.
type waitingDialog struct {
	session *session
	ev      page.EventJavascriptDialogOpening
}

// onDialog sees to it that a dialog is answered, since the page stands still until
// then. A client that is told of it answers it, unless an action of the agent runs.
func (t *tab) onDialog(session *session, ev page.EventJavascriptDialogOpening) {
	heard, theirs := t.set.clients.HearsDialogs(t.session.targetID), t.isClients()
	t.mu.Lock()
	if t.waitingDialog = nil; heard && t.actions == 0 {
		t.waitingDialog = &waitingDialog{session, ev}
	}
	waits := t.waitingDialog != nil
	t.mu.Unlock()
	switch {
	case waits:
		t.dismissAbandonedDialog() // the client may have left in between
	case theirs:
		t.dismissDialog(session, ev)
	default:
		t.answerDialog(session, ev)
	}
}

// onDialogClosed takes note that a dialog has been answered.
func (t *tab) onDialogClosed(session *session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.waitingDialog != nil && t.waitingDialog.session == session {
		t.waitingDialog = nil
	}
}

// dismissDialog answers a dialog with no, as a browser does that nobody watches. Only
// the question whether a page is left is answered with yes.
func (t *tab) dismissDialog(session *session, ev page.EventJavascriptDialogOpening) {
	params := page.HandleJavaScriptDialogParams{Accept: ev.Type == page.DialogTypeBeforeunload}
	t.set.spawn(func(ctx context.Context) { _ = protocol.Tell(ctx, session, page.HandleJavaScriptDialog, params) })
}

// takeWaitingDialog returns the dialog that waits for a client, or nil, and has it
// wait no longer.
func (t *tab) takeWaitingDialog() *waitingDialog {
	t.mu.Lock()
	defer t.mu.Unlock()
	waiting := t.waitingDialog
	t.waitingDialog = nil
	return waiting
}

// dismissAbandonedDialogs dismisses the dialogs of tabs that clients let go of, until
// ctx ends.
func (s *Set) dismissAbandonedDialogs(ctx context.Context, left <-chan struct{}) {
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
			t.dismissAbandonedDialog()
		}
	}
}

// dismissAbandonedDialog dismisses a dialog that waits for a client when no client is
// told of the tab's dialogs.
func (t *tab) dismissAbandonedDialog() {
	if t.set.clients.HearsDialogs(t.session.targetID) {
		return
	}
	if w := t.takeWaitingDialog(); w != nil {
		t.dismissDialog(w.session, w.ev)
	}
}

// answerDialog answers a dialog of the agent's page at once. Questions are answered
// with yes, because the model asked for what raised them. A prompt is cancelled: it
// wants a text that nobody has.
func (t *tab) answerDialog(session *session, ev page.EventJavascriptDialogOpening) {
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
			// It reaches the script between two statements, as no other command does.
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
	t.addNote("%s dialog %s: %s", ev.Type, quote(t.set.scrub.Text(fill.OneLine(ev.Message)), 200), answer)
}
