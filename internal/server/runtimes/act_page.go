package runtimes

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"sync/atomic"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/browser"
)

// recordedPage is the page of an execution. What it does not permit is recorded: to fill a
// login where it does not belong, to carry a filled value elsewhere, to open an address of
// a network of the server's. What cannot be done for another reason is not. A page of a host
// that the execution's mounts do not permit is left before anything is read of it.
type recordedPage struct {
	browser.Page
	s *Service
	x *execution
}

// page is the page of an execution that is in front.
func (s *Service) page(ctx context.Context, x *execution) (browser.Page, error) {
	if err := s.awaitPerson(ctx, x); err != nil {
		return nil, err
	}
	p, err := x.live.browser.Page(ctx)
	return waitingPage{recordedPage: recordedPage{p, s, x}}, err
}

// agentPages returns [Service.page] for one agent, which does nothing by what it has seen before
// a person worked in the browser.
func (s *Service) agentPages(x *execution) func(context.Context) (browser.Page, error) {
	looked := new(atomic.Int64)
	looked.Store(int64(x.live.control.Turns()))
	return func(ctx context.Context) (browser.Page, error) {
		if err := s.awaitPerson(ctx, x); err != nil {
			return nil, err
		}
		p, err := x.live.browser.Page(ctx)
		return waitingPage{recordedPage{p, s, x}, looked}, err
	}
}

// Fill implements [browser.Page].
func (p recordedPage) Fill(ctx context.Context, ref browser.Ref, fill browser.Fill) error {
	return p.recordForbidden(ctx, bctrl.UseVault, fill.Key, p.Page.Fill(ctx, ref, fill))
}

// LoginHTTP implements [browser.Page].
func (p recordedPage) LoginHTTP(ctx context.Context, login browser.HTTPLogin) error {
	return p.recordForbidden(ctx, bctrl.UseVault, login.Password.Key, p.Page.LoginHTTP(ctx, login))
}

// Goto implements [browser.Page].
func (p recordedPage) Goto(ctx context.Context, address string, until bctrl.WaitUntil) error {
	if err := p.checkVisit(ctx, address); err != nil {
		return err
	}
	return p.recordForbidden(ctx, bctrl.VisitHost, p.hostOf(address), p.Page.Goto(ctx, address, until))
}

// OpenTab implements [browser.Page].
func (p recordedPage) OpenTab(ctx context.Context, address string) error {
	if err := p.checkVisit(ctx, address); err != nil {
		return err
	}
	return p.recordForbidden(ctx, bctrl.VisitHost, p.hostOf(address), p.Page.OpenTab(ctx, address))
}

// Type implements [browser.Page].
func (p recordedPage) Type(ctx context.Context, ref browser.Ref, text string) error {
	return p.recordHand(ctx, p.Page.Type(ctx, ref, text))
}

// Select implements [browser.Page].
func (p recordedPage) Select(ctx context.Context, ref browser.Ref, options ...string) error {
	return p.recordHand(ctx, p.Page.Select(ctx, ref, options...))
}

// Press implements [browser.Page].
func (p recordedPage) Press(ctx context.Context, keys string) error {
	return p.recordHand(ctx, p.Page.Press(ctx, keys))
}

// Click implements [browser.Page].
func (p recordedPage) Click(ctx context.Context, ref browser.Ref, how browser.Click) error {
	return p.recordHand(ctx, p.Page.Click(ctx, ref, how))
}

// ClickAt implements [browser.Page].
func (p recordedPage) ClickAt(ctx context.Context, at browser.Point, how browser.Click) error {
	return p.recordHand(ctx, p.Page.ClickAt(ctx, at, how))
}

// Drag implements [browser.Page].
func (p recordedPage) Drag(ctx context.Context, from, to browser.Ref) error {
	return p.recordHand(ctx, p.Page.Drag(ctx, from, to))
}

// DragAt implements [browser.Page].
func (p recordedPage) DragAt(ctx context.Context, path ...browser.Point) error {
	return p.recordHand(ctx, p.Page.DragAt(ctx, path...))
}

// AnswerDialog implements [browser.Page].
func (p recordedPage) AnswerDialog(ctx context.Context, accept bool, text string) error {
	return p.recordHand(ctx, p.Page.AnswerDialog(ctx, accept, text))
}

// recordHand records what hands may not do, by the runtime in which they were.
func (p recordedPage) recordHand(ctx context.Context, err error) error {
	return p.recordForbidden(ctx, access.RuntimeExecute, p.x.rt.ID, err)
}

// recordForbidden records that the page refused something, where it did because that may
// not be, and returns the refusal; where it cannot be recorded, why.
func (p recordedPage) recordForbidden(ctx context.Context, verb bctrl.Verb, object string, err error) error {
	if refusal, ok := errors.AsType[*bctrl.Error](err); ok && refusal.Status == http.StatusForbidden {
		return p.s.recordRefusal(ctx, p.x, verb, object, refusal)
	}
	return err
}

// hostOf is the host of an address, with its port where it has one, without what was
// filled in this browser.
func (p recordedPage) hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return p.x.live.secrets.String(u.Host)
}
