package page

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/fill"
)

// actionTimeout bounds every action beside its context: a page that hangs must not
// hold an agent for as long as its whole task may take.
const actionTimeout = 30 * time.Second

// onTab runs an action on the agent's newest tab. The errors of all actions pass
// through it, so that none repeats a filled value.
func (s *Set) onTab(ctx context.Context, action func(ctx context.Context, t *tab) error) error {
	ctx, cancel := context.WithTimeout(ctx, actionTimeout)
	defer cancel()
	t, err := s.agentTab(ctx)
	if err == nil {
		t.beginAction()
		defer t.endAction()
		t.updateFields(ctx)
		err = action(ctx, t)
	}
	if err == nil {
		return nil
	}
	if refused, ok := errors.AsType[*bctrl.Error](err); ok {
		clean := *refused
		clean.Message = s.scrub.Text(clean.Message)
		return &clean
	}
	if ctx.Err() != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		err = ctx.Err()
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
		return action(ctx, t, n, tree)
	})
}

// findElement returns the element that a reference names, and the frames of its tab.
func (t *tab) findElement(ctx context.Context, ref browser.Ref) (*node, *frameTree, error) {
	gone := func() error {
		return browser.Conflict("page.element_gone", "the element "+clip(string(ref), 20)+" is gone",
			"observe the page again")
	}
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
	var connected bool
	if err := n.callOn(ctx, &connected, `function () { return this.isConnected; }`); err != nil || !connected {
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
