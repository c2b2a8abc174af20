package page

// jsSameText is a function that reports whether a page has only written a text in another
// way: "123456" as "123 456", "ab" as "AB", "# Title" as a heading. The same letters, digits
// and signs stand in the same order; case, white space and punctuation may differ.
const jsSameText = `((wanted, held) => {
	const plain = s => s.normalize('NFKC').toLowerCase().replace(/[\s\p{P}\p{C}\p{Z}]/gu, '');
	return wanted === held || plain(wanted) === plain(held) && (plain(wanted) !== '' || wanted.trim() === held.trim());
})`

// jsHeld waits until a page has drawn what it makes of a new text, and says how that
// compares with what was typed: "same", "other" for a text that was cut or completed, as
// by a field that takes few characters or suggests the rest, else "lost".
const jsHeld = `async function (wanted) {
	const same = ` + jsSameText + `;
	const el = this, field = el instanceof HTMLInputElement || el instanceof HTMLTextAreaElement;
	const read = () => (field ? el.value : el.innerText).replace(/[\u200b\ufeff]/g, '');
	const part = (a, b) => { let i = 0; for (const c of b) if (c === a[i]) i++; return i === a.length; };
	const frame = () => new Promise(done => { requestAnimationFrame(done); setTimeout(done, 100); });
	for (let i = 0; i < 10; i++) {
		await frame();
		if (i && same(wanted, read())) return 'same';
	}
	const held = read().trim().toLowerCase(), low = wanted.trim().toLowerCase();
	return field && held !== '' && (part([...held], [...low]) || part([...low], [...held])) ? 'other' : 'lost';
}`

// jsShows reports whether this holds a text, perhaps written in another way.
const jsShows = `function (text) { return ` + jsSameText + `(text, this.value || ''); }`
