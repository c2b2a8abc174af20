package page

import "strings"

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
