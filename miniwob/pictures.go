package miniwob

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"slices"
)

// taskWidth is how wide a page of MiniWoB++ is, in pixels; instructionHeight is where its
// instruction ends. What lies outside is not looked at.
const (
	taskWidth         = 160
	instructionHeight = 50
	taskHeight        = 210
)

// seen is the picture that came with the newest view; an empty one where none did.
func (w *World) seen() image.Image {
	img, err := png.Decode(bytes.NewReader(w.Picture))
	if err != nil {
		return image.NewNRGBA(image.Rectangle{})
	}
	return img
}

// paint is a kind of color.
type paint func(r, g, b int) bool

// dark is the color of texts and lines.
func dark(r, g, b int) bool { return r < 90 && g < 90 && b < 90 }

// near are the colors about like one.
func near(wantR, wantG, wantB, by int) paint {
	return func(r, g, b int) bool {
		return max(r-wantR, wantR-r, g-wantG, wantG-g, b-wantB, wantB-b) <= by
	}
}

// frameColor is that of the box around the n-th marked element, as pictures are marked.
func frameColor(n int) paint {
	c := []color.NRGBA{
		{R: 0xc6, G: 0x28, B: 0x28}, {R: 0x15, G: 0x65, B: 0xc0}, {R: 0x2e, G: 0x7d, B: 0x32}, {R: 0x6a, G: 0x1b, B: 0x9a},
		{R: 0xad, G: 0x5a, B: 0x00},
	}[n%5]
	return near(int(c.R), int(c.G), int(c.B), 2)
}

// isPainted reports whether a pixel is of a color.
func isPainted(img image.Image, x, y int, is paint) bool {
	if !image.Pt(x, y).In(img.Bounds()) {
		return false
	}
	r, g, b, _ := img.At(x, y).RGBA()
	return is(int(r>>8), int(g>>8), int(b>>8))
}

// area is a part of a picture whose pixels touch one another.
type area struct {
	image.Rectangle
	pixels int
}

// middle is that of an area's box.
func (a area) middle() (x, y float64) {
	return float64(a.Min.X+a.Max.X) / 2, float64(a.Min.Y+a.Max.Y) / 2
}

// areas are the parts of the task below a height that are of a color, from top to bottom
// and from left to right.
func areas(img image.Image, below int, is paint) (found []area) {
	visited := map[image.Point]bool{}
	within := image.Rect(0, below, taskWidth, taskHeight)
	for y := within.Min.Y; y < within.Max.Y; y++ {
		for x := range within.Max.X {
			if visited[image.Pt(x, y)] || !isPainted(img, x, y, is) {
				continue
			}
			a := area{Rectangle: image.Rect(x, y, x+1, y+1)}
			visited[image.Pt(x, y)] = true
			for queue := []image.Point{{X: x, Y: y}}; len(queue) > 0; queue = queue[1:] {
				at := queue[0]
				a.pixels++
				a.Rectangle = a.Union(image.Rect(at.X, at.Y, at.X+1, at.Y+1))
				for _, step := range []image.Point{{-1, -1}, {0, -1}, {1, -1}, {-1, 0}, {1, 0}, {-1, 1}, {0, 1}, {1, 1}} {
					next := at.Add(step)
					if next.In(within) && !visited[next] && isPainted(img, next.X, next.Y, is) {
						visited[next] = true
						queue = append(queue, next)
					}
				}
			}
			found = append(found, a)
		}
	}
	return found
}

// largest is the area with the largest box; an empty one where there is none.
func largest(all []area) area {
	if len(all) == 0 {
		return area{}
	}
	return slices.MaxFunc(all, func(a, b area) int { return a.Dx()*a.Dy() - b.Dx()*b.Dy() })
}

// frame is the box around the n-th marked element, with the number that may stand on it.
func frame(img image.Image, n int) area { return largest(areas(img, 0, frameColor(n))) }
