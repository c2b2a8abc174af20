package page

import (
	"context"

	"github.com/bctrl-go/bctrl/internal/browser"
)

// jsDigits returns the inputs of one digit each that begin with this, where they are count
// and no more, else none. Such inputs stand side by side in one line and say that they take
// one character, or are drawn as equal, narrow boxes whose script keeps one. Fields of a
// quantity, a date or a card are no such inputs, however small they are: what they say of
// themselves tells. Boxes that cannot be changed yet, because the page wants the digit
// before first, count where there are not enough others.
const jsDigits = `function (count) {
	const el = this;
	const root = el.form || el.getRootNode();
	const proto = root instanceof Element ? Element.prototype
		: root instanceof ShadowRoot ? DocumentFragment.prototype : Document.prototype;
	const boxOf = i => i.getBoundingClientRect(), box = boxOf(el);
	const alike = i => {
		const other = boxOf(i);
		return box.width <= 2 * box.height && i.type === el.type
			&& Math.abs(other.width - box.width) <= 2 && Math.abs(other.height - box.height) <= 2;
	};
	const attribute = (of, name) => Element.prototype.getAttribute.call(of, name) || '';
	const uses = 'qty|quantity|quantities|amount|price|size|score|pieces|day|month|year|date|hour|minute|birthday|bday'
		+ '|dd|mm|yy|yyyy|hh|expiry|expires|expiration|exp|card|cc|cvc|cvv|zip|postcode|number of';
	const other = new RegExp('(?:^|[^a-z])(?:' + uses + ')(?:$|[^a-z])', 'i');
	const words = text => text.replace(/([a-z])([A-Z])/g, '$1 $2');
	const saysOther = i => i.maxLength > 1 || i.value.length > 1 || Number(attribute(i, 'max')) > 9
		|| [...['name', 'id', 'aria-label', 'placeholder', 'title', 'autocomplete'].map(name => attribute(i, name)),
			...[...i.labels || []].map(label => label.textContent)].some(text => other.test(words(text)));
	const fits = i => (el.maxLength === 1 ? i.maxLength === 1 : alike(i)) && i.form === el.form && !saysOther(i)
		&& ['text', 'tel', 'number', 'password'].includes(i.type) && Element.prototype.checkVisibility.call(i);
	const beside = (a, b) => {
		const from = boxOf(a), to = boxOf(b), gap = Math.max(to.left - from.right, from.left - to.right);
		return Math.abs(from.top - to.top) <= from.height / 2 && gap <= 1.5 * Math.max(from.width, from.height);
	};
	const all = [...proto.querySelectorAll.call(root, 'input')].filter(fits);
	const from = row => {
		const at = row.indexOf(el);
		if (at < 0 || at > 0 && beside(row[at - 1], el)) return [];
		let end = at + 1;
		while (end < row.length && beside(row[end - 1], row[end])) end++;
		return end - at === count ? row.slice(at, end) : [];
	};
	const open = from(all.filter(i => !i.readOnly && !Element.prototype.matches.call(i, ':disabled')));
	return open.length === count ? open : from(all);
}`

// digitRow returns the inputs, beginning with n, that take a code digit by digit.
func (t *tab) digitRow(ctx context.Context, n *node, count int) ([]*node, error) {
	got, err := callFunction(ctx, n.frame.session, scriptCall{
		Function: jsDigits,
		Object:   n.object,
		Group:    n.group,
	}, []any{count})
	if err != nil {
		return nil, err
	}
	objects, err := elementsOf(ctx, n.frame.session, got.ObjectID, count)
	if err != nil {
		return nil, err
	}
	if len(objects) != count {
		return nil, browser.Conflict("vault.fill_impossible",
			"the code does not fit the inputs beside the element "+string(n.ref), "give the first input of the code")
	}
	nodes := make([]*node, count)
	for i, object := range objects {
		if nodes[i], err = n.beside(ctx, object); err != nil {
			return nil, err
		}
	}
	return nodes, nil
}
