package page

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image/jpeg"
	"math"
	"sync/atomic"
	"time"

	"github.com/chromedp/cdproto"
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
	// is withheld.
	unsteadyFor = 1200 * time.Millisecond
	// withheldPause is the time after which a picture that was withheld is tried again.
	withheldPause = 300 * time.Millisecond
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
	// motions is where each masked node was, and how it moved of late.
	motions motions
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
		motions: motions{},
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
	params := page.StartScreencastParams{
		Format:            page.StartScreencastFormatJpeg,
		Quality:           &quality,
		MaxWidth:          maxCastSide,
		MaxHeight:         maxCastSide,
		MaxFramesInFlight: 1,
		SendLastFrame:     &last,
	}
	return c.t.onceActive(starting, func() error {
		return c.t.whileNotReplaced(starting, func(asking context.Context) error {
			return protocol.Tell(asking, c.t.session, page.StartScreencast, params)
		})
	})
}

// onceActive runs what only a page that is shown answers: again where the tab is just
// between two of them, until ctx ends.
func (t *tab) onceActive(ctx context.Context, run func() error) error {
	for {
		err := run()
		refused, ok := errors.AsType[*cdproto.Error](err)
		again := ok && refused.Message == notActive || errors.Is(err, errReplaced)
		if !again || t.session.pause(ctx, replacedPause) != nil {
			return err
		}
	}
}

// errReplaced is the error of what was asked of a page that another has taken the place of.
var errReplaced = errors.New("another page has taken its place")

// whileNotReplaced runs what only a page that is shown answers. It is [errReplaced] where another
// takes its place and no answer comes soon after: the browser may never give one.
func (t *tab) whileNotReplaced(ctx context.Context, run func(context.Context) error) error {
	asking, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	shown, changed := t.document()
	t.set.spawn(func(context.Context) {
		for now := shown; now == shown; now, changed = t.document() {
			select {
			case <-changed:
			case <-asking.Done():
				return
			}
		}
		if t.session.pause(asking, replacedGrace) == nil {
			cancel(errReplaced)
		}
	})
	err := run(asking)
	if err != nil && errors.Is(context.Cause(asking), errReplaced) {
		return errReplaced
	}
	return err
}

// document names the document that the tab shows. changed is closed once another one may be there.
func (t *tab) document() (shown cdp.LoaderID, changed <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.loads[t.mainFrame()].loader, t.loadsChange
}

const (
	// notActive is what the browser says of a tab that is between two pages.
	notActive = "Not attached to an active page"
	// replacedPause is the time after which such a tab is asked again.
	replacedPause = 30 * time.Millisecond
	// replacedGrace is how long an answer for a page may take once another has its place.
	replacedGrace = time.Second
)

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
			if err := c.t.session.pause(ctx, every-time.Since(begun)); err != nil {
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

// next asks for the next picture. Where the last was withheld it asks for it again, since
// the page may have come to rest.
func (c *cast) next(ctx context.Context, id int64) error {
	if !c.withheld {
		// Without waiting: a tab that is being replaced answers late.
		return c.t.post(ctx, page.ScreencastFrameAck.Method, page.ScreencastFrameAckParams{SessionID: id})
	}
	if err := c.t.session.pause(ctx, withheldPause); err != nil {
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

// maskedPicture takes a picture in which what was filled is painted over, as
// [tab.takeMasked] does.
func (c *cast) maskedPicture(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, maskTimeout)
	defer cancel()
	taken, err := c.t.takeMasked(ctx, false, maxShotHeight, unsteadyFor, c.motions)
	if err != nil {
		return nil, err
	}
	return taken.jpeg()
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
