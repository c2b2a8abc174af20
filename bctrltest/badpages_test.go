package bctrltest_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/bctrltest"
	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
	"github.com/bctrl-go/bctrl/internal/sample"
)

// badPage is a page whose button Go does something that is of no use to anybody.
type badPage struct {
	why, path string
	// script is what the button does.
	script string
	// says is in what the model is told of it, in the answer to its click or the next view.
	says string
}

func badPages() []badPage {
	return []badPage{
		{"never answers", "/hangs", `while (true);`, "page.not_answering"},
		{"never loads", "/loads", `location = '/never'`, "page.not_answering"},
		{"prints", "/prints", `print(); print()`, "Save"},
		{"asks when it is left", "/asks", `onbeforeunload = e => e.preventDefault(); location = '/'`, "beforeunload"},
		{"closes itself while it is clicked", "/closes", `open('/closer')`, "page.closed"},
		{"opens 1,000 tabs", "/tabs", `for (let i = 0; i < 1000; i++) open('/')`, "page.tab_flood"},
		{"floods dialogs", "/dialogs", `for (;;) alert('again')`, "page.dialog_flood"},
		{"downloads 1,000 files", "/files", `for (let i = 0; i < 1000; i++) { const a = document.createElement('a');
			a.href = 'data:text/plain,' + i; a.download = i + '.txt'; a.click() }`, "Save"},
		{"grows to 2 MB of text", "/grows", `for (let i = 0; i < 20; i++) { const p = document.createElement('p');
			p.textContent = 'words '.repeat(17500); document.body.append(p) }`, "words words"},
		{"has 100,000 elements", "/many", `const d = document.createElement('div');
			d.innerHTML = '<b></b>'.repeat(100000); document.body.append(d)`, "Save"},
		{"has frames in frames without end", "/frames",
			`document.body.append(Object.assign(document.createElement('iframe'), {src: '/frame'}))`, "Frame"},
	}
}

// serveBadPages are the pages, and what they lead to.
func serveBadPages(pages []badPage, ended <-chan struct{}) map[string]http.HandlerFunc {
	all := map[string]http.HandlerFunc{
		"GET /never": func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-r.Context().Done():
			case <-ended:
			}
		},
		"GET /closer": servesHTML(`<h1>Closer</h1><button onmousedown="window.close()">Close me</button>`),
		"GET /frame": servesHTML(`<h1>Frame</h1><script>document.body.append(Object.assign(` +
			`document.createElement('iframe'), {src: '/frame?' + Math.random()}))</script>`),
	}
	for _, p := range pages {
		all["GET "+p.path] = servesHTML(fmt.Sprintf(`<title>Bad</title>
			<button onclick="document.title += ' saved'">Save</button><button onclick="go()">Go</button>
			<script>function go() { %s }</script>`, p.script))
	}
	return all
}

// savesThenGoes presses Save, then Go, looks once more, and tells what it was told.
func savesThenGoes(turn modeltest.Turn) modeltest.Call {
	if !strings.Contains(turn.Task, "go") || slices.Contains(turn.Tools, "extracted") ||
		slices.Contains(turn.Tools, "candidates") {
		return savesFirst(turn)
	}
	switch n := len(turn.Calls); {
	case n == 0:
		return modeltest.Click(turn.Find("button", "save"))
	case n == 1:
		return modeltest.Click(turn.Find("button", "go"))
	case n == 2 && turn.Sees("button", "close me"):
		return modeltest.Click(turn.Find("button", "close me"))
	}
	return modeltest.Done(true, turn.Result+"\n"+turn.View.Outline)
}

// TestABadPageEndsNoTaskAndNothingOfItIsLeft has tasks meet each way in
// which a page can be of no use.
func TestABadPageEndsNoTaskAndNothingOfItIsLeft(t *testing.T) {
	dir := temporary(t)
	pages, ended := sample.Of(t, 5, badPages()), make(chan struct{})
	w := newBadWorld(t, savesThenGoes, serveBadPages(pages, ended), bctrltest.WithActionTimeout(5*time.Second))
	t.Cleanup(func() { close(ended) })
	tasks := slices.DeleteFunc(everyVerb(), func(v verb) bool { return !v.acts })
	for i, page := range pages {
		w.open(t, page.path)
		v := tasks[i%len(tasks)]
		got, err := v.run(t.Context(), w.rt, i%2 == 1, "go", time.Minute)
		why := page.why + ": " + v.name
		require.NotEmpty(t, got.actions, "%s: %v", why, err)
		require.Empty(t, got.actions[0].Error, "%s: what was done before is kept", why)
		if err == nil {
			require.Contains(t, got.message, page.says, why)
		} else { // a busy machine may take longer over a page than an action may
			require.Equal(t, "page.not_answering", codeOf(err), why)
		}
		w.requireWorks(t, why)
	}
	require.NoError(t, w.rt.Stop(t.Context()))
	requireNothingLeft(t, dir)
}
