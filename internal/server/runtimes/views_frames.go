package runtimes

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/live"
)

// sendFrames sends the page the pictures of the tab that is shown.
func (p *viewer) sendFrames(ctx context.Context) {
	number := 0
	for ctx.Err() == nil {
		tabsChange := p.shown.screen.TabsChange()
		p.mu.Lock()
		change := p.change
		p.mu.Unlock()
		id, mayBeShown, err := p.tab(ctx)
		if err == nil && mayBeShown {
			err = p.sendFramesOf(ctx, id, &number)
		}
		if err == nil && mayBeShown {
			continue
		}
		select {
		case <-tabsChange:
		case <-change:
		case <-ctx.Done():
		}
	}
}

// sendFramesOf sends the pictures of a tab until another is to be shown.
func (p *viewer) sendFramesOf(ctx context.Context, id browser.TabID, number *int) error {
	w, err := p.shown.hub.Watch(ctx, id)
	if err != nil {
		return err
	}
	defer w.Close()
	watching, stop := context.WithCancel(ctx)
	defer stop()
	var leaving sync.WaitGroup
	defer leaving.Wait()
	defer stop()
	leaving.Go(func() { // ends the wait for a picture of a tab that is shown no more
		defer stop()
		for watching.Err() == nil {
			tabsChange := p.shown.screen.TabsChange()
			p.mu.Lock()
			change := p.change
			p.mu.Unlock()
			if now, may, err := p.tab(watching); err != nil || now != id || !may {
				return
			}
			select {
			case <-tabsChange:
			case <-change:
			case <-watching.Done():
			}
		}
	})
	for {
		f, err := w.Next(watching)
		if err != nil {
			if errors.Is(err, live.ErrTabGone) {
				_ = live.Pause(ctx, stateEvery) // until the list of tabs says so too
			}
			return nil
		}
		*number++
		p.write(ctx, websocket.MessageBinary, encodeFrame(*number, f))
		if !p.awaitShown(watching, *number-unseenFrames+1) {
			return nil
		}
	}
}

// encodeFrame is a picture as a page gets it: its number, the size of the viewport, each in
// 4 bytes, and the JPEG, which is empty where the picture is withheld.
func encodeFrame(number int, f browser.Frame) []byte {
	out := make([]byte, 0, 12+len(f.JPEG))
	out = binary.BigEndian.AppendUint32(out, uint32(number))
	out = binary.BigEndian.AppendUint32(out, uint32(f.Width))
	out = binary.BigEndian.AppendUint32(out, uint32(f.Height))
	return append(out, f.JPEG...)
}

// awaitShown waits until the page shows a picture, or a newer one. A page that does not in
// time is dropped.
func (p *viewer) awaitShown(ctx context.Context, number int) bool {
	stalled := time.NewTimer(stalledAfter)
	defer stalled.Stop()
	for {
		p.mu.Lock()
		acked, change := p.acked, p.change
		p.mu.Unlock()
		if acked >= number {
			return true
		}
		select {
		case <-change:
		case <-stalled.C:
			p.fail(errStalled)
			return false
		case <-ctx.Done():
			return false
		}
	}
}
