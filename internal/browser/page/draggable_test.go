package page_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
)

// TestWhatIsDraggedAndWhereItIsDroppedCanBeNamed reads boards whose cards and columns have
// no role, and moves a card between two of them.
func TestWhatIsDraggedAndWhereItIsDroppedCanBeNamed(t *testing.T) {
	ctx, p, _ := openPage(t)
	const listens = `<script>for (const c of document.querySelectorAll('section, #bin')) {
		c.ondragover = e => e.preventDefault();
		c.addEventListener('drop', e => { c.append(document.querySelector('.card')); });
	}</script>`
	for _, c := range []struct{ why, page, outline string }{
		{
			"columns that listen, one of them empty, and a bin",
			`<section aria-label="To do"><div class=card draggable=true>Write</div></section>` +
				`<section aria-label=Done><p>Nothing</p></section><div id=bin>Bin</div><p>Help</p>` + listens,
			"[e*] region \"To do\" (droppable)\n  [e*] clickable \"Write\" (draggable)\n" +
				"[e*] region \"Done\" (droppable)\n  text: Nothing\n[e*] droppable\n  text: Bin\ntext: Help\n",
		},
		{
			"the page listens for its columns, which are alike",
			`<main><div><h2>To do</h2><ul class=col><li draggable=true>Write</ul></div><div><h2>Done</h2>` +
				`<ul class=col style="height:9px"></ul></div></main>` +
				`<script>document.addEventListener('drop', () => {})</script>`,
			"main\n  heading 2 \"To do\"\n  [e*] list (droppable)\n    [e*] listitem \"Write\" (draggable)\n" +
				"  heading 2 \"Done\"\n  [e*] list (droppable)\n",
		},
		{
			"the mouse would grab, as with libraries that follow it; a card has a button of its own",
			`<div style="height:99px"><div style="cursor:grab">Write <button>Close</button></div></div>`,
			"[e*] droppable\n  [e*] clickable \"Write Close\" (draggable)\n    [e*] button \"Close\"\n",
		},
		{
			"what is not dragged, and what is loose on a page",
			`<p draggable=false style="cursor:grab">A</p><p draggable=true>B</p>`,
			"text: A\n[e*] paragraph \"B\" (draggable)\n",
		},
	} {
		t.Run(c.why, func(t *testing.T) {
			s := browsertest.NewSite(t, map[string]string{"/": "<!doctype html>" + c.page})
			obs := browsertest.Open(ctx, t, p, s.URL+"/")
			require.Equal(t, c.outline, withoutNumbers(obs.Outline))
			if !strings.Contains(c.page, listens) {
				return
			}
			card, column := browsertest.Find(t, obs, "clickable", "Write"), browsertest.Find(t, obs, "region", "Done")
			require.NoError(t, p.Drag(ctx, card.Ref, column.Ref))
			obs, err := p.Observe(ctx)
			require.NoError(t, err)
			require.Contains(t, withoutNumbers(obs.Outline), "text: Nothing\n  [e*] clickable \"Write\" (draggable)\n")
		})
	}
}

// TestAMenuThatOpensByStyleAloneCanBeNamed hovers over an entry that nothing but a list in
// it says something of.
func TestAMenuThatOpensByStyleAloneCanBeNamed(t *testing.T) {
	ctx, p, _ := openPage(t)
	s := browsertest.NewSite(t, map[string]string{"/": `<!doctype html>
		<style>li ul{display:none}li:hover>ul{display:block}</style>
		<ul><li>More<ul><li>Archive</li></ul></li><li>Other</li><li><a href=#>Link</a><ul><li>Below</li></ul></li></ul>`})
	obs := browsertest.Open(ctx, t, p, s.URL+"/")
	require.Equal(t, "list\n  [e*] listitem \"More\"\n  text: Other\n  [e*] link \"Link\"\n", withoutNumbers(obs.Outline))
	require.NoError(t, p.Hover(ctx, browsertest.Find(t, obs, "listitem", "More").Ref))
	obs, err := p.Observe(ctx)
	require.NoError(t, err)
	require.Contains(t, obs.Outline, "Archive")
}
