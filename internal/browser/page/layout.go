package page

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/domsnapshot"

	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

const (
	// maxEntryHeight is how high an entry of a list is at most, in CSS pixels, for its
	// list to be recognised where no element says that it is one.
	maxEntryHeight = 120
	// minScreens is how many of its own heights a part of the page holds that is told
	// to scroll.
	minScreens = 1.2
)

// layout is what is known of the elements of a document beside its accessibility tree.
type layout struct {
	clickable    map[cdp.BackendNodeID]bool              // elements that clicks do something to
	passwords    map[cdp.BackendNodeID]bool              // inputs of that type
	blocks       map[cdp.BackendNodeID]bool              // elements that begin a line of their own
	boxes        map[cdp.BackendNodeID]box               // in CSS pixels from the top left of the document
	placeholders map[cdp.BackendNodeID]string            // what empty fields show
	looks        map[cdp.BackendNodeID]appearance        // of what has one that can be told
	drawn        map[cdp.BackendNodeID]string            // canvases, shapes and icons that can be clicked, with roles
	order        map[cdp.BackendNodeID]int               // in the document; where anything is drawn
	parents      map[cdp.BackendNodeID]cdp.BackendNodeID // of elements around what is drawn
	scrolling    map[cdp.BackendNodeID]scrolls           // parts that scroll downwards
	standIns     map[cdp.BackendNodeID]standIn           // labels of inputs that are not drawn
	icons        map[cdp.BackendNodeID]string            // what pictures are called that stand for a name
	draggable    map[cdp.BackendNodeID]bool              // what a user drags
	takesDrops   map[cdp.BackendNodeID]bool              // where it can be dropped
}

// scrolls is how far a part of the page is scrolled and how far it can be, in its own
// heights.
type scrolls struct{ at, all float64 }

func newLayout() layout {
	return layout{
		clickable:    map[cdp.BackendNodeID]bool{},
		passwords:    map[cdp.BackendNodeID]bool{},
		blocks:       map[cdp.BackendNodeID]bool{},
		boxes:        map[cdp.BackendNodeID]box{},
		placeholders: map[cdp.BackendNodeID]string{},
		looks:        map[cdp.BackendNodeID]appearance{},
		drawn:        map[cdp.BackendNodeID]string{},
		order:        map[cdp.BackendNodeID]int{},
		parents:      map[cdp.BackendNodeID]cdp.BackendNodeID{},
		scrolling:    map[cdp.BackendNodeID]scrolls{},
		standIns:     map[cdp.BackendNodeID]standIn{},
		icons:        map[cdp.BackendNodeID]string{},
		draggable:    map[cdp.BackendNodeID]bool{},
		takesDrops:   map[cdp.BackendNodeID]bool{},
	}
}

// readLayouts learns what is clickable and where things are, from one snapshot of each
// process. Where that fails the outline only names fewer elements.
func readLayouts(ctx context.Context, docs []*document) {
	bySession := map[*session][]*document{}
	large := map[*session]bool{}
	for _, doc := range docs {
		if doc != nil {
			bySession[doc.frame.session] = append(bySession[doc.frame.session], doc)
			large[doc.frame.session] = large[doc.frame.session] || doc.partial
		}
	}
	var each sync.WaitGroup
	for session, docs := range bySession {
		if large[session] {
			continue // the snapshot would hold the large document too
		}
		each.Go(func() {
			params := domsnapshot.CaptureSnapshotParams{
				ComputedStyles:  computedStyles(),
				IncludeDOMRects: new(true),
			}
			got, err := protocol.Call(ctx, session, domsnapshot.CaptureSnapshot, params)
			if err != nil {
				return
			}
			for _, part := range got.Documents {
				for _, doc := range docs {
					if i := int(part.FrameID); i >= 0 && i < len(got.Strings) && got.Strings[i] == string(doc.frame.id) {
						r := &layoutReader{layout: &doc.layout, part: part, texts: got.Strings}
						r.read()
						r.readDropListeners(ctx, session)
						doc.addDrawn()
					}
				}
			}
		})
	}
	each.Wait()
}

// layoutReader reads the snapshot of one document. Nodes are named by their index in it.
type layoutReader struct {
	*layout
	part     *domsnapshot.DocumentSnapshot
	texts    []string
	ids      []cdp.BackendNodeID
	names    []string // of elements; "#text" and the like of others
	children [][]int
	laidOut  map[int]int // the place in part.Layout of a node
}

func (r *layoutReader) read() {
	if r.part.Nodes == nil || r.part.Layout == nil {
		return
	}
	r.ids = r.part.Nodes.BackendNodeID
	r.names = make([]string, len(r.ids))
	r.children = make([][]int, len(r.ids))
	for i, name := range r.part.Nodes.NodeName {
		if i < len(r.names) {
			r.names[i] = strings.ToLower(r.text(int64(name)))
		}
	}
	for i, parent := range r.part.Nodes.ParentIndex {
		if parent >= 0 && int(parent) < len(r.ids) && i < len(r.ids) {
			r.children[parent] = append(r.children[parent], i)
		}
	}
	r.laidOut = make(map[int]int, len(r.part.Layout.NodeIndex))
	for i, node := range r.part.Layout.NodeIndex {
		if _, twice := r.laidOut[int(node)]; !twice && node >= 0 && int(node) < len(r.ids) {
			r.laidOut[int(node)] = i
		}
	}
	r.readLayout()
	r.readAttributes()
	r.readClickable()
	r.readStandIns()
	r.readDraggable()
	r.readDrawn()
	r.readIcons()
}

func (r *layoutReader) text(i int64) string {
	if i < 0 || int(i) >= len(r.texts) {
		return ""
	}
	return r.texts[i]
}

// style returns one of the styles that were asked for, in their order; empty for what is
// not laid out.
func (r *layoutReader) style(node, style int) string {
	at, ok := r.laidOut[node]
	if !ok || at >= len(r.part.Layout.Styles) || style >= len(r.part.Layout.Styles[at]) {
		return ""
	}
	return r.text(r.part.Layout.Styles[at][style])
}

const (
	styleDisplay = iota
	styleCursor
	styleOverflow
	styleVisibility
	styleBackground
	styleFill
	styleStroke
	styleImage
	styleContent
	styleMask
)

// computedStyles are the names of the styles above.
func computedStyles() []string {
	return []string{
		"display", "cursor", "overflow-y", "visibility", "background-color", "fill", "stroke", "background-image", "content",
		"mask-image",
	}
}

func (r *layoutReader) attribute(node int, name string) string {
	value, _ := r.lookUp(node, name)
	return value
}

// lookUp returns an attribute, and whether the node has it.
func (r *layoutReader) lookUp(node int, name string) (value string, has bool) {
	if node >= len(r.part.Nodes.Attributes) {
		return "", false
	}
	attributes := r.part.Nodes.Attributes[node]
	for j := 0; j+1 < len(attributes); j += 2 {
		if r.text(attributes[j]) == name {
			return r.text(attributes[j+1]), true
		}
	}
	return "", false
}

func (r *layoutReader) readLayout() {
	rect := func(all []domsnapshot.Rectangle, at int) (box, bool) {
		if at >= len(all) || len(all[at]) != 4 {
			return box{}, false
		}
		return box{all[at][0], all[at][1], all[at][0] + all[at][2], all[at][1] + all[at][3]}, true
	}
	for node, at := range r.laidOut {
		id := r.ids[node]
		if b, ok := rect(r.part.Layout.Bounds, at); ok {
			r.boxes[id] = b
		}
		display := r.style(node, styleDisplay)
		r.blocks[id] = display != "" && display != "contents" && !strings.HasPrefix(display, "inline")
		r.readAppearance(node)
		switch r.names[node] {
		case "html", "body", "select", "#document":
			continue
		}
		overflow := r.style(node, styleOverflow)
		inside, _ := rect(r.part.Layout.ClientRects, at)
		all, ok := rect(r.part.Layout.ScrollRects, at)
		if ok && (overflow == "auto" || overflow == "scroll") && inside.height() >= 1 &&
			all.height() >= minScreens*inside.height() {
			r.scrolling[id] = scrolls{max(0, all.top) / inside.height(), all.height() / inside.height()}
		}
	}
}

func (r *layoutReader) readAttributes() {
	for node := range r.ids {
		switch r.names[node] {
		case "input":
			if strings.EqualFold(r.attribute(node, "type"), "password") {
				r.passwords[r.ids[node]] = true
			}
		case "textarea":
		default:
			continue
		}
		if placeholder := r.attribute(node, "placeholder"); placeholder != "" {
			r.placeholders[r.ids[node]] = placeholder
		}
	}
}

// readClickable finds what clicks do something to: elements that listen to them, those
// over which the mouse turns into a hand, and the entries of lists that listen for all
// of them.
func (r *layoutReader) readClickable() {
	listens := map[int]bool{}
	if r.part.Nodes.IsClickable != nil {
		for _, node := range r.part.Nodes.IsClickable.Index {
			if node >= 0 && int(node) < len(r.ids) {
				listens[int(node)] = true
				r.clickable[r.ids[node]] = true
			}
		}
	}
	for node := range r.ids {
		if strings.HasPrefix(r.names[node], "#") || strings.HasPrefix(r.names[node], ":") {
			continue
		}
		if r.style(node, styleCursor) == "pointer" && r.style(r.parent(node), styleCursor) != "pointer" {
			r.clickable[r.ids[node]] = true
		}
		if r.opensList(node) {
			r.clickable[r.ids[node]] = true
		}
	}
	for node := range listens {
		for _, entry := range r.entries(node) {
			r.clickable[r.ids[entry]] = true
		}
	}
}

// opensList reports whether a node is an entry of a list with a list of its own that is
// not shown: a menu that opens under the mouse, by its style alone.
func (r *layoutReader) opensList(node int) bool {
	if _, shown := r.laidOut[node]; !shown || r.names[node] != "li" {
		return false
	}
	return slices.ContainsFunc(r.children[node], func(child int) bool {
		_, shown := r.laidOut[child]
		return !shown && (r.names[child] == "ul" || r.names[child] == "ol" || r.attribute(child, "role") == "menu")
	})
}

// parent returns the parent of a node, or -1.
func (r *layoutReader) parent(node int) int {
	if node < len(r.part.Nodes.ParentIndex) {
		return int(r.part.Nodes.ParentIndex[node])
	}
	return -1
}

// entries returns the entries of a list that are not listening themselves. It is
// recognised by its element or role, and else by being made of small elements that are
// alike, so that a script that listens to the whole page does not make all of it
// clickable.
func (r *layoutReader) entries(list int) (out []int) {
	switch r.names[list] {
	case "html", "body", "#document", "a", "button", "select", "label", "summary", "form", "svg":
		return nil
	}
	role := r.attribute(list, "role")
	known := role == "list" || role == "listbox" || role == "grid" || role == "table" || role == "menu" ||
		role == "tree" ||
		role == "radiogroup" || role == "tablist"
	switch r.names[list] {
	case "ul", "ol", "menu", "dl":
		known = true
	case "table", "tbody", "thead":
		return r.rows(list)
	}
	for _, child := range r.children[list] {
		if _, shown := r.laidOut[child]; shown && !strings.HasPrefix(r.names[child], "#") &&
			!strings.HasPrefix(r.names[child], ":") {
			out = append(out, child)
		}
	}
	if known {
		return out
	}
	if len(out) < 2 {
		return nil
	}
	for _, child := range out {
		if r.names[child] != r.names[out[0]] || r.attribute(child, "class") != r.attribute(out[0], "class") ||
			r.boxes[r.ids[child]].height() > maxEntryHeight {
			return nil
		}
	}
	return out
}

// rows returns the rows of a table.
func (r *layoutReader) rows(table int) (out []int) {
	for _, child := range r.children[table] {
		switch r.names[child] {
		case "tbody":
			out = append(out, r.rows(child)...)
		case "tr":
			out = append(out, child)
		}
	}
	return out
}
