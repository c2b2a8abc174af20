package page

import (
	"context"
	"errors"

	"github.com/chromedp/cdproto/runtime"

	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

// Many pages make their fields anew of what they know whenever something is typed, as
// frameworks do: what is typed into is gone then, and others stand in its place.

// maxRemade is how often a page may make a box anew before it takes its digit.
const maxRemade = 3

// jsRowAgain returns the row of count boxes in this, a document or a shadow root, whose
// first ones hold the digits of typed, one each, and whose others are empty; where typed is
// null, whatever they hold. Of several it returns none.
const jsRowAgain = `function (count, typed) {
	const rowFrom = ` + jsDigits + `;
	const proto = this instanceof Document ? Document.prototype : DocumentFragment.prototype;
	const begins = i => i.value.length <= 1 && (typed === null || i.value === typed.slice(0, 1));
	const holds = row => typed === null || row.every((i, at) => i.value === typed.slice(at, at + 1));
	const rows = [...proto.querySelectorAll.call(this, 'input')].filter(begins).slice(0, 100)
		.map(i => rowFrom.call(i, count)).filter(row => row.length && holds(row));
	return rows.length === 1 ? rows[0] : [];
}`

// jsFieldAgain returns the field in this, a document or a shadow root, that has come in the
// place of another one: the only one that holds its text, and like it in all that it says.
const jsFieldAgain = `function (before, text) {
	const proto = this instanceof Document ? Document.prototype : DocumentFragment.prototype;
	const attribute = (of, name) => Element.prototype.getAttribute.call(of, name);
	const alike = i => i instanceof HTMLInputElement && i.type === before.type
		&& ['name', 'id', 'aria-label', 'placeholder', 'autocomplete', 'inputmode', 'maxlength']
			.every(name => attribute(i, name) === attribute(before, name));
	const held = i => i.value && i.value.replace(/[\s-]/g, '') === text.replace(/[\s-]/g, '');
	const found = [...proto.querySelectorAll.call(this, 'input,textarea')].filter(held);
	return found.length === 1 && alike(found[0]) ? found[0] : null;
}`

// typing is a text that is typed into one field, or a character of it into each of several.
type typing struct {
	nodes []*node
	text  string
	// root is the document or the shadow root of the fields.
	root runtime.RemoteObjectID
	// moved is told of the fields that came in the place of others.
	moved func([]*node)
}

// row reports whether each character has a field of its own.
func (w *typing) row() bool { return len(w.nodes) > 1 }

// findRoot notes where the fields are, for as long as they are there.
func (w *typing) findRoot(ctx context.Context) error {
	n := w.nodes[0]
	got, err := callFunction(ctx, n.frame.session, scriptCall{
		Function: `function () { return this.getRootNode(); }`,
		Object:   n.object,
		Group:    n.group,
	}, nil)
	if err != nil {
		return err
	}
	w.root = got.ObjectID
	return nil
}

// followRow takes the boxes that came in the place of those of a row. Where typed is nil
// they may hold anything. It reports whether there are any.
func (w *typing) followRow(ctx context.Context, typed *string) (bool, error) {
	n := w.nodes[0]
	got, err := callFunction(ctx, n.frame.session, scriptCall{Function: jsRowAgain, Object: w.root, Group: n.group},
		[]any{len(w.nodes), typed})
	if err != nil {
		return false, err
	}
	objects, err := elementsOf(ctx, n.frame.session, got.ObjectID, len(w.nodes))
	if err != nil || len(objects) != len(w.nodes) {
		return false, err
	}
	return true, w.follow(ctx, objects)
}

// followTyped is followRow where digits were typed, without which the page has made its
// boxes anew, or has none any more.
func (w *typing) followTyped(ctx context.Context, typed string) error {
	if found, err := w.followRow(ctx, &typed); err != nil || found {
		return err
	}
	found, err := w.followRow(ctx, nil)
	switch {
	case err != nil:
		return err
	case found:
		return errNotTyped(w.nodes[0])
	}
	return errScript
}

// followField is followRow for a single field, which holds the whole text.
func (w *typing) followField(ctx context.Context) error {
	n := w.nodes[0]
	got, err := callFunction(ctx, n.frame.session, scriptCall{Function: jsFieldAgain, Object: w.root, Group: n.group},
		[]any{n, w.text})
	if err != nil || got.Subtype != runtime.RemoteObjectSubtypeNode {
		return err
	}
	return w.follow(ctx, []runtime.RemoteObjectID{got.ObjectID})
}

// follow takes objects in the place of the fields.
func (w *typing) follow(ctx context.Context, objects []runtime.RemoteObjectID) error {
	nodes := make([]*node, len(objects))
	for i, object := range objects {
		var err error
		if nodes[i], err = w.nodes[0].beside(ctx, object); err != nil {
			return err
		}
	}
	w.nodes = nodes
	w.moved(nodes)
	return nil
}

// write types the text.
func (w *typing) write(ctx context.Context, how typed) error {
	if !w.row() {
		return w.nodes[0].writeText(ctx, w.text, how)
	}
	for i := range w.nodes {
		err := w.nodes[i].writeText(ctx, w.text[i:i+1], how)
		for try := 0; errors.Is(err, errScript) && try < maxRemade; try++ {
			if gone := w.followTyped(ctx, w.text[:i]); gone != nil {
				err = gone
				break
			}
			err = w.nodes[i].writeText(ctx, w.text[i:i+1], how)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// settle follows the fields to where they are once all is typed. That a page has them no
// more is no failure: many send a code as soon as its last digit is there.
func (w *typing) settle(ctx context.Context) error {
	var there bool
	all := make([]any, len(w.nodes))
	for i, n := range w.nodes {
		all[i] = n
	}
	const jsThere = `function (...all) { return all.every(el => el.isConnected); }`
	if err := w.nodes[0].callOn(ctx, &there, jsThere, all...); err != nil || there {
		return ignoreLeft(err)
	}
	if !w.row() {
		return ignoreLeft(w.followField(ctx))
	}
	return ignoreLeft(w.followTyped(ctx, w.text))
}

// ignoreLeft is no error where a page was left that has taken all that was typed.
func ignoreLeft(err error) error {
	if errors.Is(err, errScript) || errors.Is(err, protocol.ErrGone) {
		return nil
	}
	return err
}

// clear takes a text whose fill failed out of the page, also when the context of
// the fill has ended.
func (w *typing) clear(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), frameTimeout)
	defer cancel()
	for i := range w.nodes {
		if w.row() {
			_, _ = w.followRow(ctx, nil) // a box may be made anew when another one is emptied
		}
		_ = w.nodes[i].callOn(ctx, nil, jsClear, w.text) // a node that is gone holds nothing
	}
}
