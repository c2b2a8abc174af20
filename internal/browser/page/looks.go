package page

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/chromedp/cdproto/cdp"

	"github.com/bctrl-go/bctrl/internal/browser"
)

// appearance is how an element is drawn, as far as a few words say it.
type appearance struct {
	color string // a name or #rrggbb; empty where nothing is filled
	shape string // of what SVG draws: "circle", "triangle"; empty for others
	svg   bool
}

// svgShapes are the elements that SVG draws, with the word for their shape. Triangles are
// told by their corners.
var svgShapes = map[string]string{
	"circle": "circle", "ellipse": "ellipse", "rect": "rectangle", "polygon": "polygon", "polyline": "line",
	"line": "line", "path": "", "text": "", "use": "", "image": "",
}

// readAppearance notes how a node is drawn.
func (r *layoutReader) readAppearance(node int) {
	name, id := r.names[node], r.ids[node]
	shape, svg := svgShapes[name]
	if svg = svg && r.insideSVG(node); !svg {
		if color := colorWord(r.style(node, styleBackground)); color != "" {
			r.looks[id] = appearance{color: color}
		}
		return
	}
	if name == "polygon" && countNumbers(r.attribute(node, "points")) == 6 {
		shape = "triangle"
	}
	style := styleFill
	if name == "line" || name == "polyline" {
		style = styleStroke
	}
	r.looks[id] = appearance{color: colorWord(r.style(node, style)), shape: shape, svg: true}
}

// insideSVG reports whether a node is drawn by SVG and no definition.
func (r *layoutReader) insideSVG(node int) bool {
	for at := r.parent(node); at >= 0 && at < len(r.names); at = r.parent(at) {
		switch r.names[at] {
		case "svg":
			return true
		case "g", "a", "switch":
		default:
			return false
		}
	}
	return false
}

func countNumbers(text string) int {
	return len(strings.FieldsFunc(text, func(c rune) bool { return c == ',' || c == ' ' || c == '\n' || c == '\t' }))
}

// namedByLook are the roles of which the view says how an element without a name looks.
var namedByLook = map[string]bool{
	"clickable": true, "button": true, "link": true, "image": true, "graphics-symbol": true, "graphics-object": true,
	"graphics-document": true,
}

// look says how an element looks where its name does not tell it apart: its color, its
// shape, its size and where its middle is in a picture of the viewport, as
// " (red circle 20x20 at 104,88)". It says so too of all that SVG draws, where the same
// letters may come in several colors.
func (w *walk) look(n *axNode, e *browser.Element) string {
	l := w.doc.looks[n.Backend]
	nameless := namedByLook[e.Role] && e.Name == "" && e.Value == "" && e.Placeholder == "" &&
		e.Icon == ""
	b, placed := w.doc.boxes[n.Backend]
	if !placed || !l.svg && !nameless || b.width() < 1 && b.height() < 1 {
		return ""
	}
	words := strings.Fields(l.color + " " + l.shape)
	words = append(words, fmt.Sprintf("%.0fx%.0f", b.width(), b.height()))
	at, view := point{w.at.x + (b.left+b.right)/2, w.at.y + (b.top+b.bottom)/2 - w.docs.top.scrolled}, w.docs.top.view
	// A picture of a larger viewport is made smaller, and places in it would be others.
	sameAsPicture := view.right <= browser.MaxPictureSide && view.bottom <= browser.MaxPictureSide
	if sameAsPicture && at.x >= 0 && at.y >= 0 && at.x < view.right && at.y < view.bottom {
		words = append(words, fmt.Sprintf("at %.0f,%.0f", math.Floor(at.x), math.Floor(at.y)))
	}
	return " (" + strings.Join(words, " ") + ")"
}

// colorWord returns a computed color as a name where it has a common one, else as
// #rrggbb; empty for none, one that lets most shine through, and what is no plain color.
func colorWord(css string) string {
	inner, isRGB := strings.CutPrefix(strings.TrimSuffix(css, ")"), "rgb")
	_, list, ok := strings.Cut(inner, "(")
	if !isRGB || !ok {
		return ""
	}
	var parts []float64
	for part := range strings.SplitSeq(list, ",") {
		v, err := strconv.ParseFloat(strings.TrimSpace(part), 64)
		if err != nil || v < 0 || v > 255 {
			return ""
		}
		parts = append(parts, v)
	}
	if len(parts) < 3 || len(parts) > 3 && parts[3] < minOpacity {
		return ""
	}
	hex := fmt.Sprintf("#%02x%02x%02x", int(parts[0]), int(parts[1]), int(parts[2]))
	if name, known := colorNames[hex]; known {
		return name
	}
	return hex
}

// minOpacity is how much of a color is there at least for it to be told.
const minOpacity = .1

// colorNames are the colors that everybody knows the CSS name of.
var colorNames = map[string]string{
	"#000000": "black", "#ffffff": "white", "#ff0000": "red", "#00ff00": "lime", "#008000": "green", "#0000ff": "blue",
	"#ffff00": "yellow", "#00ffff": "cyan", "#ff00ff": "magenta", "#808080": "gray", "#c0c0c0": "silver",
	"#800000": "maroon", "#808000": "olive", "#800080": "purple", "#008080": "teal", "#000080": "navy",
	"#ffa500": "orange", "#ffc0cb": "pink", "#a52a2a": "brown",
}

const (
	// minCanvas is how wide and high a canvas is at least to be told of, in CSS pixels.
	minCanvas = 16
	// minBare is that of an empty element that can be clicked.
	minBare = 8
	// maxDrawn bounds what is added to the accessibility tree of a document.
	maxDrawn = 500
)

// readDrawn notes canvases, and what can be clicked of what SVG draws and of icons without a
// name, and where they are.
func (r *layoutReader) readDrawn() {
	for node, id := range r.ids {
		if len(r.drawn) >= maxDrawn {
			break
		}
		b, placed := r.boxes[id]
		switch {
		case !placed || r.style(node, styleVisibility) == "hidden":
		case r.names[node] == "canvas" && b.width() >= minCanvas && b.height() >= minCanvas:
			r.noteDrawn(node, "canvas")
		case !r.clickable[id]:
		case r.looks[id].svg:
			r.noteDrawn(node, "graphics-symbol")
		case r.isBare(node) && b.width() >= minBare && b.height() >= minBare:
			r.noteDrawn(node, "clickable")
		}
	}
	if len(r.drawn) > 0 {
		for i, id := range r.ids {
			r.order[id] = i
		}
	}
}

// isBare reports whether a node is an element of no kind of its own with nothing in it: an
// icon that is a background, of which the accessibility tree knows nothing.
func (r *layoutReader) isBare(node int) bool {
	switch r.names[node] {
	case "div", "span", "i", "b", "em", "s":
		return len(r.children[node]) == 0 && r.attribute(node, "aria-hidden") != "true"
	}
	return false
}

func (r *layoutReader) noteDrawn(node int, role string) {
	r.drawn[r.ids[node]] = role
	for at, parent := node, r.parent(node); parent >= 0 && parent < len(r.ids); at, parent = parent, r.parent(parent) {
		if _, known := r.parents[r.ids[at]]; known {
			break
		}
		r.parents[r.ids[at]] = r.ids[parent]
	}
}

// addDrawn puts what is drawn into the accessibility tree that leaves it out, because it
// has neither a name nor content.
func (d *document) addDrawn() {
	if len(d.drawn) == 0 || d.root == nil {
		return
	}
	byBackend := make(map[cdp.BackendNodeID]*axNode, len(d.nodes))
	for _, n := range d.nodes {
		if n.Backend != 0 && byBackend[n.Backend] == nil {
			byBackend[n.Backend] = n
		}
	}
	missing := slices.SortedFunc(maps.Keys(d.drawn), func(a, b cdp.BackendNodeID) int {
		return cmp.Compare(d.order[a], d.order[b])
	})
	for _, drawn := range missing {
		if byBackend[drawn] != nil {
			continue
		}
		within := d.root
		for at, ok := d.parents[drawn]; ok; at, ok = d.parents[at] {
			if n := byBackend[at]; n != nil {
				within = n
				break
			}
		}
		n := &axNode{ID: fmt.Sprintf("drawn-%d", drawn), Role: axValue{axText(d.drawn[drawn])}, Backend: drawn}
		place := slices.IndexFunc(within.Children, func(id string) bool {
			c := d.nodes[id]
			return c != nil && d.order[c.Backend] > d.order[drawn]
		})
		if place < 0 {
			place = len(within.Children)
		}
		within.Children = slices.Insert(within.Children, place, n.ID)
		d.nodes[n.ID] = n
	}
}
