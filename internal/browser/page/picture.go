package page

import (
	"context"
	"image"
	"image/color"
	"image/draw"
	"math"
	"strconv"
	"strings"
	"sync"

	"github.com/chromedp/cdproto/cdp"
	ximage "golang.org/x/image/draw"
	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/math/fixed"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

const (
	// maxFullSides is how many times as high as wide a picture of a whole page is at
	// most: more could not be read any more.
	maxFullSides = 4
	// maxMarks bounds the marks of one picture: more would hide what they mark.
	maxMarks = 300
	// markWidth is how thick the box around a marked element is, in pixels.
	markWidth = 2
)

// shownElement is an element of the newest observation.
type shownElement struct {
	ref browser.Ref
	key protocol.Element
}

// setShown remembers the elements of the newest observation.
func (t *tab) setShown(shown []shownElement) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.shown = shown
}

// Picture takes a picture for a model that sees. See [browser.Page].
func (s *Set) Picture(ctx context.Context, options browser.PictureOptions) (*browser.Picture, error) {
	var picture *browser.Picture
	err := s.readTab(ctx, func(ctx context.Context, t *tab) (err error) {
		picture, err = t.picture(ctx, options)
		return err
	})
	return picture, err
}

func (t *tab) picture(ctx context.Context, options browser.PictureOptions) (*browser.Picture, error) {
	taken, err := t.capture(ctx, options.FullPage, maxFullSides*browser.MaxPictureSide)
	if err != nil {
		return nil, err
	}
	full, err := taken.image()
	if err != nil {
		return nil, err
	}
	maxHeight := browser.MaxPictureSide
	if options.FullPage {
		maxHeight *= maxFullSides
	}
	small := shrink(full, browser.MaxPictureSide, maxHeight)
	out := &browser.Picture{
		Width:  small.Bounds().Dx(),
		Height: small.Bounds().Dy(),
		Left:   taken.clip.X - taken.view.PageX,
		Top:    taken.clip.Y - taken.view.PageY,
		Scale:  taken.clip.Width / float64(small.Bounds().Dx()),
	}
	if options.Marks {
		marks, err := t.marks(ctx, taken)
		if err != nil {
			return nil, err
		}
		for i, m := range marks {
			m.draw(small, i, 1/out.Scale)
			out.Marked = append(out.Marked, m.ref)
		}
	}
	data, err := encodePNG(small)
	out.PNG = browser.MaskedByPage(data)
	return out, err
}

// shrink returns a picture that is at most as wide and high as given.
func shrink(img draw.Image, maxWidth, maxHeight int) draw.Image {
	size := img.Bounds()
	share := min(1, float64(maxWidth)/float64(size.Dx()), float64(maxHeight)/float64(size.Dy()))
	if share == 1 {
		return img
	}
	small := image.NewNRGBA(image.Rect(0, 0, max(1, int(float64(size.Dx())*share)), max(1, int(float64(size.Dy())*share))))
	ximage.ApproxBiLinear.Scale(small, small.Bounds(), img, size, draw.Src, nil)
	return small
}

// mark is an element in a picture, in CSS pixels of the picture.
type mark struct {
	ref browser.Ref
	box box
}

// marks returns where the elements of the newest observation are in a picture.
func (t *tab) marks(ctx context.Context, taken *shot) ([]mark, error) {
	tree, err := t.frameTree(ctx)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	shown := t.shown
	t.mu.Unlock()
	offsets := map[cdp.FrameID]point{}
	found := make([]*mark, len(shown))
	var each sync.WaitGroup
	slots := make(chan struct{}, 8)
	for i, e := range shown {
		f := tree.byID[e.key.Frame]
		if f == nil || f.loader != e.key.Loader {
			continue
		}
		at, known := offsets[f.id]
		if !known {
			if at.x, at.y, err = t.frameOffset(ctx, tree, f); err != nil {
				at = point{math.NaN(), math.NaN()} // not shown in its parent
			}
			offsets[f.id] = at
		}
		if math.IsNaN(at.x) {
			continue
		}
		slots <- struct{}{}
		each.Go(func() {
			defer func() { <-slots }()
			boxes, err := boxesOfNode(ctx, f, e.key.Backend)
			if err == nil && len(boxes) > 0 {
				found[i] = &mark{e.ref, taken.inPicture(around(boxes).shifted(at.x, at.y))}
			}
		})
	}
	each.Wait()
	var out []mark
	for _, m := range found {
		if m == nil || len(out) == maxMarks {
			continue
		}
		seen := box{
			left:   max(m.box.left, 0),
			top:    max(m.box.top, 0),
			right:  min(m.box.right, taken.clip.Width),
			bottom: min(m.box.bottom, taken.clip.Height),
		}
		if seen.width() >= 1 && seen.height() >= 1 {
			out = append(out, mark{m.ref, seen})
		}
	}
	return out, ctx.Err()
}

// around returns the smallest box that holds boxes.
func around(boxes []box) box {
	out := boxes[0]
	for _, b := range boxes[1:] {
		out = box{min(out.left, b.left), min(out.top, b.top), max(out.right, b.right), max(out.bottom, b.bottom)}
	}
	return out
}

// markColors tell the marks of neighbours apart. White can be read on all of them.
func markColors() []color.NRGBA {
	return []color.NRGBA{
		{R: 0xc6, G: 0x28, B: 0x28, A: 0xff},
		{R: 0x15, G: 0x65, B: 0xc0, A: 0xff},
		{R: 0x2e, G: 0x7d, B: 0x32, A: 0xff},
		{R: 0x6a, G: 0x1b, B: 0x9a, A: 0xff},
		{R: 0xad, G: 0x5a, B: 0x00, A: 0xff},
	}
}

// draw draws the nth mark: a box around the element, and its number in the corner.
func (m mark) draw(img draw.Image, n int, scale float64) {
	colors := markColors()
	paint := image.NewUniform(colors[n%len(colors)])
	r := image.Rect(int(m.box.left*scale), int(m.box.top*scale),
		int(math.Ceil(m.box.right*scale)), int(math.Ceil(m.box.bottom*scale))).Intersect(img.Bounds())
	for _, side := range []image.Rectangle{
		image.Rect(r.Min.X, r.Min.Y, r.Max.X, r.Min.Y+markWidth),
		image.Rect(r.Min.X, r.Max.Y-markWidth, r.Max.X, r.Max.Y),
		image.Rect(r.Min.X, r.Min.Y, r.Min.X+markWidth, r.Max.Y),
		image.Rect(r.Max.X-markWidth, r.Min.Y, r.Max.X, r.Max.Y),
	} {
		draw.Draw(img, side.Intersect(img.Bounds()), paint, image.Point{}, draw.Src)
	}
	number := strings.TrimPrefix(string(m.ref), "e")
	if _, err := strconv.Atoi(number); err != nil {
		return
	}
	face := basicfont.Face7x13
	label := image.Rect(0, 0, face.Advance*len(number)+4, face.Height+1)
	// Above the element where there is room, so that what it says stays legible.
	at := image.Pt(r.Min.X, r.Min.Y-label.Dy())
	if at.Y < img.Bounds().Min.Y {
		at.Y = r.Min.Y
	}
	at.X = max(img.Bounds().Min.X, min(at.X, img.Bounds().Max.X-label.Dx()))
	label = label.Add(at)
	draw.Draw(img, label.Intersect(img.Bounds()), paint, image.Point{}, draw.Src)
	text := font.Drawer{
		Dst:  img,
		Src:  image.White,
		Face: face,
		Dot:  fixed.P(label.Min.X+2, label.Min.Y+face.Ascent),
	}
	text.DrawString(number)
}
