package page

import (
	"context"

	"github.com/bctrl-go/bctrl/internal/browser"
)

// jsScroll scrolls by whole views what el lies in, the nearest first, then the window.
// Without el it begins in the middle of the viewport, and where nothing moves there it
// tries what else can be scrolled, the largest first. It returns whether anything moved.
// An element that only scrolls sideways is scrolled sideways when it is the one asked for.
const jsScroll = `function (pages, el) {
	const scrolling = Object.getOwnPropertyDescriptor(Document.prototype, 'scrollingElement').get.call(document);
	const root = scrolling || document.documentElement;
	const host = el => el.getRootNode() instanceof ShadowRoot ? el.getRootNode().host : null;
	const up = el => el.assignedSlot || el.parentElement || host(el);
	const scrolls = (el, axis) => {
		const [all, seen, overflow] = axis === 'y' ? [el.scrollHeight, el.clientHeight, getComputedStyle(el).overflowY]
			: [el.scrollWidth, el.clientWidth, getComputedStyle(el).overflowX];
		return all > seen + 1 && (overflow === 'auto' || overflow === 'scroll') && el.localName !== 'body';
	};
	const scroll = (el, axis) => {
		if (!scrolls(el, axis)) return false;
		const place = axis === 'y' ? 'scrollTop' : 'scrollLeft', at = el[place];
		const by = axis === 'y' ? {top: pages * el.clientHeight} : {left: pages * el.clientWidth};
		Element.prototype.scrollBy.call(el, {...by, behavior: 'instant'});
		return el[place] !== at;
	};
	const middle = Document.prototype.elementFromPoint.call(document, innerWidth / 2, innerHeight / 2);
	const begin = el && el.nodeType !== Node.ELEMENT_NODE ? el.parentElement : el;
	for (let at = begin || middle; at && at !== root; at = up(at)) {
		if (scroll(at, 'y') || begin && !scrolls(at, 'y') && scroll(at, 'x')) return true;
	}
	const at = window.scrollY;
	window.scrollBy({top: pages * innerHeight, behavior: 'instant'});
	if (window.scrollY !== at) return true;
	if (begin) return false;
	const area = el => {
		const box = Element.prototype.getBoundingClientRect.call(el);
		return Math.max(0, Math.min(box.right, innerWidth) - Math.max(box.left, 0))
			* Math.max(0, Math.min(box.bottom, innerHeight) - Math.max(box.top, 0));
	};
	const others = [], roots = [document];
	for (let i = 0; i < roots.length && i < 200; i++) {
		const proto = roots[i] instanceof Document ? Document.prototype : DocumentFragment.prototype;
		for (const el of [...proto.querySelectorAll.call(roots[i], '*')].slice(0, 30000)) {
			if (el.shadowRoot instanceof ShadowRoot) roots.push(el.shadowRoot);
			if (el !== root && el.scrollHeight > el.clientHeight + 1 && scrolls(el, 'y')) others.push([area(el), el]);
		}
	}
	others.sort((a, b) => b[0] - a[0]);
	return others.some(([area, el]) => area > 0 && scroll(el, 'y'));
}`

// maxScroll bounds how far one call scrolls, in views.
const maxScroll = 100

// jsTurnWheel turns the wheel over el, or over what is in the middle of the viewport, and
// returns whether the page moved something of its own for it: it took the event, and changed
// its elements or has a canvas there. One that only keeps others from scrolling has not. The
// event is a script's: the browser scrolls nothing for it, as was tried before.
const jsTurnWheel = `async function (pages, el) {
	const middle = Document.prototype.elementFromPoint.call(document, innerWidth / 2, innerHeight / 2);
	const on = el && el.nodeType !== Node.ELEMENT_NODE ? el.parentElement : el || middle;
	if (!on || on instanceof HTMLInputElement || on instanceof HTMLSelectElement) return false;
	const box = Element.prototype.getBoundingClientRect.call(on);
	let changed = false;
	const observer = new MutationObserver(() => { changed = true; });
	observer.observe(on.getRootNode(), {subtree: true, childList: true, attributes: true, characterData: true});
	const taken = !on.dispatchEvent(new WheelEvent('wheel', {
		deltaY: pages * Math.min(box.height, innerHeight),
		clientX: box.left + box.width / 2, clientY: box.top + box.height / 2,
		bubbles: true, cancelable: true, composed: true,
	}));
	const frame = () => new Promise(done => { requestAnimationFrame(done); setTimeout(done, 100); });
	if (taken) await frame().then(frame);
	observer.disconnect();
	return taken && (changed || on instanceof HTMLCanvasElement);
}`

// Scroll scrolls an element, or the page. See [browser.Page].
func (s *Set) Scroll(ctx context.Context, ref browser.Ref, pages int) (moved bool, err error) {
	pages = max(-maxScroll, min(maxScroll, pages))
	if ref != "" {
		err = s.onElement(ctx, ref, func(ctx context.Context, _ *tab, n *node, _ *frameTree) error {
			for _, fn := range []string{jsScroll, jsTurnWheel} {
				err := n.callOn(ctx, &moved, `function (pages) { return (`+fn+`)(pages, this); }`, pages)
				if err != nil || moved {
					return err
				}
			}
			return nil
		})
		return moved, err
	}
	err = s.onTab(ctx, func(ctx context.Context, t *tab) error {
		tree, err := t.frameTree(ctx)
		if err != nil {
			return err
		}
		// Where the page itself does not move, it may be a frame that fills it.
		for _, fn := range []string{jsScroll, jsTurnWheel} {
			for _, f := range tree.order[:min(len(tree.order), maxFrames)] {
				if moved, err = scrollFrame(ctx, f, fn, pages); moved || err != nil && f == tree.top {
					return err
				}
			}
		}
		return nil
	})
	return moved, err
}

func scrollFrame(ctx context.Context, f *frame, fn string, pages int) (moved bool, err error) {
	w, err := isolatedWorld(ctx, f)
	if err != nil {
		return false, err
	}
	err = evaluate(ctx, f, w, &moved, fn, pages)
	return moved, err
}
