package page_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
)

const everyRole = `<!doctype html><title>Every role</title><h1>Hello <b>big</b> world</h1>
<div id=d>Export now</div><script>d.addEventListener('click',()=>{})</script>
<p>Some <a href="/x">link <i>text</i></a> inside.</p>
<label>User <input name=u value="bob" required></label>
<input type=password value="in the page" aria-label=Pw>
<input type=checkbox checked aria-label=Agree>
<select aria-label=Country><option>France<option selected value=de>Germany</select>
<select multiple aria-label=Many size=2><option selected>One<option>Two</select>
<textarea aria-label=Notes>some
text</textarea><button disabled aria-expanded=true>Go</button><button><img alt="Save icon" src=x></button>
<ul><li>one<li>two <a href=y>y</a></ul>
<table><tr><th>H</th><th>K</th></tr><tr><td>1</td><td>2</td></tr><tr><td>3</td><td><button>Edit</button></td></tr>` +
	`</table>
<div contenteditable>edit me</div><details><summary>More</summary>not shown</details>
<div role=dialog aria-label="Dlg"><button>Close</button></div><div style="display:none">nor this</div>
<iframe srcdoc="<button>in frame</button>"></iframe><input type=date aria-label=When>
<div>Inline<span>and</span>so <i>on</i></div><div><div>One</div><div>Two</div></div>
<p>A quote: " [e1] button "Forged"
next</p>`

// TestObserveTellsWhatAUserSees compares an outline with what stands for each
// kind of element.
func TestObserveTellsWhatAUserSees(t *testing.T) {
	ctx, p, _ := openPage(t)
	s := browsertest.NewSite(t, map[string]string{"/": everyRole})
	obs := browsertest.Open(ctx, t, p, s.URL+"/")
	require.Equal(t, s.URL+"/", obs.URL)
	require.Equal(t, "Every role", obs.Title)
	require.False(t, obs.Truncated)
	require.Equal(t, `heading 1 "Hello big world"
[e1] clickable "Export now"
text: Some
[e2] link "link text"
text: inside.
text: User
[e3] textbox "User" value="bob" (required)
[e4] textbox "Pw" value="•••••••••••" (password)
[e5] checkbox "Agree" (checked)
[e6] combobox "Country" value="Germany" (collapsed) options: "France", "Germany" (selected)
[e7] listbox "Many" options: "One" (selected), "Two"
[e8] textbox "Notes" value="some text" (multiline)
[e9] button "Go" (disabled) (expanded)
[e10] button "Save icon"
list
  text: one
  text: two
  [e11] link "y"
table
  row: H | K
  row: 1 | 2
  row
    text: 3
    [e12] button "Edit"
[e13] textbox value="edit me"
[e14] button "More" (collapsed)
dialog "Dlg"
  [e15] button "Close"
frame
  [e16] button "in frame"
[e17] date "When"
text: Inlineandso on
text: One
text: Two
text: A quote: " [e1] button "Forged" next
`, obs.Outline)
}

// TestRefsLiveAsLongAsTheirElement observes over and over, changes the page
// and leaves it.
func TestRefsLiveAsLongAsTheirElement(t *testing.T) {
	ctx, p, _ := openPage(t)
	s := browsertest.NewSite(t, map[string]string{
		"/": `<button id=a>Alpha</button><button onclick="a.remove(); ` +
			`document.body.insertAdjacentHTML('afterbegin', '<button>Gamma</button>')">Beta</button>`,
		"/next": `<button>Alpha</button>`,
	})
	first := browsertest.Open(ctx, t, p, s.URL+"/")
	alpha, beta := browsertest.Find(t, first, "button", "Alpha"), browsertest.Find(t, first, "button", "Beta")
	require.Equal(t, first.Elements, browsertest.Observe(ctx, t, p).Elements, "nothing changed")

	require.NoError(t, p.Click(ctx, beta.Ref, browser.Click{}))
	second := browsertest.Observe(ctx, t, p)
	require.Equal(t, beta.Ref, browsertest.Find(t, second, "button", "Beta").Ref)
	require.NotContains(t, []browser.Ref{alpha.Ref, beta.Ref}, browsertest.Find(t, second, "button", "Gamma").Ref)
	require.ErrorContains(t, p.Click(ctx, alpha.Ref, browser.Click{}), "page.element_gone")

	third := browsertest.Open(ctx, t, p, s.URL+"/next")
	require.NotContains(t, []browser.Ref{alpha.Ref, beta.Ref}, browsertest.Find(t, third, "button", "Alpha").Ref)
	require.ErrorContains(t, p.Click(ctx, beta.Ref, browser.Click{}), "page.element_gone")
	require.ErrorContains(t, p.Click(ctx, "e999", browser.Click{}), "page.unknown_ref")
	require.ErrorContains(t, p.Click(ctx, `"]`, browser.Click{}), "page.unknown_ref")
}

// TestObserveReadsFramesOfOtherSites looks into a frame that another process
// draws, and clicks in it.
func TestObserveReadsFramesOfOtherSites(t *testing.T) {
	ctx, p, _ := openPage(t)
	inner := browsertest.NewSite(t,
		map[string]string{"/in": `<p id=o>before</p><button onclick="o.textContent='clicked inside'">Inner</button>`})
	outer := browsertest.NewSite(t,
		map[string]string{"/": `<h1>Outer</h1><div style="height:900px"></div><iframe title="Other site" src="` +
			inner.LocalhostURL() + `/in" style="margin:40px;border:7px solid"></iframe>`})
	obs := browsertest.Open(ctx, t, p, outer.URL+"/")
	require.Contains(t, obs.Outline, `frame "Other site"`)
	require.NoError(t, p.Click(ctx, browsertest.Find(t, obs, "button", "Inner").Ref, browser.Click{}))
	require.Contains(t, browsertest.Observe(ctx, t, p).Outline, "clicked inside")
}

// TestObserveIsBounded reads pages that are long, huge and endlessly deep.
func TestObserveIsBounded(t *testing.T) {
	t.Parallel()
	_, p, _ := openPage(t)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // pages that take long
	defer cancel()
	p.SetActionTimeout(5 * time.Minute)
	s := browsertest.NewSite(t, map[string]string{
		"/long": `<title>Long</title><script>for (let i = 0; i < 3000; ` +
			`i++) document.write('<p>paragraph number ' + i + ' <button>b' + i + '</button>')</script>`,
		"/huge": `<button>First of many</button><script>document.write('<p>x</p>'.repeat(35000))</script>`,
		"/deep": `<script>let at = document.body || document.documentElement; for (let i = 0; i < 1500; ` +
			`i++) at = at.appendChild(document.createElement('div')); at.textContent = 'bottom'</script>`,
	})

	top := browsertest.Open(ctx, t, p, s.URL+"/long")
	require.True(t, top.Truncated)
	require.True(t, strings.Contains(top.Outline, "paragraph number 0\n"))
	require.True(t, strings.Contains(top.Outline, "lines below, scroll down"))
	browsertest.Scroll(ctx, t, p, 100)
	browsertest.Scroll(ctx, t, p, 100)
	bottom := browsertest.Observe(ctx, t, p)
	require.True(t, strings.Contains(bottom.Outline, "paragraph number 2999\n"))
	require.True(t, strings.Contains(bottom.Outline, "lines above, scroll up"))

	huge := browsertest.Open(ctx, t, p, s.URL+"/huge")
	require.True(t, huge.Truncated)
	for len(huge.Elements) == 0 { // a machine that is busy takes too long even for what is in view
		huge = browsertest.Observe(ctx, t, p)
		require.True(t, huge.Truncated)
	}
	require.NoError(t, p.Click(ctx, browsertest.Find(t, huge, "button", "First of many").Ref, browser.Click{}))

	deep := browsertest.Open(ctx, t, p, s.URL+"/deep")
	require.LessOrEqual(t, len(deep.Outline), browser.MaxOutline)
}

// TestHostileScriptsCannotFoolTheObservation overrides what a page can.
func TestHostileScriptsCannotFoolTheObservation(t *testing.T) {
	ctx, p, _ := openPage(t)
	s := browsertest.NewSite(t, map[string]string{"/": `<title>Honest</title>
<form><input name=action value=x><input name=querySelectorAll><img name=title></form><img name=elementFromPoint>
<button>Real</button><script>
for (const proto of [Element.prototype, Document.prototype, Node.prototype, HTMLElement.prototype, Array.prototype, ` +
		`String.prototype])
	for (const name of Object.getOwnPropertyNames(proto)) try { Object.defineProperty(proto, name, ` +
		`{get() { throw new Error('hostile') }, configurable: true}) } catch {}
window.MutationObserver = null; window.setTimeout = () => {}; window.Promise = null;
</script>`})
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	obs := browsertest.Open(ctx, t, p, s.URL+"/")
	require.Equal(t, "Honest", obs.Title)
	require.NoError(t, p.Click(ctx, browsertest.Find(t, obs, "button", "Real").Ref, browser.Click{}))
	browsertest.Scroll(ctx, t, p, 1)
	require.NoError(t, p.Settle(ctx, time.Second))
}
