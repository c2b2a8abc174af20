package page

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/chromedp/cdproto"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/fill"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

// defaultActionTimeout is [Surroundings.ActionTimeout] where that is not set.
const defaultActionTimeout = 30 * time.Second

// onTab runs an action on the tab in front. The errors of all actions pass through it,
// so that none repeats a filled value.
//
// An action that a dialog interrupts is not undone: it goes on beside its caller, who
// has the dialog to answer, once that is answered.
func (s *Set) onTab(ctx context.Context, action func(ctx context.Context, t *tab) error) error {
	return s.onTabFor(ctx, s.actionTimeout, action)
}

// onTabFor is onTab with another bound on the time.
func (s *Set) onTabFor(ctx context.Context, limit time.Duration,
	action func(ctx context.Context, t *tab) error) error {
	return s.run(ctx, limit, true, action)
}

// readTab runs an action that only reads, and so is ended by a dialog.
func (s *Set) readTab(ctx context.Context, action func(ctx context.Context, t *tab) error) error {
	return s.run(ctx, s.actionTimeout, false, action)
}

func (s *Set) run(ctx context.Context, limit time.Duration, goesOn bool,
	action func(ctx context.Context, t *tab) error) error {
	asked := s.dialogs.asked()
	if err := s.beginActing(ctx); err != nil {
		return err
	}
	defer s.endActing(ctx)
	work := s.newAction(ctx, limit)
	if !s.spawn(func(context.Context) { work.finish(s.cleanError(work.ctx, s.actOnTab(work.ctx, action))) }) {
		work.finish(protocol.ErrGone)
	}
	for {
		select {
		case <-work.done:
			return work.err
		case <-asked:
		}
		asked = s.dialogs.asked()
		if !browser.AnswersDialogs(ctx) {
			s.answerAllByDefault()
		} else if s.dialogs.oldest() != nil {
			return s.interrupt(work, limit, goesOn)
		}
	}
}

// interrupt leaves an action whose page asks something. It ends unless it goes on once
// that is answered.
func (s *Set) interrupt(work *action, limit time.Duration, goesOn bool) error {
	if goesOn {
		work.detach(limit)
		s.dialogs.interrupt(work)
		return errDialogOpened
	}
	work.cancel(errDialogOpen)
	<-work.done
	return errDialogOpen
}

func (s *Set) actOnTab(ctx context.Context, action func(ctx context.Context, t *tab) error) error {
	t, err := s.agentTab(ctx)
	if err != nil {
		return err
	}
	t.beginAction()
	defer t.endAction()
	t.updateFields(ctx)
	err = action(ctx, t)
	if isUntold(err) && context.Cause(ctx) == errActionTime {
		t.stopLoading(ctx) // the browser passes nothing on to a page while another is awaited
		t.endHangingScript(context.WithoutCancel(ctx))
		t.addNote("%s: what kept this page busy, a script or another page that never loads, was ended", codeNotAnswering)
		return browser.GatewayTimeout(codeNotAnswering, "the page did not answer in time",
			"what kept it busy, a script or another page that never loads, was ended: observe the page again, or navigate "+
				"to another")
	}
	return t.explainEnd(ctx, err)
}

// explainEnd returns the error of an action that ended with err: that of a tab that has
// ended meanwhile says so. What Chromium answers then for a page that has crashed is of many
// kinds, and comes before it tells of the crash.
func (t *tab) explainEnd(ctx context.Context, err error) error {
	if t.set.ctx.Err() != nil {
		return err
	}
	if _, answered := errors.AsType[*cdproto.Error](err); answered || hasCode(err, codeNavigation) {
		_, _ = t.info(ctx) // once this is answered it has told
	}
	switch {
	case t.hasCrashed() && (isUntold(err) || hasCode(err, codeNavigation)):
		return browser.Conflict("page.crashed", "the page has crashed, and its tab was closed",
			"open it once more; where it crashes again it may want more memory than there is")
	case errors.Is(err, protocol.ErrGone) && t.isGone():
		return browser.Conflict("page.closed", "the page has closed itself", "observe: another tab is in front")
	}
	return err
}

// isUntold reports whether err is a failure that is no refusal.
func isUntold(err error) bool {
	_, told := errors.AsType[*bctrl.Error](err)
	return err != nil && !told
}

// codeNotAnswering is the code of a page that keeps an action from ending.
const codeNotAnswering = "page.not_answering"

// errActionTime is the cause of an action that has run into its limit, beside what ended
// its caller.
var errActionTime = fmt.Errorf("the action took too long: %w", context.DeadlineExceeded)

// action is something that is done to a page, perhaps beside its caller.
type action struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	// leaveCaller and limit end it with its caller, and after a time.
	leaveCaller func() bool
	limit       *time.Timer

	done chan struct{}
	err  error // valid once done is closed
}

// newAction makes an action that ends with ctx, with the set, and after a time.
func (s *Set) newAction(ctx context.Context, limit time.Duration) *action {
	a := &action{done: make(chan struct{})}
	a.ctx, a.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	a.leaveCaller = context.AfterFunc(ctx, func() { a.cancel(context.Cause(ctx)) })
	a.limit = time.AfterFunc(limit, func() { a.cancel(errActionTime) })
	leaveSet := context.AfterFunc(s.ctx, func() { a.cancel(context.Canceled) })
	context.AfterFunc(a.ctx, func() { leaveSet() })
	return a
}

// finish ends an action with its error.
func (a *action) finish(err error) {
	a.err = err
	a.leaveCaller()
	a.limit.Stop()
	a.cancel(context.Canceled)
	close(a.done)
}

// detach has an action go on without its caller, for as long as a dialog may wait and its
// own time.
func (a *action) detach(limit time.Duration) {
	a.leaveCaller()
	a.limit.Reset(browser.DialogTimeout + limit)
}

// cleanError returns the error of an action as its caller is told it.
func (s *Set) cleanError(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if refused, ok := errors.AsType[*bctrl.Error](err); ok {
		clean := *refused
		clean.Message = s.scrub.Text(clean.Message)
		return &clean
	}
	if why := context.Cause(ctx); why != nil {
		err = why
	}
	select {
	case <-s.conn.Done():
		err = browser.ErrGone
	default:
	}
	return &pageError{text: s.scrub.Text(err.Error()), cause: err}
}

// pageError is an error whose text was cleaned of filled values. [errors.Is] finds
// its causes; their texts are not clean, so nothing else does.
type pageError struct {
	text  string
	cause error
}

func (e *pageError) Error() string { return "browser: " + e.text }

// Is reports whether the cause is target.
func (e *pageError) Is(target error) bool { return errors.Is(e.cause, target) }

// onElement runs an action on an element of the newest tab.
func (s *Set) onElement(ctx context.Context, ref browser.Ref,
	action func(ctx context.Context, t *tab, n *node, tree *frameTree) error) error {
	return s.onTab(ctx, func(ctx context.Context, t *tab) error {
		n, tree, err := t.findElement(ctx, ref)
		if err != nil {
			return err
		}
		defer n.release()
		err = action(ctx, t, n, tree)
		if errors.Is(err, errScript) || errors.Is(err, protocol.ErrGone) && !t.isGone() {
			return errElementGone(ref) // the page, or the frame, was left meanwhile
		}
		return err
	})
}

func errElementGone(ref browser.Ref) error {
	return browser.Conflict("page.element_gone", "the element "+clip(string(ref), 20)+" is gone", "observe the page again")
}

// findElement returns the element that a reference names, and the frames of its tab.
func (t *tab) findElement(ctx context.Context, ref browser.Ref) (*node, *frameTree, error) {
	gone := func() error { return errElementGone(ref) }
	entry, ok, given := t.set.refs.lookUp(ref)
	switch {
	case !ok && !given:
		return nil, nil, browser.BadRequest("page.unknown_ref", "there is no element of that name",
			"use a name from the last observation, such as e12")
	case !ok:
		return nil, nil, gone()
	case entry.tab != t:
		select {
		case <-entry.tab.session.gone:
			return nil, nil, gone()
		default:
		}
		return nil, nil, browser.Conflict("page.element_gone", "the element is on another tab than the one in front",
			"observe the page again")
	}
	tree, err := t.frameTree(ctx)
	if err != nil {
		return nil, nil, err
	}
	if !tree.has(entry.key.Document) {
		return nil, nil, gone()
	}
	f := tree.byID[entry.key.Frame]
	n, err := t.node(ctx, f, entry.key.Backend)
	if err != nil {
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		return nil, nil, gone()
	}
	n.ref = ref
	if err := n.stillThere(ctx); err != nil {
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		return nil, nil, gone()
	}
	return n, tree, nil
}

// quoteLabel quotes a label of a page for an error: short, on one line, without filled
// values.
func (s *Set) quoteLabel(text string) string {
	return quote(strings.TrimSpace(s.scrub.Text(fill.OneLine(text))), 60)
}

// hasCode reports whether an error is a refusal with one of the codes.
func hasCode(err error, codes ...string) bool {
	refused, ok := errors.AsType[*bctrl.Error](err)
	return ok && slices.Contains(codes, refused.Code)
}
