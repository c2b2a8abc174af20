package page

// The functions below follow the rules of script.go.
const (
	// jsText returns what is shown of the document, at most limit characters and as many more
	// as a filled value may have, so that none is cut before it is hidden.
	jsText = `function (limit) {
	const body = Object.getOwnPropertyDescriptor(Document.prototype, 'body').get.call(document);
	const text = body ? Object.getOwnPropertyDescriptor(HTMLElement.prototype, 'innerText').get.call(body) : '';
	return {text: text.slice(0, limit + 4096), more: text.length > limit};
}`

	// jsScrollers returns what scrolls downwards and is large enough to hold a list, the
	// document first, then by the area that is seen.
	jsScrollers = `function (limit) {
	const scrolling = Object.getOwnPropertyDescriptor(Document.prototype, 'scrollingElement').get.call(document);
	const whole = Object.getOwnPropertyDescriptor(Document.prototype, 'documentElement').get.call(document);
	const root = scrolling || whole;
	const found = [];
	const look = within => {
		for (const el of within.querySelectorAll('*')) {
			if (el.shadowRoot) look(el.shadowRoot);
			if (el === root || el.localName === 'body' || el.localName === 'textarea' || el.localName === 'select') continue;
			if (el.scrollHeight <= el.clientHeight + 1 || el.clientHeight < 40) continue;
			const overflow = getComputedStyle(el).overflowY;
			if (overflow === 'auto' || overflow === 'scroll') found.push(el);
		}
	};
	if (whole) look(whole);
	found.sort((a, b) => b.clientWidth * b.clientHeight - a.clientWidth * a.clientHeight);
	return [...(root.scrollHeight > innerHeight + 1 ? [root] : []), ...found].slice(0, limit);
}`

	// jsScrollerTo scrolls this to a place and returns where it was.
	jsScrollerTo = `function (top) {
	const at = this.scrollTop;
	Element.prototype.scrollTo.call(this, {top, behavior: 'instant'});
	return at;
}`

	// jsScrollerOn scrolls this on by nine tenths of its height, or to its end, and reports
	// whether it moved.
	jsScrollerOn = `function (toEnd) {
	const at = this.scrollTop;
	const by = toEnd ? this.scrollHeight : Math.min(this.clientHeight, innerHeight) * .9;
	Element.prototype.scrollBy.call(this, {top: by, behavior: 'instant'});
	return this.scrollTop !== at;
}`
)
