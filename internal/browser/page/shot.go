package page

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"math"
	"slices"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

const (
	// maxShotHeight bounds a picture of a whole page, in CSS pixels; what is
	// below is left out.
	maxShotHeight = 10_000
	// maxShotWidth bounds its width, in CSS pixels.
	maxShotWidth = 4_000
	// maskMargin is added around what is masked, in CSS pixels: a box may move a
	// little while the picture is taken.
	maskMargin = 3
)

// Screenshot returns a PNG in which password fields, filled fields, and text that
// repeats what was filled, are painted over. See [browser.Page].
func (s *Set) Screenshot(ctx context.Context, fullPage bool) ([]byte, error) {
	var shot []byte
	err := s.readTab(ctx, func(ctx context.Context, t *tab) error {
		taken, err := t.capture(ctx, fullPage, maxShotHeight)
		if err != nil {
			return err
		}
		shot, err = taken.encode()
		return err
	})
	return shot, err
}

// shot is a picture of a page, masked.
type shot struct {
	data []byte     // as the browser has written it
	img  draw.Image // data with its masks; nil where it has none
	// clip is what the picture shows, in CSS pixels from the top of the document, view
	// the part that is in the viewport.
	clip page.Viewport
	view page.VisualViewport
	// before and after are what has to be painted over, as it was just before the picture
	// was taken and just after. It was looked at from begun on, and the looks ended at the
	// times of the same name.
	before, after             []nodeMask
	begun                     time.Time
	lookedBefore, lookedAfter time.Time
}

// nodeMask is a node that is painted over, and its boxes in the viewport of the tab: none
// where it is not shown.
type nodeMask struct {
	element protocol.Element
	boxes   []box
}

// image returns the picture to draw on.
func (s *shot) image() (draw.Image, error) {
	if s.img == nil {
		img, err := png.Decode(bytes.NewReader(s.data))
		if err != nil {
			return nil, fmt.Errorf("reading the picture: %w", err)
		}
		canvas := image.NewNRGBA(img.Bounds())
		draw.Draw(canvas, canvas.Bounds(), img, img.Bounds().Min, draw.Src)
		s.img = canvas
	}
	return s.img, nil
}

func (s *shot) encode() ([]byte, error) {
	if s.img == nil {
		return s.data, nil
	}
	return encodePNG(s.img)
}

func encodePNG(img image.Image) ([]byte, error) {
	var out bytes.Buffer
	if err := png.Encode(&out, img); err != nil {
		return nil, fmt.Errorf("writing the picture: %w", err)
	}
	return out.Bytes(), nil
}

// inPicture moves a box of the viewport to where the picture shows it, in CSS pixels.
func (s *shot) inPicture(b box) box { return b.shifted(s.view.PageX-s.clip.X, s.view.PageY-s.clip.Y) }

// capture takes a picture of at most a height, in CSS pixels, and paints over what has to be.
// Where something was filled, and moves so that it may be elsewhere in the picture, it is
// [errPictureUnsteady].
func (t *tab) capture(ctx context.Context, fullPage bool, maxHeight float64) (*shot, error) {
	if t.set.hasFilled() {
		taken, err := t.takeMasked(ctx, fullPage, maxHeight, shotUnsteadyFor, motions{})
		if errors.Is(err, errUnsteady) {
			return nil, errPictureUnsteady
		}
		return taken, err
	}
	taken, err := t.take(ctx, fullPage, maxHeight)
	if err != nil {
		return nil, err
	}
	return taken, taken.paintOver(taken.masked())
}

// take is [tab.capture] of a picture with nothing painted over yet.
func (t *tab) take(ctx context.Context, fullPage bool, maxHeight float64) (taken *shot, err error) {
	err = t.onceActive(ctx, func() error {
		taken, err = t.takeOnce(ctx, fullPage, maxHeight)
		return err
	})
	return taken, err
}

func (t *tab) takeOnce(ctx context.Context, fullPage bool, maxHeight float64) (*shot, error) {
	metrics, err := protocol.Call(ctx, t.session, page.GetLayoutMetrics, cdp.Empty{})
	if err != nil {
		return nil, fmt.Errorf("measuring the page: %w", err)
	}
	if metrics.CSSVisualViewport == nil || metrics.CSSContentSize == nil {
		return nil, protocol.ErrGone
	}
	taken := &shot{view: *metrics.CSSVisualViewport}
	view := taken.view
	taken.clip = page.Viewport{
		X:      view.PageX,
		Y:      view.PageY,
		Width:  view.ClientWidth,
		Height: view.ClientHeight,
		Scale:  1,
	}
	if fullPage {
		taken.clip = page.Viewport{
			Width:  min(max(metrics.CSSContentSize.Width, view.ClientWidth), maxShotWidth),
			Height: min(max(metrics.CSSContentSize.Height, view.ClientHeight), maxHeight), Scale: 1,
		}
	}
	taken.begun = time.Now()
	if taken.before, err = t.masks(ctx); err != nil {
		return nil, err
	}
	taken.lookedBefore = time.Now()
	params := page.CaptureScreenshotParams{Format: page.CaptureScreenshotFormatPng}
	if fullPage { // this resets the screens that clients emulate
		params.Clip, params.CaptureBeyondViewport = &taken.clip, &fullPage
		defer t.restoreScreens(ctx)
	}
	var got page.CaptureScreenshotResult
	if err := t.whileNotReplaced(ctx, func(ctx context.Context) (err error) {
		got, err = protocol.Call(ctx, t.session, page.CaptureScreenshot, params)
		return err
	}); err != nil {
		return nil, fmt.Errorf("taking a picture: %w", err)
	}
	taken.data = got.Data
	taken.after, err = t.masks(ctx)
	taken.lookedAfter = time.Now()
	return taken, err
}

// masked returns what is painted over: what has moved while the picture was taken in both
// places and on the way from one to the other.
func (s *shot) masked() []box {
	was := map[protocol.Element][]box{}
	for _, m := range s.before {
		was[m.element] = append(was[m.element], m.boxes...)
	}
	var out []box
	for _, m := range s.after {
		before := was[m.element]
		delete(was, m.element)
		out = append(out, m.boxes...)
		if !slices.Equal(before, m.boxes) && len(before)+len(m.boxes) > 0 {
			out = append(out, around(slices.Concat(before, m.boxes)))
		}
	}
	for _, gone := range was {
		out = append(out, gone...)
	}
	return out
}

// restoreScreens sets the screens again that clients emulate in the tab.
func (t *tab) restoreScreens(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), frameTimeout)
	defer cancel()
	t.set.clients.RestoreScreens(ctx, t.session.targetID)
}

// masks returns the nodes to paint over, each once.
func (t *tab) masks(ctx context.Context) ([]nodeMask, error) {
	tree, err := t.frameTree(ctx)
	if err != nil {
		return nil, err
	}
	if len(tree.order) > maxFrames && t.set.hasFilled() { // any of them may show it
		return nil, browser.TooLarge("page.too_large",
			"the page has too many frames to take a picture of after something was filled", "")
	}
	var out []nodeMask
	painted := map[*session]map[cdp.FrameID]paintedTexts{}
	for i, f := range tree.order {
		if i == maxFrames {
			break
		}
		x, y, err := t.frameOffset(ctx, tree, f)
		if err != nil {
			if !isNotShown(err) { // in its parent
				return nil, fmt.Errorf("locating the frame: %w", err)
			}
			continue
		}
		backends, err := t.nodesToMask(ctx, f, painted)
		if err != nil {
			return nil, err
		}
		slices.Sort(backends)
		for _, backend := range slices.Compact(backends) {
			all, err := boxesOfNode(ctx, f, backend)
			if err != nil && !isNotShown(err) { // it may be, and would not be painted over
				return nil, fmt.Errorf("locating what is painted over: %w", err)
			}
			for i := range all {
				all[i] = all[i].shifted(x, y)
			}
			out = append(out, nodeMask{f.element(backend), all})
		}
	}
	return out, nil
}

// nodesToMask returns the nodes of a frame that are painted over. What is read of
// the frame's process is kept in painted.
func (t *tab) nodesToMask(ctx context.Context, f *frame,
	painted map[*session]map[cdp.FrameID]paintedTexts) ([]cdp.BackendNodeID, error) {
	var backends []cdp.BackendNodeID
	var err error
	if t.set.hasFilled() {
		if backends, err = t.nodesShowingFilled(ctx, f); err != nil {
			return nil, err
		}
	}
	if painted[f.session] == nil {
		if painted[f.session], err = paintedBy(ctx, f.session); err != nil {
			return nil, err
		}
	}
	texts := painted[f.session][f.id]
	backends = append(backends, texts.passwords...)
	if t.set.hasFilled() {
		for _, of := range [][]paintedText{texts.laidOut, texts.fields, texts.hidden} {
			backends = append(backends, t.nodesEchoing(of)...)
		}
	}
	return backends, nil
}

// nodesShowingFilled returns the nodes of a frame that show something filled.
func (t *tab) nodesShowingFilled(ctx context.Context, f *frame) ([]cdp.BackendNodeID, error) {
	out := t.filledIn(f)
	w, err := isolatedWorld(ctx, f)
	if err != nil {
		return nil, err
	}
	var size struct {
		Elements float64 `json:"elements"`
	}
	if err := evaluate(ctx, f, w, &size, jsSize); err != nil {
		return nil, err
	}
	if size.Elements > maxElements {
		return nil, browser.TooLarge("page.too_large",
			"the page is too large to take a picture of after something was filled", "")
	}
	var got struct {
		Nodes []*axNode `json:"nodes"`
	}
	params := accessibility.GetFullAXTreeParams{FrameID: f.id}
	if err := f.session.Call(ctx, accessibility.GetFullAXTree.Method, params, &got); err != nil {
		return nil, fmt.Errorf("reading the page: %w", err)
	}
	for _, n := range got.Nodes {
		if n.Backend != 0 && n.property("editable") != "" && t.hidesValue(f.element(n.Backend)) {
			out = append(out, n.Backend)
			continue
		}
		for _, text := range []string{string(n.Name.Value), string(n.Value.Value)} {
			if n.Backend != 0 && string(n.Role.Value) != "RootWebArea" && t.set.scrub.Text(text) != text {
				out = append(out, n.Backend)
				break
			}
		}
	}
	return out, nil
}

// paintOver paints boxes of the viewport grey.
func (s *shot) paintOver(masks []box) error {
	if len(masks) == 0 {
		return nil
	}
	canvas, err := s.image()
	if err != nil {
		return err
	}
	bounds := canvas.Bounds()
	scale := float64(bounds.Dx()) / s.clip.Width
	grey := image.NewUniform(color.NRGBA{
		R: 0x60,
		G: 0x60,
		B: 0x60,
		A: 0xff,
	})
	for _, m := range masks {
		m = s.inPicture(m)
		r := image.Rect(
			int(math.Floor((m.left-maskMargin)*scale)), int(math.Floor((m.top-maskMargin)*scale)),
			int(math.Ceil((m.right+maskMargin)*scale)), int(math.Ceil((m.bottom+maskMargin)*scale)),
		)
		draw.Draw(canvas, r.Intersect(bounds), grey, image.Point{}, draw.Src)
	}
	return nil
}
