package page

import (
	"context"
	"errors"

	"github.com/chromedp/cdproto/runtime"

	"github.com/bctrl-go/bctrl"
)

// While a masked picture is taken, a page could show a text for a moment that is there
// neither when the page is read before nor when it is read after. So what its documents
// write meanwhile is watched, in a world that the page does not reach. It does not see
// what is in a closed shadow tree, and what is written into a field and taken out again:
// in a document that holds a value itself, every field is masked anyway.

// jsWatchTexts begins to note the texts that come and go in a document. Several watches of
// a document may go on at a time, each by a number of its own.
const jsWatchTexts = `function (most, number) {
	const texts = [];
	let size = 0;
	const add = text => { if (text && size < most) { size += text.length; texts.push(String(text).slice(0, most)); } };
	const addNode = node => {
		add(node.textContent);
		if (node instanceof Element)
			for (const field of [node, ...Element.prototype.querySelectorAll.call(node, 'input,textarea')])
				if (field instanceof HTMLInputElement || field instanceof HTMLTextAreaElement) add(field.value);
	};
	const note = all => {
		for (const m of all) {
			if (m.type === 'childList') { m.addedNodes.forEach(addNode); m.removedNodes.forEach(addNode); continue; }
			add(m.oldValue);
			add(m.type === 'characterData' ? m.target.data
				: Element.prototype.getAttribute.call(m.target, m.attributeName));
		}
	};
	const observer = new MutationObserver(note);
	const what = {
		subtree: true, childList: true, characterData: true, characterDataOldValue: true,
		attributes: true, attributeOldValue: true, attributeFilter: ['value', 'placeholder', 'alt', 'content'],
	};
	observer.observe(document, what);
	const hosts = Document.prototype.querySelectorAll.call(document, '*');
	for (const host of hosts) if (host.shadowRoot) observer.observe(host.shadowRoot, what);
	globalThis.bctrlTexts ??= new Map();
	bctrlTexts.set(number, () => {
		note(observer.takeRecords());
		observer.disconnect();
		bctrlTexts.delete(number);
		return {texts, full: size >= most};
	});
}`

const jsTextsSeen = `function (number) {
	const end = globalThis.bctrlTexts?.get(number);
	return end ? end() : {texts: [], full: true};
}`

// maxWatchedText bounds what a document may write while a picture is taken, in characters.
const maxWatchedText = 256 << 10

// textWatch watches the texts of a tab's documents.
type textWatch struct {
	t      *tab
	number int64 // of all watches of the browser
	frames []*frame
	worlds []runtime.ExecutionContextID
}

// watchTexts begins to watch.
func (t *tab) watchTexts(ctx context.Context) (*textWatch, error) {
	tree, err := t.frameTree(ctx)
	if err != nil {
		return nil, err
	}
	w := &textWatch{t: t, number: t.set.textWatches.Add(1)}
	for _, f := range tree.order[:min(len(tree.order), maxFrames)] {
		world, err := isolatedWorld(ctx, f)
		if err == nil {
			// First: what was begun is ended, also where the answer comes too late.
			w.frames, w.worlds = append(w.frames, f), append(w.worlds, world)
			err = evaluate(ctx, f, world, nil, jsWatchTexts, maxWatchedText, w.number)
		}
		if err != nil {
			_ = w.end(ctx)
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			return nil, errUnsteady // the frame shows another document now
		}
	}
	return w, nil
}

// end ends the watching. It returns an error where a text was written that repeats what
// was filled, or where that is not known.
func (w *textWatch) end(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), frameTimeout)
	defer cancel()
	var all []string
	known := true
	for i, f := range w.frames {
		var seen struct {
			Texts []string `json:"texts"`
			Full  bool     `json:"full"`
		}
		if err := evaluate(ctx, f, w.worlds[i], &seen, jsTextsSeen, w.number); err != nil || seen.Full {
			known = false // the others are ended all the same
		}
		all = append(all, seen.Texts...)
	}
	if !known {
		return errUnsteady
	}
	scrub := w.t.set.scrub
	for i, spans := range scrub.Spans(all) {
		if len(spans) > 0 || scrub.Text(all[i]) != all[i] {
			return errUnsteady
		}
	}
	return nil
}

// asRefusal returns the refusal that an error is.
func asRefusal(err error) (*bctrl.Error, bool) { return errors.AsType[*bctrl.Error](err) }
