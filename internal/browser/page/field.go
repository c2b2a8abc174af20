package page

import (
	"context"

	"github.com/chromedp/cdproto/network"

	"github.com/bctrl-go/bctrl/internal/browser/fill"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

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

// updateFieldsIn looks at the fields whose placeholders a request holds. While a
// document is replaced the browser answers nothing about it: a form that was
// sent goes by what was known before.
func (s *Set) updateFieldsIn(ctx context.Context, r fill.Request) {
	if r.Kind != network.ResourceTypeDocument {
		s.guards.UpdateAll(ctx, s.guards.HeldBy(r))
	}
}

// updateFields looks at the filled fields of a tab before something is done on it
// or read of it: what was done before may have moved a placeholder to where it
// is gone from by the time it is sent.
func (t *tab) updateFields(ctx context.Context) {
	t.set.guards.UpdateAll(ctx, t.set.guards.OfTab(t.session.ID))
}

// readFormState reads the state of the filled field of a document and of the fields
// beside it, where held is what the document holds of the value: a placeholder,
// or when it was filled directly the value itself.
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
	if evaluate(ctx, f, w, &now, jsLook, element, held) != nil {
		return now, false
	}
	if now.Spread && direct {
		t.forgetTyped(key.Document)
	}
	return now, true
}
