package page_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
)

const dialogPage = `<h1>Deals</h1><p id=out></p>
<button onclick="out.textContent = 'deleted: ' + confirm('Delete 3 deals?')">Delete</button>
<button onclick="out.textContent = 'named: ' + prompt('Name it', 'Untitled')">Rename</button>
<button onclick="out.textContent = 'both: ' + confirm('One?') + confirm('Two?')">Both</button>
<button onclick="alert('Saved'); out.textContent = 'told'">Tell</button>
<button onclick="setTimeout(() => out.textContent = 'late: ' + confirm('Late?'), 200)">Later</button>
<button onclick="while (true) confirm('Again?')">Endless</button>
<button onmousedown="out.textContent = 'down: ' + confirm('Down?')" onmouseup="this.title = 'released'">Down</button>
<input aria-label=Keys onkeydown="if (!this.asked) { this.asked = true; confirm('Typing?') }">`

// TestDialogsAreReportedAndAnswered has somebody there who answers.
func TestDialogsAreReportedAndAnswered(t *testing.T) {
	ctx, p, _ := openPage(t)
	ctx = browser.WithDialogs(ctx)
	s := browsertest.NewSite(t, map[string]string{"/": dialogPage})
	obs := browsertest.Open(ctx, t, p, s.URL+"/")
	click := func(name string) error {
		return p.Click(ctx, browsertest.Find(t, obs, "button", name).Ref, browser.Click{})
	}
	for _, c := range []struct {
		button  string
		kind    string
		message string
		accept  bool
		text    string
		want    string
	}{
		{"Delete", "confirm", "Delete 3 deals?", true, "", "deleted: true"},
		{"Delete", "confirm", "Delete 3 deals?", false, "", "deleted: false"},
		{"Rename", "prompt", "Name it", true, "Q1", "named: Q1"},
		{"Rename", "prompt", "Name it", false, "", "named: null"},
		{"Down", "confirm", "Down?", true, "", "down: true"},
	} {
		require.ErrorContains(t, click(c.button), browser.CodeDialogOpened, c.button)
		asked := browsertest.Observe(ctx, t, p)
		require.NotNil(t, asked.Dialog, c.button)
		require.Equal(t, c.kind, asked.Dialog.Kind)
		require.Equal(t, c.message, asked.Dialog.Message)
		require.Contains(t, asked.Outline, c.kind+` dialog "`+c.message)
		require.Equal(t, s.URL+"/", asked.URL)
		require.ErrorContains(t, click(c.button), browser.CodeDialogOpen, "nothing else is done before")
		_, err := p.Picture(ctx, browser.PictureOptions{})
		require.ErrorContains(t, err, browser.CodeDialogOpen)
		require.NoError(t, p.Settle(ctx, time.Minute), "it does not wait for a page that stands still")
		require.NoError(t, p.AnswerDialog(ctx, c.accept, c.text), c.button)
		require.Contains(t, browsertest.Observe(ctx, t, p).Outline, c.want)
	}
	require.ErrorContains(t, p.AnswerDialog(ctx, true, ""), "page.no_dialog")

	require.ErrorContains(t, click("Both"), browser.CodeDialogOpened)
	require.ErrorContains(t, p.AnswerDialog(ctx, true, ""), browser.CodeDialogOpened, "it asks again")
	require.NoError(t, p.AnswerDialog(ctx, false, ""))
	require.Contains(t, browsertest.Observe(ctx, t, p).Outline, "both: truefalse")

	require.NoError(t, click("Tell"), "an alert asks nothing")
	obs = browsertest.Observe(ctx, t, p)
	require.Contains(t, obs.Outline, `note: alert dialog "Saved": accepted`)
	require.Contains(t, obs.Outline, "told")

	require.NoError(t, click("Later"))
	require.Eventually(t, func() bool { return browsertest.Observe(ctx, t, p).Dialog != nil }, 10*time.Second,
		10*time.Millisecond, "also between actions")
	require.NoError(t, p.AnswerDialog(ctx, true, ""))
	require.Contains(t, browsertest.Settle(ctx, t, p).Outline, "late: true")

	// What was interrupted goes on.
	err := p.Type(ctx, browsertest.Find(t, obs, "textbox", "Keys").Ref, "hello")
	if err != nil {
		require.ErrorContains(t, err, browser.CodeDialogOpened)
		require.NoError(t, p.AnswerDialog(ctx, true, ""))
	}
	require.Equal(t, "hello", browsertest.Find(t, browsertest.Observe(ctx, t, p), "textbox", "Keys").Value)
}

// TestAFloodOfQuestionsIsEnded answers them for as long as they come.
func TestAFloodOfQuestionsIsEnded(t *testing.T) {
	ctx, p, _ := openPage(t)
	ctx = browser.WithDialogs(ctx)
	s := browsertest.NewSite(t, map[string]string{"/": dialogPage})
	obs := browsertest.Open(ctx, t, p, s.URL+"/")
	err := p.Click(ctx, browsertest.Find(t, obs, "button", "Endless").Ref, browser.Click{})
	answers := 0
	for ; err != nil && answers < 100; answers++ {
		require.ErrorContains(t, err, browser.CodeDialogOpened)
		err = p.AnswerDialog(ctx, false, "")
	}
	require.NoError(t, err)
	require.Less(t, answers, 30)
	obs = browsertest.Observe(ctx, t, p)
	require.Contains(t, obs.Outline, "note: page.dialog_flood: ")
	require.Contains(t, obs.Outline, "Deals")
}

func TestAQuestionThatNobodyAnswersHoldsNobody(t *testing.T) {
	ctx, p, b := openPage(t)
	asking := browser.WithDialogs(ctx)
	s := browsertest.NewSite(t, map[string]string{"/": dialogPage,
		"/asks": `<script>document.title = String(confirm('Enter?'))</script><h1>Entered</h1>`})
	obs := browsertest.Open(asking, t, p, s.URL+"/")
	require.ErrorContains(t, p.Click(asking, browsertest.Find(t, obs, "button", "Delete").Ref, browser.Click{}),
		browser.CodeDialogOpened)
	obs = browsertest.Observe(ctx, t, p)
	require.Contains(t, obs.Outline, `note: confirm dialog "Delete 3 deals?": cancelled`,
		"whoever comes next and answers none goes on")
	require.Contains(t, obs.Outline, "Deals")
	require.NoError(t, p.Goto(ctx, s.URL+"/asks", ""))
	require.Contains(t, browsertest.Observe(ctx, t, p).Outline, "Entered")

	// A browser that ends while a question waits leaves nothing behind.
	obs = browsertest.Open(asking, t, p, s.URL+"/")
	require.ErrorContains(t, p.Click(asking, browsertest.Find(t, obs, "button", "Delete").Ref, browser.Click{}),
		browser.CodeDialogOpened)
	require.NoError(t, b.Stop(ctx))
}

func TestAPageIsAskedBeforeItIsLeft(t *testing.T) {
	ctx, p, _ := openPage(t)
	ctx = browser.WithDialogs(ctx)
	s := browsertest.NewSite(t, map[string]string{"/": "<h1>Home</h1>",
		"/form": `<h1>Form</h1><button id=b>Edit</button><a href=/>Leave</a>
			<script>b.onclick = () => onbeforeunload = e => { e.preventDefault(); return 'no' }</script>`})
	leave := map[string]func(obs *browser.Observation) error{
		"a link": func(obs *browser.Observation) error {
			return p.Click(ctx, browsertest.Find(t, obs, "link", "Leave").Ref, browser.Click{})
		},
		"an address": func(*browser.Observation) error { return p.Goto(ctx, s.URL+"/", "") },
		"reload":     func(*browser.Observation) error { return p.Reload(ctx) },
		"back":       func(*browser.Observation) error { return p.Back(ctx) },
		"close":      func(obs *browser.Observation) error { return p.CloseTab(ctx, obs.Tabs[0].ID) },
	}
	for name, how := range leave {
		for _, accept := range []bool{false, true} {
			browsertest.Open(ctx, t, p, s.URL+"/")
			obs := browsertest.Open(ctx, t, p, s.URL+"/form")
			require.NoError(t, p.Click(ctx, browsertest.Find(t, obs, "button", "Edit").Ref, browser.Click{}))
			err := how(obs)
			if err == nil { // the link was clicked, and the page is asked a moment later
				require.Eventually(t, func() bool { return browsertest.Observe(ctx, t, p).Dialog != nil }, 10*time.Second,
					10*time.Millisecond, name)
			} else {
				require.ErrorContains(t, err, browser.CodeDialogOpened, name)
			}
			require.Equal(t, "beforeunload", browsertest.Observe(ctx, t, p).Dialog.Kind, name)
			err = p.AnswerDialog(ctx, accept, "")
			obs = browsertest.Settle(ctx, t, p)
			if !accept {
				require.Contains(t, obs.Outline, "Form", name)
				require.NoError(t, p.Click(ctx, browsertest.Find(t, obs, "button", "Edit").Ref, browser.Click{}))
				err = p.Goto(ctx, s.URL+"/", "")
				require.ErrorContains(t, err, browser.CodeDialogOpened, name)
				require.NoError(t, p.AnswerDialog(ctx, true, ""))
				continue
			}
			require.NoError(t, err, name)
			require.NotContains(t, obs.Outline, "dialog", name)
		}
	}
}
