package page

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/fill"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

// maxDialogs is how many dialogs one action may raise before the script that
// raises them is ended.
const maxDialogs = 20

// errDialogOpen is the error of an action that was not begun because of a dialog, and
// errDialogOpened of one that goes on once a dialog is answered.
var (
	errDialogOpen = browser.Conflict(browser.CodeDialogOpen, "the page waits for the answer to a dialog",
		"answer it first")
	errDialogOpened = browser.Conflict(browser.CodeDialogOpened, "the page asks something in a dialog",
		"answer it: then this goes on")
)

// heldDialog is a dialog that waits for an answer: for the agent, or for a client.
type heldDialog struct {
	tab     *tab
	session *session
	ev      page.EventJavascriptDialogOpening
	expires *time.Timer // nil of one that waits for a client
}

// heldDialogs are the dialogs that wait for the agent, and the actions that wait for
// them.
type heldDialogs struct {
	mu      sync.Mutex
	acting  int       // actions of whoever answers dialogs that run
	until   time.Time // until when dialogs wait for whoever has acted last
	waiting []*heldDialog
	change  chan struct{} // closed and replaced when another begins to wait
	// interrupted are the actions that go on once the dialogs are answered.
	interrupted []*action
}

// asked returns what is closed when a dialog begins to wait for the agent.
func (d *heldDialogs) asked() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.change
}

func (d *heldDialogs) interrupt(a *action) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.interrupted = append(d.interrupted, a)
}

// wanted reports whether somebody is there to answer.
func (d *heldDialogs) wanted() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.acting > 0 || time.Now().Before(d.until)
}

// hold has a dialog wait.
func (d *heldDialogs) hold(h *heldDialog) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.waiting = append(d.waiting, h)
	close(d.change)
	d.change = make(chan struct{})
}

// oldest returns the dialog that has waited longest, or nil.
func (d *heldDialogs) oldest() *heldDialog {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.waiting) == 0 {
		return nil
	}
	return d.waiting[0]
}

// take removes the dialogs for which matches is true, and returns them: whoever takes
// one answers it.
func (d *heldDialogs) take(matches func(*heldDialog) bool) (taken []*heldDialog) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.waiting = slices.DeleteFunc(d.waiting, func(h *heldDialog) bool {
		if matches(h) {
			h.expires.Stop()
			taken = append(taken, h)
			return true
		}
		return false
	})
	return taken
}

// takeInterrupted returns the actions that go on now.
func (d *heldDialogs) takeInterrupted() []*action {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := d.interrupted
	d.interrupted = nil
	return all
}

// cancelWhenAsked calls cancel when a dialog waits for the agent, or begins to.
func (s *Set) cancelWhenAsked(ctx context.Context, cancel context.CancelFunc) {
	asked := s.dialogs.asked()
	if s.dialogs.oldest() != nil {
		cancel()
		return
	}
	s.spawn(func(context.Context) {
		select {
		case <-asked:
			cancel()
		case <-ctx.Done():
		}
	})
}

// beginActing begins an action. Dialogs that wait are answered first: by whoever acts
// where they do that, else by default.
func (s *Set) beginActing(ctx context.Context) error {
	if browser.AnswersDialogs(ctx) {
		if s.dialogs.oldest() != nil {
			return errDialogOpen
		}
		s.dialogs.mu.Lock()
		defer s.dialogs.mu.Unlock()
		s.dialogs.acting++
		return nil
	}
	s.dialogs.mu.Lock()
	s.dialogs.until = time.Time{}
	s.dialogs.mu.Unlock()
	s.answerAllByDefault()
	return nil
}

// answerAllByDefault answers the dialogs that wait, for whoever does not.
func (s *Set) answerAllByDefault() {
	for _, h := range s.dialogs.take(func(*heldDialog) bool { return true }) {
		h.tab.answerByDefault(h.session, h.ev)
	}
}

func (s *Set) endActing(ctx context.Context) {
	if !browser.AnswersDialogs(ctx) {
		return
	}
	s.dialogs.mu.Lock()
	defer s.dialogs.mu.Unlock()
	s.dialogs.acting--
	s.dialogs.until = time.Now().Add(browser.DialogTimeout)
}

// onDialog sees to it that a dialog is answered, since the page stands still until
// then. A client that is told of it answers it, unless an action of the agent runs.
func (t *tab) onDialog(session *session, ev page.EventJavascriptDialogOpening) {
	heard, theirs := t.set.clients.HearsDialogs(t.session.targetID), t.isClients()
	t.mu.Lock()
	if t.waitingDialog = nil; heard && t.actions == 0 {
		t.waitingDialog = &heldDialog{tab: t, session: session, ev: ev}
	}
	waits := t.waitingDialog != nil
	if !waits && !theirs {
		t.dialogs++
	}
	t.lastDialog = ev.Type
	endless := t.dialogs > maxDialogs
	t.mu.Unlock()
	switch {
	case waits:
		t.dismissAbandonedDialog() // the client may have left in between
	case theirs:
		t.dismissDialog(session, ev)
	case endless:
		t.endEndlessDialogs(session, ev)
	case t.set.watched.takenOver(), ev.Type != page.DialogTypeAlert && t.set.dialogs.wanted():
		t.holdDialog(session, ev)
	default:
		t.answerByDefault(session, ev)
	}
}

// holdDialog has a dialog wait for the agent's answer, for a while.
func (t *tab) holdDialog(session *session, ev page.EventJavascriptDialogOpening) {
	h := &heldDialog{tab: t, session: session, ev: ev}
	h.expires = time.AfterFunc(browser.DialogTimeout, func() {
		if len(t.set.dialogs.take(func(other *heldDialog) bool { return other == h })) > 0 {
			t.answerByDefault(session, ev)
		}
	})
	t.set.dialogs.hold(h)
	t.set.watched.signal()
}

// onDialogClosed takes note that a dialog has been answered.
func (t *tab) onDialogClosed(session *session, accepted bool) {
	t.set.dialogs.take(func(h *heldDialog) bool { return h.session == session })
	t.set.watched.signal()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.lastDialog == page.DialogTypeBeforeunload && !accepted {
		t.stays = true
		t.signalLoadsChange()
	}
	if t.waitingDialog != nil && t.waitingDialog.session == session {
		t.waitingDialog = nil
	}
}

// acceptsByDefault is the answer of a browser that nobody watches: no, but that a page is
// left.
func acceptsByDefault(kind page.DialogType) bool {
	return kind == page.DialogTypeBeforeunload || kind == page.DialogTypeAlert
}

// dismissDialog answers a dialog by default and says nothing of it.
func (t *tab) dismissDialog(session *session, ev page.EventJavascriptDialogOpening) {
	t.sendAnswer(session, page.HandleJavaScriptDialogParams{Accept: acceptsByDefault(ev.Type)})
}

func (t *tab) sendAnswer(session *session, answer page.HandleJavaScriptDialogParams) {
	t.set.spawn(func(ctx context.Context) { _ = protocol.Tell(ctx, session, page.HandleJavaScriptDialog, answer) })
}

// answerByDefault answers a dialog of the agent's page, and says so in the next
// observation.
func (t *tab) answerByDefault(session *session, ev page.EventJavascriptDialogOpening) {
	if ev.Type != page.DialogTypeBeforeunload {
		t.noteDialog(ev, acceptsByDefault(ev.Type))
	}
	t.dismissDialog(session, ev)
}

// endEndlessDialogs ends a script that asks without end.
func (t *tab) endEndlessDialogs(session *session, ev page.EventJavascriptDialogOpening) {
	t.mu.Lock()
	t.flooded = true
	t.mu.Unlock()
	t.set.spawn(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, frameTimeout)
		defer cancel()
		// It reaches the script between two statements, as no other command does.
		t.set.spawn(func(ctx context.Context) {
			_ = protocol.Tell(ctx, session, runtime.TerminateExecution, cdp.Empty{})
		})
		_ = protocol.Tell(ctx, session, page.HandleJavaScriptDialog,
			page.HandleJavaScriptDialogParams{Accept: ev.Type == page.DialogTypeBeforeunload})
	})
}

// AnswerDialog answers the oldest dialog that waits. See [browser.Page].
func (s *Set) AnswerDialog(ctx context.Context, accept bool, text string) error {
	return s.answerDialog(ctx, accept, text, func(*tab) bool { return true })
}

// answerDialog answers the oldest dialog that waits, where it is of such a tab.
func (s *Set) answerDialog(ctx context.Context, accept bool, text string, isOf func(*tab) bool) error {
	if err := s.refusePlaceholder(text); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.actionTimeout)
	defer cancel()
	oldest := s.dialogs.oldest()
	asked := s.dialogs.asked()
	if oldest == nil || !isOf(oldest.tab) || len(s.dialogs.take(func(h *heldDialog) bool { return h == oldest })) == 0 {
		return browser.Conflict("page.no_dialog", "no dialog waits for an answer", "observe the page again")
	}
	if oldest.ev.Type == page.DialogTypePrompt && accept {
		s.guards.ExpectSubmit(oldest.tab.session.ID)
	}
	oldest.tab.sendAnswer(oldest.session, page.HandleJavaScriptDialogParams{Accept: accept, PromptText: text})
	if s.dialogs.oldest() != nil {
		return errDialogOpened // of another tab
	}
	var err error
	interrupted := s.dialogs.takeInterrupted()
	for i, work := range interrupted {
		select {
		case <-work.done:
			if err == nil {
				err = work.err
			}
			continue
		case <-asked:
			err = errDialogOpened
		case <-ctx.Done():
			err = ctx.Err()
		}
		for _, still := range interrupted[i:] {
			s.dialogs.interrupt(still)
		}
		break
	}
	return err
}

// observeDialog returns what is seen of a page that waits for an answer: its process
// tells nothing until then.
func (s *Set) observeDialog(ctx context.Context) (*browser.Observation, error) {
	h := s.dialogs.oldest()
	if h == nil {
		return nil, nil
	}
	info, err := h.tab.info(ctx)
	if err != nil {
		return nil, err
	}
	d := &browser.Dialog{
		Kind:    string(h.ev.Type),
		Message: s.dialogText(h.ev.Message),
		Default: s.dialogText(h.ev.DefaultPrompt),
		Tab:     h.tab.id,
	}
	outline := d.Kind + " dialog " + quote(d.Message, maxDialogText)
	if d.Default != "" {
		outline += " value=" + quote(d.Default, maxName)
	}
	return &browser.Observation{
		URL:     clip(s.scrub.Text(fill.OneLine(info.URL)), 2*maxText),
		Title:   clip(s.scrub.Text(fill.OneLine(info.Title)), maxName),
		Outline: outline + "\nnote: the page waits for the answer to this dialog\n",
		Dialog:  d,
	}, nil
}

// maxDialogText bounds what is shown of a dialog's text, in bytes.
const maxDialogText = 2000

func (s *Set) dialogText(text string) string {
	return clip(s.scrub.Text(fill.OneLine(text)), maxDialogText)
}

// noteDialog says in the next observation what became of a dialog.
func (t *tab) noteDialog(ev page.EventJavascriptDialogOpening, accepted bool) {
	answer := "accepted"
	if !accepted {
		answer = "cancelled"
	}
	t.addNote("%s dialog %s: %s", ev.Type, quote(t.set.scrub.Text(fill.OneLine(ev.Message)), 200), answer)
}

// takeWaitingDialog returns the dialog that waits for a client, or nil, and has it
// wait no longer.
func (t *tab) takeWaitingDialog() *heldDialog {
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
