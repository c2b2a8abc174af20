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
