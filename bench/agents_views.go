package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/tiktoken-go/tokenizer"

	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
	"github.com/bctrl-go/bctrl/miniwob"
)

// miniwobPages is where scripts/install-miniwob puts a link to the pages.
const miniwobPages = "../miniwob/html"

// sizes are those of one page: the view that a model gets of it, its HTML as it stands
// in the browser, and the accessibility tree as the browser gives it. In tokens.
type sizes struct{ view, html, tree int }

// views counts the tokens of views: of the pages of MiniWoB++, and of the CRM.
func (a *agentBench) views(ctx context.Context, w io.Writer, _ int) error {
	counter, err := tokenizer.Get(tokenizer.O200kBase)
	if err != nil {
		return err
	}
	tasks, err := filepath.Glob(filepath.Join(miniwobPages, "miniwob", "*.html"))
	if err != nil || len(tasks) == 0 {
		return errors.Join(err, errors.New("the pages of MiniWoB++ are not there: run scripts/install-miniwob"))
	}
	site, err := miniwob.NewSite(miniwobPages)
	if err != nil {
		return err
	}
	a.ending = append(a.ending, func(context.Context) error { return site.Close() })
	address, err := a.serve(site)
	if err != nil {
		return err
	}
	var games []sizes
	for _, file := range tasks {
		task := strings.TrimSuffix(filepath.Base(file), ".html")
		open := func(who string) (string, func() error) {
			id := who + "-" + task
			started := site.Begin(id)
			return address + "/miniwob/" + url.PathEscape(task) + ".html?" +
				url.Values{"episode": {id}, "seed": {"1"}}.Encode(), func() error { return within(ctx, started) }
		}
		size, err := a.size(ctx, counter, open)
		if err != nil {
			return fmt.Errorf("%s: %w", task, err)
		}
		games = append(games, size)
	}
	var crm []sizes
	open := func(string) (string, func() error) { return a.crm + "/", func() error { return nil } }
	for _, prepare := range []func(context.Context) error{a.logOut, a.logIn} {
		if err := prepare(ctx); err != nil {
			return err
		}
		size, err := a.size(ctx, counter, open)
		if err != nil {
			return fmt.Errorf("CRM: %w", err)
		}
		crm = append(crm, size)
	}
	t := newTable(w, "Tokens of a page (o200k): medians, and the largest view", "", "pages", "view", "largest", "HTML",
		"accessibility tree", "view/HTML", "view/tree")
	defer t.end()
	t.row(sizesRow("MiniWoB++", games)...)
	t.row(sizesRow("the CRM's login", crm[:1])...)
	t.row(sizesRow("the CRM's table", crm[1:])...)
	return nil
}

// logIn logs in to the CRM.
func (a *agentBench) logIn(ctx context.Context) error {
	_, _, err := a.act(ctx, "Log in and export Q1", modeltest.LogInAndExport("quarter", "Q1"))
	return err
}

func within(ctx context.Context, done <-chan struct{}) error {
	limit := time.NewTimer(30 * time.Second)
	defer limit.Stop()
	select {
	case <-done:
		return nil
	case <-limit.C:
		return errors.New("the page did not begin its task")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// size opens a page for the agent and for the peer, and counts what each sees of it.
// Open returns the address and waits until the page is ready.
func (a *agentBench) size(
	ctx context.Context, counter tokenizer.Codec, open func(who string) (address string, ready func() error),
) (s sizes, err error) {
	address, ready := open("agent")
	if _, err := a.rt.Page.Goto(ctx, address); err != nil {
		return s, err
	}
	if err := ready(); err != nil {
		return s, err
	}
	_, _, err = a.act(ctx, "Look", func(modeltest.Turn) modeltest.Call { return modeltest.Done(true, "Seen.") })
	if err != nil {
		return s, err
	}
	address, ready = open("peer")
	if err := chromedp.Do(a.peer, chromedp.Navigate(address)); err != nil {
		return s, err
	}
	if err := ready(); err != nil {
		return s, err
	}
	html, err := a.stillHTML()
	if err != nil {
		return s, err
	}
	tree, err := a.accessibilityTree()
	if err != nil {
		return s, err
	}
	for _, text := range []struct {
		text string
		n    *int
	}{{a.model.newestView(), &s.view}, {html, &s.html}, {tree, &s.tree}} {
		if *text.n, err = counter.Count(text.text); err != nil {
			return s, err
		}
	}
	return s, nil
}

// stillHTML is the HTML of the peer's page once it stays as it is for a while, or of one
// that never does, after ten looks.
func (a *agentBench) stillHTML() (html string, err error) {
	for range 10 {
		before := html
		html, err = chromedp.Run(a.peer, chromedp.OuterHTML(chromedp.CSS("html")))
		if err != nil || html == before {
			return html, err
		}
		select {
		case <-time.After(quiet):
		case <-a.peer.Done():
		}
	}
	return html, nil
}

// sizesRow is a row of the table: medians, of the ratios too.
func sizesRow(name string, pages []sizes) []string {
	column := func(of func(sizes) float64) (all []float64) {
		for _, s := range pages {
			all = append(all, of(s))
		}
		return all
	}
	view := func(s sizes) float64 { return float64(s.view) }
	html := func(s sizes) float64 { return float64(s.html) }
	tree := func(s sizes) float64 { return float64(s.tree) }
	over := func(a, b func(sizes) float64) string {
		return fmt.Sprintf("%.3f", middle(column(func(s sizes) float64 { return a(s) / b(s) })))
	}
	return []string{
		name, fmt.Sprint(len(pages)), rate(middle(column(view))), rate(slices.Max(column(view))),
		rate(middle(column(html))), rate(middle(column(tree))), over(view, html), over(view, tree),
	}
}

// limits shows that a view stops growing with its page, and what looking at a large one
// takes.
func (a *agentBench) limits(ctx context.Context, w io.Writer, rounds int) error {
	counter, err := tokenizer.Get(tokenizer.O200kBase)
	if err != nil {
		return err
	}
	t := newTable(w, "Tables of more and more rows: tokens, and milliseconds that an Act takes that only looks",
		"rows", "view", "HTML", "accessibility tree", "look")
	defer t.end()
	for rows := 10; rows <= a.rows; rows *= 10 {
		open := func(string) (string, func() error) {
			return fmt.Sprint(a.pages, "/list/", rows), func() error { return nil }
		}
		s, err := a.size(ctx, counter, open)
		if err != nil {
			return fmt.Errorf("%d rows: %w", rows, err)
		}
		var took []time.Duration
		for range rounds {
			one, _, err := a.act(ctx, "Look", clicks(0))
			if err != nil {
				return err
			}
			took = append(took, one)
		}
		t.row(fmt.Sprint(rows), fmt.Sprint(s.view), fmt.Sprint(s.html), fmt.Sprint(s.tree), millis(middle(took)))
	}
	return nil
}
