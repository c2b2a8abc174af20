package page

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image/jpeg"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

const (
	// castQuality is that of JPEG pictures, of 100.
	castQuality = 70
	// castEvery is the shortest time between two pictures of the browser's own, and
	// maskedEvery between two that are masked, which cost the page more.
	castEvery   = 66 * time.Millisecond
	maskedEvery = 150 * time.Millisecond
	// maskTimeout is how long a masked picture may take.
	maskTimeout = 4 * time.Second
	// unsteadyFor is how long a page may change too fast to be masked before its picture
	// is withheld, and unsteadyPause the time between two attempts.
	unsteadyFor   = 1200 * time.Millisecond
	unsteadyPause = 40 * time.Millisecond
	// withheldPause is the time after which a picture that was withheld is tried again.
	withheldPause = 300 * time.Millisecond
	// restlessFor is how long what has moved is masked with room around it.
	restlessFor = 2 * time.Second
	// maxCastSide bounds the sides of pictures, in pixels.
	maxCastSide = 2048
)

// cast shows one tab. The browser sends a picture when the page has changed, and the next
// one only once that was acknowledged.
type cast struct {
	t       *tab
	arrived chan page.EventScreencastFrame // has room for the one that is not acknowledged

	shown         []byte // the JPEG that was shown last
	raw           []byte // the browser's own picture that shown was made for
	width, height int
	// viewWidth and viewHeight are width and height for whoever maps places.
	viewWidth, viewHeight atomic.Int64
	withheld              bool
	wasFilled             bool // shown was masked
	// masked says where each masked node was, and how far it has moved of late.
	masked map[protocol.Element]*motion
}

// motion is how far a masked node has moved between two looks at it.
type motion struct {
	last  box
	seen  bool
	room  float64 // in CSS pixels
	until time.Time
}

// noteFrame takes note of a picture of the tab. It must not block.
func (t *tab) noteFrame(ev page.EventScreencastFrame) {
	t.mu.Lock()
	c := t.cast
	t.mu.Unlock()
	if c == nil {
		return
	}
	select {
	case c.arrived <- ev:
	default: // an older browser sends several: the newest counts
		select {
		case <-c.arrived:
		default:
		}
		select {
		case c.arrived <- ev:
		default:
		}
	}
}

// Cast implements [browser.Screen].
func (c screen) Cast(ctx context.Context, id browser.TabID, show func(browser.Frame)) error {
	t, err := c.s.anyTab(id)
	if err != nil {
		return err
	}
	shows := &cast{
		t:       t,
		arrived: make(chan page.EventScreencastFrame, 1),
		masked:  map[protocol.Element]*motion{},
	}
	t.mu.Lock()
	if t.cast != nil {
		t.mu.Unlock()
		return errors.New("browser: the tab is shown already")
	}
	t.cast = shows
	t.mu.Unlock()
	defer func() {
		t.mu.Lock()
		t.cast = nil
		t.mu.Unlock()
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), frameTimeout)
		defer cancel()
		_ = protocol.Tell(ending, t.session, page.StopScreencast, cdp.Empty{})
	}()
	err = shows.run(ctx, show)
	switch {
	case ctx.Err() != nil:
		return nil
	case t.isGone():
		return errNoTab()
	}
	return c.s.cleanError(ctx, err)
}

func (c *cast) start(ctx context.Context) error {
	quality, last := int64(castQuality), true
	starting, cancel := context.WithTimeout(ctx, maskTimeout)
	defer cancel()
	return protocol.Tell(starting, c.t.session, page.StartScreencast, page.StartScreencastParams{
		Format:            page.StartScreencastFormatJpeg,
		Quality:           &quality,
		MaxWidth:          maxCastSide,
		MaxHeight:         maxCastSide,
		MaxFramesInFlight: 1,
		SendLastFrame:     &last,
	})
}

// run shows the tab until ctx ends or the tab is gone.
func (c *cast) run(ctx context.Context, show func(browser.Frame)) error {
	select {
	case <-c.t.session.ready:
	case <-c.t.session.gone:
		return protocol.ErrGone
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := c.start(ctx); err != nil {
		return fmt.Errorf("showing the tab: %w", err)
	}
	for {
		select {
		case ev := <-c.arrived:
			begun := time.Now()
			c.onFrame(ctx, ev, show)
			every := castEvery
			if c.wasFilled {
				every = max(maskedEvery, time.Since(begun)) // half of its time is the page's
			}
			if err := c.pause(ctx, every-time.Since(begun)); err != nil {
				return err
			}
			if err := c.next(ctx, ev.SessionID); err != nil {
				return err
			}
		case <-c.t.session.gone:
			return protocol.ErrGone
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (c *cast) pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-c.t.session.gone:
		return protocol.ErrGone
	case <-ctx.Done():
		return ctx.Err()
	}
}

// next asks for the next picture. Where the last was withheld it asks for it again, since
// the page may have come to rest.
func (c *cast) next(ctx context.Context, id int64) error {
	if !c.withheld {
		// Without waiting: a tab that is being replaced answers late.
		return c.t.post(ctx, page.ScreencastFrameAck.Method, page.ScreencastFrameAckParams{SessionID: id})
	}
	if err := c.pause(ctx, withheldPause); err != nil {
		return err
	}
	if err := c.t.post(ctx, page.StopScreencast.Method, cdp.Empty{}); err != nil {
		return err
	}
	return c.start(ctx)
}

// onFrame shows a picture of the browser's own, or where something was filled, a masked
// one in its place.
//
// Whether anything was filled is asked once the picture is here: it is noted before a
// value is written, so that a picture which came before that shows none.
func (c *cast) onFrame(ctx context.Context, ev page.EventScreencastFrame, show func(browser.Frame)) {
	if ev.Metadata != nil && ev.Metadata.DeviceWidth >= 1 && ev.Metadata.DeviceHeight >= 1 {
		c.width, c.height = int(math.Round(ev.Metadata.DeviceWidth)), int(math.Round(ev.Metadata.DeviceHeight))
		c.viewWidth.Store(int64(c.width))
		c.viewHeight.Store(int64(c.height))
	}
	filled := c.t.set.hasFilled()
	if bytes.Equal(ev.Data, c.raw) && filled == c.wasFilled && !c.withheld {
		return // as when a masked picture was taken, which draws the page anew
	}
	c.raw, c.wasFilled = ev.Data, filled
	if !filled {
		c.show(ev.Data, show)
		return
	}
	data, err := c.maskedPicture(ctx)
	switch {
	case ctx.Err() != nil || c.t.isGone():
	case err != nil:
		c.raw = nil
		if !c.withheld {
			c.withheld, c.shown = true, nil
			show(browser.Frame{Width: c.width, Height: c.height, Withheld: true})
		}
	default:
		c.show(data, show)
	}
}

func (c *cast) show(data []byte, show func(browser.Frame)) {
	if bytes.Equal(data, c.shown) && !c.withheld {
		return
	}
	c.shown, c.withheld = data, false
	show(browser.Frame{JPEG: data, Width: c.width, Height: c.height})
}

// errUnsteady is the error of a page that changes too fast to be masked.
var errUnsteady = errors.New("what has to be masked changes too fast")

// maskedPicture takes a picture in which what was filled is painted over. What is masked
// has to be the same nodes before and after, and no text that repeats what was filled may
// have come and gone in between.
func (c *cast) maskedPicture(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, maskTimeout)
	defer cancel()
	begun := time.Now()
	for {
		taken, err := c.attempt(ctx)
		if err == nil {
			return taken.jpeg()
		}
		if _, told := asRefusal(err); told || ctx.Err() != nil || time.Since(begun) > unsteadyFor {
			return nil, err
		}
		if err := c.pause(ctx, unsteadyPause); err != nil {
			return nil, err
		}
	}
}

func (c *cast) attempt(ctx context.Context) (*shot, error) {
	texts, err := c.t.watchTexts(ctx)
	if err != nil {
		return nil, err
	}
	taken, err := c.t.take(ctx, false, maxShotHeight)
	shown := texts.end(ctx) // also after an error, so that nothing is left in the page
	if err != nil {
		return nil, err
	}
	if shown != nil {
		return nil, shown
	}
	if !taken.isSteady() {
		return nil, errUnsteady
	}
	boxes := taken.masked()
	now, known := time.Now(), true
	for _, looks := range [][]nodeMask{taken.before, taken.after} {
		for _, m := range looks {
			known = c.noteMotion(m, now) && known
		}
	}
	for _, m := range taken.after {
		if moved := c.masked[m.element]; moved != nil && now.Before(moved.until) {
			for _, b := range m.boxes {
				boxes = append(boxes, box{b.left - moved.room, b.top - moved.room, b.right + moved.room, b.bottom + moved.room})
			}
		}
	}
	for element, moved := range c.masked {
		if !moved.seen {
			delete(c.masked, element)
		}
		moved.seen = false
	}
	if !known {
		return nil, errUnsteady
	}
	return taken, taken.paintOver(boxes)
}

// noteMotion remembers how far a masked node moves between two looks. What goes to and fro
// is farther away in between than where it was seen, but not farther than it has moved
// before. It reports whether that covers where the node was seen now: a picture may show it
// where it was a moment ago, which nobody knows of a node that is new or went farther than ever.
func (c *cast) noteMotion(m nodeMask, now time.Time) (known bool) {
	moved := c.masked[m.element]
	known = moved != nil || len(m.boxes) == 0
	if moved == nil {
		moved = new(motion)
		c.masked[m.element] = moved
	}
	moved.seen = true
	if len(m.boxes) == 0 {
		return known
	}
	at := around(m.boxes)
	if now.After(moved.until) {
		moved.room = 0
	}
	if moved.last != (box{}) && moved.last != at {
		way := max(math.Abs(at.left-moved.last.left), math.Abs(at.top-moved.last.top),
			math.Abs(at.right-moved.last.right), math.Abs(at.bottom-moved.last.bottom))
		known = known && way <= moved.room
		moved.room, moved.until = max(moved.room, way), now.Add(restlessFor)
	}
	moved.last = at
	return known
}

// isSteady reports whether what was to be painted over before was so after, and the other
// way round. A node that was so once alone may lie inside of one that was so twice, as the
// text in a field that shows it and hides it.
func (s *shot) isSteady() bool {
	times := map[protocol.Element]int{}
	for _, m := range slices.Concat(s.before, s.after) {
		if len(m.boxes) > 0 {
			times[m.element]++
		}
	}
	var sure []box
	for _, m := range slices.Concat(s.before, s.after) {
		if times[m.element] > 1 {
			sure = append(sure, m.boxes...)
		}
	}
	for _, m := range slices.Concat(s.before, s.after) {
		for _, b := range m.boxes {
			if times[m.element] == 1 && !slices.ContainsFunc(sure, func(of box) bool { return of.holds(b) }) {
				return false
			}
		}
	}
	return true
}

// holds reports whether another box is inside of the box, as far as masks reach.
func (b box) holds(other box) bool {
	return other.left >= b.left-maskMargin && other.right <= b.right+maskMargin &&
		other.top >= b.top-maskMargin && other.bottom <= b.bottom+maskMargin
}

func (s *shot) jpeg() ([]byte, error) {
	img, err := s.image()
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := jpeg.Encode(&out, shrink(img, maxCastSide, maxCastSide), &jpeg.Options{Quality: castQuality}); err != nil {
		return nil, fmt.Errorf("writing the picture: %w", err)
	}
	return out.Bytes(), nil
}
