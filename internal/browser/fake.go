package browser

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/png"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/egress"
)

var (
	errFakeCrash   = errors.New("the fake browser crashed")
	errFakeRef     = errors.New("a fake page has no elements")
	errFakeCDP     = errors.New("a fake browser speaks no DevTools protocol")
	errFakeStopped = errors.New("the fake browser has ended")
)

// Fake is a [Driver] without browsers, for tests of everything around them. No
// page is fetched: Goto remembers the address, Observe sees no elements,
// Screenshot is one grey pixel, PDF no page, ServeCDP and whatever needs an element fail.
// The zero Fake is ready.
type Fake struct {
	mu      sync.Mutex
	running map[string]*fakeBrowser
}

var _ Preparer = (*Fake)(nil)

// Launch succeeds and starts nothing. It fails while a browser of the same ID runs.
func (f *Fake) Launch(ctx context.Context, spec Spec) (Browser, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("launch a fake browser: %w", err)
	}
	f.mu.Lock()
	_, ok := f.running[spec.ID]
	f.mu.Unlock()
	if ok {
		return nil, fmt.Errorf("launch a fake browser: %q is running", spec.ID)
	}
	b := f.newBrowser()
	b.Assign(spec)
	return b, nil
}

// Prepare succeeds. See [Preparer]. What it returns runs, for [Fake.Running], once it is
// assigned.
func (f *Fake) Prepare(ctx context.Context) (Prepared, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("launch a fake browser: %w", err)
	}
	return f.newBrowser(), nil
}

func (f *Fake) newBrowser() *fakeBrowser { return &fakeBrowser{fake: f, done: make(chan struct{})} }

// Assign gives the browser to a runtime. See [Prepared].
func (b *fakeBrowser) Assign(spec Spec) {
	f := b.fake
	f.mu.Lock()
	defer f.mu.Unlock()
	b.id, b.gate, b.onEvent, b.profile = spec.ID, spec.Gate, spec.OnEvent, spec.Profile
	if f.running == nil {
		f.running = map[string]*fakeBrowser{}
	}
	f.running[spec.ID] = b
}

func (b *fakeBrowser) leave() {
	f := b.fake
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.running[b.id] == b {
		delete(f.running, b.id)
	}
}

// Running returns the IDs of the browsers that have not ended, sorted.
func (f *Fake) Running() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(maps.Keys(f.running))
}

// Crash ends the browser id as a crash does: [Browser.Done] closes and
// [Browser.Err] is not nil. It reports whether there was such a browser.
func (f *Fake) Crash(id string) bool { return f.End(id, errFakeCrash) }

// End ends the browser id for the reason that [Browser.Err] gives then. It reports whether
// there was such a browser.
func (f *Fake) End(id string, because error) bool {
	f.mu.Lock()
	b := f.running[id]
	f.mu.Unlock()
	if b == nil {
		return false
	}
	b.finish(because)
	return true
}

// Visit has the browser id speak to a host, as its gate permits, and reports whether it
// could.
func (f *Fake) Visit(ctx context.Context, id, host string) bool {
	f.mu.Lock()
	b := f.running[id]
	f.mu.Unlock()
	if b == nil {
		return false
	}
	spoke := b.gate == nil
	if !spoke {
		_ = b.gate(ctx, host, func(context.Context) { spoke = true }) // why not is for the page
	}
	return spoke
}

// Happen has something happen in the browser id. It reports whether there was such a
// browser.
func (f *Fake) Happen(id string, e Event) bool {
	f.mu.Lock()
	b := f.running[id]
	f.mu.Unlock()
	if b != nil {
		b.tell(e)
	}
	return b != nil
}

type fakeBrowser struct {
	fake *Fake
	id   string // of its runtime, once it is assigned
	gate egress.Gate
	// onEvent is told what happens; nil is nobody.
	onEvent func(Event)
	profile *Profile // nil of an ephemeral browser

	mu     sync.Mutex
	url    string
	change chan struct{} // closed and replaced when url changes; nil while nobody has asked
	err    error
	over   bool
	done   chan struct{}
}

// changeLocked returns what is closed when the page goes to another address. Call it with
// mu held.
func (b *fakeBrowser) changeLocked() <-chan struct{} {
	if b.change == nil {
		b.change = make(chan struct{})
	}
	return b.change
}

func (b *fakeBrowser) finish(err error) {
	b.leave()
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.over {
		b.over, b.err = true, err
		close(b.done)
	}
}

func (b *fakeBrowser) Page(ctx context.Context) (Page, error) {
	return fakePage{b}, b.alive(ctx)
}

func (b *fakeBrowser) ServeCDP(context.Context, CDPConn) error { return errFakeCDP }

func (b *fakeBrowser) Done() <-chan struct{} { return b.done }

func (b *fakeBrowser) Err() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

func (b *fakeBrowser) Stop(context.Context) error {
	b.finish(nil)
	return nil
}

func (b *fakeBrowser) alive(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.over {
		return errFakeStopped
	}
	return nil
}

// fakePage is the one tab of a fake browser.
type fakePage struct{ b *fakeBrowser }

func (p fakePage) Goto(ctx context.Context, url string, _ bctrl.WaitUntil) error {
	if err := p.b.alive(ctx); err != nil {
		return err
	}
	if err := CheckPageURL(url); err != nil {
		return err
	}
	p.b.mu.Lock()
	changed := p.b.url != url
	p.b.url = url
	if p.b.change != nil {
		close(p.b.change)
		p.b.change = nil
	}
	p.b.mu.Unlock()
	if changed {
		p.b.tell(Event{Kind: EventNavigated, Tab: fakeTab, URL: url})
	}
	return nil
}

func (b *fakeBrowser) tell(e Event) {
	if b.onEvent != nil {
		b.onEvent(e)
	}
}

func (p fakePage) Observe(ctx context.Context) (*Observation, error) {
	if err := p.b.alive(ctx); err != nil {
		return nil, err
	}
	p.b.mu.Lock()
	defer p.b.mu.Unlock()
	return &Observation{URL: p.b.url}, nil
}

func (p fakePage) Picture(ctx context.Context, _ PictureOptions) (*Picture, error) {
	shot, err := p.Screenshot(ctx, false)
	if err != nil {
		return nil, err
	}
	return &Picture{PNG: MaskedByPage(shot), Width: 1, Height: 1, Scale: 1}, nil
}

func (p fakePage) Read(ctx context.Context, _ ReadOptions) (*Reading, error) {
	if err := p.b.alive(ctx); err != nil {
		return nil, err
	}
	p.b.mu.Lock()
	defer p.b.mu.Unlock()
	return &Reading{URL: p.b.url}, nil
}

func (p fakePage) Screenshot(ctx context.Context, _ bool) ([]byte, error) {
	if err := p.b.alive(ctx); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 1, 1))); err != nil {
		return nil, fmt.Errorf("draw a fake screenshot: %w", err)
	}
	return b.Bytes(), nil
}

// PDF is one empty page, but for a title that says so.
func (p fakePage) PDF(ctx context.Context, _ Printing) ([]byte, error) {
	return []byte("%PDF-1.4\n1 0 obj <</Title (fake)>> endobj\ntrailer <</Info 1 0 R>>\n%%EOF\n"), p.b.alive(ctx)
}

func (p fakePage) element(ctx context.Context) error {
	if err := p.b.alive(ctx); err != nil {
		return err
	}
	return errFakeRef
}

func (p fakePage) Fill(ctx context.Context, _ Ref, _ Fill) error     { return p.element(ctx) }
func (p fakePage) Settle(ctx context.Context, _ time.Duration) error { return p.b.alive(ctx) }
