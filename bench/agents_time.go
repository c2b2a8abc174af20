package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/chromedp"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
)

// steps times a click and the view after it: the agent's, without what the model took,
// and the least that a client of the same browser can do, which neither waits for the
// page nor checks, masks or records anything.
func (a *agentBench) steps(ctx context.Context, w io.Writer, rounds int) error {
	if _, err := a.rt.Page.Goto(ctx, a.pages+"/form"); err != nil {
		return err
	}
	if err := chromedp.Do(a.peer, chromedp.Navigate(a.pages+"/form")); err != nil {
		return err
	}
	var none, many, plain []time.Duration
	for range 1 + rounds { // the first is not counted
		for range a.clicks {
			began := time.Now()
			if err := a.peerStep(); err != nil {
				return err
			}
			plain = append(plain, time.Since(began))
		}
		took, _, err := a.act(ctx, "Do nothing", clicks(0))
		if err != nil {
			return err
		}
		none = append(none, took)
		took, _, err = a.act(ctx, "Count to ten", clicks(a.clicks))
		if err != nil {
			return err
		}
		many = append(many, took)
	}
	base := middle(none[1:])
	step, peer := (middle(many[1:])-base)/time.Duration(a.clicks), middle(plain[a.clicks:])
	t := newTable(w, fmt.Sprintf("A step of an agent on a page of 40 fields, without the model: milliseconds, medians "+
		"of %d", rounds*a.clicks), "", "time", "ratio")
	defer t.end()
	over := func(d time.Duration) string { return fmt.Sprintf("%.1f", float64(d)/float64(peer)) }
	t.row("chromedp: click, read the accessibility tree", millis(peer), over(peer))
	t.row("agent: click, wait, look, record", millis(step), over(step))
	t.row(fmt.Sprintf("the same beyond the %d ms that a page has to be still", quiet.Milliseconds()), millis(step-quiet),
		over(step-quiet))
	t.row("an Act that only looks, its request included", millis(base), over(base))
	return nil
}

// quiet is how long the agent wants a page to have been still before it looks: what no
// step after a change can be shorter than.
const quiet = 300 * time.Millisecond

// clicks is a model that clicks the page's button so often, then is done.
func clicks(n int) modeltest.Script {
	return func(turn modeltest.Turn) modeltest.Call {
		if len(turn.Calls) < n {
			return modeltest.Click(turn.Find("button", "count"))
		}
		return modeltest.Done(true, "Counted.")
	}
}

func (a *agentBench) peerStep() error {
	if err := chromedp.Do(a.peer, chromedp.Click(chromedp.CSS("#count"))); err != nil {
		return err
	}
	_, err := a.accessibilityTree()
	return err
}

// accessibilityTree is the whole tree of the peer's page, as the protocol has it.
func (a *agentBench) accessibilityTree() (string, error) {
	tree, err := chromedp.Call(a.peer, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(tree)
	return string(text), err
}

// again times a login with an export: by asking the model, from the cache, and as a
// replay of the operation.
func (a *agentBench) again(ctx context.Context, w io.Writer, rounds int) error {
	task := "Log in to the CRM and export Q1 pipeline"
	a.model.follow(modeltest.LogInAndExport("quarter", "Q1"))
	if _, err := a.rt.Page.Goto(ctx, a.crm); err != nil {
		return err
	}
	op, err := a.rt.Stagehand.AgentAsync(ctx, task)
	if err != nil {
		return err
	}
	if _, err := op.Wait(ctx); err != nil {
		return err
	}
	replay := func() (int, error) {
		again, err := op.Replay(ctx, a.rt)
		if err != nil {
			return 0, err
		}
		info, err := again.Wait(ctx)
		if err != nil {
			return 0, err
		}
		result, err := info.Agent()
		if err == nil && !result.Success {
			err = fmt.Errorf("the replay did not finish: %s", result.Message)
		}
		return len(result.Actions), err
	}
	act := func(cache bctrl.CacheMode) func() (int, error) {
		return func() (int, error) {
			_, result, err := a.act(ctx, task, modeltest.LogInAndExport("quarter", "Q1"), bctrl.ActOptions{Cache: cache})
			if err != nil {
				return 0, err
			}
			return len(result.Actions), nil
		}
	}
	ways := []struct {
		name string
		do   func() (int, error)
		took []time.Duration
		n    int   // actions
		ask  int64 // questions to the model
	}{
		{name: "asking the model", do: act(bctrl.CacheOff)},
		{name: "from the cache", do: act(bctrl.CacheAuto)},
		{name: "replay of an operation", do: replay},
	}
	for range 1 + rounds { // in the first one the cache learns
		for i := range ways {
			way := &ways[i]
			if err := a.logOut(ctx); err != nil {
				return err
			}
			asked, model := a.model.asked.Load(), a.model.took.Load()
			began := time.Now()
			n, err := way.do()
			if err != nil {
				return fmt.Errorf("%s: %w", way.name, err)
			}
			took := time.Since(began) - time.Duration(a.model.took.Load()-model)
			way.took, way.n, way.ask = append(way.took, took), n, a.model.asked.Load()-asked
		}
	}
	t := newTable(w, fmt.Sprintf("A login with a one-time code and an export, without the model's time: milliseconds, "+
		"medians of %d", rounds), "", "questions", "actions", "time", "ratio")
	defer t.end()
	for _, way := range ways {
		took := middle(way.took[1:])
		t.row(way.name, fmt.Sprint(way.ask), fmt.Sprint(way.n), millis(took),
			ratio(float64(took)/float64(middle(ways[0].took[1:]))))
	}
	return nil
}

// logOut brings the browser back to the CRM's login.
func (a *agentBench) logOut(ctx context.Context) error {
	if _, err := a.rt.Page.Goto(ctx, a.crm); err != nil {
		return err
	}
	_, _, err := a.act(ctx, "Log out", func(turn modeltest.Turn) modeltest.Call {
		out := turn.Find("button", "log out")
		if out.Ref == "" || strings.Contains(turn.View.URL, "login") {
			return modeltest.Done(true, "Logged out.")
		}
		return modeltest.Click(out)
	})
	if err == nil {
		_, err = a.rt.Page.Goto(ctx, a.crm)
	}
	return err
}
