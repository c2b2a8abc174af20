package page

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/chromedp/cdproto/input"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

const (
	// dragSteps is how many movements lead from one place to the other: pages follow
	// each of them.
	dragSteps = 12
	// dragStart is how far the mouse moves before most pages take it for a drag, in
	// CSS pixels.
	dragStart = 6.0
	// maxPastMiddle is how far past the middle of its target a drag ends, in CSS pixels.
	maxPastMiddle = 4.0
	// dragTimeout is how long the browser may take to tell what is dragged.
	dragTimeout = 2 * time.Second
)

// jsWatchDrag watches for a drag of the browser's own, as of an element with the attribute
// draggable, which begins on the point of the next press of the mouse. The page keeps the
// drags that it makes itself, by following the mouse.
const jsWatchDrag = `function () {
	const seen = {};
	const begun = e => {
		seen.event = e;
		const from = e.composedPath()[0];
		const el = from instanceof Element ? from : from && from.parentElement;
		// Only what the page lets be dragged by itself; all else that begins a drag is a selected text.
		seen.text = !el || !(el.draggable || Element.prototype.closest.call(el, '[draggable=true],a[href],img'));
	};
	window.addEventListener('dragstart', begun, true);
	globalThis.bctrlDrag = {
		begun: () => ({begun: Boolean(seen.event) && !seen.event.defaultPrevented, text: Boolean(seen.text)}),
		end: () => window.removeEventListener('dragstart', begun, true),
	};
}`

const (
	jsDragBegun = `function () { return globalThis.bctrlDrag ? bctrlDrag.begun() : {begun: false, text: false}; }`
	jsDragEnd   = `function () { if (globalThis.bctrlDrag) globalThis.bctrlDrag.end(); delete globalThis.bctrlDrag; }`
)

// dragBegun is what [jsWatchDrag] has seen.
type dragBegun struct {
	Begun bool `json:"begun"`
	Text  bool `json:"text"` // a selected text is dragged
}

// Drag drags one element onto another. See [browser.Page].
func (s *Set) Drag(ctx context.Context, from, to browser.Ref) error {
	return s.onElement(ctx, from, func(ctx context.Context, t *tab, source *node, tree *frameTree) error {
		target, targetTree, err := t.findElement(ctx, to)
		if err != nil {
			return err
		}
		defer target.release()
		// The target first: where both fit into the view, both are in it then.
		if _, err := t.reach(ctx, targetTree, target); err != nil {
			return err
		}
		begin, err := t.reach(ctx, tree, source)
		if err != nil {
			return err
		}
		return t.drag(ctx, tree, begin, nil, func(ctx context.Context) (point, error) {
			in, err := t.seenOf(ctx, targetTree, target)
			return pastMiddle(begin, in), err
		})
	})
}

// DragAt drags along points. See [browser.Page].
func (s *Set) DragAt(ctx context.Context, path ...browser.Point) error {
	if len(path) < 2 {
		return browser.BadRequest("page.no_way", "a drag needs a place to begin and one to end", "")
	}
	return s.onTab(ctx, func(ctx context.Context, t *tab) error {
		if err := t.insideViewport(ctx, path...); err != nil {
			return err
		}
		tree, err := t.frameTree(ctx)
		if err != nil {
			return err
		}
		points := make([]point, len(path))
		for i, at := range path {
			points[i] = point{at.X, at.Y}
		}
		last := len(points) - 1
		return t.drag(ctx, tree, points[0], points[1:], func(context.Context) (point, error) {
			return points[last], nil
		})
	})
}

// pastMiddle is where something is dropped that comes from a place: a little farther than
// the middle, since entries of lists change places when the mouse has passed it.
func pastMiddle(from point, in box) point {
	at := point{in.left + in.width()/2, in.top + in.height()/2}
	farther := func(from, at, size float64) float64 {
		if math.Abs(at-from) < 1 {
			return at
		}
		return at + math.Copysign(min(maxPastMiddle, size/8), at-from)
	}
	return point{farther(from.x, at.x, in.width()), farther(from.y, at.y, in.height())}
}

// seenOf returns what is seen of a node in the viewport, whatever may lie over it, such as
// that which is being dragged.
func (t *tab) seenOf(ctx context.Context, tree *frameTree, n *node) (box, error) {
	b, err := n.waitUntilStill(ctx)
	if err != nil {
		return box{}, err
	}
	if b == nil {
		return box{}, browser.Conflict(codeNotDrawn, "the element "+string(n.ref)+" is not drawn", "")
	}
	x, y, err := t.frameOffset(ctx, tree, n.frame)
	if err != nil {
		return box{}, fmt.Errorf("locating the frame: %w", err)
	}
	view, err := t.viewport(ctx)
	if err != nil {
		return box{}, err
	}
	in := b.shifted(x, y)
	in = box{max(in.left, 0), max(in.top, 0), min(in.right, view.right), min(in.bottom, view.bottom)}
	if in.width() < 1 || in.height() < 1 {
		return box{}, browser.Conflict(codeNotInView, "the element "+string(n.ref)+" cannot be scrolled into view", "")
	}
	return in, nil
}

// drag presses the left button at one place and releases it at another, which is looked
// up when the drag has begun; on the way it passes the places that are known before. What
// the browser itself drags is given to the page as events of a drag, anything else moves
// with the mouse.
func (t *tab) drag(ctx context.Context, tree *frameTree, from point, known []point,
	to func(context.Context) (point, error)) error {
	intercepted, stop, err := t.interceptDrags(ctx, tree)
	if err != nil {
		return err
	}
	defer stop()
	watched := t.watchDrags(ctx, tree)
	defer watched.end()
	if err := t.moveMouse(ctx, from, 0, 0); err != nil {
		return err
	}
	t.set.guards.ExpectSubmit(t.session.ID)
	if err := t.button(ctx, input.DispatchMouseEventTypeMousePressed, from); err != nil {
		return err
	}
	released := false
	release := func(ctx context.Context, at point) error {
		released = true
		return t.button(ctx, input.DispatchMouseEventTypeMouseReleased, at)
	}
	defer func() {
		if !released { // no button stays pressed
			ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), frameTimeout)
			defer cancel()
			_ = release(ending, from)
		}
	}()
	for _, at := range firstSteps(from, known) {
		if err := t.moveMouse(ctx, at, 1, 0); err != nil {
			return err
		}
	}
	what := t.draggedItems(ctx, watched, intercepted)
	if what != nil {
		released = true // the browser takes the button for its own drag
		return t.dragItems(ctx, *what, from, to)
	}
	end, err := to(ctx)
	if err != nil {
		return err
	}
	for _, at := range wayOf(from, known, end) {
		if err := t.moveMouse(ctx, at, 1, 0); err != nil {
			return err
		}
		// An element may begin to be draggable when it is held.
		if what := t.draggedItems(ctx, watched, intercepted); what != nil {
			released = true
			return t.dragItems(ctx, *what, at, to)
		}
	}
	if err := t.moveMouse(ctx, end, 1, 0); err != nil { // some pages only look where it stays
		return err
	}
	return release(ctx, end)
}

// firstSteps are how a drag begins: toward the first place that is known, so that what
// is drawn has no stroke beside it, else anywhere.
func firstSteps(from point, known []point) []point {
	x, y := dragStart, dragStart
	if len(known) > 0 {
		x, y = known[0].x-from.x, known[0].y-from.y
		if far := math.Hypot(x, y); far > dragStart {
			x, y = x*dragStart/far, y*dragStart/far
		}
	}
	return []point{{from.x + x/2, from.y + y/2}, {from.x + x, from.y + y}}
}

// wayOf are the movements from one place past others to the last. One straight line has
// always the same number of them; of a longer way every part has as many as it is long.
func wayOf(from point, known []point, end point) (way []point) {
	if len(known) < 2 {
		known = []point{end}
	}
	for _, to := range known {
		steps := dragSteps
		if len(known) > 1 {
			steps = max(1, min(dragSteps, int(math.Hypot(to.x-from.x, to.y-from.y)/dragStart)))
		}
		for i := 1; i <= steps; i++ {
			way = append(way, between(from, to, float64(i)/float64(steps)))
		}
		from = to
	}
	return way
}

// button presses or releases the left button.
func (t *tab) button(ctx context.Context, kind input.DispatchMouseEventType, at point) error {
	params := input.DispatchMouseEventParams{
		Type:       kind,
		X:          at.x,
		Y:          at.y,
		Button:     input.MouseButtonLeft,
		ClickCount: 1,
	}
	if kind == input.DispatchMouseEventTypeMousePressed {
		params.Buttons = 1
	}
	err := protocol.Tell(ctx, t.session, input.DispatchMouseEvent, params)
	if errors.Is(err, protocol.ErrGone) && kind == input.DispatchMouseEventTypeMouseReleased {
		return nil // the drag closed the tab
	}
	if err != nil {
		return fmt.Errorf("dragging: %w", err)
	}
	return nil
}

// interceptDrags has the browser tell of the drags of its own that begin, instead of
// making them with a window that a headless browser does not have.
func (t *tab) interceptDrags(ctx context.Context, tree *frameTree) (<-chan *input.DragData, func(), error) {
	begun := make(chan *input.DragData, 1)
	t.mu.Lock()
	t.drags = begun
	t.mu.Unlock()
	sessions := map[*session]bool{t.session: true}
	for _, f := range tree.order {
		sessions[f.session] = true
	}
	tell := func(ctx context.Context, on bool) error {
		for s := range sessions {
			err := protocol.Tell(ctx, s, input.SetInterceptDrags, input.SetInterceptDragsParams{Enabled: on})
			if err != nil && s == t.session {
				return fmt.Errorf("preparing a drag: %w", err)
			}
		}
		return nil
	}
	stop := func() {
		t.mu.Lock()
		t.drags = nil
		t.mu.Unlock()
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), frameTimeout)
		defer cancel()
		_ = tell(ending, false)
	}
	if err := tell(ctx, true); err != nil {
		stop()
		return nil, nil, err
	}
	return begun, stop, nil
}

// noteDrag takes note of a drag of the browser's own.
func (t *tab) noteDrag(what *input.DragData) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.drags == nil && t.hand.works {
		t.hand.dragged = what
	}
	if t.drags == nil || what == nil {
		return
	}
	select {
	case t.drags <- what:
	default: // there is one already
	}
}

// dragWatch watches the documents of a tab for drags that begin in them.
type dragWatch struct {
	begun func(ctx context.Context) dragBegun
	end   func()
}

func (t *tab) watchDrags(ctx context.Context, tree *frameTree) dragWatch {
	type watched struct {
		call func(ctx context.Context, result any, fn string) error
	}
	var all []watched
	for _, f := range tree.order[:min(len(tree.order), maxFrames)] {
		w, err := isolatedWorld(ctx, f)
		if err != nil {
			continue
		}
		call := func(ctx context.Context, result any, fn string) error { return evaluate(ctx, f, w, result, fn) }
		if call(ctx, nil, jsWatchDrag) == nil {
			all = append(all, watched{call})
		}
	}
	return dragWatch{
		begun: func(ctx context.Context) dragBegun {
			for _, w := range all {
				var b dragBegun
				if w.call(ctx, &b, jsDragBegun) == nil && b.Begun {
					return b
				}
			}
			return dragBegun{}
		},
		end: func() {
			ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), frameTimeout)
			defer cancel()
			for _, w := range all {
				_ = w.call(ending, nil, jsDragEnd) // a document that is gone watches nothing
			}
		},
	}
}

// draggedItems is what the browser drags.
type draggedItems struct {
	data     *input.DragData
	selected bool // it is a selected text
}

// draggedItems returns what the browser drags; nil when it drags nothing.
func (t *tab) draggedItems(ctx context.Context, watched dragWatch, intercepted <-chan *input.DragData) *draggedItems {
	begun := watched.begun(ctx)
	if !begun.Begun {
		return nil
	}
	limit, cancel := context.WithTimeout(ctx, dragTimeout)
	defer cancel()
	select {
	case data := <-intercepted:
		return &draggedItems{data, begun.Text}
	case <-limit.Done():
		return nil // nothing there that can be dragged
	}
}

// refuseDrag refuses to carry a filled value to another place: a selected text, of which
// a piece would not be recognised, and anything that holds one.
func (s *Set) refuseDrag(what draggedItems) error {
	refused := browser.Forbidden("page.drag_refused",
		"no text is dragged in a browser where a login was filled", "type the text instead")
	if what.selected && s.secretFilled.Load() {
		return refused
	}
	for _, item := range what.data.Items {
		if s.guards.HoldsPlaceholder(item.Data) || s.scrub.Text(item.Data) != item.Data {
			return refused
		}
	}
	return nil
}

// dragItems gives the page the events of a drag of the browser's own, from where the
// mouse is to a place that is looked up. One that cannot be made is cancelled.
func (t *tab) dragItems(ctx context.Context, what draggedItems, at point,
	to func(context.Context) (point, error)) error {
	send := func(ctx context.Context, kind input.DispatchDragEventType, at point) error {
		err := protocol.Tell(ctx, t.session, input.DispatchDragEvent, input.DispatchDragEventParams{
			Type: kind,
			X:    at.x,
			Y:    at.y,
			Data: what.data,
		})
		if errors.Is(err, protocol.ErrGone) && kind == input.DispatchDragEventTypeDrop {
			return nil
		}
		if err != nil {
			return fmt.Errorf("dragging: %w", err)
		}
		return nil
	}
	err := t.set.refuseDrag(what)
	var end point
	if err == nil {
		end, err = to(ctx)
	}
	if err == nil {
		err = send(ctx, input.DispatchDragEventTypeDragEnter, at)
	}
	for i := 1; i <= dragSteps && err == nil; i++ {
		err = send(ctx, input.DispatchDragEventTypeDragOver, between(at, end, float64(i)/dragSteps))
	}
	if err == nil { // some pages only look where it stays
		err = send(ctx, input.DispatchDragEventTypeDragOver, end)
	}
	if err == nil {
		return send(ctx, input.DispatchDragEventTypeDrop, end)
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), frameTimeout)
	defer cancel()
	_ = send(ending, input.DispatchDragEventTypeDragCancel, at)
	_ = t.button(ending, input.DispatchMouseEventTypeMouseReleased, at)
	return err
}

// between returns the place at a share of the way.
func between(from, to point, share float64) point {
	return point{from.x + share*(to.x-from.x), from.y + share*(to.y-from.y)}
}
