package page_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
)

// logging shows the events that reach a page's scripts.
const logging = `<div id=log style="position:absolute;top:600px"></div><script>
const log = e => { document.getElementById('log').appendChild(document.createElement('p')).textContent = e.type + ` +
	`(e.isTrusted ? '' : '!') + ':' + (e.key || e.target.id || e.target.tagName) };
for (const kind of ['mousedown', 'click', 'input', 'change', 'focusin', 'keydown', 'keyup']) addEventListener(kind, ` +
	`log, true);
</script>`

// TestTypeActsAsAUserDoes types into each kind of field and reads which events
// the page saw.
func TestTypeActsAsAUserDoes(t *testing.T) {
	ctx, p, _ := openPage(t)
	s := browsertest.NewSite(t, map[string]string{"/": logging +
		`<input id=name aria-label=Name value=old><textarea id=area aria-label=Area></textarea>
<div id=rich contenteditable aria-label=Rich role=textbox>old <b>rich</b></div><input id=day type=date aria-label=Day>
<input id=fixed aria-label=Fixed readonly value=fixed><input id=short aria-label=Short maxlength=3>
<input id=number type=number aria-label=Number><button id=other>Other</button>`})
	obs := browsertest.Open(ctx, t, p, s.URL+"/")
	for _, c := range []struct{ name, text, value string }{
		{"Name", "new value", "new value"},
		{"Area", "two\nlines", "two lines"},
		{"Rich", "plain", "plain"},
		{"Short", "abcdef", "abc"},
		{"Number", "42", "42"},
		{"Name", "", ""},
		{"Name", "ünï 日本 \"quoted\"", "ünï 日本 \"quoted\""},
	} {
		role := "textbox"
		if c.name == "Number" {
			role = "spinbutton"
		}
		require.NoError(t, p.Type(ctx, browsertest.Find(t, obs, role, c.name).Ref, c.text), "%s %q", c.name, c.text)
		require.Equal(t, c.value, browsertest.Find(t, browsertest.Observe(ctx, t, p), role, c.name).Value, c.name)
	}
	require.NoError(t, p.Type(ctx, browsertest.Find(t, obs, "date", "Day").Ref, "2026-03-31"))
	require.ErrorContains(t, p.Type(ctx, browsertest.Find(t, obs, "textbox", "Fixed").Ref, "x"), "page.disabled")
	require.ErrorContains(t, p.Type(ctx, browsertest.Find(t, obs, "button", "Other").Ref, "x"), "page.not_editable")

	require.NoError(t, p.Click(ctx, browsertest.Find(t, obs, "button", "Other").Ref, browser.Click{}))
	seen := browsertest.Observe(ctx, t, p).Outline
	for _, event := range []string{"focusin:name", "input:name", "change:name", "keydown:Shift", "keyup:Shift",
		"change:area", "input:rich", "mousedown:other", "click:other"} {
		require.Contains(t, seen, event)
	}
	require.NotContains(t, seen, "input!:name")
	require.NotContains(t, seen, "click!:")
}

// TestSelectChoosesByLabelOrValue chooses, and says what there is to choose.
func TestSelectChoosesByLabelOrValue(t *testing.T) {
	ctx, p, _ := openPage(t)
	s := browsertest.NewSite(t, map[string]string{"/": logging +
		`<form><select id=sel aria-label=Country><option value=fr>France<option value=de> Germany <option value=xx ` +
		`disabled>Nowhere</select>
<input name=options></form><button>Not a list</button>`})
	obs := browsertest.Open(ctx, t, p, s.URL+"/")
	list := browsertest.Find(t, obs, "combobox", "Country").Ref
	for _, option := range []string{"Germany", "fr", "germany"} {
		require.NoError(t, p.Select(ctx, list, option))
	}
	require.Equal(t, "Germany", browsertest.Find(t, browsertest.Observe(ctx, t, p), "combobox", "Country").Value)
	require.ErrorContains(t, p.Select(ctx, list, "Spain"), `"France", "Germany"`)
	require.ErrorContains(t, p.Select(ctx, list, "Nowhere"), "page.disabled")
	require.ErrorContains(t, p.Select(ctx, browsertest.Find(t, obs, "button", "Not a list").Ref, "x"), "page.not_a_select")
}

// TestPressSendsRealKeys sends keys that do something by themselves.
func TestPressSendsRealKeys(t *testing.T) {
	ctx, p, _ := openPage(t)
	s := browsertest.NewSite(t, map[string]string{"/": logging +
		`<form action=/sent><input id=one aria-label=One name=q><input id=two aria-label=Two><input type=submit></form>`,
		"/sent": "<h1>Sent</h1>"})
	obs := browsertest.Open(ctx, t, p, s.URL+"/")
	one := browsertest.Find(t, obs, "textbox", "One").Ref
	require.NoError(t, p.Type(ctx, one, "abc"))
	for _, key := range []string{"ArrowLeft", "x", "Control+a", "Backspace", "Q", "1", "é", "Tab", "Escape"} {
		require.NoError(t, p.Press(ctx, key), key)
	}
	obs = browsertest.Observe(ctx, t, p)
	require.Equal(t, "Q1é", browsertest.Find(t, obs, "textbox", "One").Value)
	require.Contains(t, obs.Outline, `"Two" (focused)`)
	for _, event := range []string{"keydown:ArrowLeft", "keydown:Escape", "keyup:Tab"} {
		require.Contains(t, obs.Outline, event)
	}
	require.NoError(t, p.Press(ctx, "Enter"))
	require.Contains(t, browsertest.Settle(ctx, t, p).Outline, "Sent")
	for _, key := range []string{"", "Hyper+x", "NoSuchKey", "ab", "\x00", strings.Repeat("Shift+", 50) + "a"} {
		require.ErrorContains(t, p.Press(ctx, key), "page.unknown_key", "%q", key)
	}
}

// TestClickReachesWhatItAimsAt clicks what is far away, moving, covered or not
// drawn.
func TestClickReachesWhatItAimsAt(t *testing.T) {
	ctx, p, _ := openPage(t)
	s := browsertest.NewSite(t, map[string]string{"/": `<p id=out>nothing</p>
<button disabled>Off</button><label><input type=checkbox style="position:absolute;opacity:0;width:1px;height:1px" ` +
		`aria-label=Styled> Styled label</label>
<div style="height:3000px"></div><button onclick="out.textContent='far'">Far</button>
<button id=m style="position:absolute;top:200px" onclick="out.textContent='moving'">Moving</button>` +
		`<script>let x = 0; const step = () => { m.style.left = (x += 3) + 'px'; ` +
		`if (x < 120) requestAnimationFrame(step) }; step()</script>
<div id=over hidden style="position:fixed;inset:0;background:#fff8" role=dialog aria-label=Cookies>` +
		`<p>We use cookies</p><button onclick="over.remove()">Accept</button></div>
<button onclick="over.hidden=false">Cover</button>`})
	obs := browsertest.Open(ctx, t, p, s.URL+"/")
	for _, name := range []string{"Far", "Moving"} {
		require.NoError(t, p.Click(ctx, browsertest.Find(t, obs, "button", name).Ref, browser.Click{}), name)
		require.Contains(t, browsertest.Observe(ctx, t, p).Outline, strings.ToLower(name))
	}
	require.ErrorContains(t, p.Click(ctx, browsertest.Find(t, obs, "button", "Off").Ref, browser.Click{}), "page.disabled")
	require.NoError(t, p.Click(ctx, browsertest.Find(t, obs, "checkbox", "Styled").Ref, browser.Click{}))
	require.Contains(t, browsertest.Observe(ctx, t, p).Outline, `"Styled" (focused) (checked)`)

	require.NoError(t, p.Click(ctx, browsertest.Find(t, obs, "button", "Cover").Ref, browser.Click{}))
	err := p.Click(ctx, browsertest.Find(t, obs, "button", "Far").Ref, browser.Click{})
	require.ErrorContains(t, err, "page.covered")
	require.ErrorContains(t, err, "We use cookies")
	accept := browsertest.Find(t, browsertest.Observe(ctx, t, p), "button", "Accept")
	require.NoError(t, p.Click(ctx, accept.Ref, browser.Click{}))
	require.NoError(t, p.Click(ctx, browsertest.Find(t, obs, "button", "Far").Ref, browser.Click{}))
}

// TestNewTabsAreFollowed opens tabs in both ways and goes back when they close.
func TestNewTabsAreFollowed(t *testing.T) {
	ctx, p, _ := openPage(t)
	s := browsertest.NewSite(t, map[string]string{
		"/":    `<h1>First</h1><a target=_blank href=/two>Link</a><button onclick="window.open('/two')">Script</button>`,
		"/two": `<h1>Second</h1><button onclick="window.close()">Close</button>`,
	})
	obs := browsertest.Open(ctx, t, p, s.URL+"/")
	script := browsertest.Find(t, obs, "button", "Script").Ref
	require.NoError(t, p.Click(ctx, script, browser.Click{}))
	second := browsertest.Settle(ctx, t, p)
	require.Contains(t, second.Outline, "Second")
	require.Len(t, p.AttachedTabs(), 2)
	require.ErrorContains(t, p.Click(ctx, script, browser.Click{}), "another tab")
	require.NoError(t, p.Click(ctx, browsertest.Find(t, second, "button", "Close").Ref, browser.Click{}))
	require.Eventually(t, func() bool { return strings.Contains(browsertest.Observe(ctx, t, p).Outline, "First") },
		10*time.Second, 20*time.Millisecond)
	require.NoError(t, p.Click(ctx, browsertest.Find(t, obs, "link", "Link").Ref, browser.Click{}))
	require.Contains(t, browsertest.Settle(ctx, t, p).Outline, "Second")
}

// TestDialogsDoNotHang has nobody who answers dialogs, as a program that opens a page:
// each is answered with no, since nobody has said yes. A script that never stops asking is
// ended.
func TestDialogsDoNotHang(t *testing.T) {
	ctx, p, _ := openPage(t)
	s := browsertest.NewSite(t, map[string]string{
		"/": `<p id=out></p><button onclick="alert('hello'); ` +
			`out.textContent = confirm('sure?') + ' ' + prompt('name?')">Ask</button>` +
			`<button onclick="while (true) alert('again')">Endless</button>`,
		"/leaving": `<button id=b>Stay</button><script>b.onclick = () => onbeforeunload = e => { e.preventDefault(); ` +
			`return 'no' }</script>`,
	})
	obs := browsertest.Open(ctx, t, p, s.URL+"/")
	require.NoError(t, p.Click(ctx, browsertest.Find(t, obs, "button", "Ask").Ref, browser.Click{}))
	obs = browsertest.Settle(ctx, t, p)
	require.Contains(t, obs.Outline, "false null")
	for _, note := range []string{`note: alert dialog "hello": accepted`, `note: confirm dialog "sure?": cancelled`,
		`note: prompt dialog "name?": cancelled`} {
		require.Contains(t, obs.Outline, note)
	}
	require.NotContains(t, browsertest.Observe(ctx, t, p).Outline, "note:", "said once")

	require.NoError(t, p.Click(ctx, browsertest.Find(t, obs, "button", "Endless").Ref, browser.Click{}))
	obs = browsertest.Observe(ctx, t, p)
	require.Contains(t, obs.Outline, `button "Endless"`, "the loop was ended")
	require.Contains(t, obs.Outline, "note: page.dialog_flood: ")

	obs = browsertest.Open(ctx, t, p, s.URL+"/leaving")
	require.NoError(t, p.Click(ctx, browsertest.Find(t, obs, "button", "Stay").Ref, browser.Click{}))
	require.NoError(t, p.Goto(ctx, s.URL+"/", ""))
	require.Contains(t, browsertest.Observe(ctx, t, p).Outline, "Ask")
}

// TestGotoSaysWhatWentWrong opens what cannot be opened.
func TestGotoSaysWhatWentWrong(t *testing.T) {
	ctx, p, _ := openPage(t)
	s := browsertest.NewSite(t, map[string]string{
		"/":        "<h1>Home</h1>",
		"/onwards": `<script>location.replace('/')</script>`,
		"/forever": `<script>location.replace('/forever?' + Math.random())</script>`,
	})
	s.Handlers["/loop"] = func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/loop", http.StatusFound) }
	s.Handlers["/file"] = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Disposition", "attachment; filename=a.csv")
		_, _ = io.WriteString(w, "a,b")
	}
	for _, c := range []struct{ url, want, why string }{
		{"file:///etc/passwd", "page.url_refused", "reads the machine"},
		{"chrome://version", "page.url_refused", "is the browser's own"},
		{"javascript:alert(1)", "page.url_refused", "runs in the page"},
		{"data:text/html,x", "page.url_refused", "has no origin"},
		{"view-source:" + s.URL, "page.url_refused", "is the browser's own"},
		{"http://user:pass@127.0.0.1/", "page.url_refused", "holds a password"},
		{"", "page.url_refused", "is none"},
		{"http://127.0.0.1:1/", "net::ERR_", "nobody listens, or the port is unsafe"},
		{s.URL + "/loop", "net::ERR_TOO_MANY_REDIRECTS", "the server redirects for ever"},
	} {
		require.ErrorContains(t, p.Goto(ctx, c.url, ""), c.want, c.why)
	}
	require.NoError(t, p.Goto(ctx, s.URL+"/", ""))
	require.NoError(t, p.Goto(ctx, s.URL+"/#part", ""))
	require.NoError(t, p.Goto(ctx, s.URL+"/file", ""), "a download leaves the page as it is")
	require.Contains(t, browsertest.Observe(ctx, t, p).Outline, "Home")
	require.NoError(t, p.Goto(ctx, "about:blank", ""))
	require.NoError(t, p.Goto(ctx, s.URL+"/onwards", ""))
	require.Contains(t, browsertest.Settle(ctx, t, p).Outline, "Home")

	limited, cancel := context.WithTimeout(ctx, 25*time.Second)
	defer cancel()
	require.ErrorContains(t, p.Goto(limited, s.URL+"/forever", ""), "page.redirect_loop")
	require.NoError(t, p.Goto(ctx, s.URL+"/", ""))
}

// TestAPageThatHangsHoldsNobody lets scripts run for ever and a page crash.
func TestAPageThatHangsHoldsNobody(t *testing.T) {
	ctx, p, _ := openPage(t)
	s := browsertest.NewSite(t, map[string]string{
		"/":     "<h1>Home</h1>",
		"/spin": `<button onclick="setTimeout(() => { while (true); }, 0)">Spin</button>`,
	})
	obs := browsertest.Open(ctx, t, p, s.URL+"/spin")
	require.NoError(t, p.Click(ctx, browsertest.Find(t, obs, "button", "Spin").Ref, browser.Click{}))
	hung := func() bool {
		short, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
		defer cancel()
		_, err := p.Observe(short)
		return err != nil
	}
	require.Eventually(t, hung, 10*time.Second, time.Millisecond)
	for name, action := range map[string]func(context.Context) error{
		"click":      func(ctx context.Context) error { return p.Click(ctx, obs.Elements[0].Ref, browser.Click{}) },
		"scroll":     func(ctx context.Context) error { _, err := p.Scroll(ctx, "", 1); return err },
		"screenshot": func(ctx context.Context) error { _, err := p.Screenshot(ctx, false); return err },
	} {
		short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		require.ErrorIs(t, action(short), context.DeadlineExceeded, name)
		cancel()
	}
	require.NoError(t, p.Settle(ctx, 300*time.Millisecond), "settling is bounded, not promised")
	require.NoError(t, p.Goto(ctx, s.URL+"/", ""), "the script is ended")
	require.Contains(t, browsertest.Observe(ctx, t, p).Outline, "Home")

	require.Error(t, p.Crash(ctx))
	require.NoError(t, p.Goto(ctx, s.URL+"/", ""))
	require.Contains(t, browsertest.Observe(ctx, t, p).Outline, "Home", "a new tab takes its place")
}

// TestAPageThatTicksSettles has a clock and a chart that never stop, and a list that grows
// beside them.
func TestAPageThatTicksSettles(t *testing.T) {
	ctx, p, _ := openPage(t)
	s := browsertest.NewSite(t, map[string]string{"/": `<p id=clock></p><svg id=chart></svg><ul id=l></ul><script>
let n = 0; setInterval(() => { clock.innerHTML = 'tick <b>' + ++n + '</b>'; const dot = document.createElementNS(
	'http://www.w3.org/2000/svg', 'circle'); chart.append(dot); dot.setAttribute('r', n);
	if (n < 60) l.insertAdjacentHTML('beforeend', '<li>Row ' + n) }, 30)</script>`})
	require.NoError(t, p.Goto(ctx, s.URL+"/", ""))
	limit, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	require.NoError(t, p.Settle(limit, time.Hour))
	require.NoError(t, limit.Err(), "it does not wait for the clock")
	require.Contains(t, browsertest.Observe(ctx, t, p).Outline, "Row 59", "it waits for what comes")
}

// TestSettleWaitsForWhatIsOnItsWay waits for a chain of requests and what it
// changes in the end.
func TestSettleWaitsForWhatIsOnItsWay(t *testing.T) {
	ctx, p, _ := openPage(t)
	s := browsertest.NewSite(t, map[string]string{"/": `<p id=out>waiting</p><button id=b>Load</button><script>
b.onclick = async () => { for (let i = 0; i < 400; i++) await fetch('/step'); out.textContent = 'arrived' }</script>`})
	obs := browsertest.Open(ctx, t, p, s.URL+"/")
	require.NoError(t, p.Click(ctx, browsertest.Find(t, obs, "button", "Load").Ref, browser.Click{}))
	require.NoError(t, p.Settle(ctx, 20*time.Second))
	require.Contains(t, browsertest.Observe(ctx, t, p).Outline, "arrived")
	begun := time.Now()
	require.NoError(t, p.Settle(ctx, 10*time.Second))
	require.Less(t, time.Since(begun), 5*time.Second, "a quiet page settles soon")
}
