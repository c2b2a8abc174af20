package page

import (
	"cmp"
	"fmt"
	"slices"
	"sync"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

// refTable gives elements their names. A name is never given twice.
type refTable struct {
	mu    sync.Mutex
	last  int
	byKey map[protocol.Element]browser.Ref
	byRef map[browser.Ref]refEntry
}

type refEntry struct {
	key protocol.Element
	tab *tab
	seq int
}

// maxRefs bounds the table: the oldest names are forgotten beyond it.
const maxRefs = 50_000

func newRefTable() *refTable {
	return &refTable{byKey: map[protocol.Element]browser.Ref{}, byRef: map[browser.Ref]refEntry{}}
}

// name returns the element's name, giving it one the first time.
func (r *refTable) name(t *tab, key protocol.Element) browser.Ref {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ref, ok := r.byKey[key]; ok {
		return ref
	}
	r.last++
	ref := browser.Ref(fmt.Sprintf("e%d", r.last))
	r.byKey[key] = ref
	r.byRef[ref] = refEntry{key: key, tab: t, seq: r.last}
	return ref
}

// lookUp returns the element of a name, if it is still known. given reports whether
// any element has ever had the name.
func (r *refTable) lookUp(ref browser.Ref) (entry refEntry, ok, given bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	entry, ok = r.byRef[ref]
	var n int
	if _, err := fmt.Sscanf(string(ref), "e%d", &n); err == nil && n > 0 && n <= r.last &&
		string(ref) == fmt.Sprintf("e%d", n) {
		given = true
	}
	return entry, ok, given
}

// prune forgets the names of documents that a tab no longer shows.
func (r *refTable) prune(t *tab, tree *frameTree) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for ref, entry := range r.byRef {
		if entry.tab == t && !tree.has(entry.key.Document) {
			r.forget(ref, entry)
		}
	}
	if len(r.byRef) <= maxRefs {
		return
	}
	oldest := make([]browser.Ref, 0, len(r.byRef))
	for ref := range r.byRef {
		oldest = append(oldest, ref)
	}
	slices.SortFunc(oldest, func(a, b browser.Ref) int { return cmp.Compare(r.byRef[a].seq, r.byRef[b].seq) })
	for _, ref := range oldest[:len(oldest)-maxRefs] {
		r.forget(ref, r.byRef[ref])
	}
}

func (r *refTable) forget(ref browser.Ref, entry refEntry) {
	delete(r.byRef, ref)
	delete(r.byKey, entry.key)
}

// forgetTab forgets the names of a tab that is gone.
func (r *refTable) forgetTab(t *tab) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for ref, entry := range r.byRef {
		if entry.tab == t {
			r.forget(ref, entry)
		}
	}
}
