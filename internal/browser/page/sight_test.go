package page_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
)

// TestWhatCanBeClickedHasAReference reads pages that do not say what can be clicked in the
// usual way.
func TestWhatCanBeClickedHasAReference(t *testing.T) {
	ctx, p, _ := openPage(t)
	for _, c := range []struct {
		why, page string
		outline   string
	}{
		{
			"a list listens for its entries",
			`<ul id=l><li>One<li>Two <b>bold</b></ul><script>l.addEventListener('click', e => e.target.closest('li'))</script>`,
			"list\n  [e*] listitem \"One\"\n  [e*] listitem \"Two bold\"\n",
		},
		{
			"a table listens for its rows",
			`<table id=l><tr><th>Name<th>Amount<tr><td>Ann<td>1</table><script>l.onclick = () => {}</script>`,
			"table\n  [e*] row \"Name Amount\"\n  [e*] row \"Ann 1\"\n",
		},
		{
			"an element listens for its small children that are alike",
			`<div id=l><div class=c>First</div><div class=c>Second</div></div><script>l.onmousedown = () => {}</script>`,
			"[e*] clickable \"First\"\n[e*] clickable \"Second\"\n",
		},
		{
			"a line of a list is clicked beside what is in it",
			`<div id=row><div>Ann</div><div>Hello</div><button>Star</button></div><script>row.onclick = () => {}</script>`,
			"[e*] clickable \"Ann Hello Star\"\n  [e*] button \"Star\"\n",
		},
		{
			"the mouse turns into a hand",
			`<div style="cursor:pointer"><span>Card</span> of text</div><p>Other text</p>`,
			"[e*] clickable \"Card of text\"\ntext: Other text\n",
		},
		{
			"the whole page listens, as with many frameworks",
			`<div id=root><p>A text</p><section>Another</section></div>` +
				`<script>root.onclick = () => {}; document.onclick = () => {}</script>`,
			"[e*] clickable \"A text Another\"\n",
		},
		{
			"an input that lies outside of the page, with a label",
			`<label><input type=checkbox style="position:absolute;left:-9999px">Agree</label>`,
			"[e*] checkbox \"Agree\" (not checked)\n",
		},
		{
			"inputs that are not drawn, by their labels",
			`<style>.gone{display:none}.dim{visibility:hidden}</style>
				<label><input type=checkbox class=gone>Agree <b>to all</b></label>
				<input type=radio class=dim id=r checked><label for=r>Gold</label>
				<label>Choose a file<input type=file hidden></label>
				<label><input type=checkbox hidden disabled>Not now</label><p><label for=none>Nothing</label>`,
			"[e*] checkbox \"Agree to all\" (not checked)\n[e*] radio \"Gold\" (checked)\n[e*] button \"Choose a file\"\n" +
				"text: Not now\ntext: Nothing\n",
		},
		{
			"a canvas, a picture with a name, a large one without, and a small one",
			`<canvas width=100 height=80></canvas><svg width=60 height=60 role=img aria-label=Chart></svg>` +
				`<svg width=60 height=60><rect width=60 height=60 /></svg><img width=90 height=90><img width=8 height=8>`,
			"[e*] canvas\nimage \"Chart\"\nimage\nimage\n",
		},
		{
			"a placeholder is no value and no name",
			`<input aria-label=Mail placeholder=you@example.com><input placeholder=Search>` +
				`<input aria-label=Name placeholder=hint value=x>`,
			"[e*] textbox \"Mail\" placeholder=\"you@example.com\"\n[e*] textbox \"Search\"\n" +
				"[e*] textbox \"Name\" value=\"x\"\n",
		},
		{
			"what is selected among many options",
			`<select multiple aria-label=Many>` + strings.Repeat("<option>something long</option>", 30) +
				`<option selected>Last</option></select>`,
			"[e*] listbox \"Many\" options: " + strings.Repeat("\"something long\", ", 17) + "\"Last\" (selected), …\n",
		},
		{
			"text that only styles show",
			`<style>p::before{content:"Total: "}</style><p>5</p>`,
			"text: Total: 5\n",
		},
		{
			"a part that scrolls",
			`<div style="height:100px;overflow:auto"><div style="height:1000px">Inside</div></div>`,
			"[e*] scrollable (scrolled 0.0 of 9.0 screens)\n  text: Inside\n",
		},
		{
			"a text that scrolls in its field",
			`<textarea aria-label=Terms disabled style="height:60px;width:100px">` + strings.Repeat("a ", 500) + `</textarea>`,
			"[e*] textbox \"Terms\" value=\"" + strings.Repeat("a ", 80) +
				"…\" (disabled) (multiline) (scrolled 0.0 of 18.8 screens)\n",
		},
		{
			"buttons without a name, by what their pictures are called",
			`<button><i class="fas fa-trash fa-lg"></i></button><button><span class="ui-icon ui-icon-disk">` +
				`<svg width=9 height=9></svg></span></button>` +
				`<button><svg width=9 height=9><use href="/sheet.svg#icon-star"></use></svg></button>` +
				`<button><img width=9 height=9 src="/img/bell.3fd2e19a.png"></button>` +
				`<button style="width:20px;height:20px;background:url(/img/send-mail.svg)"></button>`,
			"[e*] button (icon \"trash\")\n[e*] button (icon \"disk\")\n[e*] button (icon \"icon-star\")\n" +
				"[e*] button (icon \"bell\")\n[e*] button (icon \"send-mail\")\n",
		},
		{
			"no icon is told where there is a name or a text, none of a large picture, and no address of data",
			`<button><i class="fa fa-trash"></i>Delete</button><button aria-label=Close><img src=/x.png></button>` +
				`<style>.b{position:fixed;left:0;top:100px;width:20px;height:20px;padding:0;border:0;background:red}</style>` +
				`<button class=b><img width=200 height=200 src=/large.png></button>` +
				`<button class=b><img width=9 height=9 src="data:image/svg+xml,trash"></button>`,
			"[e*] button \"Delete\"\n[e*] button \"Close\"\n[e*] button (red 20x20 at 10,110)\n  image\n" +
				"[e*] button (red 20x20 at 10,110)\n",
		},
		{
			"a bar whose only text is a space is no line of a list",
			`<div id=bar><span>&nbsp;</span><button>Close</button></div><script>bar.onmousedown = () => {}</script>`,
			"[e*] button \"Close\"\n",
		},
		{
			"a field of several lines",
			`<textarea aria-label=Notes></textarea><input aria-label=Name>`,
			"[e*] textbox \"Notes\" (multiline)\n[e*] textbox \"Name\"\n",
		},
		{
			"a closed shadow tree",
			`<div id=h></div><script>h.attachShadow({mode:'closed'}).innerHTML = '<button>Hidden away</button>'</script>`,
			"[e*] button \"Hidden away\"\n",
		},
	} {
		t.Run(c.why, func(t *testing.T) {
			s := browsertest.NewSite(t, map[string]string{"/": "<!doctype html>" + c.page})
			obs := browsertest.Open(ctx, t, p, s.URL+"/")
			require.Equal(t, c.outline, withoutNumbers(obs.Outline))
		})
	}
}

// TestWhatHasNoNameIsToldByItsLook reads how elements are drawn that nothing else tells
// apart, and clicks one of them.
func TestWhatHasNoNameIsToldByItsLook(t *testing.T) {
	ctx, p, _ := openPage(t)
	for _, c := range []struct{ why, page, outline string }{
		{
			"shapes that listen, letters of a color among them",
			`<svg width=200 height=100><circle cx=20 cy=30 r=10 fill=red />` +
				`<rect x=50 y=20 width=30 height=10 fill="#123456" />` +
				`<polygon points="100,40 110,20 120,40" /><path d="M140 20h20v20" fill=none />` +
				`<line x1=150 y1=60 x2=190 y2=60 stroke=blue stroke-width=4 />` +
				`</svg><script>for (const e of document.querySelector('svg').children) e.onclick = () => {}</script>`,
			"[e*] graphics-symbol (red circle 20x20 at 20,30)\n[e*] graphics-symbol (#123456 rectangle 30x10 at 65,25)\n" +
				"[e*] graphics-symbol (black triangle 20x20 at 110,30)\n[e*] graphics-symbol (20x20 at 150,30)\n" +
				"[e*] graphics-symbol (blue line 44x4 at 170,60)\n",
		},
		{
			"shapes over which the mouse turns into a hand, and a hidden one",
			`<svg width=200 height=100><g><ellipse cx=30 cy=30 rx=20 ry=10 fill=lime style="cursor:pointer" /></g>` +
				`<rect width=10 height=10 style="cursor:pointer;visibility:hidden" /><rect width=10 height=10 /></svg>`,
			"image\n  [e*] graphics-symbol (lime ellipse 40x20 at 30,30)\n",
		},
		{
			"boxes of a color, one that is seen through, one below the viewport, and what has a name",
			`<style>b,button{display:block;width:40px;height:20px;padding:0;border:0;cursor:pointer}</style>` +
				`<b style="background:#ffa500"></b><b style="background:rgb(0 0 0 / 5%)"></b>` +
				`<button style="background:gray"></button><button style="background:gray">Named</button>` +
				`<p style="height:900px;margin:0"></p><b style="background:red"></b>`,
			"[e*] clickable (orange 40x20 at 20,10)\n[e*] clickable (40x20 at 20,30)\n[e*] button (gray 40x20 at 20,50)\n" +
				"[e*] button \"Named\"\n[e*] clickable (red 40x20)\n… scrolled down 0.0 screens, 0.2 more below\n",
		},
		{"fields are told by what they are", `<input><input type=checkbox>`, "[e*] textbox\n[e*] checkbox (not checked)\n"},
	} {
		t.Run(c.why, func(t *testing.T) {
			s := browsertest.NewSite(t, map[string]string{"/": `<!doctype html><body style="margin:0">` + c.page})
			obs := browsertest.Open(ctx, t, p, s.URL+"/")
			require.Equal(t, c.outline, withoutNumbers(obs.Outline))
		})
	}
	s := browsertest.NewSite(t, map[string]string{"/": `<p id=out>nothing</p><svg width=99 height=99>
<circle cx=40 cy=40 r=20 style="cursor:pointer" /></svg>
<script>document.addEventListener('click', e => out.textContent = e.target.tagName)</script>`})
	obs := browsertest.Open(ctx, t, p, s.URL+"/")
	require.NoError(t, p.Click(ctx, browsertest.Find(t, obs, "graphics-symbol", "").Ref, browser.Click{}))
	said(ctx, t, p, "circle")
}

// withoutNumbers makes all references of an outline the same.
func withoutNumbers(outline string) string {
	var b strings.Builder
	for line := range strings.Lines(outline) {
		before, rest, isElement := strings.Cut(line, "[e")
		if _, after, ok := strings.Cut(rest, "]"); isElement && ok && strings.TrimSpace(before) == "" {
			line = before + "[e*]" + after
		}
		b.WriteString(line)
	}
	return b.String()
}

// TestAPageOfDrawingsIsPoor says of pages whether a picture tells more.
func TestAPageOfDrawingsIsPoor(t *testing.T) {
	ctx, p, _ := openPage(t)
	for _, c := range []struct {
		why, page string
		poor      bool
	}{
		{"texts", `<h1>Text</h1><button>One</button><button>Two</button><button>Three</button>` +
			`<img width=50 height=50>`, false},
		{"a large canvas", `<canvas width=800 height=600></canvas><button>Undo</button>`, true},
		{"a large picture without a name", `<img width=700 height=700>`, true},
		{"a large picture with a name", `<img width=700 height=700 alt="A cat">`, false},
		{"buttons without names", `<button></button><button></button><button></button><button>Four</button>`, true},
		{"a canvas far below", `<p style="height:3000px">Text</p><canvas width=800 height=600></canvas>`, false},
	} {
		s := browsertest.NewSite(t, map[string]string{"/": "<!doctype html>" + c.page})
		require.Equal(t, c.poor, browsertest.Open(ctx, t, p, s.URL+"/").Poor, c.why)
	}
}

// TestWhatIsInViewIsShownBelowAFixedHeader scrolls a long page with a header that stays.
func TestWhatIsInViewIsShownBelowAFixedHeader(t *testing.T) {
	ctx, p, _ := openPage(t)
	s := browsertest.NewSite(t, map[string]string{
		"/": `<header style="position:fixed;top:0;height:60px"><button>Menu</button></header><script>` +
			`for (let i = 0; i < 3000; i++) document.write('<p>paragraph number ' + i + ' with some words</p>')</script>`,
	})
	browsertest.Open(ctx, t, p, s.URL+"/")
	moved, err := p.Scroll(ctx, "", 20)
	require.NoError(t, err)
	require.True(t, moved)
	obs := browsertest.Observe(ctx, t, p)
	browsertest.Find(t, obs, "button", "Menu")
	require.Contains(t, obs.Outline, "paragraph number 480 ")
	require.Contains(t, obs.Outline, "lines above, scroll up")
	require.Contains(t, obs.Outline, "lines below, scroll down")
	require.Contains(t, obs.Outline, "… scrolled down 20.0 screens, ")
	require.True(t, obs.Truncated)
}
