package page_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
)

const everyText = `<!doctype html><title>Every text</title><h1>Hello <b>big</b> world</h1>
<p>Some <a href="/x?q=1#top">link <i>text</i></a> inside, <code>code</code>.<br>Next line</p>
<ul><li>one<li>two <a href=y>y</a><ul><li>deeper</ul></ul><ol><li>first</ol>
<table><tr><th>Name</th><th>Amount</th></tr><tr><td>Ann<td>1</tr><tr><td>Bob</td><td><button>Edit</button></td></tr
></table>
<label>User <input value="bob"></label><input type=password aria-label=Pw value="in the page">
<label><input type=checkbox checked>Agree</label>
<select aria-label=Country><option>France<option selected>Germany</select>
<select multiple aria-label=Many><option selected>One<option>Two</select>
<div contenteditable aria-label=Story><p>First part</p><p>Second</p></div>
<div id=shadow></div><div style="display:none">nor this</div><style>.q::before{content:"by style "}</style><p
class=q>and text</p>
<iframe srcdoc="<p>in the frame</p>"></iframe><script>
shadow.attachShadow({mode: 'closed'}).innerHTML = '<p>in a closed shadow</p>';
</script>`

// TestReadWritesAPageAsText compares a reading with what stands for each kind of
// element.
func TestReadWritesAPageAsText(t *testing.T) {
	ctx, p, _ := openPage(t)
	s := browsertest.NewSite(t, map[string]string{"/": everyText})
	browsertest.Open(ctx, t, p, s.URL+"/")
	got, err := p.Read(ctx, browser.ReadOptions{})
	require.NoError(t, err)
	require.Equal(t, "Every text", got.Title)
	require.False(t, got.Truncated)
	require.Equal(t, strings.ReplaceAll(`# Hello big world
Some [link text](SITE/x?q=1#top) inside, code.
Next line
- one
- two [y](SITE/y)
  - deeper
- first
| Name | Amount |
| Ann | 1 |
| Bob | [Edit] |
User: bob
Pw: [secret]
[x] Agree
Country: Germany
Many:
[x] One
[ ] Two
Story:
First part
Second
in a closed shadow
by style and text
in the frame
`, "SITE", s.URL), got.Text)

	short, err := p.Read(ctx, browser.ReadOptions{MaxBytes: 100})
	require.NoError(t, err)
	require.True(t, short.Truncated)
	require.LessOrEqual(t, len(short.Text), 100)
	require.True(t, strings.HasPrefix(got.Text, short.Text))
	require.True(t, strings.HasSuffix(short.Text, "\n"))
}

// virtualList draws the rows that are in view of a thousand.
const virtualList = `<h1>List</h1><div id=list style="height:300px;overflow:auto;position:relative"><div id=rows
style="height:4000px"></div></div><p>Below the list</p><script>
const draw = () => {
	rows.innerHTML = '';
	const first = Math.floor(list.scrollTop / 20);
	for (let i = first; i < Math.min(first + 17, 200); i++)
		rows.insertAdjacentHTML('beforeend', '<div style="position:absolute;top:' + 20 * i + 'px">row ' + i + '</div>');
};
list.addEventListener('scroll', draw);
draw();
</script>`

// endlessList adds more each time its end is seen, three times.
const endlessList = `<div id=rows></div><p id=end>The end</p><script>
let at = 0;
const more = () => { for (let i = 0; i < 30; i++) rows.insertAdjacentHTML('beforeend', '<p>entry ' + at++ + '</p>'); };
more();
new IntersectionObserver(seen => { if (seen[0].isIntersecting && at < 120) setTimeout(more, 30); }).observe(end);
addEventListener('scroll', () => { if (innerHeight + scrollY > document.body.scrollHeight - 50 && at < 120) more(); });
</script>`

// TestReadScrollsThroughWhatIsDrawnLate reads lists of which only a part is there.
func TestReadScrollsThroughWhatIsDrawnLate(t *testing.T) {
	ctx, p, _ := openPage(t)
	s := browsertest.NewSite(t, map[string]string{"/virtual": virtualList, "/endless": endlessList})
	for _, c := range []struct {
		path, line string
		n          int
	}{{"/virtual", "row %d\n", 200}, {"/endless", "entry %d\n", 120}} {
		browsertest.Open(ctx, t, p, s.URL+c.path)
		got, err := p.Read(ctx, browser.ReadOptions{})
		require.NoError(t, err)
		at := -1
		for i := range c.n {
			line := fmt.Sprintf(c.line, i)
			require.Equal(t, 1, strings.Count("\n"+got.Text, "\n"+line), "%s: %s", c.path, line)
			next := strings.Index("\n"+got.Text, "\n"+line)
			require.Greater(t, next, at, "%s: the order of %s", c.path, line)
			at = next
		}
		require.False(t, got.Truncated, c.path)
		last := map[string]string{"/virtual": "Below the list\n", "/endless": "The end\n"}[c.path]
		require.True(t, strings.HasSuffix(got.Text, last), "%s ends as the page does", c.path)
		require.Contains(t, browsertest.Observe(ctx, t, p).Outline, strings.TrimSpace(fmt.Sprintf(c.line, 0)),
			"the page is left where it was")
	}
}

// TestReadHidesWhatWasFilled reads a page that shows a password, whole and in pieces.
func TestReadHidesWhatWasFilled(t *testing.T) {
	ctx, p, _ := openPage(t)
	s := browsertest.NewSite(t, map[string]string{"/": `<form method=post><input type=password aria-label=Password></form>
<p id=whole></p><table><tr><td id=a></td><td id=b></td></tr></table><input id=copy aria-label=Copy><a id=link>link</a>
<div id=letters></div><script>document.querySelector('input').addEventListener('input', e => {
	const v = e.target.value;
	whole.textContent = 'you wrote ' + v; a.textContent = v.slice(0, 8); b.textContent = v.slice(8); copy.value = v;
	link.href = '/?q=' + encodeURIComponent(v);
	for (const c of v) letters.insertAdjacentHTML('beforeend', '<div>' + c + '</div>');
})</script>`})
	obs := browsertest.Open(ctx, t, p, s.URL+"/")
	const value = "correct-horse-battery"
	login := browsertest.Login("password", value, s.URL)
	login.Direct = true
	require.NoError(t, p.Fill(ctx, browsertest.Find(t, obs, "textbox", "Password").Ref, login))
	got, err := p.Read(ctx, browser.ReadOptions{})
	require.NoError(t, err)
	browsertest.RequireUnseen(t, value, got.Text, strings.ReplaceAll(got.Text, "\n", ""),
		strings.NewReplacer("\n", "", "|", "", " ", "").Replace(got.Text))
	require.Contains(t, got.Text, "you wrote [secret]")
}

// TestReadTakesPagesThatAreTooLarge reads a document that is not read as a tree.
func TestReadTakesPagesThatAreTooLarge(t *testing.T) {
	ctx, p, _ := openPage(t)
	s := browsertest.NewSite(t, map[string]string{
		"/": `<h1>Huge</h1><script>document.write('<table><tr><td>a<td>b</table>' + '<p>x</p>'.repeat(31000))</script>`,
	})
	browsertest.Open(ctx, t, p, s.URL+"/")
	got, err := p.Read(ctx, browser.ReadOptions{MaxBytes: 1000})
	require.NoError(t, err)
	require.True(t, got.Truncated)
	require.True(t, strings.HasPrefix(got.Text, "Huge\n"), got.Text[:50])
	require.Contains(t, got.Text, "a | b\n")
}

// TestADocumentThatIsNoPageIsReadToo opens what Chromium shows as it is.
func TestADocumentThatIsNoPageIsReadToo(t *testing.T) {
	ctx, p, _ := openPage(t)
	s := browsertest.NewSite(t, nil)
	for path, c := range map[string]struct{ kind, text string }{
		"/a.txt":  {"text/plain; charset=utf-8", "Zeile eins\nZeile zwei\n" + strings.Repeat("und so weiter\n", 5000)},
		"/a.json": {"application/json", `{"name": "Zeile zwei"}`},
		"/a.xml":  {"application/xml", `<list><item>Zeile zwei</item></list>`},
	} {
		s.Handlers[path] = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", c.kind)
			_, _ = io.WriteString(w, c.text)
		}
		require.NoError(t, p.Goto(ctx, s.URL+path, ""))
		require.Contains(t, browsertest.Observe(ctx, t, p).Outline, "Zeile zwei", path)
		got, err := p.Read(ctx, browser.ReadOptions{MaxBytes: 2000})
		require.NoError(t, err)
		require.Contains(t, got.Text, "Zeile zwei", path)
		require.LessOrEqual(t, len(got.Text), 2000)
		require.Equal(t, len(c.text) > 2000, got.Truncated, path)
	}
}
