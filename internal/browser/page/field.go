package page

import (
	"context"

	"github.com/chromedp/cdproto/network"

	"github.com/bctrl-go/bctrl/internal/browser/fill"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

// jsFormState describes the filled field el, its form and the fields beside it. Names
// of form controls shadow a form's own properties, so all is read through prototypes.
const jsFormState = `function (el, placeholder) {
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

// updateFieldsIn reads the state of the fields whose placeholders a request holds. The
// browser tells nothing of a document that is being replaced, so a form that is sent
// is judged by what was known before.
func (s *Set) updateFieldsIn(ctx context.Context, r fill.Request) {
	if r.Kind != network.ResourceTypeDocument {
		s.guards.UpdateAll(ctx, s.guards.HeldBy(r))
	}
}

// updateFields reads the state of the filled fields of a tab. It is called before each
// action: the one before may have moved a placeholder into another field, which may
// not hold it any more when it is sent.
func (t *tab) updateFields(ctx context.Context) {
	t.set.guards.UpdateAll(ctx, t.set.guards.OfTab(t.session.ID))
}

// readFormState reads the state of a filled field, its form and the fields beside it.
// held is what the document holds: a placeholder, or the value when it was filled
// directly. It reports whether the page has answered.
func (t *tab) readFormState(ctx context.Context, f *frame, key protocol.Element, held string,
	direct bool) (now fill.FormState, ok bool) {
	w, err := isolatedWorld(ctx, f)
	if err != nil {
		return now, false
	}
	var element any
	if n, err := t.nodeIn(ctx, f, w, key.Backend); err == nil {
		defer n.release()
		element = n
	}
	if evaluate(ctx, f, w, &now, jsFormState, element, held) != nil {
		return now, false
	}
	if now.Spread && direct {
		t.forgetTyped(key.Document)
	}
	return now, true
}
