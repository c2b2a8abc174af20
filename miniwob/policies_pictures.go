package miniwob

import (
	"cmp"
	"fmt"
	"image"
	"image/color"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
)

// picturePolicies are of tasks that only a picture shows.
func picturePolicies() map[string]Policy {
	return map[string]Policy{
		"highlight-text":   steps(highlight, submit),
		"highlight-text-2": steps(highlight, submit),
		"drag-shapes":      dragShapes,
		"drag-shapes-2":    dragShapes,
		"drag-items-grid":  steps(dragInGrid),
		"draw-circle":      steps(drawCircle, submit),
		"draw-line":        steps(drawLine, submit),
		"count-sides":      steps(countSides),
		"visual-addition":  steps(countBlocks, submit),
		"use-colorwheel-2": steps(typeSeenColor, submit),
		"resize-textarea":  steps(resizeTextarea, submit),
	}
}

// highlight drags over the text of a paragraph, from the beginning of its first line to
// the end of its last.
func highlight(w *World) modeltest.Call {
	img := w.seen()
	button := frame(img, 0).Inset(-1)
	var lines []image.Rectangle // of all paragraphs
	for y := instructionHeight; y < taskHeight; y++ {
		row := image.Rectangle{}
		for x := range taskWidth {
			if isPainted(img, x, y, dark) && !image.Pt(x, y).In(button) {
				row = row.Union(image.Rect(x, y, x+1, y+1))
			}
		}
		last := len(lines) - 1
		switch {
		case row.Empty():
		case last >= 0 && lines[last].Max.Y == y:
			lines[last] = lines[last].Union(row)
		default:
			lines = append(lines, row)
		}
	}
	var paragraphs [][]image.Rectangle
	for i, line := range lines {
		// The lines of a paragraph begin about 11 pixels below one another.
		if i == 0 || line.Min.Y-lines[i-1].Min.Y > 16 {
			paragraphs = append(paragraphs, nil)
		}
		last := len(paragraphs) - 1
		paragraphs[last] = append(paragraphs[last], line)
	}
	n := 0
	if asked := w.asked(`the (\d)\w+ paragraph`); asked != nil {
		n = ordinal(asked[0])
	}
	if n >= len(paragraphs) {
		return fail("there is no such paragraph in the picture")
	}
	first, last := paragraphs[n][0], paragraphs[n][len(paragraphs[n])-1]
	return modeltest.DragAt(float64(first.Min.X)-1, float64(first.Min.Y+first.Max.Y)/2,
		float64(last.Max.X)+2, float64(last.Min.Y+last.Max.Y)/2)
}

// blackBoxes are the outlined boxes of a picture from left to right, without the shapes
// in the view.
func blackBoxes(w *World) []area {
	img := w.seen()
	var shapes []image.Rectangle
	for _, n := range w.all("graphics-symbol") {
		l, _ := lookOf(n)
		shapes = append(shapes, image.Rect(int(l.x-l.width/2)-1, int(l.y-l.height/2)-1,
			int(l.x+l.width/2)+3, int(l.y+l.height/2)+3))
	}
	var boxes []area
	for _, a := range areas(without{img, shapes}, instructionHeight, dark) {
		if a.Dx() >= 60 && a.Dy() >= 35 {
			boxes = append(boxes, a)
		}
	}
	slices.SortFunc(boxes, func(a, b area) int { return cmp.Compare(a.Min.X, b.Min.X) })
	return boxes
}

// without is a picture whose parts are left out.
type without struct {
	image.Image
	parts []image.Rectangle
}

// At is white where a part is left out.
func (p without) At(x, y int) color.Color {
	for _, part := range p.parts {
		if image.Pt(x, y).In(part) {
			return color.White
		}
	}
	return p.Image.At(x, y)
}

// dragShapes drags each shape that is not yet where it belongs.
func dragShapes(w *World) modeltest.Call {
	asked := w.asked(`Drag all (\w+)`)[0]
	boxes := blackBoxes(w)
	two := strings.Contains(w.Task, "left box")
	if len(boxes) == 0 || two && len(boxes) < 2 {
		return fail(fmt.Sprintf("the picture shows %d boxes", len(boxes)))
	}
	for _, n := range w.all("graphics-symbol") {
		l, _ := lookOf(n)
		box := boxes[0]
		if !isFigure(n, strings.TrimSuffix(asked, "s")) {
			if !two {
				continue
			}
			box = boxes[1]
		}
		inside := image.Pt(int(l.x-l.width/2), int(l.y-l.height/2)).In(box.Inset(2))
		if x, y := box.middle(); !inside {
			return modeltest.DragAt(l.x, l.y, x, y)
		}
	}
	return submitOnce(w)
}

// dragInGrid moves an item of a grid of three by three, first in its column and then in
// its row: the others make way for it as it comes.
func dragInGrid(w *World) modeltest.Call {
	asked := w.asked(`Drag ([\w-]+) (?:to the (.+)|(\w+) by one)\.$`)
	from := slices.IndexFunc(w.all("listitem"), func(n Node) bool { return n.Name == asked[0] })
	to := map[string]int{
		"top left": 0, "top center": 1, "top right": 2, "center left": 3, "center": 4, "center right": 5,
		"bottom left": 6, "bottom center": 7, "bottom right": 8,
	}[asked[1]]
	if asked[2] != "" {
		to = from + map[string]int{"up": -3, "down": 3, "left": -1, "right": 1}[asked[2]]
	}
	img := w.seen()
	var places [][2]float64
	for i := range w.all("listitem") {
		frames := areas(img, instructionHeight-14, frameColor(i))
		frames = slices.DeleteFunc(frames, func(a area) bool { return a.Dx() < 30 || a.Dx() > 80 })
		if len(frames) <= i/5 {
			return fail("the picture does not show all items")
		}
		// The number stands above the box, which is square.
		a := frames[i/5]
		places = append(places, [2]float64{float64(a.Min.X+a.Max.X) / 2, float64(a.Max.Y) - float64(a.Dx())/2})
	}
	if from < 0 || to < 0 || to >= len(places) {
		return fail("the grid has no such place")
	}
	begin, end := places[from], places[to]
	// A little farther than the middle, past which items change places.
	for axis := range end {
		switch {
		case end[axis] > begin[axis]+5:
			end[axis] += 5
		case end[axis] < begin[axis]-5:
			end[axis] -= 5
		}
	}
	return modeltest.DragThrough(begin[0], begin[1], [][2]float64{{begin[0], end[1]}}, end[0], end[1])
}

// dot is the middle of the point of a color.
func dot(w *World, is paint) (x, y float64, ok bool) {
	for _, a := range areas(w.seen(), instructionHeight, is) {
		if a.pixels >= 20 && a.Dx() <= 12 && a.Dy() <= 12 {
			x, y = a.middle()
			return x, y, true
		}
	}
	return 0, 0, false
}

func drawCircle(w *World) modeltest.Call {
	x, y, ok := dot(w, near(0, 128, 0, 25))
	if !ok {
		return fail("the picture has no green point")
	}
	const radius, corners = 24, 36
	var way [][2]float64
	for i := 1; i < corners; i++ {
		angle := 2 * math.Pi * float64(i) / corners
		way = append(way, [2]float64{x + radius*math.Cos(angle), y + radius*math.Sin(angle)})
	}
	return modeltest.DragThrough(x+radius, y, way, x+radius, y)
}

func drawLine(w *World) modeltest.Call {
	x, y, ok := dot(w, near(128, 0, 128, 15))
	if !ok {
		return fail("the picture has no purple point")
	}
	const half = 24
	if strings.Contains(w.Task, "horizontal") {
		return modeltest.DragAt(x-half, y, x+half, y)
	}
	return modeltest.DragAt(x, y-half, x, y+half)
}

// countSides measures how far the outline of a figure is from its middle in each
// direction: of n corners it has n waves.
func countSides(w *World) modeltest.Call {
	img := w.seen()
	figure := largest(areas(img, instructionHeight, dark))
	var points [][2]float64
	var midX, midY float64
	for y := figure.Min.Y; y < figure.Max.Y; y++ {
		for x := figure.Min.X; x < figure.Max.X; x++ {
			if isPainted(img, x, y, dark) {
				points = append(points, [2]float64{float64(x), float64(y)})
				midX, midY = midX+float64(x), midY+float64(y)
			}
		}
	}
	if len(points) == 0 {
		return fail("the picture has no figure")
	}
	midX, midY = midX/float64(len(points)), midY/float64(len(points))
	const directions = 120
	var outline [directions]float64
	for _, p := range points {
		angle := math.Atan2(p[1]-midY, p[0]-midX) + math.Pi
		at := int(angle/(2*math.Pi)*directions) % directions
		outline[at] = max(outline[at], math.Hypot(p[0]-midX, p[1]-midY))
	}
	best, strongest := 0, 0.0
	for sides := 3; sides <= 7; sides++ {
		var re, im float64
		for i, far := range outline {
			phase := 2 * math.Pi * float64(sides*i) / directions
			re, im = re+far*math.Cos(phase), im+far*math.Sin(phase)
		}
		if strength := math.Hypot(re, im); strength > strongest {
			best, strongest = sides, strength
		}
	}
	return click(w.named(strconv.Itoa(best)))
}

func countBlocks(w *World) modeltest.Call {
	blocks := 0
	for _, a := range areas(w.seen(), instructionHeight, near(0x7f, 0xb0, 0xff, 8)) {
		if a.pixels >= 60 {
			blocks++
		}
	}
	return typeIn(w.nth("textbox", 0), strconv.Itoa(blocks))
}

// typeSeenColor finds the square of one color in the instruction, which is yellow.
func typeSeenColor(w *World) modeltest.Call {
	img := w.seen()
	const side = 8
	for y := range instructionHeight {
		for x := 2; x < taskWidth; x++ {
			r, g, b, _ := img.At(x, y).RGBA()
			same := near(int(r>>8), int(g>>8), int(b>>8), 1)
			if near(255, 255, 0, 0)(int(r>>8), int(g>>8), int(b>>8)) {
				continue
			}
			whole := true
			for i := range side * side {
				whole = whole && isPainted(img, x+i%side, y+i/side, same)
			}
			if whole && x+side < taskWidth-4 {
				return typeIn(w.nth("textbox", 0), fmt.Sprintf("%02X%02X%02X", r>>8, g>>8, b>>8))
			}
		}
	}
	return fail("the picture has no square of a color")
}

// resizeTextarea drags the corner at the bottom right.
func resizeTextarea(w *World) modeltest.Call {
	asked := w.asked(`the (width|height) is (larger|smaller)`)
	corner := frame(w.seen(), 0).Max
	x, y, by := float64(corner.X)-6, float64(corner.Y)-6, 20.0
	if asked[1] == "smaller" {
		by = -by
	}
	if asked[0] == "width" {
		return modeltest.DragAt(x, y, x+by, y)
	}
	return modeltest.DragAt(x, y, x, y+by)
}
