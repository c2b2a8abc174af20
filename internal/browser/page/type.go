package page

import (
	"context"
	"fmt"
	"strings"

	"github.com/chromedp/cdproto/input"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

// maxKeyed bounds the texts that are typed key by key where a page takes them in no
// other way, in characters.
const maxKeyed = 400

// jsEditable says how text gets into this: "text" into a field, "value" into an input that
// takes the value of a date, a color or a number between bounds, "rich" into an editor.
// Else it says why none does.
const jsEditable = `function () {
	const el = this, input = el instanceof HTMLInputElement;
	if (input || el instanceof HTMLTextAreaElement) {
		const textless = ['checkbox', 'radio', 'file', 'button', 'submit', 'reset', 'image', 'hidden'];
		if (input && textless.includes(el.type)) return 'not_editable';
		if (Element.prototype.matches.call(el, ':disabled')) return 'disabled';
		if (el.readOnly) return 'readonly';
		const values = ['date', 'datetime-local', 'month', 'week', 'time', 'color', 'range'];
		return input && values.includes(el.type) ? 'value' : 'text';
	}
	return el.isContentEditable ? 'rich' : 'not_editable';
}`

// jsEditableFor returns the one field or editor that is meant by this: what a label is
// for, or what an element around it holds. It is null when there is none, or more.
const jsEditableFor = `function () {
	if (this.nodeType !== Node.ELEMENT_NODE) return null;
	const fits = el => el instanceof HTMLTextAreaElement || el instanceof HTMLInputElement
		&& !['checkbox', 'radio', 'file', 'button', 'submit', 'reset', 'image', 'hidden', 'range', 'color'].includes(el.type)
		|| el instanceof HTMLElement && el.isContentEditable && !el.parentElement?.isContentEditable;
	if (this instanceof HTMLLabelElement && this.control && fits(this.control)) return this.control;
	const found = [];
	const look = root => {
		const proto = root instanceof Element ? Element.prototype : DocumentFragment.prototype;
		for (const el of proto.querySelectorAll.call(root, '*')) {
			if (fits(el)) found.push(el);
			if (el.shadowRoot instanceof ShadowRoot) look(el.shadowRoot);
		}
	};
	if (this.shadowRoot instanceof ShadowRoot) look(this.shadowRoot);
	look(this);
	return found.length === 1 ? found[0] : null;
}`

// Type replaces the text of an editable element. See [browser.Page].
func (s *Set) Type(ctx context.Context, ref browser.Ref, text string) error {
	if err := s.refusePlaceholder(text); err != nil {
		return err
	}
	text = strings.ToValidUTF8(text, "\ufffd")
	return s.onElement(ctx, ref, func(ctx context.Context, t *tab, n *node, tree *frameTree) error {
		if _, err := n.waitUntilStill(ctx); err != nil {
			return err
		}
		var kind string
		if err := n.callOn(ctx, &kind, jsEditable); err != nil {
			return err
		}
		if kind == "not_editable" {
			inner, err := t.related(ctx, n, jsEditableFor)
			if err != nil {
				return err
			}
			if inner == nil {
				return browser.BadRequest("page.not_editable", "the element "+string(n.ref)+" is not a text field", "")
			}
			defer inner.release()
			n = inner
			if err := n.callOn(ctx, &kind, jsEditable); err != nil {
				return err
			}
		}
		return t.typeInto(ctx, tree, n, kind, text)
	})
}

// typeInto types into a node of a kind that [jsEditable] tells.
func (t *tab) typeInto(ctx context.Context, tree *frameTree, n *node, kind, text string) error {
	if kind == "readonly" {
		var err error
		if kind, err = t.unlock(ctx, tree, n); err != nil {
			return err
		}
	}
	switch kind {
	case "value":
		return t.setValue(ctx, n, text)
	case "rich":
		return t.typeRich(ctx, tree, n, text)
	case "text":
		return t.typeText(ctx, n, text)
	}
	return browser.Conflict("page.disabled", "the element "+string(n.ref)+" cannot be changed: it is "+kind,
		"where a click opens something to choose from, click it")
}

// jsUnlocked waits a while for a field to become writable, as some do when they get the
// focus, so that nothing is filled in by a browser before.
const jsUnlocked = `async function () {
	for (let i = 0; i < 20 && this.readOnly; i++) await new Promise(done => setTimeout(done, 50));
}`

// unlock clicks a field that cannot be written as it is, and says of which kind it is then.
func (t *tab) unlock(ctx context.Context, tree *frameTree, n *node) (kind string, err error) {
	if err := t.clickNode(ctx, tree, n, leftClick()); err != nil {
		return "", err
	}
	if err := n.callOn(ctx, nil, jsUnlocked); err != nil {
		return "", err
	}
	err = n.callOn(ctx, &kind, jsEditable)
	return kind, err
}

// typeText types into a field: at once, and where the page takes no text so, key by key.
func (t *tab) typeText(ctx context.Context, n *node, text string) error {
	err := n.writeText(ctx, text, anyText)
	held := "lost"
	if err == nil {
		if err := t.pressShift(ctx); err != nil {
			return err
		}
		if err := n.callOn(ctx, &held, jsHeld, text); err != nil {
			return err
		}
	} else if !hasCode(err, codeNotTyped) {
		return err
	}
	if held == "lost" && !strings.Contains(text, "\n") {
		if held, err = t.typeKeys(ctx, n, text); err != nil {
			return err
		}
	}
	return t.judgeTyped(n, held)
}

// judgeTyped takes note of what a page made of a text.
func (t *tab) judgeTyped(n *node, held string) error {
	switch {
	case held == "lost":
		return browser.Conflict(codeNotTyped, "the element "+string(n.ref)+" did not take the text as it is",
			"look what it holds now; it may want another format")
	case held == "same" || !t.isDirect(n):
		t.setTyped(n) // in a document that holds a value, only what is known to be the model's own
	}
	return nil
}

// typeRich types into an editor as hands do. Editors keep a model of their text and follow
// the events of a keyboard; what scripts do to their elements they take back or do twice.
func (t *tab) typeRich(ctx context.Context, tree *frameTree, n *node, text string) error {
	if err := t.clickNode(ctx, tree, n, leftClick()); err != nil {
		return err
	}
	if err := t.emptyFocused(ctx, n); err != nil {
		return err
	}
	if text != "" {
		err := protocol.Tell(ctx, t.session, input.InsertText, input.InsertTextParams{Text: text})
		if err != nil {
			return fmt.Errorf("typing: %w", err)
		}
	}
	if err := t.pressShift(ctx); err != nil {
		return err
	}
	var held string
	if err := n.callOn(ctx, &held, jsHeld, text); err != nil {
		return err
	}
	if held == "lost" {
		var err error
		if held, err = t.typeKeys(ctx, n, text); err != nil {
			return err
		}
	}
	return t.judgeTyped(n, held)
}

// jsFocused reports whether the focus is in this, and focuses it where it is not.
const jsFocused = `function () {
	const has = () => {
		const root = this.getRootNode();
		const proto = root instanceof ShadowRoot ? ShadowRoot.prototype : Document.prototype;
		const now = Object.getOwnPropertyDescriptor(proto, 'activeElement').get.call(root);
		return Boolean(now) && (now === this || this.contains(now) || now.contains(this) && now.isContentEditable);
	};
	if (!has()) HTMLElement.prototype.focus.call(this, {preventScroll: true});
	return has();
}`

// emptyFocused deletes all text of a node with the keys for it.
func (t *tab) emptyFocused(ctx context.Context, n *node) error {
	var focused bool
	if err := n.callOn(ctx, &focused, jsFocused); err != nil {
		return err
	}
	if !focused {
		return notFocused(n)
	}
	for _, name := range []string{"Control+a", "Backspace"} {
		k, held, err := parseKey(name)
		if err != nil {
			return err
		}
		if err := t.press(ctx, k, held); err != nil {
			return err
		}
	}
	return nil
}

// typeKeys replaces the text of a node key by key, and says what the page made of it.
func (t *tab) typeKeys(ctx context.Context, n *node, text string) (held string, err error) {
	if len([]rune(text)) > maxKeyed {
		return "lost", nil
	}
	if err := t.emptyFocused(ctx, n); err != nil {
		return "", err
	}
	for _, r := range text {
		k, _ := characterKey(string(r))
		mods := int64(0)
		if r == '\n' { // Enter alone would send what many pages write in
			k, mods = namedKeys["enter"], modShift
		}
		if err := t.press(ctx, k, mods); err != nil {
			return "", err
		}
	}
	err = n.callOn(ctx, &held, jsHeld, text)
	return held, err
}

func notFocused(n *node) error {
	return browser.Conflict("page.not_focused", "the element "+string(n.ref)+" does not take the focus",
		"something may cover it, or another dialog holds the focus")
}

// jsSetValue sets the value of an input that takes no text, as its own picker does. The
// answer says what is wrong: "format", or "range" with the bounds.
const jsSetValue = `function (text) {
	const el = this, accessor = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value');
	const result = problem => ({problem, type: el.type, min: el.min, max: el.max, step: el.step});
	text = text.trim();
	if (el.type === 'color' && text !== '' && CSS.supports('color', text)) {
		const ink = document.createElement('canvas').getContext('2d');
		ink.fillStyle = text;
		if (/^#[0-9a-f]{6}$/.test(ink.fillStyle)) text = ink.fillStyle;
	}
	const trial = document.createElement('input');
	trial.type = el.type;
	if (el.type === 'range') {
		const low = el.min === '' ? 0 : Number(el.min), high = el.max === '' ? 100 : Number(el.max), n = Number(text);
		if (text === '' || !Number.isFinite(n)) return result('format');
		if (n < low || n > Math.max(low, high)) return result('range');
	} else {
		accessor.set.call(trial, text);
		if (trial.value === '' && text !== '') return result('format');
		if (el.type === 'color' && trial.value !== text.toLowerCase()) return result('format');
		trial.min = el.min;
		trial.max = el.max;
		if (trial.validity.rangeUnderflow || trial.validity.rangeOverflow) return result('range');
	}
	HTMLElement.prototype.focus.call(el, {preventScroll: true});
	accessor.set.call(el, text);
	el.dispatchEvent(new Event('input', {bubbles: true, composed: true}));
	el.dispatchEvent(new Event('change', {bubbles: true}));
	const set = el.type === 'range' || el.value === trial.value;
	return result(set ? '' : 'value');
}`

// valueFormats are how values are written, by the type of the input.
var valueFormats = map[string]string{
	"date": "2026-03-31", "time": "14:30", "datetime-local": "2026-03-31T14:30", "month": "2026-03", "week": "2026-W14",
	"color": "#ff8800", "range": "a number",
}

// setValue sets the value of a date, time, color or range input.
func (t *tab) setValue(ctx context.Context, n *node, text string) error {
	var got struct {
		Problem string `json:"problem"`
		Type    string `json:"type"`
		Min     string `json:"min"`
		Max     string `json:"max"`
		Step    string `json:"step"`
	}
	if err := n.callOn(ctx, &got, jsSetValue, text); err != nil {
		return err
	}
	name := "the element " + string(n.ref)
	switch got.Problem {
	case "":
		t.setTyped(n)
		return t.pressShift(ctx)
	case "format":
		return browser.Conflict(codeNotTyped, name+" takes a "+got.Type+" in another format",
			"a "+got.Type+" is typed as "+valueFormats[got.Type])
	case "range":
		hint := "it takes"
		if got.Min != "" || got.Type == "range" {
			hint += " at least " + t.set.quoteLabel(orElse(got.Min, "0"))
		}
		if got.Max != "" || got.Type == "range" {
			hint += " at most " + t.set.quoteLabel(orElse(got.Max, "100"))
		}
		return browser.Conflict(codeNotTyped, name+" does not take so little or so much", hint)
	}
	return browser.Conflict(codeNotTyped, name+" did not take the value", "the page sets another one")
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

// codeNotTyped is the code of a text that a page does not take.
const codeNotTyped = "page.not_typed"
