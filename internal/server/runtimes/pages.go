package runtimes

import (
	"context"
	"slices"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
)

// changePages opens a tab, chooses or closes one, and lists those that there are then. What
// a tab has open outside the execution's mounts has no address and no title.
func (s *Service) changePages(
	ctx context.Context, x *execution, a bctrl.PagesArgs, _ func(string),
) (*bctrl.PagesResult, error) {
	page, err := s.page(ctx, x)
	if err != nil {
		return nil, err
	}
	switch {
	case a.Open == "about:blank":
		err = page.OpenTab(ctx, "")
	case a.Open != "":
		err = page.OpenTab(ctx, a.Open)
	case a.Activate != "":
		err = page.ActivateTab(ctx, browser.TabID(a.Activate))
	case a.Close != "":
		err = page.CloseTab(ctx, browser.TabID(a.Close))
	}
	if err != nil {
		return nil, err
	}
	tabs, err := page.Tabs(ctx)
	if err != nil {
		return nil, err
	}
	caller, err := s.currentCaller(ctx, x)
	if err != nil {
		return nil, err
	}
	out := &bctrl.PagesResult{Pages: []bctrl.PageInfo{}}
	for t := range slices.Values(tabs) {
		info := bctrl.PageInfo{ID: string(t.ID), Active: t.Active}
		if mayShow(caller.Runtime.Chain, t.URL) {
			info.URL, info.Title = bareURL(t.URL), x.live.secrets.String(t.Title)
		}
		out.Pages = append(out.Pages, info)
	}
	return out, nil
}
