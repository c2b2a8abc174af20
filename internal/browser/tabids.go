package browser

import (
	"strconv"
	"sync"
)

// TabIDs names the tabs of one browser, in the order in which they are asked for, so that
// whoever tells of a tab calls it the same. The zero TabIDs is ready.
type TabIDs struct {
	mu   sync.Mutex
	seen int
	ids  map[string]TabID // by DevTools target
}

// Of is the name of the tab with a DevTools target.
func (n *TabIDs) Of(target string) TabID {
	n.mu.Lock()
	defer n.mu.Unlock()
	id, named := n.ids[target]
	if !named {
		n.seen++
		id = TabID("t" + strconv.Itoa(n.seen))
		if n.ids == nil {
			n.ids = map[string]TabID{}
		}
		n.ids[target] = id
	}
	return id
}

// Forget lets go of a tab that is gone.
func (n *TabIDs) Forget(target string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.ids, target)
}
