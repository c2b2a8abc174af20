package page

import (
	"fmt"
	"strings"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/fill"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

const (
	// maxName and maxText bound one name or value and one run of text, in
	// characters.
	maxName = 160
	maxText = 440
	// maxOptions bounds the options of a select that are listed, in bytes.
	maxOptions = 300
	// maxDepth bounds the walk: no honest page nests deeper.
	maxDepth = 400
)

// interactive are the roles that a user acts on. What else can be focused or
// listens to clicks is referable too.
var interactive = map[string]bool{
	"button": true, "link": true, "textbox": true, "searchbox": true, "combobox": true, "listbox": true,
	"checkbox": true, "radio": true, "switch": true, "slider": true, "spinbutton": true, "tab": true,
	"menuitem": true, "menuitemcheckbox": true, "menuitemradio": true, "option": true, "treeitem": true,
	"Date": true, "DateTime": true, "InputTime": true, "ColorWell": true, "DisclosureTriangle": true,
	"PopUpButton": true, "ToggleButton": true,
}

// landmarks are the roles that get a line of their own although a user does not act on
// them.
var landmarks = map[string]bool{
	"navigation": true, "main": true, "dialog": true, "alertdialog": true, "alert": true, "status": true,
	"form": true, "search": true, "table": true, "grid": true, "list": true, "menu": true, "menubar": true,
	"tablist": true, "tabpanel": true, "toolbar": true, "tree": true, "banner": true, "contentinfo": true,
	"complementary": true, "radiogroup": true, "progressbar": true, "meter": true,
}

// outline builds a [browser.Observation].
type outline struct {
	tab       *tab
	docs      *documents
	lines     []outlineLine
	text      pendingText
	truncated bool    // something does not fit
	drawnArea float64 // of canvases and of pictures without names in the viewport, in CSS pixels
}

type outlineLine struct {
	text    string
	depth   int              // in the tree; the indentation of text stops earlier
	top     float64          // in the top document; negative when unknown
	role    string           // of a line that has lines below it, or stands for an element; empty for text
	foreign bool             // a frame of another origin, whose content is not the page's
	element *browser.Element // nil for what is not referable
	key     protocol.Element // of the element
}

// pendingText collects the text of neighbours that becomes one line.
type pendingText struct {
	depth int
	top   float64
	b     strings.Builder
}

func newOutline(t *tab, docs *documents) *outline { return &outline{tab: t, docs: docs} }

// maxLines bounds what is collected before the part around the viewport is
// chosen.
const maxLines = 20_000

// line adds a line of text that nothing is inside of.
func (o *outline) line(depth int, top float64, text string) {
	o.add(outlineLine{text: text, depth: depth, top: top})
}

// part adds the line of a part of the page, which begins with its role.
func (o *outline) part(depth int, top float64, role, rest string) {
	o.add(outlineLine{text: role + rest, depth: depth, top: top, role: role})
}

func (o *outline) add(l outlineLine) {
	o.flush()
	if len(o.lines) >= maxLines {
		o.truncated = true
		return
	}
	l.text = strings.Repeat("  ", min(l.depth, 20)) + l.text
	o.lines = append(o.lines, l)
}

// flush writes the pending text as a line.
func (o *outline) flush() {
	text := clip(o.clean(o.text.b.String()), maxText)
	depth, top := o.text.depth, o.text.top
	o.text.b.Reset()
	if text == "" {
		return
	}
	o.line(depth, top, "text: "+text)
}

// document renders a document that begins at a place of the page.
func (o *outline) document(d *document, depth int, at point) {
	if d == nil || d.root == nil {
		return
	}
	if d.partial {
		o.line(depth, -1, "note: this document is too large to read whole; what follows is in view, scroll for more")
		o.truncated = true
	}
	w := &walk{outline: o, doc: d, at: at, acts: map[*axNode]bool{}}
	w.children(d.root, depth, "", 0)
	o.flush()
}

// walk renders the tree of one document.
type walk struct {
	*outline
	doc  *document
	at   point            // where the document begins in the page, in CSS pixels
	acts map[*axNode]bool // see actsBelow
}

func (w *walk) children(n *axNode, depth int, above string, level int) {
	if level > maxDepth {
		w.truncated = true
		return
	}
	for _, id := range n.Children {
		if c := w.doc.nodes[id]; c != nil {
			w.node(c, depth, above, level+1)
		}
	}
}

// node renders n. above is the name of the nearest line above, so that text it
// repeats is left out.
func (w *walk) node(n *axNode, depth int, above string, level int) {
	role, name := roleOf(n), w.clean(string(n.Name.Value))
	switch {
	case w.doc.drawn[n.Backend] == "canvas", n.Ignored && w.doc.drawn[n.Backend] != "":
		w.element(n, w.doc.drawn[n.Backend], name, depth, level) // also what the tree ignores, having no name
		return
	case w.doc.standIns[n.Backend].role != "":
		w.element(n, w.doc.standIns[n.Backend].role, clip(w.clean(w.textBelow(n, level, maxName*4)), maxName), depth, level)
		return
	case n.Ignored && !w.doc.takesDrops[n.Backend]:
		w.block(n, depth, above, level)
		return
	case role == "StaticText":
		if name == "" || above == "" || !strings.Contains(above, name) {
			w.addText(depth, w.top(n), string(n.Name.Value))
		}
		return
	case role == "LineBreak":
		w.addText(depth, w.top(n), " ")
		return
	case role == "InlineTextBox" || role == "ListMarker":
		return
	case role == "Iframe" || role == "IframePresentational":
		w.frame(n, depth, name)
		return
	}
	if display, ok := w.referable(n, role, level); ok {
		w.element(n, display, name, depth, level)
		return
	}
	switch {
	case role == "heading":
		w.part(depth, w.top(n), "heading", levelOf(n)+" "+quote(name, maxName))
		w.children(n, depth+1, name, level)
	case role == "image":
		w.picture(n, name, depth, above, level)
	case role == "row" && !w.actsBelow(n, level) && !w.structured(n, level):
		w.row(n, depth, level)
	case role == "row":
		w.part(depth, w.top(n), "row", "")
		w.children(n, depth+1, "", level)
		w.flush()
	case landmarks[role] || name != "" && (role == "region" || role == "group" || role == "article"):
		text := ""
		if name != "" {
			text = " " + quote(name, maxName)
		}
		w.part(depth, w.top(n), role, text+w.valueOf(n)+states(n))
		w.children(n, depth+1, name, level)
		w.flush()
	case inline(role):
		w.block(n, depth, above, level)
	default:
		w.flush()
		w.children(n, depth, above, level)
		w.flush()
	}
}

// roleOf is the role of a node. Tables that the browser takes for layout, because they
// have no headers, mostly hold data all the same.
func roleOf(n *axNode) string {
	switch role := string(n.Role.Value); role {
	case "LayoutTable":
		return "table"
	case "LayoutTableRow":
		return "row"
	case "LayoutTableCell":
		return "cell"
	default:
		return role
	}
}

// picture renders what is drawn: with its name, and without one where it is large.
func (w *walk) picture(n *axNode, name string, depth int, above string, level int) {
	b := w.doc.boxes[n.Backend]
	if name == "" {
		w.drawnArea += w.seenArea(b)
	}
	text := ""
	switch {
	case name != "" && strings.Contains(above, name):
		return
	case name != "":
		text = " " + quote(name, maxName)
	case b.width() < minPicture || b.height() < minPicture:
		return
	}
	w.part(depth, w.top(n), "image", text)
	w.children(n, depth+1, name, level)
	w.flush()
}

// minPicture is how wide and high a picture without a name is at least to be told of, in
// CSS pixels.
const minPicture = 48

// seenArea is how much of a box is in the viewport, in CSS pixels.
func (w *walk) seenArea(b box) float64 {
	top := w.docs.top
	left, from := max(0, b.left+w.at.x), max(top.scrolled, b.top+w.at.y)
	right, to := min(top.view.right, b.right+w.at.x), min(top.scrolled+top.view.bottom, b.bottom+w.at.y)
	return max(0, right-left) * max(0, to-from)
}

// block renders what is inside n. When n begins a line of its own, its text
// does not run on into its neighbours'.
func (w *walk) block(n *axNode, depth int, above string, level int) {
	if w.doc.blocks[n.Backend] {
		w.flush()
		defer w.flush()
	}
	w.children(n, depth, above, level)
}

// inline reports whether a role continues the text around it.
func inline(role string) bool {
	switch role {
	case "generic", "none", "strong", "emphasis", "code", "LabelText", "subscript", "superscript", "mark", "Abbr", "time",
		"insertion", "deletion":
		return true
	}
	return false
}

func (w *walk) frame(n *axNode, depth int, name string) {
	text := ""
	if name != "" {
		text = " " + quote(name, maxName)
	}
	child := w.docs.byOwner[w.doc.frame.id][n.Backend]
	if child == nil {
		w.part(depth, w.top(n), "frame", text+" (not readable)")
		return
	}
	w.add(outlineLine{
		text:    "frame" + text,
		depth:   depth,
		top:     w.top(n),
		role:    "frame",
		foreign: child.frame.origin != w.docs.top.frame.origin,
	})
	in := w.doc.boxes[n.Backend]
	w.document(child, depth+1, point{w.at.x + in.left, w.at.y + in.top - child.scrolled})
}

// structured reports whether a row holds more than texts: a table that only lays out
// the page has whole parts of it in a cell.
func (w *walk) structured(n *axNode, level int) bool {
	if level > maxDepth {
		return true
	}
	for _, id := range n.Children {
		c := w.doc.nodes[id]
		if c == nil {
			continue
		}
		role := roleOf(c)
		if role == "heading" || landmarks[role] || role == "row" || role == "Iframe" || w.structured(c, level+1) {
			return true
		}
	}
	return false
}

// row renders a table row without controls on one line.
func (w *walk) row(n *axNode, depth, level int) {
	var cells []string
	for _, id := range n.Children {
		if c := w.doc.nodes[id]; c != nil {
			if text := clip(w.clean(w.textBelow(c, level+1, maxName*4)), maxName); text != "" || roleOf(c) == "cell" {
				cells = append(cells, text)
			}
		}
	}
	w.part(depth, w.top(n), "row", ": "+strings.Join(cells, " | "))
}

// referable reports whether an element gets a name to act on it by, and the
// role to show.
func (w *walk) referable(n *axNode, role string, level int) (string, bool) {
	if n.Backend == 0 {
		return "", false
	}
	switch {
	case n.property("editable") == "richtext" && n.property("focusable") == "true":
		return "textbox", true
	case role == "DisclosureTriangle":
		return "button", true
	case role == "Date" || role == "DateTime" || role == "InputTime":
		return "date", true
	case role == "ColorWell":
		return "color", true
	case interactive[role]:
		return role, true
	}
	plain := role == "generic" || role == "none" || role == ""
	_, scrolls := w.doc.scrolling[n.Backend]
	switch {
	case w.doc.draggable[n.Backend] && (plain || role == "group"): // as Chromium calls what is draggable
		return "clickable", true
	case w.doc.takesDrops[n.Backend] && plain:
		return "droppable", true
	case scrolls && plain:
		return "scrollable", true
	case w.doc.draggable[n.Backend] || w.doc.takesDrops[n.Backend] || scrolls:
		return role, true
	}
	if role == "LabelText" || role == "RootWebArea" || w.actsBelow(n, level) && !w.isEntry(n, level) {
		return "", false // a user acts on what is inside
	}
	clickable := w.doc.clickable[n.Backend] || n.property("focusable") == "true"
	if !clickable {
		return "", false
	}
	if plain {
		return "clickable", true
	}
	return role, true
}

// isEntry reports whether n is clicked beside what is inside it, as a line of a list of
// letters that has a star and a bin: it is low, listens to clicks and has text that
// belongs to nothing else.
func (w *walk) isEntry(n *axNode, level int) bool {
	box, placed := w.doc.boxes[n.Backend]
	return placed && w.doc.clickable[n.Backend] && box.height() <= maxEntryHeight && w.hasOwnText(n, level)
}

// hasOwnText reports whether text lies in n, and in nothing inside it that can be acted on.
func (w *walk) hasOwnText(n *axNode, level int) bool {
	if level >= maxDepth {
		return false
	}
	for _, id := range n.Children {
		c := w.doc.nodes[id]
		if c == nil || !c.Ignored && w.actsItself(c) {
			continue
		}
		if string(c.Role.Value) == "StaticText" {
			if !c.Ignored && w.clean(string(c.Name.Value)) != "" {
				return true
			}
			continue
		}
		if w.hasOwnText(c, level+1) {
			return true
		}
	}
	return false
}

// actsBelow reports whether anything inside n can be acted on.
func (w *walk) actsBelow(n *axNode, level int) bool {
	if acts, ok := w.acts[n]; ok {
		return acts
	}
	acts := false
	if level < maxDepth {
		for _, id := range n.Children {
			c := w.doc.nodes[id]
			if c == nil {
				continue
			}
			if !c.Ignored && w.actsItself(c) || w.actsBelow(c, level+1) {
				acts = true
				break
			}
		}
	}
	w.acts[n] = acts
	return acts
}

// actsItself reports whether a user can act on n, whatever is inside it.
func (w *walk) actsItself(n *axNode) bool {
	role := string(n.Role.Value)
	if interactive[role] || role == "Iframe" || w.doc.standIns[n.Backend].role != "" {
		return true
	}
	return n.Backend != 0 && role != "StaticText" && role != "LabelText" &&
		(w.doc.clickable[n.Backend] || n.property("focusable") == "true")
}

// namedByText are the roles of elements that are called what they say where they have no
// name.
var namedByText = map[string]bool{
	"clickable": true, "listitem": true, "row": true, "cell": true, "gridcell": true, "columnheader": true,
	"rowheader": true, "paragraph": true, "term": true, "definition": true,
}

// element renders a referable element and what is inside it.
func (w *walk) element(n *axNode, role, name string, depth, level int) {
	if name == "" && namedByText[role] {
		name = clip(w.clean(w.textBelow(n, level, maxName*4)), maxName)
	}
	key := w.doc.frame.element(n.Backend)
	e := &browser.Element{
		Ref:   w.tab.set.refs.name(w.tab, key),
		Role:  role,
		Name:  clip(name, maxName),
		Frame: w.frameOrigin(),
		State: stateOf(n),
	}
	if role == "canvas" {
		w.drawnArea += w.seenArea(w.doc.boxes[n.Backend])
	}
	editable := n.property("editable") != ""
	if editable || hasValue(role) {
		e.Value = clip(w.clean(string(n.Value.Value)), maxName)
	}
	if (e.Value != "" || editable && w.textBelow(n, level, 1) != "") && w.tab.hidesValue(key) {
		e.Value = fill.Hidden
	}
	text := "[" + string(e.Ref) + "] " + role
	if e.Name != "" {
		text += " " + quote(e.Name, maxName)
	}
	if e.Value != "" {
		text += " value=" + quote(e.Value, maxName)
	}
	if e.Name == "" && !editable && !hasValue(role) {
		if e.Icon = w.iconOf(n, level); e.Icon != "" {
			text += " (icon " + quote(e.Icon, maxIconName) + ")"
		}
	}
	if hint := clip(w.clean(w.doc.placeholders[n.Backend]), maxName); e.Value == "" && hint != "" && hint != e.Name {
		e.Placeholder = hint
		text += " placeholder=" + quote(hint, maxName)
	}
	if w.doc.passwords[n.Backend] {
		text += " (password)"
	}
	text += states(n) + w.look(n, e)
	if checked := w.doc.standIns[n.Backend].checked; checked != "" {
		e.State.Checked = checked
		text += map[string]string{"true": " (checked)", "false": " (not checked)"}[checked]
	}
	if w.doc.draggable[n.Backend] {
		text += " (draggable)"
	}
	if w.doc.takesDrops[n.Backend] && role != "droppable" {
		text += " (droppable)"
	}
	if s, ok := w.doc.scrolling[n.Backend]; ok {
		text += fmt.Sprintf(" (scrolled %.1f of %.1f screens)", s.at, s.all-1)
	}
	if role == "combobox" || role == "listbox" {
		text += w.options(n, level)
	}
	w.add(outlineLine{text: text, depth: depth, top: w.top(n), role: role, element: e, key: key})
	switch {
	case editable, role == "date", role == "slider", role == "spinbutton", role == "color":
		return // what is inside is the value again
	case (role == "combobox" || role == "listbox") && w.nativeSelect(n):
		return
	}
	w.children(n, depth+1, name, level)
	w.flush()
}

// nativeSelect reports whether the options of n are a select's, which are
// chosen with Select rather than clicked.
func (w *walk) nativeSelect(n *axNode) bool {
	for _, id := range n.Children {
		if c := w.doc.nodes[id]; c != nil && (string(c.Role.Value) == "MenuListPopup" || c.Ignored) {
			return true
		}
	}
	return false
}

// options lists what a select offers.
func (w *walk) options(n *axNode, level int) string {
	if !w.nativeSelect(n) {
		return ""
	}
	var names []string
	size, more := 0, false
	var collect func(n *axNode, level int)
	collect = func(n *axNode, level int) {
		if level > maxDepth {
			return
		}
		for _, id := range n.Children {
			c := w.doc.nodes[id]
			if c == nil {
				continue
			}
			if string(c.Role.Value) != "option" {
				collect(c, level+1)
				continue
			}
			selected := c.property("selected") == "true"
			if size > maxOptions && !selected {
				more = true
				continue
			}
			text := quote(w.clean(string(c.Name.Value)), 60)
			if selected {
				text += " (selected)"
			}
			names = append(names, text)
			size += len(text) + 2
		}
	}
	collect(n, level)
	if more {
		names = append(names, "…")
	}
	return " options: " + strings.Join(names, ", ")
}

// textBelow collects the text inside n, at most limit bytes of it.
func (w *walk) textBelow(n *axNode, level, limit int) string {
	var b strings.Builder
	var collect func(n *axNode, level int)
	collect = func(n *axNode, level int) {
		if b.Len() > limit || level > maxDepth {
			return
		}
		switch role := string(n.Role.Value); {
		case n.Ignored:
		case role == "StaticText", role == "image":
			b.WriteString(string(n.Name.Value))
			b.WriteByte(' ')
			return
		case role == "ListMarker":
			return
		}
		for _, id := range n.Children {
			if c := w.doc.nodes[id]; c != nil {
				collect(c, level+1)
			}
		}
	}
	collect(n, level)
	return b.String()
}

func (w *walk) addText(depth int, top float64, text string) {
	if w.text.b.Len() == 0 {
		w.text.depth, w.text.top = depth, top
	}
	if w.text.b.Len() < 4*maxText {
		w.text.b.WriteString(text)
	}
}

// top is where a node begins in the page, -1 where that is not known.
func (w *walk) top(n *axNode) float64 {
	if b, ok := w.doc.boxes[n.Backend]; ok {
		return max(0, b.top+w.at.y)
	}
	return -1
}
