package page_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
)

// TestAFieldIsTypedIntoThroughItsOwnHintAlone types into fields that something lies over.
func TestAFieldIsTypedIntoThroughItsOwnHintAlone(t *testing.T) {
	ctx, p, _ := openPage(t)
	const style = `<style>.in { position: relative; width: 200px }
.field { width: 200px; height: 40px; box-sizing: border-box }
.over { position: absolute; left: 0; top: 0; width: 200px; height: 40px; background: white }
.through { pointer-events: none }</style>`
	for _, c := range []struct{ why, body, code string }{
		{"an editor's hint", `<div class=in><div class=field contenteditable role=textbox aria-label=Field></div>
			<div class="over through"><span>Search</span></div><button hidden>Send</button></div>`, ""},
		{"the colors over a text", `<div class=in><textarea class=field aria-label=Field>old</textarea>
			<pre class="over through" style="margin: 0"><code>old</code></pre></div>`, ""},
		{"a hint over an input", `<div class=in><input class=field aria-label=Field>
			<div class="over through">Search</div></div>`, ""},
		{"what takes the mouse itself", `<div class=in><div class=field contenteditable role=textbox aria-label=Field></div>
			<div class=over onclick="document.title = 'stolen'">Search</div></div>`, "page.covered"},
		{"what takes the mouse in a hint", `<div class=in>
			<div class=field contenteditable role=textbox aria-label=Field></div>
			<div class="over through"><div style="pointer-events: auto; height: 40px">Search</div></div></div>`,
			"page.covered"},
		{"a button in the hint", `<div class=in><div class=field contenteditable role=textbox aria-label=Field></div>
			<div class="over through"><button style="width: 200px; height: 40px">Pay</button></div></div>`, "page.covered"},
		{"what is larger than the field", `<div class=in><input class=field aria-label=Field>
			<div class="over through" style="height: 300px">The page is being loaded</div></div>`, "page.covered"},
		{"a dialog over the page", `<div class=in><input class=field aria-label=Field></div><a href=/>Home</a>
			<div role=dialog class="through" style="position: fixed; inset: 0; background: white">Wait</div>`, "page.covered"},
		{"what lies beside other fields", `<div class=in><input class=field aria-label=Field>
			<div class="over through">Search</div><input aria-label=Other></div>`, "page.covered"},
		{"a password's hint", `<div class=in><input type=password class=field aria-label=Field>
			<div class="over through">Password</div></div>`, "page.covered"},
	} {
		s := browsertest.NewSite(t, map[string]string{"/": style + c.body})
		obs := browsertest.Open(ctx, t, p, s.URL+"/")
		field := browsertest.Find(t, obs, "textbox", "Field")
		err := p.Click(ctx, field.Ref, browser.Click{})
		if c.code == "" {
			require.NoError(t, err, c.why)
			require.NoError(t, p.Type(ctx, field.Ref, "Ada King"), c.why)
			require.Equal(t, "Ada King", browsertest.Find(t, browsertest.Observe(ctx, t, p), "textbox", "Field").Value, c.why)
			continue
		}
		require.ErrorContains(t, err, c.code, c.why)
		require.NotContains(t, browsertest.Observe(ctx, t, p).Title, "stolen", c.why)
	}
}
