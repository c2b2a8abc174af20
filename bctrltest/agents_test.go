package bctrltest_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest"
	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
)

// shopSite is a small application, on two hosts of one machine: localhost, and
// 127.0.0.1, where no task of these tests may be.
func shopSite(t *testing.T) (home, elsewhere string) {
	t.Helper()
	mux := http.NewServeMux()
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	elsewhere = srv.URL
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		if strings.HasPrefix(r.Host, "127.") {
			_, _ = fmt.Fprint(w, `<title>Elsewhere</title><h1>Words of another host</h1><button>Pay</button>`)
			return
		}
		_, _ = fmt.Fprint(w, `<title>Shop</title><label>Amount <input id=amount></label>
			<button onclick="document.title='Saved '+amount.value">Save</button>
			<button onclick="this.remove()">Vanish</button>
			<button onclick="setTimeout(()=>location='`+elsewhere+`/stolen',50)">Leave</button><table>`)
		for i := range 60 {
			_, _ = fmt.Fprintf(w, `<tr><td>Item %d</td><td>%d.50</td></tr>`, i, i)
		}
		_, _ = fmt.Fprint(w, `</table>`)
	})
	return strings.Replace(srv.URL, "127.0.0.1", "localhost", 1) + "/", elsewhere
}

// openRuntime starts a real browser with a scripted model.
func openRuntime(t *testing.T, script modeltest.Script) (*bctrltest.Server, *bctrl.Runtime) {
	t.Helper()
	srv := bctrltest.New(t, bctrltest.WithBrowser(), bctrltest.WithModel(script))
	client := srv.Client(bctrl.WithTimeout(2 * time.Minute))
	_, err := client.AICredentials.Create(t.Context(), srv.ModelCredential("main"))
	require.NoError(t, err)
	ws, err := client.Workspaces.Create(t.Context(), bctrl.WorkspaceCreate{Name: "shop", Mounts: bctrl.Mounts{
		AI: &bctrl.AIMount{Allow: []string{"main"}},
	}})
	require.NoError(t, err)
	rt, err := ws.Runtimes.Browser("shop").Stagehand(t.Context(), bctrl.Launch{})
	require.NoError(t, err)
	return srv, rt
}

func TestWhatIsObservedIsDoneOnTheSamePageAlone(t *testing.T) {
	home, _ := shopSite(t)
	srv, rt := openRuntime(t, func(turn modeltest.Turn) modeltest.Call {
		var all []modeltest.Candidate
		add := func(e modeltest.Element, method string, args ...string) {
			all = append(all, modeltest.Candidate{Ref: e.Ref, Method: method, Arguments: args, Description: e.Name,
				Confidence: 1 - float64(len(all))/10})
		}
		add(turn.Find("textbox", "amount"), "type", "42")
		add(turn.Find("button", "save"), "click")
		add(turn.Find("button", "vanish"), "click")
		return modeltest.Candidates(all...)
	})
	ctx := t.Context()
	_, err := rt.Page.Goto(ctx, home)
	require.NoError(t, err)
	found, err := rt.Stagehand.Observe(ctx, "what can be done")
	require.NoError(t, err)
	require.Len(t, found, 3)
	asked := len(srv.Model().Requests())
	for _, o := range found {
		result, err := rt.Stagehand.Act(ctx, o)
		require.NoError(t, err)
		require.True(t, result.Success, result.Message)
	}
	require.Len(t, srv.Model().Requests(), asked, "no model is asked")
	page, err := rt.Page.Goto(ctx, home+"#there")
	require.NoError(t, err)
	require.Equal(t, "Saved 42", page.Title, "it was done")

	_, err = rt.Stagehand.Act(ctx, found[2])
	require.Equal(t, "page.changed", codeOf(err), "the button is gone")
	_, err = rt.Page.Goto(ctx, home)
	require.NoError(t, err)
	_, err = rt.Stagehand.Act(ctx, found[1])
	require.Equal(t, "page.changed", codeOf(err), "the same page, loaded anew, is another document")
}

func codeOf(err error) string {
	if refusal, ok := errors.AsType[*bctrl.Error](err); ok {
		return refusal.Code
	}
	return fmt.Sprint(err)
}

func TestATableIsExtractedWhole(t *testing.T) {
	home, _ := shopSite(t)
	row := regexp.MustCompile(`Item (\d+)\D+(\d+\.50)`)
	_, rt := openRuntime(t, func(turn modeltest.Turn) modeltest.Call {
		rows := []map[string]any{}
		for _, m := range row.FindAllStringSubmatch(turn.Page, -1) {
			rows = append(rows, map[string]any{"name": "Item " + m[1], "price": json.Number(m[2])})
		}
		return modeltest.Extracted(map[string]any{"rows": rows})
	})
	_, err := rt.Page.Goto(t.Context(), home)
	require.NoError(t, err)
	result, err := rt.Stagehand.Extract(t.Context(), "all items", bctrl.ExtractOptions{Schema: json.RawMessage(
		`{"type":"object","required":["rows"],"properties":{"rows":{"type":"array","minItems":60,"items":{"type":"object",` +
			`"required":["name","price"],"properties":{"name":{"type":"string"},"price":{"type":"number"}}}}}}`)})
	require.NoError(t, err)
	require.False(t, result.Truncated)
	var data struct {
		Rows []struct {
			Name  string
			Price float64
		}
	}
	require.NoError(t, json.Unmarshal(result.Data, &data))
	require.Len(t, data.Rows, 60)
	require.InDelta(t, 59.5, data.Rows[59].Price, 0)
}

func TestABrowserThatIsLedToAnotherHostIsTakenBack(t *testing.T) {
	home, _ := shopSite(t)
	srv, rt := openRuntime(t, func(turn modeltest.Turn) modeltest.Call {
		switch {
		case len(turn.Calls) == 0:
			return modeltest.Click(turn.Find("button", "leave"))
		case turn.Sees("button", "pay"):
			return modeltest.Click(turn.Find("button", "pay"))
		case len(turn.Calls) < 4:
			return modeltest.Wait(1)
		}
		return modeltest.Done(true, "as far as it goes")
	})
	_, err := rt.Page.Goto(t.Context(), home)
	require.NoError(t, err)
	result, err := rt.BrowserUse.Agent(t.Context(), "leave", bctrl.BrowserUseOptions{AllowedHosts: []string{"localhost"}})
	require.NoError(t, err)
	require.True(t, result.Success, result.Message)
	for _, page := range result.Pages {
		require.True(t, strings.HasPrefix(page, home), page)
	}
	told := false
	for _, r := range srv.Model().Requests() {
		require.NotContains(t, string(r.Body), "Words of another host")
		told = told || strings.Contains(string(r.Body), "was kept from there")
	}
	require.True(t, told, "the model is told where it was")
}
