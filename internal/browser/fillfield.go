package browser

import (
	"context"
	"sync"
	"time"

	"github.com/chromedp/cdproto/network"
)

// lookTimeout is how long a page may take to tell about a filled field: it
// cannot while it waits for a request itself.
const lookTimeout = time.Second

// fieldState is what is known of a filled field and the fields beside it: by
// what names its own form sends it.
type fieldState struct {
	known bool
	// Name and ID are the field's own. Hidden are the names of the hidden fields
	// of its form, Targets where its form may send to.
	Name    string   `json:"name"`
	ID      string   `json:"id"`
	Hidden  []string `json:"hidden"`
	Targets []string `json:"targets"`
	// Attached says that the field is still in the document.
	Attached bool `json:"attached"`
	// Others are the names and ids of the other fields that show their text.
	Others []string `json:"others"`
	// Spread says that one of them holds the placeholder, or once did.
	Spread bool `json:"spread"`
}

// jsLook describes the filled field this and the fields beside it. Names of
// form controls shadow a form's own properties, so all is read through
// prototypes.
const jsLook = `function (el, placeholder) {
	const attribute = (of, name) => Element.prototype.getAttribute.call(of, name) || '';
	const shown = of => {
		const box = of.getBoundingClientRect(), how = {opacityProperty: true, visibilityProperty: true};
		return box.width >= 1 && box.height >= 1 && Element.prototype.checkVisibility.call(of, how);
	};
	const own = new Set(el ? [el] : []), others = [];
	const texts = ['text', 'search', 'tel', 'url', 'email', 'number', 'password'];
	let spread = false;
	const roots = [document];
	if (el && el.getRootNode() !== document) roots.push(el.getRootNode());
	const form = el && el.form;
	const hidden = [], targets = [];
	for (let i = 0; i < roots.length && i < 200; i++) {
		const fragment = roots[i] instanceof DocumentFragment ? DocumentFragment.prototype : Element.prototype;
		const proto = roots[i] instanceof Document ? Document.prototype : fragment;
		for (const at of proto.querySelectorAll.call(roots[i], '*')) {
			if (at.shadowRoot instanceof ShadowRoot && !roots.includes(at.shadowRoot)) roots.push(at.shadowRoot);
			const input = at instanceof HTMLInputElement, area = at instanceof HTMLTextAreaElement;
			if (form && (input || at instanceof HTMLButtonElement) && at.form === form) {
				if (input && at.type === 'hidden') hidden.push(at.name);
				if (attribute(at, 'formaction')) targets.push(attribute(at, 'formaction'));
			}
			const writable = input && texts.includes(at.type) || area || at instanceof HTMLElement && at.isContentEditable;
			if (own.has(at) || !writable || !shown(at)) continue;
			const text = input || area ? at.value : at.textContent;
			if ((text.includes(placeholder) || text.replace(/\s/g, '').includes(placeholder))) spread = true;
			if (at.type !== 'password' && at.maxLength !== 1) others.push(attribute(at, 'name'), attribute(at, 'id'));
		}
	}
	if (form) targets.push(attribute(form, 'action') || document.URL);
	const whole = [];
	for (const target of targets) {
		let url;
		try { url = new URL(target.trim(), document.baseURI); } catch { continue; }
		url.hash = '';
		whole.push(url.href);
	}
	return {
		name: el ? attribute(el, 'name') : '', id: el ? attribute(el, 'id') : '', hidden, targets: whole, spread,
		attached: Boolean(el && el.isConnected), others: others.filter(Boolean).slice(0, 1000),
	};
}`

// lookBefore looks at the fields whose placeholders a request holds. While a
// document is replaced the browser answers nothing about it: a form that was
// sent goes by what was known before.
func (s *pageSet) lookBefore(ctx context.Context, r outgoing) {
	if r.kind != network.ResourceTypeDocument {
		s.guards.lookAt(ctx, s.guards.inRequest(r))
	}
}

// lookAround looks at the filled fields of a tab before something is done on it
// or read of it: what was done before may have moved a placeholder to where it
// is gone from by the time it is sent.
func (t *tab) lookAround(ctx context.Context) { t.set.guards.lookAt(ctx, t.set.guards.filledIn(t)) }

func (gs *fillGuards) lookAt(ctx context.Context, guards []*fillGuard) {
	var each sync.WaitGroup
	for _, g := range guards {
		each.Go(func() { gs.look(ctx, g) })
	}
	each.Wait()
}

// inRequest returns the guards whose placeholder a request has in its body.
func (gs *fillGuards) inRequest(r outgoing) []*fillGuard {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	var out []*fillGuard
	for g := range gs.live {
		if g.frame != nil && g.placeholder != "" && g.holds(g.seen, g.placeholder, r.body) {
			out = append(out, g)
		}
	}
	return out
}

// filledIn returns the guards of a tab's fields.
func (gs *fillGuards) filledIn(t *tab) []*fillGuard {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	var out []*fillGuard
	for g := range gs.live {
		if g.tab == t {
			out = append(out, g)
		}
	}
	return out
}

// look reads the state of a guard's field. A page that does not answer, because
// it is on its way out or waits for the request, leaves what was known.
func (gs *fillGuards) look(ctx context.Context, g *fillGuard) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	var now fieldState
	w, err := world(ctx, g.frame)
	if err != nil {
		return
	}
	var element any
	if n, err := g.tab.nodeIn(ctx, g.frame, w, g.element.backend); err == nil {
		defer n.release()
		element = n
	}
	held := g.placeholder
	if held == "" {
		held = g.value.Expose() // the page holds it itself
	}
	if evaluate(ctx, g.frame, w, &now, jsLook, element, held) != nil {
		return
	}
	if now.Spread && g.placeholder == "" {
		g.tab.forgetTyped(documentKey{g.element.frame, g.element.loader})
	}
	gs.mu.Lock()
	defer gs.mu.Unlock()
	before := g.field
	if !now.Attached && before.known {
		// It was taken out of the document: its form counts as it was.
		now.Name, now.ID, now.Hidden, now.Targets = before.Name, before.ID, before.Hidden, before.Targets
	}
	now.known, now.Spread = true, now.Spread || before.Spread
	g.field = now
}
