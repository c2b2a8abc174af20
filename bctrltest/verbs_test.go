package bctrltest_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest"
	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
	"github.com/bctrl-go/bctrl/extract"
)

// dealsPage is a table with links, and a button that takes the row's place when pressed.
const dealsPage = `<!doctype html><title>Deals</title><h1>Open deals</h1>
<table><thead><tr><th>Name<th>Amount</thead><tbody>
<tr><td><a href="deals/1">Acme</a><td>120.50
<tr><td><a href="/deals/2?tab=a">Globex</a><td>9007199254740993
</tbody></table>
<button onclick="this.replaceWith(document.createTextNode('Thank you'))">Export</button>`

// deal is a row of it.
type deal struct {
	Name   string      `json:"name"`
	Amount json.Number `json:"amount"`
	Link   extract.URL `json:"link"`
}

var dealRow = regexp.MustCompile(`\| \[(\w+)\]\(https?://[^/]+([^)]*)\) \| ([\d.]+) \|`)

// readsDeals answers as a model would that reads what it is shown: rows of the page, with
// links as paths alone, and the export button.
func readsDeals(turn modeltest.Turn) modeltest.Call {
	switch {
	case slices.Contains(turn.Tools, "extracted"):
		rows := []deal{}
		for _, m := range dealRow.FindAllStringSubmatch(turn.Page, -1) {
			rows = append(rows, deal{Name: m[1], Link: extract.URL(m[2]), Amount: json.Number(m[3])})
		}
		return modeltest.Extracted(map[string]any{"value": rows})
	case slices.Contains(turn.Tools, "candidates"):
		return modeltest.Candidates(modeltest.Candidate{Ref: turn.Find("button", "export").Ref, Method: "click",
			Description: "exports the deals", Confidence: 1})
	case strings.Contains(turn.View.Outline, "Thank you"):
		return modeltest.DoneWith(true, "Exported.", map[string]any{"thanked": true})
	case strings.Contains(turn.Task, "never"):
		return modeltest.Wait(1)
	}
	return modeltest.Click(turn.Find("button", "export"))
}

// atDeals is a runtime of a real browser at the page.
func atDeals(t *testing.T) (*bctrl.Runtime, *bctrltest.Server, string) {
	t.Helper()
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(dealsPage))
	}))
	t.Cleanup(site.Close)
	srv := bctrltest.New(t, bctrltest.WithBrowser(), bctrltest.WithModel(readsDeals))
	rt := launch(t, srv)
	_, err := rt.Page.Goto(t.Context(), site.URL+"/crm/open")
	require.NoError(t, err)
	return rt, srv, site.URL
}

func TestAPageIsReadIntoAGoType(t *testing.T) {
	rt, _, site := atDeals(t)
	deals, err := extract.Into[[]deal](t.Context(), rt, "the open deals")
	require.NoError(t, err)
	require.Equal(t, []deal{
		{"Acme", "120.50", extract.URL(site + "/crm/deals/1")},
		{"Globex", "9007199254740993", extract.URL(site + "/deals/2?tab=a")},
	}, deals)

	_, err = extract.Into[int](t.Context(), rt, "how many there are") // the model answers with rows
	var e *bctrl.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, "extract.invalid_answer", e.Code)
}

func TestWhatWasObservedIsDoneWithoutAModelWhileThePageIsTheSame(t *testing.T) {
	rt, srv, site := atDeals(t)
	found, err := rt.Stagehand.Observe(t.Context(), "the button that exports")
	require.NoError(t, err)
	require.Len(t, found, 1)
	require.Equal(t, []string{"click", "button", "Export"}, []string{found[0].Method, found[0].Element.Role,
		found[0].Element.Name})
	stored, err := json.Marshal(found[0])
	require.NoError(t, err)
	var kept bctrl.Observed // as a program that ran before may have kept it
	require.NoError(t, json.Unmarshal(stored, &kept))

	asked := len(srv.Model().Requests())
	done, err := rt.Stagehand.Act(t.Context(), kept)
	require.NoError(t, err)
	require.True(t, done.Success, "%+v", done)
	require.Zero(t, done.Usage.Calls)

	refused := func(why string) {
		_, err = rt.Stagehand.Act(t.Context(), kept)
		var e *bctrl.Error
		require.ErrorAs(t, err, &e, why)
		require.Equal(t, "page.changed", e.Code, why)
	}
	refused("the button is gone")
	_, err = rt.Page.Goto(t.Context(), site+"/crm/other")
	require.NoError(t, err)
	refused("the button of another page")
	require.Len(t, srv.Model().Requests(), asked, "no model was asked")
}

func TestATaskEndsWithItsOutputOrWithItsBudget(t *testing.T) {
	rt, _, _ := atDeals(t)
	result, err := rt.Stagehand.Agent(t.Context(), "Export the deals", bctrl.AgentOptions{
		Output: []byte(`{"type":"object","properties":{"thanked":{"type":"boolean"}},"required":["thanked"]}`),
	})
	require.NoError(t, err)
	require.True(t, result.Success, "%+v", result)
	require.JSONEq(t, `{"thanked":true}`, string(result.Output))

	op, err := rt.BrowserUse.AgentAsync(t.Context(), "Wait, never be done", bctrl.BrowserUseOptions{MaxSteps: 2,
		AllowedHosts: []string{"*"}})
	require.NoError(t, err)
	info, err := op.Wait(t.Context())
	require.NoError(t, err)
	result, err = info.Agent()
	require.NoError(t, err)
	require.False(t, result.Success)
	require.Equal(t, bctrl.LimitSteps, result.Limit)
	require.Equal(t, 2, result.Steps)
}
