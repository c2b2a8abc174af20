package page

// jsIsHint reports whether what lies over a field of text is of the field itself: a hint in
// an empty editor, or the colors that an editor draws over its text. The mouse passes
// through it, it ends where the field does, and what holds both holds nothing else that one
// could mean. Anything else over a field hides it from a user, who would not write there.
const jsIsHint = `(field, hit, up) => {
	const text = field instanceof HTMLTextAreaElement || field instanceof HTMLElement && field.isContentEditable
		|| field instanceof HTMLInputElement && ['text', 'search', 'email', 'tel', 'url', 'number'].includes(field.type);
	let over = hit.nodeType === Node.ELEMENT_NODE ? hit : hit.parentElement;
	if (!text || !over) return false;
	const holdsField = n => { for (let at = field; at; at = up(at)) if (at === n) return true; return false; };
	while (over && !holdsField(up(over))) {
		if (getComputedStyle(over).pointerEvents !== 'none') return false;
		over = up(over);
	}
	if (!(over instanceof Element) || getComputedStyle(over).pointerEvents !== 'none') return false;
	const slack = 4; // CSS pixels: the two differ by a border
	const [a, b] = [field, over].map(el => Element.prototype.getBoundingClientRect.call(el));
	if (b.left < a.left - slack || b.top < a.top - slack || b.right > a.right + slack || b.bottom > a.bottom + slack)
		return false;
	const others = 'a[href],button,input,select,textarea,summary,iframe,dialog,[contenteditable],[tabindex],[role=button],'
		+ '[role=dialog],[role=alertdialog]';
	const both = up(over), proto = both instanceof Element ? Element.prototype : DocumentFragment.prototype;
	const drawn = el => Element.prototype.getClientRects.call(el).length > 0;
	return [...proto.querySelectorAll.call(both, others)].every(el => holdsField(el) || field.contains(el) || !drawn(el));
}`
