package runtimes

import (
	"context"
	"sync/atomic"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
)

// waitingPage is a page on which nothing is done while a person works in the browser: each
// action waits for the person. What is only read is read meanwhile.
type waitingPage struct {
	recordedPage
	// looked is [live.Control.Turns] as it was when the page was read last, for an agent, which
	// does what it has decided by that; nil for a program, which says what it wants as it is.
	looked *atomic.Int64
}

// errPersonWorked is the refusal of what an agent has decided before a person took the browser
// over: the person may have done it, or have left the page.
var errPersonWorked = browser.Conflict(browser.CodePersonWorked,
	"a person has worked in the browser since this page was read, and nothing was done",
	"look at the page as it is now")

// act does something once no person works in the browser, and where an agent has seen the page
// since one did.
func (p waitingPage) act(ctx context.Context, do func() error) error {
	if err := p.s.awaitPerson(ctx, p.x); err != nil {
		return err
	}
	if p.looked != nil && p.looked.Load() != p.turns() {
		return errPersonWorked
	}
	return do()
}

func (p waitingPage) turns() int64 { return int64(p.x.live.control.Turns()) }

// Observe implements [browser.Page].
func (p waitingPage) Observe(ctx context.Context) (*browser.Observation, error) {
	turns := p.turns() // who takes over while the page is read may change it after
	seen, err := p.recordedPage.Observe(ctx)
	if err == nil && p.looked != nil {
		p.looked.Store(turns)
	}
	return seen, err
}

// Fill implements [browser.Page].
func (p waitingPage) Fill(ctx context.Context, ref browser.Ref, fill browser.Fill) error {
	return p.act(ctx, func() error { return p.recordedPage.Fill(ctx, ref, fill) })
}

// LoginHTTP implements [browser.Page].
func (p waitingPage) LoginHTTP(ctx context.Context, login browser.HTTPLogin) error {
	return p.act(ctx, func() error { return p.recordedPage.LoginHTTP(ctx, login) })
}

// Goto implements [browser.Page].
func (p waitingPage) Goto(ctx context.Context, address string, until bctrl.WaitUntil) error {
	return p.act(ctx, func() error { return p.recordedPage.Goto(ctx, address, until) })
}

// Back implements [browser.Page].
func (p waitingPage) Back(ctx context.Context) error {
	return p.act(ctx, func() error { return p.recordedPage.Back(ctx) })
}

// Reload implements [browser.Page].
func (p waitingPage) Reload(ctx context.Context) error {
	return p.act(ctx, func() error { return p.recordedPage.Reload(ctx) })
}

// OpenTab implements [browser.Page].
func (p waitingPage) OpenTab(ctx context.Context, address string) error {
	return p.act(ctx, func() error { return p.recordedPage.OpenTab(ctx, address) })
}

// ActivateTab implements [browser.Page].
func (p waitingPage) ActivateTab(ctx context.Context, id browser.TabID) error {
	return p.act(ctx, func() error { return p.recordedPage.ActivateTab(ctx, id) })
}

// CloseTab implements [browser.Page].
func (p waitingPage) CloseTab(ctx context.Context, id browser.TabID) error {
	return p.act(ctx, func() error { return p.recordedPage.CloseTab(ctx, id) })
}

// AnswerDialog implements [browser.Page].
func (p waitingPage) AnswerDialog(ctx context.Context, accept bool, text string) error {
	return p.act(ctx, func() error { return p.recordedPage.AnswerDialog(ctx, accept, text) })
}

// SetFiles implements [browser.Page].
func (p waitingPage) SetFiles(ctx context.Context, ref browser.Ref, files []browser.File) error {
	return p.act(ctx, func() error { return p.recordedPage.SetFiles(ctx, ref, files) })
}

// Click implements [browser.Page].
func (p waitingPage) Click(ctx context.Context, ref browser.Ref, how browser.Click) error {
	return p.act(ctx, func() error { return p.recordedPage.Click(ctx, ref, how) })
}

// ClickAt implements [browser.Page].
func (p waitingPage) ClickAt(ctx context.Context, at browser.Point, how browser.Click) error {
	return p.act(ctx, func() error { return p.recordedPage.ClickAt(ctx, at, how) })
}

// Hover implements [browser.Page].
func (p waitingPage) Hover(ctx context.Context, ref browser.Ref) error {
	return p.act(ctx, func() error { return p.recordedPage.Hover(ctx, ref) })
}

// HoverAt implements [browser.Page].
func (p waitingPage) HoverAt(ctx context.Context, at browser.Point) error {
	return p.act(ctx, func() error { return p.recordedPage.HoverAt(ctx, at) })
}

// Drag implements [browser.Page].
func (p waitingPage) Drag(ctx context.Context, from, to browser.Ref) error {
	return p.act(ctx, func() error { return p.recordedPage.Drag(ctx, from, to) })
}

// DragAt implements [browser.Page].
func (p waitingPage) DragAt(ctx context.Context, path ...browser.Point) error {
	return p.act(ctx, func() error { return p.recordedPage.DragAt(ctx, path...) })
}

// Type implements [browser.Page].
func (p waitingPage) Type(ctx context.Context, ref browser.Ref, text string) error {
	return p.act(ctx, func() error { return p.recordedPage.Type(ctx, ref, text) })
}

// Select implements [browser.Page].
func (p waitingPage) Select(ctx context.Context, ref browser.Ref, options ...string) error {
	return p.act(ctx, func() error { return p.recordedPage.Select(ctx, ref, options...) })
}

// Press implements [browser.Page].
func (p waitingPage) Press(ctx context.Context, keys string) error {
	return p.act(ctx, func() error { return p.recordedPage.Press(ctx, keys) })
}

// Scroll implements [browser.Page].
func (p waitingPage) Scroll(ctx context.Context, ref browser.Ref, pages int) (moved bool, err error) {
	err = p.act(ctx, func() error {
		moved, err = p.recordedPage.Scroll(ctx, ref, pages)
		return err
	})
	return moved, err
}
