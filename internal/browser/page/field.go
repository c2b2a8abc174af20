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
	const others = [], holders = [], controls = [];
	const texts = ['text', 'search', 'tel', 'url', 'email', 'number', 'password'];
	const roots = [document];
	if (el && el.getRootNode() !== document) roots.push(el.getRootNode());
	for (let i = 0; i < roots.length && i < 200; i++) {
		const fragment = roots[i] instanceof DocumentFragment ? DocumentFragment.prototype : Element.prototype;
		const proto = roots[i] instanceof Document ? Document.prototype : fragment;
		for (const at of proto.querySelectorAll.call(roots[i], '*')) {
			if (at.shadowRoot instanceof ShadowRoot && !roots.includes(at.shadowRoot)) roots.push(at.shadowRoot);
			const input = at instanceof HTMLInputElement, area = at instanceof HTMLTextAreaElement;
			if ((input || at instanceof HTMLButtonElement) && at.form) controls.push(at);
			const writable = input && texts.includes(at.type) || area || at instanceof HTMLElement && at.isContentEditable;
			if (at === el || !writable || !shown(at)) continue;
			const text = input || area ? at.value : at.textContent;
			if (text.includes(placeholder) || text.replace(/\s/g, '').includes(placeholder)) holders.push(at);
			if (at.type !== 'password' && at.maxLength !== 1) others.push(attribute(at, 'name'), attribute(at, 'id'));
		}
	}
	const submission = of => {
		const form = of.form || null, hidden = [], targets = [], whole = [];
		for (const at of form ? controls : []) {
			if (at.form !== form) continue;
			if (at instanceof HTMLInputElement && at.type === 'hidden') hidden.push(at.name);
			if (attribute(at, 'formaction')) targets.push(attribute(at, 'formaction'));
		}
		if (form) targets.push(attribute(form, 'action') || document.URL);
		for (const target of targets) {
			let url;
			try { url = new URL(target.trim(), document.baseURI); } catch { continue; }
			url.hash = '';
			whole.push(url.href);
		}
		return {name: attribute(of, 'name'), id: attribute(of, 'id'), hidden, targets: whole};
	};
	return {
		...(el ? submission(el) : {}),
		attached: Boolean(el && el.isConnected), others: others.filter(Boolean).slice(0, 1000),
		holders: holders.slice(0, 20).map(at => ({
			...submission(at), password: at.type === 'password', whole: at.value === placeholder,
		})),
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
	if len(now.Holders) > 0 && direct {
		t.forgetTyped(key.Document)
	}
	return now, true
}
