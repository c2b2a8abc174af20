package agent

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/steptime"
)

const (
	// navigateTime is how long a page may take to open before the model is asked again.
	navigateTime = 30 * time.Second
	// maxTextWait is how long a text is waited for, and textWait how long by default.
	maxTextWait = 30 * time.Second
	textWait    = 10 * time.Second
	// maxAwaited bounds the text that is waited for, in bytes.
	maxAwaited = 1024
	maxTabName = 20
)

// tabTools move between pages.
func tabTools() []tool {
	const which = `"tab":{"type":"string","description":"A tab of the list of tabs, such as t2."},` +
		`"from_newest":{"type":"integer","description":"In the place of tab: 0 is the newest, 1 the one opened before it."}`
	return []tool{
		define[goBack]("back", "Go back to the page before this one.", ``),
		define[reload]("reload", "Load the page that is in front again.", ``),
		define[waitText]("wait_text", "Wait until the page shows a text.",
			`"text":{"type":"string","description":"A piece of the text, as the page writes it."},`+
				`"seconds":{"type":"number","description":"The longest time to wait, 1 to 30."}`, "text"),
		define[openTab]("open_tab", "Open a web address in a new tab, which is in front from then on.",
			`"url":{"type":"string","description":"A whole http or https address."}`, "url"),
		define[switchTab]("switch_tab", "Bring another tab to the front.", which),
		define[closeTab]("close_tab", "Close a tab, the one in front where none is given.", which),
	}
}

type goBack struct{}

func (goBack) do(ctx context.Context, r *run) (outcome, error) {
	return r.moves(ctx, "back", "the page before", "went back",
		func(ctx context.Context, p browser.Page) error { return p.Back(ctx) })
}

type reload struct{}

func (reload) do(ctx context.Context, r *run) (outcome, error) {
	return r.moves(ctx, "reload", "", "loaded again",
		func(ctx context.Context, p browser.Page) error { return p.Reload(ctx) })
}

// moves has the tab in front come to another document, within the time for that.
func (r *run) moves(ctx context.Context, kind, target, success string,
	do func(context.Context, browser.Page) error) (outcome, error) {
	r.progress(kind, target)
	limit, cancel := steptime.With(ctx, navigateTime, context.DeadlineExceeded)
	defer cancel()
	return r.afterAction(ctx, bctrl.ActAction{Kind: kind, Target: target}, do(limit, r.page), success)
}

type waitText struct {
	Text    string  `json:"text"`
	Seconds float64 `json:"seconds"`
}

func (a waitText) do(ctx context.Context, r *run) (outcome, error) {
	if strings.TrimSpace(a.Text) == "" || len(a.Text) > maxAwaited {
		return refuse(fmt.Sprintf("not done: the text is empty, or longer than %d bytes", maxAwaited)), nil
	}
	limit := textWait
	if a.Seconds != 0 {
		limit = seconds(a.Seconds, maxTextWait)
	}
	r.progress("wait_text", a.Text)
	waiting, cancel := steptime.With(ctx, limit, context.DeadlineExceeded)
	defer cancel()
	return r.afterAction(ctx, bctrl.ActAction{Kind: "wait_text", Target: a.Text}, r.page.WaitText(waiting, a.Text),
		"the page shows the text")
}

type openTab struct {
	URL string `json:"url"`
}

func (a openTab) do(ctx context.Context, r *run) (outcome, error) {
	if refusal := r.refusesAddress(a.URL); refusal != nil {
		return r.refusedVisit(ctx, "open_tab", a.URL, refusal)
	}
	return r.moves(ctx, "open_tab", withoutQuery(a.URL), "opened in a new tab",
		func(ctx context.Context, p browser.Page) error { return p.OpenTab(ctx, a.URL) })
}

// tabChoice names a tab, by its name or by how many are newer.
type tabChoice struct {
	Tab        string `json:"tab"`
	FromNewest *int   `json:"from_newest"`
}

// find returns the tab that is meant, or false and what to answer. Nothing given is the
// one in front.
func (c tabChoice) find(r *run) (browser.Tab, outcome, bool) {
	tabs := r.tabs
	if c.Tab != "" && c.FromNewest != nil {
		return browser.Tab{}, refuse("not done: give tab or from_newest, not both"), false
	}
	for i, t := range tabs {
		switch {
		case c.FromNewest != nil && i == len(tabs)-1-*c.FromNewest,
			c.Tab == string(t.ID),
			c.Tab == "" && c.FromNewest == nil && t.Active:
			return t, outcome{}, true
		}
	}
	if c.FromNewest != nil {
		return browser.Tab{}, refuse(fmt.Sprintf("not done: there are %d tabs", len(tabs))), false
	}
	why := "not done: there is no tab " + clip(clean(c.Tab), maxTabName) + " in the newest view"
	return browser.Tab{}, refuse(why), false
}

// on does something to the tab that is meant. It is recorded by its place among the tabs:
// another time its name is another.
func (c tabChoice) on(ctx context.Context, r *run, kind, success string,
	do func(context.Context, browser.TabID) error) (outcome, error) {
	t, unknown, ok := c.find(r)
	if !ok {
		return unknown, nil
	}
	newer := 0
	for i := len(r.tabs) - 1; i >= 0 && r.tabs[i].ID != t.ID; i-- {
		newer++
	}
	r.progress(kind, string(t.ID))
	return r.afterAction(ctx, bctrl.ActAction{
		Kind:      kind,
		Target:    withoutQuery(t.URL),
		Arguments: r.recordedArguments(encodeObject(map[string]int{"from_newest": newer})),
	}, do(ctx, t.ID), success)
}

type switchTab struct{ tabChoice }

func (a switchTab) do(ctx context.Context, r *run) (outcome, error) {
	if a.Tab == "" && a.FromNewest == nil {
		return refuse("not done: neither tab nor from_newest is given"), nil
	}
	if t, _, ok := a.find(r); ok && !r.set.hosts.permits(t.URL) {
		return r.refusedVisit(ctx, "switch_tab", t.URL,
			browser.Forbidden(codeHostNotAllowed, "this task may not be at the tab's host", ""))
	}
	return a.on(ctx, r, "switch_tab", "the tab is in front", r.page.ActivateTab)
}

type closeTab struct{ tabChoice }

func (a closeTab) do(ctx context.Context, r *run) (outcome, error) {
	return a.on(ctx, r, "close_tab", "closed", r.page.CloseTab)
}
