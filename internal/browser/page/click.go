package page

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/page"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

const (
	// motionTimeout is how long an action waits for an element that moves.
	motionTimeout = time.Second
	// motionStep is the time between two looks at where it is, beside the page's next frame.
	motionStep = 25 * time.Millisecond
)

// jsDrawn resolves once the page was drawn anew after some milliseconds. What a style moves is
// measured where it was when the page was drawn last, which may be long ago: a page that does
// nothing else is not asked to draw. Where it draws nothing, as behind another tab, it resolves
// all the same.
const jsDrawn = `function (after) {
	return new Promise(done => setTimeout(() => { requestAnimationFrame(() => done()); setTimeout(done, 100); }, after));
}`

// point is a place in the viewport of the tab, in CSS pixels.
type point struct{ x, y float64 }

// box is a rectangle in CSS pixels.
type box struct{ left, top, right, bottom float64 }

func (b box) width() float64  { return b.right - b.left }
func (b box) height() float64 { return b.bottom - b.top }

func (b box) shifted(x, y float64) box {
	return box{b.left + x, b.top + y, b.right + x, b.bottom + y}
}

// isBelowTheOrigin reports whether any of the box can be seen without scrolling up or left.
func (b box) isBelowTheOrigin() bool { return b.right >= 1 && b.bottom >= 1 }

// boxesOf returns the boxes around quads, without those smaller than a pixel.
func boxesOf(quads []dom.Quad) []box {
	var out []box
	for _, q := range quads {
		if len(q) != 8 {
			continue
		}
		b := box{
			left:   min(q[0], q[2], q[4], q[6]),
			right:  max(q[0], q[2], q[4], q[6]),
			top:    min(q[1], q[3], q[5], q[7]),
			bottom: max(q[1], q[3], q[5], q[7]),
		}
		if b.width() >= 1 && b.height() >= 1 {
			out = append(out, b)
		}
	}
	return out
}

// frameOffset returns where the viewport of f's process lies in that of the tab: a
// frame in another process measures from its own corner.
func (t *tab) frameOffset(ctx context.Context, tree *frameTree, f *frame) (x, y float64, err error) {
	for range tree.order {
		root := tree.processRoot(f)
		if root == tree.top {
			return x, y, nil
		}
		parent := tree.byID[root.parent]
		if parent == nil {
			return 0, 0, protocol.ErrGone
		}
		owner, err := protocol.Call(ctx, parent.session, dom.GetFrameOwner, dom.GetFrameOwnerParams{FrameID: root.id})
		if err != nil {
			return 0, 0, err
		}
		model, err := protocol.Call(ctx, parent.session, dom.GetBoxModel,
			dom.GetBoxModelParams{BackendNodeID: owner.BackendNodeID})
		if err != nil {
			return 0, 0, err
		}
		if len(model.Model.Content) != 8 {
			return 0, 0, protocol.ErrGone
		}
		zoom, err := parent.zoomInTab(ctx)
		if err != nil {
			return 0, 0, err
		}
		x += zoom * model.Model.Content[0]
		y += zoom * model.Model.Content[1]
		f = parent
	}
	return x, y, nil
}

// boxesOfNode returns the boxes of a node of a frame, in CSS pixels of the tab, in the
// viewport of the frame's process.
func boxesOfNode(ctx context.Context, f *frame, backend cdp.BackendNodeID) ([]box, error) {
	got, err := protocol.Call(ctx, f.session, dom.GetContentQuads, dom.GetContentQuadsParams{BackendNodeID: backend})
	if err != nil || len(got.Quads) == 0 {
		return nil, err
	}
	zoom, err := f.zoomInTab(ctx)
	if err != nil {
		return nil, err
	}
	for _, quad := range got.Quads {
		for i := range quad {
			quad[i] *= zoom
		}
	}
	return boxesOf(got.Quads), nil
}

// waitUntilStill scrolls the node into view, waits until it stays in its place and
// returns its box; nil when the node is not shown.
func (n *node) waitUntilStill(ctx context.Context) (*box, error) {
	s := n.frame.session
	if err := protocol.Tell(ctx, s, dom.ScrollIntoViewIfNeeded,
		dom.ScrollIntoViewIfNeededParams{BackendNodeID: n.backend}); err != nil && ctx.Err() != nil {
		return nil, err
	}
	waiting, cancel := context.WithTimeout(ctx, motionTimeout)
	defer cancel()
	var last *box
	for {
		all, err := boxesOfNode(ctx, n.frame, n.backend)
		if err != nil {
			if err := n.stillThere(ctx); err != nil {
				return nil, err
			}
		}
		var now *box
		if len(all) > 0 {
			now = &all[max(0, slices.IndexFunc(all, box.isBelowTheOrigin))]
		}
		if now != nil && last != nil && *now == *last {
			return now, nil
		}
		last = now
		switch err := n.callOn(waiting, nil, jsDrawn, motionStep.Milliseconds()); {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case waiting.Err() != nil:
			return last, nil
		case err != nil:
			return nil, err
		}
	}
}

// stillThere returns [errScript] where the node is no part of its document any more.
func (n *node) stillThere(ctx context.Context) error {
	var connected bool
	if err := n.callOn(ctx, &connected, jsConnected); err != nil {
		return err
	}
	if !connected {
		return errScript
	}
	return nil
}

// jsState returns what keeps a user from clicking an element ("gone", "disabled",
// "option"), else "button" when a click may send a form, as on anything but a field.
const jsState = `function () {
	const el = this.nodeType === Node.ELEMENT_NODE ? this : this.parentElement;
	if (!el) return 'gone';
	const closest = selector => Element.prototype.closest.call(el, selector);
	if (Element.prototype.matches.call(el, ':disabled') || closest('[aria-disabled=true]') === el) return 'disabled';
	if (el.localName === 'option') return 'option';
	const input = 'input:not([type=submit i],[type=button i],[type=image i])';
	return closest(input + ',select,textarea,label,[role=checkbox],[role=switch]') ? '' : 'button';
}`

// jsCovers compares this, the element to click, with the one that a click would hit.
// It returns "" when the click reaches this, else a description of what is in the
// way.
const jsCovers = `function (hit) {
	const up = n => n.parentNode instanceof ShadowRoot ? n.parentNode.host
		: n instanceof ShadowRoot ? n.host : n.parentNode;
	const within = (a, b) => { for (let n = b; n; n = up(n)) if (n === a) return true; return false; };
	const own = this.nodeType === Node.ELEMENT_NODE ? this : this.parentElement;
	const describe = el => String(el.localName) + ' ' + String(el.textContent).trim().slice(0, 300);
	if (within(own, hit)) {
		if (!(own instanceof HTMLLabelElement)) return '';
		// A link in a label is not the label: "I have read the terms".
		for (let n = hit; n !== own; n = up(n))
			if (n instanceof HTMLElement && n !== own.control && n.matches('a[href],button,input,select,textarea'))
				return describe(n);
		return '';
	}
	for (let n = hit; n; n = up(n)) {
		if (n instanceof HTMLLabelElement && n.control === own) return '';
		if (n instanceof HTMLElement && n.matches('a[href],button,[role=button],summary') && within(n, own)) return '';
	}
	if ((` + jsIsHint + `)(own, hit, up)) return '';
	if (within(hit, own) && getComputedStyle(own).pointerEvents === 'none') return '';
	const el = hit.nodeType === Node.ELEMENT_NODE ? hit : hit.parentElement;
	if (!el) return 'something';
	const box = Element.prototype.closest.call(el, '[role=dialog],[role=alertdialog],dialog') || el;
	return describe(box);
}`

// Click scrolls an element into view and clicks it with the mouse. See [browser.Page].
func (s *Set) Click(ctx context.Context, ref browser.Ref, how browser.Click) error {
	g, err := gestureOf(how)
	if err != nil {
		return err
	}
	return s.onElement(ctx, ref, func(ctx context.Context, t *tab, n *node, tree *frameTree) error {
		if err := s.refuseClick(g); err != nil {
			return err
		}
		var state string
		if err := n.callOn(ctx, &state, jsState); err != nil {
			return err
		}
		switch state {
		case "disabled":
			return browser.Conflict("page.disabled", "the element "+string(n.ref)+" is disabled", "")
		case "option":
			return browser.BadRequest("page.not_clickable", "an option is chosen by selecting it",
				"use select with the list's name")
		}
		if state == "button" {
			s.guards.ExpectSubmit(t.session.ID)
		}
		return t.clickNode(ctx, tree, n, g)
	})
}

// clickNode makes a gesture on a node. One that the mouse does not reach, as the input of
// a styled checkbox, is clicked by its label. One without, which shows itself only when it
// has the focus, gets it. One that is not drawn is clicked by a script.
func (t *tab) clickNode(ctx context.Context, tree *frameTree, n *node, g gesture) error {
	at, err := t.arrive(ctx, tree, n, g)
	if err == nil {
		return t.clickAt(ctx, at, g)
	}
	if !hasCode(err, codeNotDrawn, codeNotInView, codeCovered) {
		return err
	}
	label, errLabel := t.related(ctx, n, jsLabel)
	if errLabel != nil {
		return errLabel
	}
	switch {
	case label != nil:
		defer label.release()
		if at, errLabel = t.reach(ctx, tree, label); errLabel == nil {
			return t.clickAt(ctx, at, g)
		}
		if hasCode(errLabel, codeCovered) {
			return errLabel
		}
	case hasCode(err, codeNotInView):
		if err := n.callOn(ctx, nil, jsFocus); err != nil {
			return err
		}
		if at, errFocus := t.reach(ctx, tree, n); errFocus == nil {
			return t.clickAt(ctx, at, g)
		}
	}
	if hasCode(err, codeNotDrawn) && g.isPlain() {
		return n.callOn(ctx, nil, `function () { HTMLElement.prototype.click.call(this); }`)
	}
	return err
}

// jsLabel returns a label of this that is drawn, or null.
const jsLabel = `function () {
	const drawn = el => {
		const box = Element.prototype.getBoundingClientRect.call(el);
		return box.width >= 1 && box.height >= 1 && Element.prototype.checkVisibility.call(el, {visibilityProperty: true});
	};
	return [...this.labels || []].find(drawn) || null;
}`

const jsFocus = `function () { HTMLElement.prototype.focus.call(this); }`

// The codes of an element that the mouse cannot get at as it is now.
const (
	codeNotDrawn  = "page.not_drawn"
	codeNotInView = "page.not_in_view"
	codeCovered   = "page.covered"
)

// jsScrollIntoView scrolls to this so that it lies at one edge of the view or in the middle.
const jsScrollIntoView = `function (block) {
	const el = this.nodeType === Node.ELEMENT_NODE ? this : this.parentElement;
	if (el) Element.prototype.scrollIntoView.call(el, {block, inline: 'nearest', behavior: 'instant'});
}`

// reach scrolls a node into view and returns a point of the tab where the mouse reaches
// it. Where something that stays in its place covers it there, such as a header, it
// scrolls the node to other places.
func (t *tab) reach(ctx context.Context, tree *frameTree, n *node) (at point, err error) {
	var first error
	for _, block := range []string{"", "center", "end", "start"} {
		if block != "" {
			if err := n.callOn(ctx, nil, jsScrollIntoView, block); err != nil {
				return point{}, err
			}
		}
		b, err := n.waitUntilStill(ctx)
		if err != nil {
			return point{}, err
		}
		if b == nil {
			return point{}, browser.Conflict(codeNotDrawn, "the element "+string(n.ref)+" is not drawn", "")
		}
		at, err := t.clickPoint(ctx, tree, n, *b)
		if hasCode(err, codeCovered) { // perhaps only one of its boxes is, as of a text on two lines
			other, err := t.clickPointElsewhere(ctx, tree, n, *b)
			if err != nil {
				return point{}, err
			}
			if other != nil {
				return *other, nil
			}
		}
		if err == nil {
			return at, nil
		}
		if first == nil {
			first = err
		}
		if !hasCode(err, codeCovered) {
			break
		}
	}
	return point{}, first
}

// arrive moves the mouse over a node and returns where it is. A page may show something
// else under a mouse that comes, such as a picture of another size or a menu: then the node
// is reached once more.
func (t *tab) arrive(ctx context.Context, tree *frameTree, n *node, g gesture) (at point, err error) {
	if at, err = t.reach(ctx, tree, n); err != nil {
		return at, err
	}
	if err := t.moveMouse(ctx, at, 0, g.held); err != nil {
		return at, err
	}
	x, y, err := t.frameOffset(ctx, tree, n.frame)
	if err != nil {
		return at, fmt.Errorf("locating the frame: %w", err)
	}
	in, err := t.covering(ctx, tree, n, point{at.x - x, at.y - y}, at)
	if err != nil || in == "" {
		return at, err
	}
	return t.reach(ctx, tree, n)
}

// maxBoxes is how many boxes of an element are tried.
const maxBoxes = 6

// clickPointElsewhere returns a point in another box of a node than one that is covered;
// nil when there is none.
func (t *tab) clickPointElsewhere(ctx context.Context, tree *frameTree, n *node, covered box) (*point, error) {
	all, err := boxesOfNode(ctx, n.frame, n.backend)
	if err != nil {
		return nil, ctx.Err()
	}
	for _, b := range all[:min(len(all), maxBoxes)] {
		if b == covered || !b.isBelowTheOrigin() {
			continue
		}
		at, err := t.clickPoint(ctx, tree, n, b)
		if err == nil {
			return &at, nil
		}
		if !hasCode(err, codeCovered, codeNotInView) {
			return nil, err
		}
	}
	return nil, nil
}

// clickPoint returns a point of the tab where a click reaches the node, if possible
// its middle.
func (t *tab) clickPoint(ctx context.Context, tree *frameTree, n *node, b box) (point, error) {
	metrics, err := t.viewport(ctx)
	if err != nil {
		return point{}, err
	}
	x, y, err := t.frameOffset(ctx, tree, n.frame)
	if err != nil {
		return point{}, fmt.Errorf("locating the frame: %w", err)
	}
	seen := box{max(b.left, -x), max(b.top, -y), min(b.right, metrics.width()-x), min(b.bottom, metrics.height()-y)}
	if seen.width() < 1 || seen.height() < 1 {
		return point{}, browser.Conflict(codeNotInView, "the element "+string(n.ref)+" cannot be scrolled into view", "")
	}
	var covered string
	for _, share := range []point{{.5, .5}, {.25, .5}, {.75, .5}, {.5, .25}, {.5, .75}, {.05, .5}, {.95, .5}} {
		at := point{seen.left + share.x*seen.width(), seen.top + share.y*seen.height()}
		in, err := t.covering(ctx, tree, n, at, point{at.x + x, at.y + y})
		if err != nil {
			return point{}, err
		}
		if in == "" {
			return point{at.x + x, at.y + y}, nil
		}
		covered = in
	}
	return point{}, browser.Conflict(codeCovered,
		"the element "+string(n.ref)+" is covered by "+t.set.quoteLabel(covered),
		"close or move what covers it, then try again")
}

// covering returns a description of what a click at a point would hit instead of the
// node; empty when it hits the node. For a frame in another process it also asks the
// process of the tab, where something may lie over the whole frame.
func (t *tab) covering(ctx context.Context, tree *frameTree, n *node, local, inTab point) (string, error) {
	hit, err := t.nodeAt(ctx, tree, tree.processRoot(n.frame), local)
	if err != nil {
		return "", err
	}
	if hit == nil || hit.frame.id != n.frame.id {
		return "another frame", nil
	}
	defer hit.release()
	// Both nodes are in one world, so that one function can be given both.
	var covered string
	if err := n.callOn(ctx, &covered, jsCovers, hit); err != nil || covered != "" || n.frame.session == t.session {
		return covered, err
	}
	over, err := t.nodeAt(ctx, tree, tree.top, inTab)
	if err != nil {
		return "", err
	}
	if over == nil {
		return "another frame", nil
	}
	defer over.release()
	for _, f := range tree.ancestors(n.frame) {
		if f.parent != over.frame.id {
			continue
		}
		owner, err := protocol.Call(ctx, over.frame.session, dom.GetFrameOwner, dom.GetFrameOwnerParams{FrameID: f.id})
		if err == nil && owner.BackendNodeID == over.backend {
			return "", nil
		}
	}
	return "another element", nil
}

// nodeAt returns the node at a point of the viewport of a process, whose uppermost frame is
// root, in CSS pixels of the tab; nil when there is none.
func (t *tab) nodeAt(ctx context.Context, tree *frameTree, root *frame, at point) (*node, error) {
	yes := true
	zoom, err := root.zoomInTab(ctx)
	if err != nil {
		return nil, err
	}
	metrics, err := protocol.Call(ctx, root.session, page.GetLayoutMetrics, cdp.Empty{})
	if err != nil || metrics.CSSLayoutViewport == nil {
		return nil, err
	}
	// Unlike all other commands this one measures from the top of the document.
	at.x = at.x/zoom + float64(metrics.CSSLayoutViewport.PageX)
	at.y = at.y/zoom + float64(metrics.CSSLayoutViewport.PageY)
	got, err := protocol.Call(ctx, root.session, dom.GetNodeForLocation, dom.GetNodeForLocationParams{
		X: int64(math.Floor(at.x)), Y: int64(math.Floor(at.y)), IgnorePointerEventsNone: &yes,
	})
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, nil
	}
	f := tree.byID[got.FrameID]
	if f == nil {
		return nil, nil
	}
	n, err := t.node(ctx, f, got.BackendNodeID)
	if err != nil && ctx.Err() == nil {
		return nil, nil
	}
	return n, err
}

// viewport returns the visible part of the tab, which begins at 0, 0.
func (t *tab) viewport(ctx context.Context) (box, error) {
	got, err := protocol.Call(ctx, t.session, page.GetLayoutMetrics, cdp.Empty{})
	if err != nil {
		return box{}, err
	}
	if got.CSSLayoutViewport == nil {
		return box{}, protocol.ErrGone
	}
	return box{right: float64(got.CSSLayoutViewport.ClientWidth), bottom: float64(got.CSSLayoutViewport.ClientHeight)}, nil
}
