package page

import (
	"context"
	"strings"
	"time"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/fill"
)

const (
	// openTimeout is how long the options of a list may take to appear.
	openTimeout = 2 * time.Second
	// optionStep is the time between two looks at them.
	optionStep = 50 * time.Millisecond
	// maxListScrolls is how often a list that draws only a part of itself is scrolled.
	maxListScrolls = 100
	// maxOptionsTold is how many options an error names.
	maxOptionsTold = 30
)

// jsListOptions are functions that find the options of a list that a page has made of
// elements of its own, from the element that shows the list or is it.
const jsListOptions = `
	const plain = s => String(s || '').replace(/\s+/g, ' ').trim();
	const attribute = (el, name) => Element.prototype.getAttribute.call(el, name);
	const drawn = el => {
		const box = Element.prototype.getBoundingClientRect.call(el);
		return box.width >= 1 && box.height >= 1
			&& Element.prototype.checkVisibility.call(el, {visibilityProperty: true, opacityProperty: true});
	};
	const all = (root, selector) => {
		const proto = root instanceof Document ? Document.prototype
			: root instanceof DocumentFragment ? DocumentFragment.prototype : Element.prototype;
		return [...proto.querySelectorAll.call(root, selector)];
	};
	const lists = '[role=listbox],[role=menu],[role=tree],[role=radiogroup]';
	const items = '[role=option],[role=menuitem],[role=menuitemradio],[role=menuitemcheckbox],[role=treeitem],' +
		'[role=radio]';
	const listsOf = owner => {
		const closest = Element.prototype.closest.call(owner, lists);
		if (closest) return [closest];
		const root = owner.getRootNode(), named = [];
		for (const el of [owner, ...all(owner, '[aria-controls],[aria-owns]')])
			for (const id of plain(attribute(el, 'aria-controls') + ' ' + attribute(el, 'aria-owns')).split(' ')) {
				const found = id && all(root, '#' + CSS.escape(id))[0];
				if (found && drawn(found)) named.push(found);
			}
		const inner = all(owner, lists);
		if (named.length || inner.length) return [...named, ...inner];
		return globalThis.bctrlLists ? drawnLists().filter(list => !bctrlLists.has(list)) : [];
	};
	// Lists that nothing ties to their owner are known by having appeared when it was clicked.
	const drawnLists = () => {
		const found = [], roots = [document];
		for (let i = 0; i < roots.length && i < 200; i++) {
			found.push(...all(roots[i], lists));
			for (const el of all(roots[i], '*')) if (el.shadowRoot instanceof ShadowRoot) roots.push(el.shadowRoot);
		}
		return found.filter(drawn);
	};
	const optionsOf = owner => {
		const found = new Set();
		for (const list of listsOf(owner)) {
			const marked = all(list, items);
			for (const el of marked.length ? marked : all(list, 'li')) if (drawn(el)) found.add(el);
		}
		return [...found];
	};
	const labelOf = el => plain(attribute(el, 'aria-label') || el.innerText);
`

const (
	// jsListKind says what this is: "select" a select element, "suggestions" a field with
	// a list of them, "field" a field that opens a list, "list" a list or what opens one.
	jsListKind = `function () {
	const el = this;
	if (el.nodeType !== Node.ELEMENT_NODE) return '';
	if (el instanceof HTMLSelectElement) return 'select';
	if (el instanceof HTMLInputElement && el.list) return 'suggestions';
	const opens = '[role=combobox],[role=listbox],[role=radiogroup],[role=menu],[role=tree],[aria-haspopup=true],' +
		'[aria-haspopup=listbox],[aria-haspopup=menu],[aria-haspopup=tree],[aria-autocomplete]';
	const inside = Element.prototype.querySelectorAll.call(el, opens);
	const inner = Element.prototype.closest.call(el, opens) || inside.length === 1 && inside[0];
	if (!inner) return '';
	return inner instanceof HTMLInputElement && !inner.readOnly ? 'field' : 'list';
}`

	// jsListElement returns the element of a list's kind: this, or one around or in it.
	jsListElement = `function () {
	const opens = '[role=combobox],[role=listbox],[role=radiogroup],[role=menu],[role=tree],[aria-haspopup=true],' +
		'[aria-haspopup=listbox],[aria-haspopup=menu],[aria-haspopup=tree],[aria-autocomplete]';
	return Element.prototype.closest.call(this, opens) || Element.prototype.querySelector.call(this, opens);
}`

	// jsFindOption returns the option of a label or a value, or null.
	jsFindOption = `function (wanted) {` + jsListOptions + `
	const options = optionsOf(this), want = plain(wanted), low = want.toLowerCase();
	return options.find(el => labelOf(el) === want)
		|| options.find(el => [attribute(el, 'data-value'), attribute(el, 'value')].includes(wanted))
		|| options.find(el => labelOf(el).toLowerCase() === low) || null;
}`

	// jsOtherChosen returns an option that is chosen and is none of the wanted ones, where
	// a list takes several, or null.
	jsOtherChosen = `function (wanted) {` + jsListOptions + `
	const low = wanted.map(text => plain(text).toLowerCase());
	for (const list of listsOf(this)) {
		if (attribute(list, 'aria-multiselectable') !== 'true') continue;
		for (const el of all(list, '[aria-selected=true],[aria-checked=true]'))
			if (drawn(el) && !low.includes(labelOf(el).toLowerCase()) && !wanted.includes(attribute(el, 'data-value')))
				return el;
	}
	return null;
}`

	// jsOptionState says whether an option is "disabled" or "chosen", of a list that takes
	// several.
	jsOptionState = `function () {
	const has = (name, value) => Element.prototype.getAttribute.call(this, name) === value;
	if (has('aria-disabled', 'true') || Element.prototype.matches.call(this, ':disabled')) return 'disabled';
	const list = Element.prototype.closest.call(this, '[aria-multiselectable=true]');
	return list && (has('aria-selected', 'true') || has('aria-checked', 'true')) ? 'chosen' : '';
}`

	// jsMarkLists remembers the lists that are drawn before this is clicked: they are none of
	// its own, unless it is open. It returns whether it is.
	jsMarkLists = `function () {` + jsListOptions + `
	const open = attribute(this, 'aria-expanded') === 'true';
	globalThis.bctrlLists = new WeakSet(open ? [] : drawnLists());
	return open;
}`

	// jsForgetLists forgets them.
	jsForgetLists = `function () { delete globalThis.bctrlLists; return true; }`

	// jsOptionLabels are the labels of the options that are drawn.
	jsOptionLabels = `function (limit) {` + jsListOptions + `
	return optionsOf(this).slice(0, limit).map(el => labelOf(el).slice(0, 60));
}`

	// jsScrollList scrolls the options of this on by nearly what is seen of them, from the
	// beginning when it is the first time, and returns whether they moved.
	jsScrollList = `function (first) {` + jsListOptions + `
	const option = optionsOf(this)[0];
	for (let el = option; el; el = el.parentElement) {
		if (el.scrollHeight <= el.clientHeight + 1 || !['auto', 'scroll'].includes(getComputedStyle(el).overflowY)) continue;
		const at = el.scrollTop;
		if (first && at > 0) el.scrollTop = 0;
		else Element.prototype.scrollBy.call(el, {top: el.clientHeight * .8, behavior: 'instant'});
		return el.scrollTop !== at;
	}
	return false;
}`

	// jsSuggestion returns the value of a suggestion by its label or value; null where there
	// is none, with what there is.
	jsSuggestion = `function (wanted, limit) {
	const plain = s => String(s).replace(/\s+/g, ' ').trim(), low = plain(wanted).toLowerCase();
	const options = [...this.list.options];
	const found = options.find(o => o.value === wanted) || options.find(o => plain(o.label).toLowerCase() === low)
		|| options.find(o => plain(o.value).toLowerCase() === low);
	const labels = options.slice(0, limit).map(o => plain(o.label || o.value).slice(0, 60));
	return {value: found ? found.value : null, options: labels};
}`
)

// Select chooses options. See [browser.Page].
func (s *Set) Select(ctx context.Context, ref browser.Ref, options ...string) error {
	wanted := make([]string, len(options))
	for i, option := range options {
		if err := s.refusePlaceholder(option); err != nil {
			return err
		}
		wanted[i] = strings.ToValidUTF8(option, "\ufffd")
	}
	return s.onElement(ctx, ref, func(ctx context.Context, t *tab, n *node, tree *frameTree) error {
		if _, err := n.waitUntilStill(ctx); err != nil {
			return err
		}
		var kind string
		if err := n.callOn(ctx, &kind, jsListKind); err != nil {
			return err
		}
		switch kind {
		case "select":
			return t.selectNative(ctx, n, wanted)
		case "suggestions":
			return t.typeSuggestion(ctx, tree, n, wanted)
		case "field", "list":
			owner, err := t.related(ctx, n, jsListElement)
			if err != nil {
				return err
			}
			if owner != nil {
				defer owner.release()
				return (&listChoice{tab: t, tree: tree, owner: owner, writable: kind == "field"}).choose(ctx, wanted)
			}
		}
		return browser.BadRequest("page.not_a_select", "the element "+string(n.ref)+" is not a list of options",
			"click it and choose from what opens")
	})
}

// typeSuggestion types one of the values that a field suggests.
func (t *tab) typeSuggestion(ctx context.Context, tree *frameTree, n *node, wanted []string) error {
	if len(wanted) != 1 {
		return oneOption(n)
	}
	var got struct {
		Value   *string  `json:"value"`
		Options []string `json:"options"`
	}
	if err := n.callOn(ctx, &got, jsSuggestion, wanted[0], maxOptionsTold); err != nil {
		return err
	}
	if got.Value == nil {
		return t.set.noOption(n, got.Options)
	}
	var kind string
	if err := n.callOn(ctx, &kind, jsEditable); err != nil {
		return err
	}
	return t.typeInto(ctx, tree, n, kind, *got.Value)
}

// listChoice is a choice from a list that a page has made of elements of its own.
type listChoice struct {
	tab      *tab
	tree     *frameTree
	owner    *node // the list, or what opens it
	writable bool  // the owner is a field, which searches for what is typed
	opened   bool
}

func (c *listChoice) choose(ctx context.Context, wanted []string) error {
	defer func() {
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), frameTimeout)
		defer cancel()
		_ = c.owner.callOn(ending, nil, jsForgetLists) // a document that is gone remembers nothing
	}()
	if len(wanted) == 0 {
		if err := c.open(ctx); err != nil {
			return err
		}
	}
	for _, text := range wanted {
		option, err := c.find(ctx, text)
		if err != nil {
			return err
		}
		err = c.click(ctx, option)
		option.release()
		if err != nil {
			return err
		}
	}
	return c.clearOthers(ctx, wanted)
}

// clearOthers ends the choice of options that are not wanted, where a list takes several.
func (c *listChoice) clearOthers(ctx context.Context, wanted []string) error {
	for range maxOptionsTold {
		other, err := c.tab.related(ctx, c.owner, jsOtherChosen, wanted)
		if err != nil || other == nil {
			return err
		}
		err = c.tab.clickNode(ctx, c.tree, other, leftClick())
		other.release()
		if err != nil {
			return err
		}
	}
	return nil
}

// click clicks an option, unless it is chosen already and a click would end that.
func (c *listChoice) click(ctx context.Context, option *node) error {
	var state string
	if err := option.callOn(ctx, &state, jsOptionState); err != nil {
		return err
	}
	switch state {
	case "disabled":
		return browser.Conflict("page.disabled", "the element "+string(c.owner.ref)+" or the option is disabled", "")
	case "chosen":
		return nil
	}
	c.opened = false // many lists close when something is chosen
	c.tab.set.guards.ExpectSubmit(c.tab.session.ID)
	return c.tab.clickNode(ctx, c.tree, option, leftClick())
}

// find returns an option: of the list as it is, when it is opened, when what is wanted is
// typed into its field, or when it is scrolled to.
func (c *listChoice) find(ctx context.Context, text string) (*node, error) {
	steps := []func(context.Context) error{nil, c.open}
	if c.writable {
		steps = append(steps, func(ctx context.Context) error { return c.tab.typeText(ctx, c.owner, text) })
	}
	for _, step := range steps {
		if step != nil {
			if err := step(ctx); err != nil {
				return nil, err
			}
		}
		option, err := c.await(ctx, text, step != nil)
		if err != nil || option != nil {
			return option, err
		}
	}
	for i := range maxListScrolls {
		var moved bool
		if err := c.owner.callOn(ctx, &moved, jsScrollList, i == 0); err != nil {
			return nil, err
		}
		if !moved && i > 0 {
			break
		}
		if err := c.owner.callOn(ctx, nil, jsNextFrames); err != nil {
			return nil, err
		}
		option, err := c.await(ctx, text, false)
		if err != nil || option != nil {
			return option, err
		}
	}
	var labels []string
	if err := c.owner.callOn(ctx, &labels, jsOptionLabels, maxOptionsTold); err != nil {
		return nil, err
	}
	return nil, c.tab.set.noOption(c.owner, labels)
}

// jsNextFrames waits until the page has drawn twice.
const jsNextFrames = `function () {
	const frame = () => new Promise(done => { requestAnimationFrame(done); setTimeout(done, 100); });
	return frame().then(frame).then(() => true);
}`

// open clicks what opens the list, once.
func (c *listChoice) open(ctx context.Context) error {
	if c.opened {
		return nil
	}
	c.opened = true
	var options []string
	if err := c.owner.callOn(ctx, &options, jsOptionLabels, 1); err != nil || len(options) > 0 {
		return err // it is open
	}
	var open bool
	if err := c.owner.callOn(ctx, &open, jsMarkLists); err != nil || open {
		return err
	}
	return c.tab.clickNode(ctx, c.tree, c.owner, leftClick())
}

// await looks for an option, for a while where it may be about to appear.
func (c *listChoice) await(ctx context.Context, text string, appearing bool) (*node, error) {
	deadline := time.NewTimer(openTimeout)
	defer deadline.Stop()
	for {
		option, err := c.tab.related(ctx, c.owner, jsFindOption, text)
		if err != nil || option != nil || !appearing {
			return option, err
		}
		step := time.NewTimer(optionStep)
		select {
		case <-step.C:
		case <-deadline.C:
			step.Stop()
			return nil, nil
		case <-ctx.Done():
			step.Stop()
			return nil, ctx.Err()
		}
	}
}

// noOption refuses an option that a list does not have, and says which it has.
func (s *Set) noOption(n *node, options []string) error {
	texts := make([]string, len(options))
	for i, label := range options {
		texts[i] = s.scrub.Text(fill.OneLine(label))
	}
	labels := make([]string, len(texts))
	for i, hidden := range s.scrub.Spans(texts) { // a value may stand there a character an option
		labels[i] = s.quoteLabel(fill.Redact(texts[i], hidden))
	}
	has := "; it has " + strings.Join(labels, ", ")
	if len(labels) == 0 {
		has = "; it shows none"
	}
	return browser.BadRequest("page.no_option", "the element "+string(n.ref)+" has no such option"+has, "")
}

func oneOption(n *node) error {
	return browser.BadRequest("page.one_option", "the element "+string(n.ref)+" takes exactly one option", "")
}
