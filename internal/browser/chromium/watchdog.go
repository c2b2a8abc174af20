//go:build unix

package chromium

import (
	"context"
	"time"

	cdpbrowser "github.com/chromedp/cdproto/browser"
)

const (
	// askPause is how often a browser is asked whether it answers.
	askPause = time.Second
	// lookPause is how often it is looked at while an answer is owed.
	lookPause = 250 * time.Millisecond
	// hungAfter is how long a browser may owe an answer and do nothing at all.
	hungAfter = 3 * time.Second
	// busyAfter is how long it may owe one while it does something: on a machine with too
	// much to do, or as it starts many tabs at once.
	busyAfter = time.Minute
)

// guardAgainstHangs kills a browser that hangs, until it has ended.
//
// It asks the thread of the browser process that serves the protocol and everybody's input
// for the browser's version, which needs no page. While the answer is owed it looks whether
// that thread runs, waits for a processor or for a disk: then the browser is busy, and is
// given busyAfter. A thread that does none of this for hungAfter is stopped or waits for
// what does not come. Pages have processes of their own, and a script without an end keeps
// none of this from answering.
func (b *instance) guardAgainstHangs() {
	pause := time.NewTimer(askPause)
	defer pause.Stop()
	kills := oomKills()
	for {
		select {
		case <-pause.C:
		case <-b.life.Done():
			return
		}
		now := oomKills()
		if !b.answers() {
			if b.life.Err() == nil && !b.stopRequested() {
				b.hung.Store(true)
				b.proc.sendKill()
			}
			return
		}
		b.oomKills.Store(kills)
		kills = now
		pause.Reset(askPause)
	}
}

// answers asks the browser, and reports whether it answers or has ended.
func (b *instance) answers() bool {
	ctx, cancel := context.WithCancel(b.life)
	defer cancel()
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		_ = b.mux.Call(ctx, cdpbrowser.CommandGetVersion, struct{}{}, nil) // a refusal is an answer
	}()
	defer func() { cancel(); <-answered }()
	look := time.NewTicker(lookPause)
	defer look.Stop()
	asked := time.Now()
	idleSince, before := asked, activityOf(b.proc.pid())
	for {
		select {
		case <-answered:
			return true
		case <-look.C:
		}
		now := activityOf(b.proc.pid())
		if now.isBusy || now.ran != before.ran || b.stills.Load() > 0 {
			idleSince = time.Now()
		}
		before = now
		if time.Since(idleSince) >= hungAfter || time.Since(asked) >= busyAfter {
			return false
		}
	}
}

// activity is what the first thread of a process has done.
type activity struct {
	// ran changes whenever it has run.
	ran string
	// isBusy is set while it runs, or waits for a processor or a disk.
	isBusy bool
}
