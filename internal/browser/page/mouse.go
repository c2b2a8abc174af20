package page

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/chromedp/cdproto/input"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

// gesture is a [browser.Click] in the words of the protocol.
type gesture struct {
	button   input.MouseButton
	buttons  int64 // that are held while it is pressed
	count    int64
	held     int64 // keys, as bits
	heldKeys []key
}

// leftClick is one click of the left button.
func leftClick() gesture { return gesture{button: input.MouseButtonLeft, buttons: 1, count: 1} }

// gestureOf reads a click. What no mouse does is refused.
func gestureOf(how browser.Click) (gesture, error) {
	g := leftClick()
	switch how.Button {
	case "", browser.LeftButton:
	case browser.RightButton:
		g.button, g.buttons = input.MouseButtonRight, 2
	case browser.MiddleButton:
		g.button, g.buttons = input.MouseButtonMiddle, 4
	default:
		return g, browser.BadRequest("page.unknown_button", "there is no such button of the mouse",
			"buttons are left, right and middle")
	}
	if how.Count < 0 || how.Count > 3 {
		return g, browser.BadRequest("page.unknown_click", "a click is made 1 to 3 times", "")
	}
	g.count = int64(max(1, how.Count))
	for _, name := range how.Modifiers {
		bit, ok := modifiers[strings.ToLower(name)]
		if !ok {
			return g, browser.BadRequest("page.unknown_key", "there is no such key to hold during a click",
				"keys to hold are Control, Shift, Alt and Meta")
		}
		if g.held&bit == 0 {
			g.held |= bit
			g.heldKeys = append(g.heldKeys, modifierKey(bit))
		}
	}
	return g, nil
}

// refuseClick refuses a gesture that could move a filled value: on some systems the
// middle button pastes what is selected anywhere.
func (s *Set) refuseClick(g gesture) error {
	if g.button == input.MouseButtonMiddle && s.secretFilled.Load() {
		return browser.Forbidden("page.click_refused",
			"the middle button may paste, and nothing is pasted in a browser where a login was filled",
			"use the left button")
	}
	return nil
}

// clickAt makes a gesture at a point.
func (t *tab) clickAt(ctx context.Context, at point, g gesture) error {
	if err := t.moveMouse(ctx, at, 0, g.held); err != nil {
		return err
	}
	release, err := t.hold(ctx, g.heldKeys)
	if err != nil {
		return err
	}
	defer release()
	for i := range g.count {
		for _, kind := range []input.DispatchMouseEventType{
			input.DispatchMouseEventTypeMousePressed, input.DispatchMouseEventTypeMouseReleased,
		} {
			params := input.DispatchMouseEventParams{
				Type:       kind,
				X:          at.x,
				Y:          at.y,
				Button:     g.button,
				ClickCount: i + 1,
				Modifiers:  g.held,
			}
			if kind == input.DispatchMouseEventTypeMousePressed {
				params.Buttons = g.buttons
			}
			err := protocol.Tell(ctx, t.session, input.DispatchMouseEvent, params)
			if errors.Is(err, protocol.ErrGone) {
				return nil // the click closed the tab
			}
			if err != nil {
				return fmt.Errorf("clicking: %w", err)
			}
		}
	}
	return nil
}

// moveMouse moves the mouse to a point while buttons and keys are held.
func (t *tab) moveMouse(ctx context.Context, at point, buttons, held int64) error {
	params := input.DispatchMouseEventParams{
		Type:      input.DispatchMouseEventTypeMouseMoved,
		X:         at.x,
		Y:         at.y,
		Buttons:   buttons,
		Modifiers: held,
	}
	if buttons == 1 {
		params.Button = input.MouseButtonLeft
	}
	if err := protocol.Tell(ctx, t.session, input.DispatchMouseEvent, params); err != nil {
		return fmt.Errorf("moving the mouse: %w", err)
	}
	return nil
}

// Hover moves the mouse over an element. See [browser.Page].
func (s *Set) Hover(ctx context.Context, ref browser.Ref) error {
	return s.onElement(ctx, ref, func(ctx context.Context, t *tab, n *node, tree *frameTree) error {
		at, err := t.reach(ctx, tree, n)
		if err != nil {
			return err
		}
		return t.hoverAt(ctx, at)
	})
}

// hoverAt comes to a point from beside it: a page that looks where the mouse moves sees
// it arrive even if it was there already.
func (t *tab) hoverAt(ctx context.Context, at point) error {
	for _, step := range []float64{2, 0} {
		if err := t.moveMouse(ctx, point{max(0, at.x-step), at.y}, 0, 0); err != nil {
			return err
		}
	}
	return nil
}

// ClickAt clicks what is at a point. See [browser.Page].
func (s *Set) ClickAt(ctx context.Context, at browser.Point, how browser.Click) error {
	g, err := gestureOf(how)
	if err != nil {
		return err
	}
	return s.onTab(ctx, func(ctx context.Context, t *tab) error {
		if err := t.insideViewport(ctx, at); err != nil {
			return err
		}
		if err := s.refuseClick(g); err != nil {
			return err
		}
		s.guards.ExpectSubmit(t.session.ID)
		return t.clickAt(ctx, point{at.X, at.Y}, g)
	})
}

// HoverAt moves the mouse to a point. See [browser.Page].
func (s *Set) HoverAt(ctx context.Context, at browser.Point) error {
	return s.onTab(ctx, func(ctx context.Context, t *tab) error {
		if err := t.insideViewport(ctx, at); err != nil {
			return err
		}
		return t.hoverAt(ctx, point{at.X, at.Y})
	})
}

// insideViewport refuses points that are not in the viewport.
func (t *tab) insideViewport(ctx context.Context, points ...browser.Point) error {
	view, err := t.viewport(ctx)
	if err != nil {
		return err
	}
	for _, at := range points {
		// Written so that what is no number is refused too.
		if inside := at.X >= 0 && at.Y >= 0 && at.X < view.width() && at.Y < view.height(); !inside {
			return browser.BadRequest("page.outside_viewport",
				fmt.Sprintf("the point is not in the viewport, which is %.0f by %.0f", view.width(), view.height()),
				"give x and y in pixels from the top left corner of the newest picture, or scroll first")
		}
	}
	return nil
}

// isPlain reports whether a script's click does the same.
func (g gesture) isPlain() bool {
	return g.button == input.MouseButtonLeft && g.count == 1 && g.held == 0
}
