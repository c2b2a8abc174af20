package page

import (
	"context"
	"slices"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/domdebugger"

	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

// readDraggable notes what a user drags: elements that say so, and those over which the
// mouse turns into a hand that grabs. The elements around them that are made alike, such
// as the columns of a board, take what is dragged, also those that are empty.
func (r *layoutReader) readDraggable() {
	around := map[likeness]bool{}
	for node, id := range r.ids {
		if !r.drags(node) || r.drags(r.parent(node)) {
			continue
		}
		r.draggable[id], r.clickable[id] = true, true
		place := r.parent(node)
		if place >= 0 && r.names[place] == "li" {
			place = r.parent(place)
		}
		if place >= 0 && !holdsPage(r.names[place]) {
			around[r.likenessOf(place)] = true
		}
	}
	if len(around) == 0 {
		return
	}
	for node, id := range r.ids {
		if _, shown := r.laidOut[node]; shown && around[r.likenessOf(node)] {
			r.takesDrops[id] = true
		}
	}
}

// likeness is what elements have in common that are made alike: name and class or, without
// a class, name and parent.
type likeness struct {
	name, class string
	parent      int
}

func (r *layoutReader) likenessOf(node int) likeness {
	if class := r.attribute(node, "class"); class != "" {
		return likeness{name: r.names[node], class: class}
	}
	return likeness{name: r.names[node], parent: r.parent(node)}
}

// drags reports whether an element, and not only what is around it, can be dragged.
func (r *layoutReader) drags(node int) bool {
	if node < 0 {
		return false
	}
	if _, shown := r.laidOut[node]; !shown || r.names[node] == "#text" {
		return false
	}
	switch r.attribute(node, "draggable") {
	case "true":
		return true
	case "false":
		return false
	}
	grabs := func(node int) bool {
		return slices.Contains([]string{"grab", "-webkit-grab", "move"}, r.style(node, styleCursor))
	}
	return grabs(node) && !grabs(r.parent(node))
}

// holdsPage reports whether an element of a name is around all of a page.
func holdsPage(name string) bool { return name == "html" || name == "body" || name == "#document" }

// readDropListeners notes the elements that listen for what is dropped on them, where a
// document has something to drag. Only then is it worth the question.
func (r *layoutReader) readDropListeners(ctx context.Context, s *session) {
	if len(r.draggable) == 0 || len(r.ids) == 0 {
		return
	}
	const group = "bctrl-drops"
	resolved, err := protocol.Call(ctx, s, dom.ResolveNode, dom.ResolveNodeParams{
		BackendNodeID: r.ids[0], ObjectGroup: group,
	})
	if err != nil || resolved.Object == nil {
		return // fewer elements have a name
	}
	defer releaseGroup(s, group)
	got, err := protocol.Call(ctx, s, domdebugger.GetEventListeners, domdebugger.GetEventListenersParams{
		ObjectID: resolved.Object.ObjectID, Depth: new(int64(-1)), Pierce: new(true),
	})
	if err != nil {
		return
	}
	listening := map[cdp.BackendNodeID]bool{}
	for _, l := range got.Listeners {
		listening[l.BackendNodeID] = listening[l.BackendNodeID] || l.Type == "drop"
	}
	for node, id := range r.ids {
		if _, shown := r.laidOut[node]; shown && listening[id] && !holdsPage(r.names[node]) {
			r.takesDrops[id] = true
		}
	}
}
