package page

import (
	"context"
	"net/url"
	"strings"

	"github.com/bctrl-go/bctrl/internal/browser/fill"
)

const (
	// maxReadText bounds one piece of a reading, in bytes, and maxReadLines its lines.
	maxReadText  = 16 << 10
	maxReadLines = 100_000
	// maxReadURL bounds the address of one link, in bytes; longer ones are left out.
	maxReadURL = 2 << 10
)

// reader writes documents as text.
type reader struct {
	pageReading
	tab   *tab
	docs  *documents
	limit int // of the text, in bytes
	wrote int
	line  readLine // the one that is being written
	start string   // what it begins with, "- " of a list
	depth int      // of lists in one another
}

// end ends the line that is being written.
func (r *reader) end() {
	line := r.line
	r.line = nil
	for len(line) > 0 && strings.TrimSpace(line[len(line)-1].text) == "" {
		line = line[:len(line)-1]
	}
	if len(line) == 0 {
		return
	}
	if last := &line[len(line)-1]; last.kind == ours {
		last.text = strings.TrimRight(last.text, " ")
	}
	if r.start != "" {
		line = append(readLine{{strings.Repeat("  ", max(0, r.depth-1)) + r.start, ours}}, line...)
		r.start = ""
	}
	// More than the limit is read, since the last line is cut elsewhere.
	if r.wrote > 2*r.limit || len(r.lines) >= maxReadLines {
		r.truncated = true
		return
	}
	r.wrote += line.size() + 1
	r.lines = append(r.lines, line)
}

// own writes a piece of the reading itself.
func (r *reader) own(text string) { r.line = append(r.line, piece{text, ours}) }

// page writes a text of the page as it stands in its document: white space at its ends
// parts it from its neighbours.
func (r *reader) page(text string, kind textKind) {
	clean := r.tab.set.scrub.Text(fill.OneLine(text))
	if len(clean) > maxReadText {
		clean = strings.ToValidUTF8(clean[:maxReadText], "") + "…"
		r.truncated = true
	}
	if len(r.line) > 0 && startsBlank(text) {
		r.blank()
	}
	if clean == "" {
		return
	}
	r.line = append(r.line, piece{clean, kind})
	if endsBlank(text) {
		r.blank()
	}
}

func (r *reader) blank() {
	if n := len(r.line); n > 0 && !strings.HasSuffix(r.line[n-1].text, " ") {
		r.own(" ")
	}
}

func startsBlank(s string) bool { return s != strings.TrimLeft(s, " \n\t\r\u00a0") }
func endsBlank(s string) bool   { return s != strings.TrimRight(s, " \n\t\r\u00a0") }

func (r *reader) document(ctx context.Context, d *document, level int) {
	if d == nil || d.root == nil {
		return
	}
	if d.partial {
		r.plain(ctx, d)
		return
	}
	w := &readWalk{
		reader: r,
		ctx:    ctx,
		// The outline's walk knows what the nodes of a document are.
		nodes: &walk{outline: &outline{tab: r.tab, docs: r.docs}, doc: d, acts: map[*axNode]bool{}},
	}
	w.children(d.root, level)
	r.end()
}

// plain writes what is shown of a document that is too large for its tree to be read.
func (r *reader) plain(ctx context.Context, d *document) {
	world, err := isolatedWorld(ctx, d.frame)
	if err != nil {
		r.truncated = true
		return
	}
	var got struct {
		Text string `json:"text"`
		More bool   `json:"more"`
	}
	if err := evaluate(ctx, d.frame, world, &got, jsText, r.limit); err != nil {
		r.truncated = true
		return
	}
	r.truncated = r.truncated || got.More
	for line := range strings.SplitSeq(got.Text, "\n") {
		for i, cell := range strings.Split(line, "\t") {
			if i > 0 {
				r.own(" | ")
			}
			r.page(cell, shownText)
		}
		r.end()
	}
}

// readWalk writes one document.
type readWalk struct {
	*reader
	ctx   context.Context
	nodes *walk
}

func (w *readWalk) children(n *axNode, level int) {
	if level > maxDepth {
		w.truncated = true
		return
	}
	for _, id := range n.Children {
		if c := w.nodes.doc.nodes[id]; c != nil {
			w.node(c, level+1)
		}
	}
}

func (w *readWalk) node(n *axNode, level int) {
	role, name := roleOf(n), string(n.Name.Value)
	if n.Ignored {
		w.block(n, level)
		return
	}
	switch role {
	case "StaticText":
		w.page(name, shownText)
	case "LineBreak":
		w.end()
	case "InlineTextBox", "ListMarker":
	case "Iframe", "IframePresentational":
		w.end()
		w.document(w.ctx, w.docs.byOwner[w.nodes.doc.frame.id][n.Backend], level)
		w.end()
	case "heading":
		w.end()
		w.own(strings.Repeat("#", headingLevel(n)) + " ")
		w.children(n, level)
		w.end()
	case "listitem":
		w.item(n, level)
	case "row":
		w.row(n, level)
	case "link":
		w.link(n, level)
	case "image":
		if name != "" {
			w.own("[image ")
			w.page(name, shownName)
			w.own("]")
		}
	default:
		if !w.control(n, role, level) {
			w.block(n, level)
		}
	}
}

func headingLevel(n *axNode) int {
	if l := n.property("level"); len(l) == 1 && l[0] >= '1' && l[0] <= '6' {
		return int(l[0] - '0')
	}
	return 2
}

// block writes what is inside n, on lines of its own where it is drawn so.
func (w *readWalk) block(n *axNode, level int) {
	own := w.nodes.doc.blocks[n.Backend] || !n.Ignored && !inline(roleOf(n))
	if own {
		w.end()
	}
	w.children(n, level)
	if own {
		w.end()
	}
}

func (w *readWalk) item(n *axNode, level int) {
	w.end()
	w.depth++
	w.start = "- "
	w.children(n, level)
	w.end()
	w.depth, w.start = w.depth-1, ""
}

// row writes a row of a table on one line, its cells between bars.
func (w *readWalk) row(n *axNode, level int) {
	w.end()
	w.own("|")
	for _, cell := range w.cells(n, level) {
		w.own(" ")
		w.inOneLine(func() { w.children(cell, level+2) })
		w.own(" |")
	}
	if len(w.line) == 1 { // without cells it says what it holds
		w.line = nil
		w.children(n, level)
	}
	w.end()
}

// inOneLine has everything that is written stay on the line.
func (w *readWalk) inOneLine(write func()) {
	line, lines, start := w.line, w.lines, w.start
	w.line, w.lines, w.start = nil, nil, ""
	write()
	w.end()
	written := w.lines
	w.line, w.lines, w.start = line, lines, start
	for i, l := range written {
		if i > 0 {
			w.own(" ")
		}
		w.line = append(w.line, l...)
	}
}

func (w *readWalk) cells(n *axNode, level int) (cells []*axNode) {
	if level > maxDepth {
		return nil
	}
	for _, id := range n.Children {
		c := w.nodes.doc.nodes[id]
		if c == nil {
			continue
		}
		switch role := roleOf(c); {
		case c.Ignored || role == "generic" || role == "none":
			cells = append(cells, w.cells(c, level+1)...)
		case role == "cell" || role == "gridcell" || role == "columnheader" || role == "rowheader":
			cells = append(cells, c)
		}
	}
	return cells
}

// link writes a link with the absolute address that the browser has made of it.
func (w *readWalk) link(n *axNode, level int) {
	address := n.property("url")
	u, err := url.Parse(address)
	if err != nil || len(address) > maxReadURL || u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "mailto" {
		w.children(n, level)
		return
	}
	w.own("[")
	before := len(w.line)
	w.inOneLine(func() { w.children(n, level) })
	if len(w.line) == before {
		w.page(string(n.Name.Value), shownName)
	}
	for len(w.line) > before && w.line[len(w.line)-1] == (piece{" ", ours}) {
		w.line = w.line[:len(w.line)-1]
	}
	w.own("](")
	w.page(address, shownName)
	w.own(")")
}

// control writes a field or another control, and reports whether n is one.
func (w *readWalk) control(n *axNode, role string, level int) bool {
	name, value := string(n.Name.Value), string(n.Value.Value)
	switch role {
	case "checkbox", "switch", "menuitemcheckbox", "radio", "menuitemradio":
		mark := map[string]string{"true": "[x] ", "mixed": "[-] "}[n.property("checked")]
		if mark == "" {
			mark = "[ ] "
		}
		w.own(mark)
		w.page(name, shownName)
		w.own(" ")
		return true
	case "button", "tab", "menuitem", "PopUpButton", "ToggleButton":
		w.own("[")
		w.page(name, shownName)
		w.own("] ")
		return true
	case "option":
		return w.option(n, name)
	}
	editable := n.property("editable") != ""
	if !hasValue(role) && role != "listbox" && role != "Date" && role != "DateTime" && role != "InputTime" &&
		role != "ColorWell" && !(editable && n.property("focusable") == "true") {
		return false
	}
	w.end()
	if name != "" {
		w.dropLabel(name)
		w.page(name, shownName)
		w.own(": ")
	}
	key := w.nodes.doc.frame.element(n.Backend)
	switch {
	case w.nodes.doc.passwords[n.Backend], editable && value != "" && w.tab.hidesValue(key),
		editable && w.tab.hidesValue(key) && w.nodes.textBelow(n, level, 1) != "":
		w.own(fill.Hidden)
	case role == "listbox":
		w.children(n, level)
	case editable && n.property("editable") == "richtext":
		w.children(n, level)
	default:
		w.page(value, shownValue)
	}
	w.end()
	return true
}

// dropLabel drops the line before a field that says the field's name and nothing else.
func (w *readWalk) dropLabel(name string) {
	last := len(w.lines) - 1
	if last >= 0 && len(w.lines[last]) == 1 && w.lines[last][0].kind == shownText &&
		strings.TrimRight(w.lines[last][0].text, ": ") == strings.TrimRight(w.tab.set.scrub.Text(fill.OneLine(name)), ": ") {
		w.wrote -= w.lines[last].size() + 1
		w.lines = w.lines[:last]
	}
}

// option writes an option of a list that is open, with what is chosen marked.
func (w *readWalk) option(n *axNode, name string) bool {
	w.end()
	if n.property("selected") == "true" {
		w.own("[x] ")
	} else {
		w.own("[ ] ")
	}
	w.page(name, shownName)
	w.end()
	return true
}
