package miniwob

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
)

// shapePolicies are of tasks whose view says of each shape how it looks.
func shapePolicies() map[string]Policy {
	return map[string]Policy{
		"click-shape":       steps(clickShape),
		"click-color":       steps(clickColor),
		"click-shades":      clickShades,
		"count-shape":       steps(countShapes),
		"identify-shape":    steps(identifyShape),
		"grid-coordinate":   steps(clickCoordinate),
		"drag-circle":       steps(dragAway, submit),
		"drag-single-shape": steps(dragAway, submit),
		"drag-box":          steps(func(w *World) modeltest.Call { return drag(w.named("s"), w.named("L")) }, submit),
		"hot-cold":          hotCold(),
	}
}

// look is how the view says that an element looks.
type look struct {
	color, shape  string
	width, height float64
	x, y          float64 // of its middle
}

var lookWords = regexp.MustCompile(
	`\((?:(#?[a-z0-9]+) )??(?:(circle|ellipse|rectangle|triangle|polygon|line) )?(\d+)x(\d+) at (\d+),(\d+)\)`)

// lookOf reads how a node looks, or reports that the view does not say.
func lookOf(n Node) (l look, ok bool) {
	m := lookWords.FindStringSubmatch(n.Text)
	if m == nil {
		return l, false
	}
	l.color, l.shape = m[1], m[2]
	for i, into := range []*float64{&l.width, &l.height, &l.x, &l.y} {
		*into, _ = strconv.ParseFloat(m[i+3], 64)
	}
	return l, true
}

// isLarge tells the larger of the two sizes that figures have: shapes are 10 or 20
// pixels high, letters 11 or 23.
func (l look) isLarge() bool { return l.height > 15 }

// figures are the shapes, letters and digits of a view.
func figures(w *World) (found []Node) {
	for _, n := range w.all("graphics-symbol", "clickable") {
		if l, ok := lookOf(n); ok && (l.shape != "" || len([]rune(n.Name)) == 1) {
			found = append(found, n)
		}
	}
	return found
}

// isFigure reports whether a figure is what words call it, such as "small red digit".
func isFigure(n Node, words string) bool {
	l, _ := lookOf(n)
	for word := range strings.FieldsSeq(words) {
		fits := true
		switch word {
		case "item":
		case "small", "large":
			fits = l.isLarge() == (word == "large")
		case "shape":
			fits = l.shape != ""
		case "circle", "rectangle", "triangle":
			fits = l.shape == word
		case "letter":
			fits = l.shape == "" && unicode.IsLetter([]rune(n.Name)[0])
		case "digit":
			fits = l.shape == "" && unicode.IsDigit([]rune(n.Name)[0])
		case "red", "green", "blue", "aqua", "black", "magenta", "yellow":
			fits = l.color == colorName(word)
		default:
			fits = n.Name == word
		}
		if !fits {
			return false
		}
	}
	return true
}

// colorName is what the view calls a color that has two names.
func colorName(name string) string {
	switch name {
	case "aqua":
		return "cyan"
	case "grey":
		return "gray"
	}
	return name
}

func clickShape(w *World) modeltest.Call {
	words := w.asked(`Click on an? (.+)$`)[0]
	for _, n := range figures(w) {
		if isFigure(n, words) {
			return click(n)
		}
	}
	return fail("there is no " + words)
}

func countShapes(w *World) modeltest.Call {
	words := w.asked(`How many (.+)s are there`)[0]
	count := 0
	for _, n := range figures(w) {
		if isFigure(n, words) {
			count++
		}
	}
	for _, n := range w.all("button") {
		if n.Name == strconv.Itoa(count) {
			return click(n)
		}
	}
	return fail(fmt.Sprintf("no button says %d", count))
}

func identifyShape(w *World) modeltest.Call {
	n := figures(w)[0]
	for words, button := range map[string]string{
		"circle": "Circle", "rectangle": "Rectangle", "triangle": "Triangle", "letter": "Letter", "digit": "Number",
	} {
		if isFigure(n, words) {
			return click(w.named(button))
		}
	}
	return fail("it is of no kind that has a button")
}

// clickColor clicks the large box of the color, and not the small one that asks for it.
func clickColor(w *World) modeltest.Call {
	want := colorName(w.asked(`the (\w+) colored box`)[0])
	for _, n := range w.all("clickable") {
		if l, ok := lookOf(n); ok && l.width > 40 && l.color == want {
			return click(n)
		}
	}
	return fail("no box is " + want)
}

// clickShades clicks what is of a hue.
func clickShades(w *World) modeltest.Call {
	want := w.asked(`shades of (\w+)`)[0]
	for _, n := range w.fresh(w.all("clickable")) {
		l, ok := lookOf(n)
		r, g, b, isColor := rgb(l.color)
		if !ok || !isColor {
			continue
		}
		hue := "red"
		switch max(r, g, b) {
		case g:
			hue = "green"
		case b:
			hue = "blue"
		}
		if hue == want {
			return click(n)
		}
	}
	return submitOnce(w)
}

// rgb reads a color as the view writes it.
func rgb(color string) (r, g, b int, ok bool) {
	for name, hex := range map[string]string{
		"red": "#ff0000", "lime": "#00ff00", "green": "#008000", "blue": "#0000ff", "maroon": "#800000", "navy": "#000080",
	} {
		if color == name {
			color = hex
		}
	}
	_, err := fmt.Sscanf(color, "#%02x%02x%02x", &r, &g, &b)
	return r, g, b, err == nil
}

// clickCoordinate clicks a point of a grid from -2 to 2, whose middle is 0,0.
func clickCoordinate(w *World) modeltest.Call {
	asked := w.asked(`\((-?\d),(-?\d)\)`)
	column, _ := number(asked[0])
	row, _ := number(asked[1])
	var xs, ys []float64
	points := w.all("graphics-symbol")
	for _, n := range points {
		l, _ := lookOf(n)
		xs, ys = append(xs, l.x), append(ys, l.y)
	}
	slices.Sort(xs)
	slices.Sort(ys)
	xs, ys = slices.Compact(xs), slices.Compact(ys)
	for _, n := range points {
		if l, _ := lookOf(n); l.x == xs[2+int(column)] && l.y == ys[2-int(row)] {
			return click(n)
		}
	}
	return fail("the grid has no such point")
}

// dragAway drags the only shape a way to a side.
func dragAway(w *World) modeltest.Call {
	l, ok := lookOf(w.nth("graphics-symbol", 0))
	if !ok {
		return fail("the view does not say where the shape is")
	}
	const far = 30
	toX, toY := l.x, l.y
	switch w.asked(`(left|right|up|down)`)[0] {
	case "left":
		toX -= far
	case "right":
		toX += far
	case "up":
		toY -= far
	case "down":
		toY += far
	}
	return modeltest.DragAt(l.x, l.y, max(1, toX), max(1, toY))
}

// hotCold keeps the places that all answers so far allow, and asks next where the answers
// would tell most of them apart.
func hotCold() Policy {
	var left [][2]float64
	var askedX, askedY float64
	return func(w *World) modeltest.Call {
		area, ok := lookOf(w.nth("clickable", 0))
		if !ok {
			return fail("the view does not say where the area is")
		}
		if left == nil {
			for x := area.x - area.width/2; x <= area.x+area.width/2+3; x++ {
				for y := area.y - area.height/2; y <= area.y+area.height/2; y++ {
					left = append(left, [2]float64{x, y})
				}
			}
		} else {
			signal := strings.Join(w.texts()[1:], " ") + w.nth("clickable", 1).Name
			if strings.Contains(signal, "HOT") {
				if w.made("click_at") > 0 {
					return modeltest.Done(true, "found")
				}
				return modeltest.ClickAt(askedX, askedY)
			}
			left = slices.DeleteFunc(left, func(at [2]float64) bool {
				return temperature(math.Hypot(at[0]-askedX, at[1]-askedY)) != strings.TrimSpace(signal)
			})
		}
		askedX, askedY = mostTelling(left, area)
		return modeltest.HoverAt(askedX, askedY)
	}
}

// temperature is what a distance is called.
func temperature(distance float64) string {
	switch {
	case distance < 5:
		return "HOT"
	case distance < 10:
		return "WARM"
	case distance < 40:
		return "COLD"
	}
	return "ICE COLD"
}

// mostTelling is the place of an area whose commonest answer fits the fewest places.
func mostTelling(places [][2]float64, area look) (x, y float64) {
	sample := places
	if step := len(places)/400 + 1; step > 1 {
		sample = nil
		for i := 0; i < len(places); i += step {
			sample = append(sample, places[i])
		}
	}
	best := len(sample) + 1
	for atX := area.x - area.width/2 + 3; atX < area.x+area.width/2-2; atX += 3 {
		for atY := area.y - area.height/2 + 3; atY < area.y+area.height/2-2; atY += 3 {
			counts := map[string]int{}
			most := 0
			for _, p := range sample {
				kind := temperature(math.Hypot(p[0]-atX, p[1]-atY))
				counts[kind]++
				most = max(most, counts[kind])
			}
			if most < best || most == best && counts["HOT"] > 0 {
				best, x, y = most, atX, atY
			}
		}
	}
	return x, y
}
