package page_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
)

// TestHandsReachIntoFramesAndShadows hovers, drags, scrolls, types and chooses in a frame
// of another site and in a shadow root that is closed.
func TestHandsReachIntoFramesAndShadows(t *testing.T) {
	ctx, p, _ := openPage(t)
	const parts = `<div id=a draggable=true role=button tabindex=0 aria-label=Card>Card</div>
<div id=z role=button tabindex=0 aria-label=Bin style="height:60px">Bin</div><p id=out>nothing</p>
<div id=list style="height:60px;overflow:auto"><button>First</button><div style="height:900px"></div></div>
<div id=rich contenteditable role=textbox aria-label=Rich></div>
<div id=combo role=combobox tabindex=0 aria-label=Combo aria-controls=hits>Combo</div>
<div id=hits role=listbox hidden><div role=option>One</div></div>`
	const acts = `const $ = id => root.getElementById(id), say = text => { $('out').textContent = text + '.' };
$('a').ondragstart = e => e.dataTransfer.setData('text/plain', 'card');
$('a').onmouseenter = () => say('hovered');
$('z').ondragover = e => e.preventDefault();
$('z').ondrop = e => { e.preventDefault(); say('dropped ' + e.dataTransfer.getData('text/plain')) };
$('list').onscroll = () => say('scrolled');
$('rich').oninput = () => say('rich ' + $('rich').innerText);
$('combo').onclick = () => $('hits').hidden = false;
$('hits').onclick = () => say('chosen');`
	inner := browsertest.NewSite(t, map[string]string{"/": parts + `<script>const root = document;` + acts + `</script>`})
	s := browsertest.NewSite(t, map[string]string{
		"/frame": `<div style="height:150px">above</div><iframe style="margin-left:90px;width:500px;height:450px" src="` +
			strings.Replace(inner.URL, "127.0.0.1", "localhost", 1) + `/"></iframe>`,
		"/shadow": `<div id=host></div><template id=t>` + parts + `</template><script>
const root = host.attachShadow({mode: 'closed'});
root.append(t.content.cloneNode(true));` + acts + `</script>`,
	})
	for _, path := range []string{"/frame", "/shadow"} {
		obs := browsertest.Open(ctx, t, p, s.URL+path)
		of := func(role, name string) browser.Ref { return browsertest.Find(t, obs, role, name).Ref }
		require.NoError(t, p.Hover(ctx, of("button", "Card")), path)
		said(ctx, t, p, "hovered.")
		require.NoError(t, p.Drag(ctx, of("button", "Card"), of("button", "Bin")), path)
		said(ctx, t, p, "dropped card.")
		moved, err := p.Scroll(ctx, of("button", "First"), 1)
		require.NoError(t, err, path)
		require.True(t, moved, path)
		said(ctx, t, p, "scrolled.")
		require.NoError(t, p.Type(ctx, of("textbox", "Rich"), "written"), path)
		said(ctx, t, p, "rich written.")
		require.NoError(t, p.Select(ctx, of("combobox", "Combo"), "One"), path)
		said(ctx, t, p, "chosen.")
	}
}

// TestAFrameInAZoomIsReachedAndMasked has pages zoom frames, and what is around them, by the
// style of that name. What is in them is pressed, marked and painted over where it is drawn.
func TestAFrameInAZoomIsReachedAndMasked(t *testing.T) {
	ctx, p, _ := openPage(t)
	const inner = `<div style="height:60px"></div><input aria-label=Code style="background:#f0f">` +
		`<button style="margin-left:60px" onclick="textContent = 'Pressed'">Press</button>`
	other := browsertest.NewSite(t, map[string]string{"/in": inner})
	s := browsertest.NewSite(t, map[string]string{"/in": inner})
	another := other.LocalhostURL()
	other.SetPages(map[string]string{"/in": inner, "/nests": `<body style="zoom:1.3"><p>above</p>` +
		`<div style="height:700px"></div><iframe width=450 height=200 src="` + s.URL + `/in"></iframe>`})
	for why, page := range map[string]string{
		"a frame of the same site": `<iframe width=450 height=200 style="zoom:1.7;border:20px solid" src=/in></iframe>`,
		"a frame of another site": `<div style="zoom:.6"><p>x</p><iframe width=450 height=200 src="` + another +
			`/in"></iframe>`,
		"a frame in a frame, which is scrolled to": `<body style="zoom:.9"><iframe width=700 height=300 ` +
			`style="zoom:1.2;transform:scale(.8)" src="` + another + `/nests"></iframe>`,
	} {
		s.SetPages(map[string]string{"/": page, "/in": inner})
		obs := browsertest.Open(ctx, t, p, s.URL+"/")
		button, code := browsertest.Find(t, obs, "button", "Press").Ref, browsertest.Find(t, obs, "textbox", "Code").Ref
		require.NoError(t, p.Click(ctx, button, browser.Click{}), why)
		browsertest.Find(t, browsertest.Settle(ctx, t, p), "button", "Pressed")
		plain, err := p.Picture(ctx, browser.PictureOptions{})
		require.NoError(t, err, why)
		require.True(t, showsMagenta(decodePicture(t, plain)), why)
		require.NoError(t, p.Fill(ctx, code, browsertest.Login("totp", "048151", s.URL, another)), why)
		filled, err := p.Picture(ctx, browser.PictureOptions{Marks: true})
		require.NoError(t, err, why)
		require.Contains(t, filled.Marked, code, why)
		require.False(t, showsMagenta(decodePicture(t, filled)), why)
	}
}
