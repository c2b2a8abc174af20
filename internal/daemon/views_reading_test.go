package daemon

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/page"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

// faults lists what is wrong with how a page is laid out and coloured, by the criteria of
// WCAG 2.2: 1.4.3 contrast, 1.4.10 reflow, 2.4.2 title, 3.1.1 language. Controls are 44
// pixels on a phone, as 2.5.5 has it.
const faults = `(phone => {
	const out = [], seen = e => e.checkVisibility({visibilityProperty: true}) && e.getClientRects().length;
	if (!document.documentElement.lang || !document.title) out.push('no language or title');
	if (document.scrollingElement.scrollWidth > innerWidth) out.push('wider than the window');
	if ([...document.querySelectorAll('main')].filter(seen).length !== 1) out.push('not one main');
	for (const e of document.querySelectorAll('button, a[href], select, input')) {
		const box = e.getBoundingClientRect();
		if (phone && seen(e) && (box.height < 43.9 || box.width < 43.9)) out.push('too small: ' + e.outerHTML);
		if (seen(e) && !e.closest('nav, .marks') && (box.left < 0 || box.right > innerWidth))
			out.push('outside: ' + e.outerHTML);
	}
	const parse = c => { const n = c.match(/[\d.]+/g).map(Number); return n.length < 4 ? [...n, 1] : n; };
	const light = c => c.slice(0, 3).map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
		.reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
	const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	while (walk.nextNode()) {
		const e = walk.currentNode.parentElement;
		if (!walk.currentNode.data.trim() || !seen(e) || e.closest('.quiet, :disabled, script, noscript, option')) continue;
		let ground = [255, 255, 255, 1];
		for (let up = e; up; up = up.parentElement) {
			const c = parse(getComputedStyle(up).backgroundColor);
			if (c[3] === 1) { ground = c; break; }
		}
		const [a, b] = [light(parse(getComputedStyle(e).color)), light(ground)].sort((x, y) => y - x);
		if ((a + .05) / (b + .05) < 4.5)
			out.push('contrast ' + ((a + .05) / (b + .05)).toFixed(2) + ': ' + walk.currentNode.data);
	}
	return out;
})`

// requireReadable looks at a page in a window and on a phone, light and dark.
func (s *seat) requireReadable(state string) {
	s.Helper()
	for _, phone := range []bool{true, false} {
		s.size(map[bool]int64{true: 390, false: 1100}[phone], 800, phone)
		for _, scheme := range []string{"dark", "light"} {
			s.look(scheme)
			found := eval[[]string](s, faults+map[bool]string{true: "(true)", false: "(false)"}[phone])
			require.Empty(s, found, "%s, %s, phone: %t", state, scheme, phone)
		}
	}
}

// requireSpoken requires the controls, landmarks and live regions that a screen reader is
// told of, in their order. Each control has a name.
func (s *seat) requireSpoken(want ...string) {
	s.Helper()
	var got []string
	for _, n := range tell(s, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{}).Nodes {
		if n.Ignored || n.Role == nil {
			continue
		}
		var role, name string
		require.NoError(s, json.Unmarshal(n.Role.Value, &role))
		if n.Name != nil {
			require.NoError(s, json.Unmarshal(n.Name.Value, &name))
		}
		switch role {
		case "button", "link", "slider", "combobox", "textbox", "dialog", "image":
			require.NotEmpty(s, name, role)
		case "banner", "main", "navigation", "contentinfo", "region", "status", "alert", "group":
		default:
			continue
		}
		got = append(got, strings.TrimSpace(role+" "+name))
	}
	slices.Sort(got)
	slices.Sort(want)
	require.Equal(s, want, got)
}

// tabThrough presses the tabulator until the focus comes to a control for the second time,
// or to one that takes the key, and returns what had the focus, each of which has to be seen.
func (s *seat) tabThrough() (names []string) {
	s.Helper()
	for range 60 {
		s.press("Tab")
		if eval[bool](s, "document.activeElement === document.body") {
			continue // the window's own controls come between the last and the first
		}
		name := eval[string](s, "document.activeElement.id || document.activeElement.textContent")
		if slices.Contains(names, name) {
			return names
		}
		require.True(s, eval[bool](s, `(e => { const o = getComputedStyle(e.classList.contains('keys') ? e.parentElement : e);
			return o.outlineStyle !== 'none' && parseFloat(o.outlineWidth) >= 2; })(document.activeElement)`),
			"the focus on %s is seen", name)
		names = append(names, name)
		if name == "keys" {
			return names
		}
	}
	require.FailNow(s, "the focus does not come back", "%v", names)
	return nil
}

// hears keeps what the page says to screen readers, from its beginning on, and its
// websockets.
const hears = `window.heard = []; window.sockets = [];
	window.WebSocket = class extends WebSocket { constructor(...all) { super(...all); sockets.push(this); } };
	new MutationObserver(() => {
		const e = document.querySelector('#status');
		if (e && e.getAttribute('role') === 'status' && heard.at(-1) !== e.textContent) heard.push(e.textContent);
	}).observe(document, {childList: true, subtree: true, characterData: true});`

func isReadAndOperatedByAnybody(th *theatre) {
	s := th.sit()
	_ = tell(s, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: hears})
	view := th.live(bctrl.LiveOptions{Interactive: true})
	s.open(view.URL)
	s.until("picture.dataset.shown && !document.querySelector('#actions').hidden", "it is shown")
	s.says("Connected, idle")
	s.requireReadable("looked at")
	common := []string{
		"banner", "status", "navigation Tabs of the browser", "button Stage", "main The browser",
		"image Picture of the browser: Stage", "contentinfo", "alert",
	}
	s.requireSpoken(append(common, "button Take over")...)
	require.Equal(s, []string{"take", "Stage"}, s.tabThrough())
	s.press("Enter")
	s.says("You have taken over")
	s.says("F6 leaves it")
	s.requireReadable("taken over")
	s.requireSpoken(append(common, "button Hand back", "button Back", "button Forward", "button Load again",
		"textbox Keyboard of the browser")...)
	s.press("F6")
	require.Equal(s, []string{"Stage", "back", "forward", "reload", "keys"}, s.tabThrough())

	s.click(1000.0/1280, 150.0/800)
	s.says("Sure")
	s.requireReadable("a question")
	s.press("Enter")
	th.awaitSite("/did/answered")
	eval[any](s, "sockets.at(-1).close()")
	s.until("heard.at(-1).startsWith('Connected') && sockets.length === 2", "it is connected again")
	require.NoError(s, view.Revoke(th.Context()))
	s.says("live.revoked")
	s.requireReadable("ended")
	s.requireSpoken("banner", "status", "main The live view has ended")
	require.Equal(s, []string{
		"Connecting …", "Connected, idle", "You have taken over", "Connecting again …", "Connected, idle", "Ended",
	}, eval[[]string](s, "heard"))
	s.open(view.URL)
	s.says("live.revoked")
	s.requireReadable("a view that is none")
	s.requireSpoken("main")
}
