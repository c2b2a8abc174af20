package page

import (
	"github.com/chromedp/cdproto/cdp"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

// A field that was filled is shown to the model as "[secret]", whatever it holds. In a
// document that holds a value itself, because it was filled directly, so is every
// other field unless the model has written it: a script may have moved the value
// there, and half of it would not be recognised.

// setFilled remembers that an element holds something filled.
func (t *tab) setFilled(n *node) {
	t.set.anyFilled.Store(true)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.filled[n.key()] = true
	delete(t.typed, n.key())
}

// setAllFilled is setFilled for several.
func (t *tab) setAllFilled(nodes []*node) {
	for _, n := range nodes {
		t.setFilled(n)
	}
}

// setDirect remembers that a document holds a value itself.
func (t *tab) setDirect(n *node) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.direct[n.frame.document()] = true
}

// isDirect reports whether the node's document holds a value itself.
func (t *tab) isDirect(n *node) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.direct[n.frame.document()]
}

// setTyped remembers that an element holds the model's own text now.
func (t *tab) setTyped(n *node) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.filled, n.key())
	t.typed[n.key()] = true
}

// forgetTyped hides again the fields of a document that the model has written. The
// value was moved into one of them: if the model deleted it from there character by
// character, what is left would soon not be recognised.
func (t *tab) forgetTyped(d protocol.Document) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for key := range t.typed {
		if key.Document == d {
			delete(t.typed, key)
		}
	}
}

// hidesValue reports whether the model is not shown what an editable element holds.
func (t *tab) hidesValue(key protocol.Element) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.filled[key] || t.direct[key.Document] && !t.typed[key]
}

// filledIn returns the filled elements of a document.
func (t *tab) filledIn(f *frame) []cdp.BackendNodeID {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []cdp.BackendNodeID
	for key := range t.filled {
		if key.Document == f.document() {
			out = append(out, key.Backend)
		}
	}
	return out
}

// pruneFilled forgets what was filled into documents that are gone.
func (t *tab) pruneFilled(tree *frameTree) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, keys := range []map[protocol.Element]bool{t.filled, t.typed} {
		for key := range keys {
			if !tree.has(key.Document) {
				delete(keys, key)
			}
		}
	}
	for key := range t.direct {
		if !tree.has(key) {
			delete(t.direct, key)
		}
	}
}

// refusePlaceholder refuses to write the placeholder of a filled value, which a page
// may have shown to the model.
func (s *Set) refusePlaceholder(text string) error {
	if !s.guards.HoldsPlaceholder(text) {
		return nil
	}
	return browser.Forbidden("page.text_refused", "the text holds what stands for a login's value",
		"fill the login where it belongs; it goes nowhere else")
}
