package bctrl

import (
	"context"
	"net/http"
)

// PageInfo is a tab of a runtime's browser.
type PageInfo struct {
	// ID names the tab for as long as it is there: "t1". No other tab of the browser
	// gets the name.
	ID string `json:"id"`
	// URL is without query and fragment.
	URL   string `json:"url"`
	Title string `json:"title"`
	// Active reports that the tab is in front: that agents and [Runtime.Page] work on it.
	Active bool `json:"active"`
}

// PagesArgs are the arguments of [CallPages], of which at most one is given; with none
// the tabs are listed as they are.
type PagesArgs struct {
	// Open is an http or https address that a new tab opens, in front; "about:blank" is
	// an empty one.
	Open string `json:"open,omitempty"`
	// Activate and Close are ids of tabs: one to bring to the front, one to close.
	Activate string `json:"activate,omitempty"`
	Close    string `json:"close,omitempty"`
}

// Validate refuses arguments that ask for several things at once with
// executions.two_at_once.
func (a PagesArgs) Validate() error {
	given := ""
	for _, arg := range []struct{ field, value string }{{"open", a.Open}, {"activate", a.Activate}, {"close", a.Close}} {
		if arg.value == "" {
			continue
		}
		if given != "" {
			return refusal(http.StatusBadRequest, "executions.two_at_once", arg.field, given+" and "+arg.field+" are two steps")
		}
		given = arg.field
	}
	return nil
}

// PagesResult is what tabs there are after a step of [CallPages], the oldest first.
type PagesResult struct {
	Pages []PageInfo `json:"pages"`
}

// BrowserPages are the tabs of a runtime's browser that agents work in: the one that it
// began with, those that were opened here or by an agent, and those that their pages
// opened. Those of DevTools clients are not among them. See [Runtime.Pages].
type BrowserPages struct{ rt *Runtime }

// List lists the tabs, the oldest first.
//
// Access: runtime.execute
func (p *BrowserPages) List(ctx context.Context, opts ...CallOption) ([]PageInfo, error) {
	return p.step(ctx, PagesArgs{}, opts)
}

// Open opens an address in a new tab, which is in front from then on, waits for its page,
// and returns the tab. What an address may be is as for [BrowserPage.Goto]; an empty one is
// a blank tab.
//
// Access: runtime.execute
func (p *BrowserPages) Open(ctx context.Context, url string, opts ...CallOption) (*PageInfo, error) {
	if err := p.rt.limits.mounts().refuseVisit(url); err != nil {
		return nil, err
	}
	if url == "" {
		url = "about:blank"
	}
	pages, err := p.step(ctx, PagesArgs{Open: url}, opts)
	if err != nil {
		return nil, err
	}
	for i := range pages {
		if pages[i].Active {
			return &pages[i], nil
		}
	}
	return nil, refusal(http.StatusNotFound, "page.unknown_tab", "", "the tab was closed meanwhile")
}

// Activate brings a tab to the front. One that is not there is "page.unknown_tab".
//
// Access: runtime.execute
func (p *BrowserPages) Activate(ctx context.Context, id string, opts ...CallOption) error {
	_, err := p.step(ctx, PagesArgs{Activate: id}, opts)
	return err
}

// Close closes a tab; where it was in front, the one that was there before comes back. One
// whose page does not let it close is "page.not_closed", one that is not there
// "page.unknown_tab".
//
// Access: runtime.execute
func (p *BrowserPages) Close(ctx context.Context, id string, opts ...CallOption) error {
	_, err := p.step(ctx, PagesArgs{Close: id}, opts)
	return err
}

func (p *BrowserPages) step(ctx context.Context, args PagesArgs, opts []CallOption) ([]PageInfo, error) {
	step, err := PagesStep(args)
	if err != nil {
		return nil, err
	}
	result, err := step1[PagesResult](ctx, p.rt, step, opts)
	if err != nil {
		return nil, err
	}
	return result.Pages, nil
}
