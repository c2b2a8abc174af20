package page

import (
	"context"

	"github.com/bctrl-go/bctrl/internal/browser"
)

// jsType replaces the text of this as typing does: the browser's own editing
// command raises beforeinput and input, and change follows when the focus
// leaves. It runs in one go, so that nothing moves the focus between its steps
// unnoticed. The answer is "" or what is wrong.
const jsType = `function (text, how) {
	const same = ` + jsSameText + `;
	const el = this;
	const input = el instanceof HTMLInputElement, area = el instanceof HTMLTextAreaElement;
	if (!input && !area && !el.isContentEditable) return 'not_editable';
	if ((input || area) && Element.prototype.matches.call(el, ':disabled')) return 'disabled';
	if ((input || area) && el.readOnly) return 'readonly';
	const textless = ['checkbox', 'radio', 'file', 'button', 'submit', 'reset', 'image', 'hidden'];
	if (input && textless.includes(el.type)) return 'not_editable';
	const value = () => input || area ? el.value : el.textContent;
	const active = () => {
		const root = el.getRootNode();
		const proto = root instanceof ShadowRoot ? ShadowRoot.prototype : Document.prototype;
		return Object.getOwnPropertyDescriptor(proto, 'activeElement').get.call(root);
	};
	const focused = () => {
		const now = active(), rich = !input && !area;
		return now && (now === el || rich && (el.contains(now) || now.contains(el) && now.isContentEditable));
	};
	HTMLElement.prototype.focus.call(el, {preventScroll: true});
	if (!focused()) return 'focus';
	if (input) HTMLInputElement.prototype.select.call(el);
	else if (area) HTMLTextAreaElement.prototype.select.call(el);
	else window.getSelection().selectAllChildren(el);
	if (!focused()) return 'focus';
	const exec = (command, arg) => Document.prototype.execCommand.call(document, command, false, arg);
	if (value() !== '') exec('delete');
	if (!focused()) return 'focus';
	if (text !== '') exec('insertText', text);
	if (how === 'exact') return value() === text ? '' : 'value';
	const groups = s => /^\d.*\d$/.test(s) && s.replace(/[\s-]/g, '');
	if (how === 'grouped') return value() === text || groups(value()) === text ? '' : 'value';
	if (how === 'same') return same(text, value()) ? '' : 'value';
	return text !== '' && value() === '' ? 'value' : '';
}`

// jsClear empties this, and every other field of its document that holds text. It
// returns whether a field holds it all the same.
const jsClear = `function (text) {
	const empty = el => {
		const proto = el instanceof HTMLInputElement ? HTMLInputElement.prototype : HTMLTextAreaElement.prototype;
		Object.getOwnPropertyDescriptor(proto, 'value').set.call(el, '');
		el.dispatchEvent(new Event('input', {bubbles: true, composed: true}));
		el.dispatchEvent(new Event('change', {bubbles: true}));
	};
	const fields = () => {
		const all = new Set([this]), roots = [document, this.getRootNode()];
		for (let i = 0; i < roots.length && i < 200; i++) {
			const fragment = roots[i] instanceof DocumentFragment ? DocumentFragment.prototype : Element.prototype;
			const proto = roots[i] instanceof Document ? Document.prototype : fragment;
			for (const el of proto.querySelectorAll.call(roots[i], '*')) {
				if (el.shadowRoot instanceof ShadowRoot) roots.push(el.shadowRoot);
				if (el instanceof HTMLInputElement && el.type !== 'file' || el instanceof HTMLTextAreaElement) all.add(el);
			}
		}
		return [...all].filter(el => el === this ? el.value !== '' : el.value.includes(text));
	};
	let left = fields();
	for (let i = 0; left.length && i < 3; i++, left = fields()) left.forEach(empty);
	return left.some(el => el.value.includes(text));
}`

// jsSelect chooses options by their labels or their values, and no others. A list that is
// hidden behind one of the page's own does not get the focus, which would open that one.
const jsSelect = `function (wanted) {
	const el = this;
	const disabled = el => Element.prototype.matches.call(el, ':disabled');
	if (disabled(el)) return {problem: 'disabled'};
	if (wanted.length !== 1 && !el.multiple) return {problem: 'one'};
	const options = [...HTMLSelectElement.prototype[Symbol.iterator].call(el)].filter(o => o instanceof HTMLOptionElement);
	const plain = s => String(s).replace(/\s+/g, ' ').trim();
	const find = text => {
		const want = plain(text), low = want.toLowerCase();
		return options.find(o => plain(o.label) === want) || options.find(o => o.value === text)
			|| options.find(o => plain(o.label).toLowerCase() === low);
	};
	const found = wanted.map(find);
	if (found.includes(undefined)) {
		return {problem: 'no_option', options: options.slice(0, 30).map(o => plain(o.label).slice(0, 60))};
	}
	if (found.some(o => disabled(o))) return {problem: 'disabled'};
	let seen = true;
	for (let up = el; up instanceof Element; up = up.parentElement) {
		const box = Element.prototype.getBoundingClientRect.call(up);
		if ((box.width < 2 || box.height < 2) && (up === el || getComputedStyle(up).overflow !== 'visible')) seen = false;
	}
	if (seen) HTMLElement.prototype.focus.call(el, {preventScroll: true});
	const changing = options.filter(o => o.selected !== found.includes(o));
	if (changing.length) {
		if (el.multiple) changing.forEach(o => { o.selected = found.includes(o); });
		else found[0].selected = true;
		el.dispatchEvent(new Event('input', {bubbles: true, composed: true}));
		el.dispatchEvent(new Event('change', {bubbles: true}));
	}
	return {problem: ''};
}`

// typed says how what a field holds after typing has to compare with what was typed.
type typed string

const (
	anyText    typed = "any" // whatever is left of it
	asIs       typed = "exact"
	asGroups   typed = "grouped" // digits, with spaces or hyphens between them
	asSameText typed = "same"    // the page may write it in another way, see jsSameText
)

// writeText types text into the node, and checks that it has arrived.
func (n *node) writeText(ctx context.Context, text string, how typed) error {
	var problem string
	if err := n.callOn(ctx, &problem, jsType, text, string(how)); err != nil {
		return err
	}
	name := "the element " + string(n.ref)
	switch problem {
	case "":
		return nil
	case "disabled", "readonly":
		return browser.Conflict("page.disabled", name+" cannot be changed: it is "+problem, "")
	case "focus":
		return notFocused(n)
	case "value":
		return errNotTyped(n)
	}
	return browser.BadRequest("page.not_editable", name+" is not a text field", "")
}

func errNotTyped(n *node) error {
	return browser.Conflict(codeNotTyped, "the element "+string(n.ref)+" did not take the text",
		"it may want another format")
}

// pressShift presses a key that writes nothing: many forms check a field only when a
// key is released.
func (t *tab) pressShift(ctx context.Context) error {
	return t.press(ctx, modifierKey(modShift), 0)
}

// selectNative chooses options of a select element.
func (t *tab) selectNative(ctx context.Context, n *node, wanted []string) error {
	var got struct {
		Problem string   `json:"problem"`
		Options []string `json:"options"`
	}
	if err := n.callOn(ctx, &got, jsSelect, wanted); err != nil {
		return err
	}
	switch got.Problem {
	case "":
		return nil
	case "disabled":
		return browser.Conflict("page.disabled", "the element "+string(n.ref)+" or the option is disabled", "")
	case "one":
		return oneOption(n)
	}
	return t.set.noOption(n, got.Options)
}
