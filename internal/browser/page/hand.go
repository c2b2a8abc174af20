package page

import (
	"context"
	"strings"
	"unicode/utf8"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/page"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

// Do implements [browser.Screen]. It sends what the person does and waits for nothing:
// a page that hangs, or asks something, must not hold the person's hand.
func (c screen) Do(ctx context.Context, id browser.TabID, g browser.Gesture) error {
	switch g.Kind {
	case browser.Accept, browser.Dismiss:
		return c.answer(ctx, id, g)
	}
	t, err := c.s.anyTab(id)
	if err != nil {
		return err
	}
	if err := c.s.refuseGesture(g); err != nil {
		return err
	}
	t.takeHand(ctx)
	switch g.Kind {
	case browser.MouseMove, browser.MouseDown, browser.MouseUp, browser.Wheel:
		err = t.doMouse(ctx, g)
	case browser.KeyDown, browser.KeyUp:
		err = t.doKey(ctx, g)
	case browser.InsertText:
		err = t.post(ctx, input.InsertText.Method, input.InsertTextParams{Text: g.Text})
	case browser.Compose:
		end := int64(utf8.RuneCountInString(g.Text))
		err = t.post(ctx, input.ImeSetComposition.Method,
			input.ImeSetCompositionParams{Text: g.Text, SelectionStart: end, SelectionEnd: end})
	case browser.TouchStart, browser.TouchMove, browser.TouchEnd, browser.TouchCancel:
		err = t.doTouch(ctx, g)
	case browser.Back, browser.Forward:
		err = t.doHistory(ctx, g.Kind)
	case browser.Reload:
		err = t.post(ctx, page.Reload.Method, page.ReloadParams{})
	default:
		return browser.BadRequest("page.unknown_gesture", "there is no such gesture", "")
	}
	return c.s.cleanError(ctx, err)
}

// answer answers the dialog that waits, where it is of the tab.
func (c screen) answer(ctx context.Context, id browser.TabID, g browser.Gesture) error {
	ctx = browser.WithDialogs(ctx)
	err := c.s.answerDialog(ctx, g.Kind == browser.Accept, g.Text, func(t *tab) bool { return t.id == id })
	if hasCode(err, browser.CodeDialogOpened, "page.no_dialog") {
		return nil // the person sees what there is to answer
	}
	return err
}

// refuseGesture refuses what an agent may not do either: what could carry a piece of a
// value to where it is not recognised.
func (s *Set) refuseGesture(g browser.Gesture) error {
	if len(g.Text) > browser.MaxGestureText {
		return browser.TooLarge("page.text_too_long", "the text is too long", "paste it in parts")
	}
	if err := s.refusePlaceholder(g.Text); err != nil {
		return err
	}
	if !s.secretFilled.Load() {
		return nil
	}
	switch g.Kind {
	case browser.KeyDown:
		if mayMoveText(key{name: g.Key}, modifierBits(g.Modifiers)) {
			return browser.Forbidden("page.key_refused",
				"nothing is copied, cut or undone in a browser where a login was filled", "type the text instead")
		}
	case browser.MouseDown:
		if g.Button == browser.MiddleButton {
			return s.refuseClick(gesture{button: input.MouseButtonMiddle})
		}
	}
	return nil
}

// takeHand has the browser tell of drags of its own, once for a tab: it would make them
// with a window that it does not have.
func (t *tab) takeHand(ctx context.Context) {
	t.mu.Lock()
	works := t.hand.works
	t.hand.works = true
	t.mu.Unlock()
	if !works {
		_ = t.post(ctx, input.SetInterceptDrags.Method, input.SetInterceptDragsParams{Enabled: true})
	}
}

// letGo ends what [tab.takeHand] has begun.
func (t *tab) letGo() {
	t.mu.Lock()
	works := t.hand.works
	t.hand = hand{}
	t.mu.Unlock()
	if works {
		t.set.spawn(func(ctx context.Context) {
			_ = t.post(ctx, input.SetInterceptDrags.Method, input.SetInterceptDragsParams{Enabled: false})
		})
	}
}

// post sends a command without waiting for its answer.
func (t *tab) post(ctx context.Context, method string, params any) error {
	_, err := t.session.Post(ctx, method, params)
	return err
}

// placeOf is where a share of the viewport is, in CSS pixels.
func (t *tab) placeOf(ctx context.Context, at browser.Point) (point, error) {
	t.mu.Lock()
	var width, height int
	if t.cast != nil {
		width, height = int(t.cast.viewWidth.Load()), int(t.cast.viewHeight.Load())
	}
	t.mu.Unlock()
	// Written so that what is no number is refused too.
	if inside := at.X >= 0 && at.Y >= 0 && at.X <= 1 && at.Y <= 1; !inside {
		return point{}, browser.BadRequest("page.outside_viewport", "the place is not in the viewport",
			"places are shares of it, 0 to 1")
	}
	if width == 0 || height == 0 {
		view, err := t.viewport(ctx)
		if err != nil {
			return point{}, err
		}
		width, height = int(view.width()), int(view.height())
	}
	return point{min(at.X*float64(width), float64(width-1)), min(at.Y*float64(height), float64(height-1))}, nil
}

// mouseButtons are the buttons of the protocol by their names.
var mouseButtons = map[browser.Button]input.MouseButton{
	browser.LeftButton:   input.MouseButtonLeft,
	browser.RightButton:  input.MouseButtonRight,
	browser.MiddleButton: input.MouseButtonMiddle,
}

func (t *tab) doMouse(ctx context.Context, g browser.Gesture) error {
	at, err := t.placeOf(ctx, g.At)
	if err != nil {
		return err
	}
	params := input.DispatchMouseEventParams{
		X:         at.x,
		Y:         at.y,
		Modifiers: modifierBits(g.Modifiers),
		Buttons:   int64(g.Buttons & 7),
	}
	switch g.Kind {
	case browser.MouseMove:
		params.Type = input.DispatchMouseEventTypeMouseMoved
		if g.Buttons&1 != 0 {
			params.Button = input.MouseButtonLeft
		}
	case browser.Wheel:
		params.Type = input.DispatchMouseEventTypeMouseWheel
	case browser.MouseDown:
		t.set.guards.ExpectSubmit(t.session.ID)
		params.Type, params.ClickCount = input.DispatchMouseEventTypeMousePressed, int64(min(max(g.Count, 1), 3))
		params.Button = mouseButtons[g.Button]
	default:
		params.Type, params.ClickCount = input.DispatchMouseEventTypeMouseReleased, int64(min(max(g.Count, 1), 3))
		params.Button = mouseButtons[g.Button]
	}
	if t.passDrag(ctx, g, at) {
		return nil
	}
	if g.Kind == browser.Wheel {
		return t.post(ctx, input.DispatchMouseEvent.Method, wheelEvent{params, g.DeltaX, g.DeltaY})
	}
	return t.post(ctx, input.DispatchMouseEvent.Method, params)
}

// wheelEvent has both ways of a wheel, which the browser asks for. The generated type leaves
// out one that is zero.
type wheelEvent struct {
	input.DispatchMouseEventParams
	DeltaX float64 `json:"deltaX"`
	DeltaY float64 `json:"deltaY"`
}

func modifierBits(names []string) (bits int64) {
	for _, name := range names {
		bits |= modifiers[strings.ToLower(name)]
	}
	return bits
}

func (t *tab) doKey(ctx context.Context, g browser.Gesture) error {
	k, known := namedKeys[strings.ToLower(g.Key)]
	switch {
	case known:
	case modifiers[strings.ToLower(g.Key)] != 0:
		k = modifierKey(modifiers[strings.ToLower(g.Key)])
	case utf8.RuneCountInString(g.Key) == 1:
		k, _ = characterKey(g.Key)
		k.name, k.text = g.Key, g.Text
	default:
		return nil // a key of the person's machine, such as one of its volume
	}
	if g.Code != "" {
		k.code = g.Code
	}
	if k.name == "Enter" || k.name == " " {
		t.set.guards.ExpectSubmit(t.session.ID)
	}
	down, up := keyEvents(k, modifierBits(g.Modifiers))
	if g.Kind == browser.KeyUp {
		return t.post(ctx, input.DispatchKeyEvent.Method, up)
	}
	down.AutoRepeat = &g.Repeat
	return t.post(ctx, input.DispatchKeyEvent.Method, down)
}

func (t *tab) doTouch(ctx context.Context, g browser.Gesture) error {
	kinds := map[browser.GestureKind]input.DispatchTouchEventType{
		browser.TouchStart:  input.DispatchTouchEventTypeTouchStart,
		browser.TouchMove:   input.DispatchTouchEventTypeTouchMove,
		browser.TouchEnd:    input.DispatchTouchEventTypeTouchEnd,
		browser.TouchCancel: input.DispatchTouchEventTypeTouchCancel,
	}
	if g.Kind == browser.TouchEnd {
		t.set.guards.ExpectSubmit(t.session.ID)
	}
	params := input.DispatchTouchEventParams{
		Type:        kinds[g.Kind],
		TouchPoints: []*input.TouchPoint{},
		Modifiers:   modifierBits(g.Modifiers),
	}
	for _, p := range g.Points[:min(len(g.Points), maxFingers)] {
		at, err := t.placeOf(ctx, p.At)
		if err != nil {
			return err
		}
		id := float64(p.ID)
		params.TouchPoints = append(params.TouchPoints, &input.TouchPoint{X: at.x, Y: at.y, ID: &id})
	}
	return t.post(ctx, input.DispatchTouchEvent.Method, params)
}

// maxFingers bounds the fingers of one touch, as touch screens do.
const maxFingers = 10

func (t *tab) doHistory(ctx context.Context, way browser.GestureKind) error {
	ctx, cancel := context.WithTimeout(ctx, frameTimeout)
	defer cancel()
	got, err := protocol.Call(ctx, t.session, page.GetNavigationHistory, cdp.Empty{})
	if err != nil {
		return err
	}
	to := int(got.CurrentIndex) + 1
	if way == browser.Back {
		to = int(got.CurrentIndex) - 1
	}
	if to < 0 || to >= len(got.Entries) {
		return nil // there is nothing on that side
	}
	return t.post(ctx, page.NavigateToHistoryEntry.Method, page.NavigateToHistoryEntryParams{EntryID: got.Entries[to].ID})
}

// passDrag passes what the person drags on to the page, once the browser has told of a drag
// of its own, and reports whether it did: the mouse is the drag's then. In a browser where
// a login was filled nothing is dragged so: it could be a text out of a field.
func (t *tab) passDrag(ctx context.Context, g browser.Gesture, at point) bool {
	t.mu.Lock()
	what, entered := t.hand.dragged, t.hand.over
	if what == nil || g.Kind == browser.Wheel {
		t.mu.Unlock()
		return false
	}
	refused := t.set.secretFilled.Load()
	t.hand.over = true
	if g.Kind == browser.MouseUp || refused {
		t.hand.dragged, t.hand.over = nil, false
	}
	t.mu.Unlock()
	if refused {
		_ = t.post(ctx, input.CancelDragging.Method, cdp.Empty{})
		return false
	}
	send := func(kind input.DispatchDragEventType) {
		_ = t.post(ctx, input.DispatchDragEvent.Method, input.DispatchDragEventParams{
			Type:      kind,
			X:         at.x,
			Y:         at.y,
			Data:      what,
			Modifiers: modifierBits(g.Modifiers),
		})
	}
	if !entered {
		send(input.DispatchDragEventTypeDragEnter)
	}
	send(input.DispatchDragEventTypeDragOver)
	if g.Kind != browser.MouseUp {
		return true
	}
	send(input.DispatchDragEventTypeDrop) // with which the browser takes the button for let go of
	return true
}
