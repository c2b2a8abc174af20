package browser

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
)

// fakeScreen shows a fake browser: one grey pixel for each address, a shade each.
type fakeScreen struct{ fakePage }

var _ Screen = fakeScreen{}

func (b *fakeBrowser) Screen(ctx context.Context) (Screen, error) {
	return fakeScreen{fakePage{b}}, b.alive(ctx)
}

func (s fakeScreen) TabsChange() <-chan struct{} {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	return s.b.changeLocked()
}

func (fakeScreen) Dialog() *Dialog { return nil }

// Cast shows a picture for each address that the page goes to.
func (s fakeScreen) Cast(ctx context.Context, id TabID, show func(Frame)) error {
	if err := s.ActivateTab(ctx, id); err != nil {
		return err
	}
	for shown := ""; ; {
		s.b.mu.Lock()
		url, change := s.b.url, s.b.changeLocked()
		s.b.mu.Unlock()
		if url != shown {
			shown = url
			frame, err := fakeFrame(url)
			if err != nil {
				return err
			}
			show(frame)
		}
		select {
		case <-change:
		case <-ctx.Done():
			return nil
		case <-s.b.done:
			return NotFound("page.unknown_tab", "there is no such tab", "")
		}
	}
}

func fakeFrame(url string) (Frame, error) {
	img := image.NewGray(image.Rect(0, 0, 1, 1))
	img.SetGray(0, 0, color.Gray{Y: uint8(len(url))})
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, nil); err != nil {
		return Frame{}, fmt.Errorf("draw a fake frame: %w", err)
	}
	return Frame{JPEG: b.Bytes(), Width: 1280, Height: 800}, nil
}

// Do does nothing: a fake page has nothing to be used.
func (s fakeScreen) Do(ctx context.Context, id TabID, _ Gesture) error { return s.ActivateTab(ctx, id) }

func (s fakeScreen) Bring(ctx context.Context, id TabID) error { return s.ActivateTab(ctx, id) }

func (fakeScreen) TakeOver(context.Context) (release func()) { return func() {} }
