package page

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	"github.com/bctrl-go/bctrl/internal/browser"
)

const (
	// maxSurrounding bounds the name of one of the parts that an element lies in, in
	// characters.
	maxSurrounding = 80
	// maxPeriod is how many neighbours may make up one entry of a list, for a page that
	// repeats them to have the same shape.
	maxPeriod = 8
	// opaqueOrigin stands for the origin of a frame that has none of its own.
	opaqueOrigin = "null"
)

// frameOrigin is the origin of the walked document where it is not the page's.
func (w *walk) frameOrigin() string {
	switch {
	case w.doc.frame.origin == w.docs.top.frame.origin:
		return ""
	case w.doc.frame.origin == "":
		return opaqueOrigin
	}
	return w.doc.frame.origin
}

// place says of each element where it is: what it lies in, and how many like it come
// before it. It follows [outline.hideEchoes], so that it repeats nothing that was hidden.
func (o *outline) place() {
	var open []int // the lines that the next one may lie in, outermost first
	seen := map[string]int{}
	for i := range o.lines {
		l := &o.lines[i]
		for len(open) > 0 && o.lines[open[len(open)-1]].depth >= l.depth {
			open = open[:len(open)-1]
		}
		if e := l.element; e != nil {
			e.Surroundings = o.surroundings(open)
			key := strings.Join(append([]string{e.Role, e.Name, e.Frame}, e.Surroundings...), "\x00")
			e.Index = seen[key]
			seen[key]++
		}
		if l.role != "" {
			open = append(open, i)
		}
	}
}

// surroundings describes the named ones of lines, the last first.
func (o *outline) surroundings(open []int) []string {
	var out []string
	for i := len(open) - 1; i >= 0 && len(out) < browser.MaxSurroundings; i-- {
		l := &o.lines[open[i]]
		name := l.name()
		if name == "" && l.role == "row" {
			name = o.textOfRow(open[i])
		}
		if name != "" {
			out = append(out, l.role+" "+quote(name, maxSurrounding))
		}
	}
	return out
}

// textOfRow is what the cells of a row of a table say, which is what a person tells it
// by. What its controls are named is left out, but for links.
func (o *outline) textOfRow(row int) string {
	var texts []string
	for i := row + 1; i < len(o.lines) && o.lines[i].depth > o.lines[row].depth; i++ {
		l := &o.lines[i]
		switch text, isText := strings.CutPrefix(strings.TrimLeft(l.text, " "), "text: "); {
		case isText:
			texts = append(texts, text)
		case l.role == "link":
			texts = append(texts, l.name())
		}
	}
	return strings.Join(texts, " | ")
}

// name is what the line shows as the name of its part or element; empty for none.
func (l *outlineLine) name() string {
	if l.element != nil {
		return l.element.Name
	}
	texts := pageTextsOf(l.text)
	if len(texts) == 0 || texts[0].kind != shownName {
		return ""
	}
	name, err := strconv.Unquote(l.text[texts[0].From-1 : texts[0].To+1])
	if err != nil {
		return ""
	}
	return name
}

// shape is the digest of the roles of all lines and of how they lie in one another.
// Neighbours that repeat count once, and what frames of others show not at all.
func (o *outline) shape() string {
	lines := make([]outlineLine, 0, len(o.lines))
	for i := 0; i < len(o.lines); i++ {
		l := o.lines[i]
		if l.role == "" {
			continue
		}
		lines = append(lines, l)
		if l.foreign {
			for i+1 < len(o.lines) && o.lines[i+1].depth > l.depth {
				i++
			}
		}
	}
	shape, _ := shapeBelow(lines, -1)
	return shape
}

// shapeBelow returns the shape of the first lines that are deeper than depth, and the
// lines after them.
func shapeBelow(lines []outlineLine, depth int) (shape string, rest []outlineLine) {
	var shapes []string
	for len(lines) > 0 && lines[0].depth > depth {
		role := lines[0].role
		var below string
		below, lines = shapeBelow(lines[1:], lines[0].depth)
		shapes = withoutRepeat(append(shapes, role+"("+below+")"))
	}
	if len(shapes) == 0 {
		return "", lines
	}
	sum := sha256.Sum256([]byte(strings.Join(shapes, ",")))
	return hex.EncodeToString(sum[:16]), lines
}

// withoutRepeat drops the last shapes where they are the same as those before them.
func withoutRepeat(shapes []string) []string {
	for period := 1; period <= min(maxPeriod, len(shapes)/2); period++ {
		middle := len(shapes) - period
		if slices.Equal(shapes[middle-period:middle], shapes[middle:]) {
			return shapes[:middle]
		}
	}
	return shapes
}

// poor reports whether much of the viewport is drawn, or most of what can be acted on has
// no name.
func (o *outline) poor() bool {
	elements, nameless := 0, 0
	for _, l := range o.lines {
		if l.element != nil {
			elements++
			if e := l.element; e.Name == "" && e.Value == "" && e.Placeholder == "" && e.Icon == "" {
				nameless++
			}
		}
	}
	view := o.docs.top.view
	return o.drawnArea > minDrawn*view.right*view.bottom || elements >= minNameless && 2*nameless > elements
}

// minDrawn is which part of the viewport is drawn where the text says too little.
const minDrawn = .15

// minNameless is how many elements a page has at least for their names to say anything.
const minNameless = 3
