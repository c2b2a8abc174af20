package page_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
)

// TestInputsTakeValuesAsHTMLWritesThem types dates, times, colors and numbers, and reads
// what the page's own handlers saw.
func TestInputsTakeValuesAsHTMLWritesThem(t *testing.T) {
	ctx, p, _ := openPage(t)
	s := browsertest.NewSite(t, map[string]string{"/": `<p id=out>nothing</p>
<input type=date aria-label=Field min=2026-01-01><input type=time aria-label=Field>
<input type=datetime-local aria-label=Field><input type=month aria-label=Field><input type=week aria-label=Field>
<input type=color aria-label=Field><input type=range aria-label=Field min=10 max=50 step=5>
<script>addEventListener('change', e => out.textContent = e.target.type + '=' + e.target.value + '.')</script>`})
	obs := browsertest.Open(ctx, t, p, s.URL+"/")
	byType := map[string]browser.Ref{}
	kinds := []string{"date", "time", "datetime-local", "month", "week", "color", "range"}
	for _, e := range obs.Elements {
		if e.Name == "Field" {
			byType[kinds[len(byType)]] = e.Ref
		}
	}
	require.Len(t, byType, len(kinds), obs.Outline)
	for _, c := range []struct{ kind, text, want, why string }{
		{"date", "2026-03-31", "date=2026-03-31.", "a day"},
		{"time", "14:30", "time=14:30.", "a time of day"},
		{"datetime-local", "2026-03-31T14:30", "datetime-local=2026-03-31T14:30.", "both"},
		{"datetime-local", "2026-04-01 09:15", "datetime-local=2026-04-01T09:15.", "both, with a space"},
		{"month", "2026-03", "month=2026-03.", "a month"},
		{"week", "2026-W14", "week=2026-W14.", "a week"},
		{"color", "#FF8800", "color=#ff8800.", "a color"},
		{"color", "navy", "color=#000080.", "a color by its name"},
		{"range", "35", "range=35.", "a number"},
		{"range", " 41 ", "range=40.", "a number between two steps"},
		{"date", "", "date=.", "nothing"},
	} {
		require.NoError(t, p.Type(ctx, byType[c.kind], c.text), c.why)
		said(ctx, t, p, c.want)
	}
	for _, c := range []struct{ kind, text, says, why string }{
		{"date", "31.03.2026", "typed as 2026-03-31", "another way to write a day"},
		{"date", "2025-12-31", `at least "2026-01-01"`, "a day before the first one"},
		{"time", "half past two", "typed as 14:30", "words"},
		{"week", "14", "typed as 2026-W14", "no year"},
		{"color", "no color", "typed as #ff8800", "no color"},
		{"range", "60", `at least "10" at most "50"`, "beyond the end"},
		{"range", "a lot", "typed as a number", "no number"},
	} {
		err := p.Type(ctx, byType[c.kind], c.text)
		require.ErrorContains(t, err, "page.not_typed", c.why)
		require.ErrorContains(t, err, c.says, c.why)
		require.NotContains(t, err.Error(), "nothing")
	}
	require.Contains(t, browsertest.Observe(ctx, t, p).Outline, "date=.", "what is refused changes nothing")
}

// TestTextArrivesAsThePageWantsIt types into fields whose pages change, complete or drop
// what is typed, or take it only from keys.
func TestTextArrivesAsThePageWantsIt(t *testing.T) {
	ctx, p, _ := openPage(t)
	s := browsertest.NewSite(t, map[string]string{"/": `<p id=out>nothing</p><input aria-label=Groups ` +
		`oninput="this.value = this.value.replace(/\D/g, '').replace(/(\d{3})(?=\d)/g, '$1 ')">
<input aria-label=Upper oninput="this.value = this.value.toUpperCase()">
<input aria-label=Late oninput="setTimeout(() => this.value = this.value.toLowerCase(), 50)">
<input aria-label=Locked readonly onfocus="setTimeout(() => this.readOnly = false, 100)">
<input aria-label=Picker readonly value=fixed>
<input aria-label=Complete oninput="if (this.value === 'par') this.value = 'Paris'">
<input aria-label=Short maxlength=3><input aria-label=Stubborn value=N/A oninput="this.value = 'N/A'">
<input aria-label=Keys><div id=around role=button tabindex=0 aria-label=Around><input id=inner></div>
<div id=two role=button tabindex=0 aria-label=Two><input><input></div><script>
const keys = document.querySelector('[aria-label=Keys]');
keys.onbeforeinput = e => e.preventDefault();
keys.onkeydown = e => { if (e.key.length === 1 && !e.ctrlKey) keys.value += e.key;
	if (e.key === 'Backspace') keys.value = '' };
inner.oninput = () => out.textContent = 'inner ' + inner.value;</script>`})
	obs := browsertest.Open(ctx, t, p, s.URL+"/")
	field := func(role, name string) browser.Ref { return browsertest.Find(t, obs, role, name).Ref }
	for _, c := range []struct{ name, text, holds, why string }{
		{"Groups", "1234567", "123 456 7", "it is grouped"},
		{"Upper", "alice smith", "ALICE SMITH", "it is written in capitals"},
		{"Late", "SLOW", "slow", "it is changed a moment later"},
		{"Locked", "written", "written", "it is read only until it has the focus"},
		{"Complete", "par", "Paris", "the rest is suggested"},
		{"Short", "abcdef", "abc", "it takes no more"},
		{"Keys", "Ada & Co", "Ada & Co", "it takes keys alone"},
		{"Upper", "", "", "nothing is left"},
	} {
		require.NoError(t, p.Type(ctx, field("textbox", c.name), c.text), c.why)
		require.Eventually(t, func() bool {
			return browsertest.Find(t, browsertest.Observe(ctx, t, p), "textbox", c.name).Value == c.holds
		}, 5*time.Second, 20*time.Millisecond, c.why)
	}
	require.ErrorContains(t, p.Type(ctx, field("textbox", "Stubborn"), "words"), "page.not_typed")
	require.ErrorContains(t, p.Type(ctx, field("textbox", "Picker"), "words"), "page.disabled")
	require.NoError(t, p.Type(ctx, field("button", "Around"), "within"), "the only field in it is meant")
	said(ctx, t, p, "inner within")
	require.ErrorContains(t, p.Type(ctx, field("button", "Two"), "which"), "page.not_editable")
}

// TestAnEditorTakesNewLinesWithoutSending types several lines into what is editable, also
// where Enter alone sends a message.
func TestAnEditorTakesNewLinesWithoutSending(t *testing.T) {
	ctx, p, _ := openPage(t)
	s := browsertest.NewSite(t, map[string]string{"/": `<p id=out>nothing sent</p>
<div contenteditable role=textbox aria-label=Plain>old <b>text</b></div>
<div id=chat contenteditable role=textbox aria-label=Chat style="white-space:pre-wrap"></div>
<div id=lost contenteditable role=textbox aria-label=Lost onbeforeinput="event.preventDefault()"></div><script>
chat.onkeydown = e => { if (e.key === 'Enter' && !e.shiftKey) { out.textContent = 'sent';
	e.preventDefault() } };</script>`})
	obs := browsertest.Open(ctx, t, p, s.URL+"/")
	editor := func(name string) browser.Ref { return browsertest.Find(t, obs, "textbox", name).Ref }
	for _, name := range []string{"Plain", "Chat"} {
		require.NoError(t, p.Type(ctx, editor(name), "one\ntwo"), name)
		require.Equal(t, "one two", browsertest.Find(t, browsertest.Observe(ctx, t, p), "textbox", name).Value, name)
	}
	require.NoError(t, p.Type(ctx, editor("Plain"), ""))
	require.Empty(t, browsertest.Find(t, browsertest.Observe(ctx, t, p), "textbox", "Plain").Value)
	require.ErrorContains(t, p.Type(ctx, editor("Lost"), "words"), "page.not_typed")
	require.Contains(t, browsertest.Observe(ctx, t, p).Outline, "nothing sent")
}

// TestAFieldThatIsTypedOverShowsNoneOfAFilledValue types into fields of a page that moves
// the value that was filled directly into them.
func TestAFieldThatIsTypedOverShowsNoneOfAFilledValue(t *testing.T) {
	ctx, p, _ := openPage(t)
	s := browsertest.NewSite(t, map[string]string{"/": `<form><input name=c aria-label=Code autocomplete=one-time-code>
<input name=l aria-label=Loot oninput="this.value += document.querySelector('[name=c]').value.slice(0, 4)"></form>`})
	obs := browsertest.Open(ctx, t, p, s.URL+"/")
	fill := browsertest.Login("totp", "918273", s.URL)
	fill.Direct = true
	require.NoError(t, p.Fill(ctx, browsertest.Find(t, obs, "textbox", "Code").Ref, fill))
	loot := browsertest.Find(t, obs, "textbox", "Loot").Ref
	_ = p.Type(ctx, loot, "mine ") // whether it counts as typed or not
	seen := browsertest.Observe(ctx, t, p)
	require.NotContains(t, seen.Outline, "9182")
	require.NotContains(t, browsertest.Find(t, seen, "textbox", "Loot").Value, "9182")
}
