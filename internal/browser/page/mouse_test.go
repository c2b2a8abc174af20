package page_test

import (
	"context"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
)

// said waits until the page says a text.
func said(ctx context.Context, t *testing.T, p browser.Page, text string) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Contains(browsertest.Observe(ctx, t, p).Outline, text) },
		5*time.Second, 20*time.Millisecond, "%s in\n%s", text, browsertest.Observe(ctx, t, p).Outline)
}

// TestAClickHitsWhatMovesWhenTheMouseComes has a page that shows a picture of its own for
// an icon under the mouse, which takes a moment to come.
func TestAClickHitsWhatMovesWhenTheMouseComes(t *testing.T) {
	ctx, p, _ := openPage(t)
	s := browsertest.NewSite(t, map[string]string{"/": `<p id=out>nothing</p>
<div><span id=icon role=button aria-label=Like
style="display:inline-block;width:20px;height:20px;background:red"></span></div>
<script>
icon.addEventListener('mouseenter', () => {
	icon.style.width = 0;
	setTimeout(() => { icon.style.width = '20px'; icon.style.marginLeft = '60px' }, 100);
}, {once: true});
icon.onclick = () => out.textContent = 'liked';
</script>`})
	obs := browsertest.Open(ctx, t, p, s.URL+"/")
	require.NoError(t, p.Click(ctx, browsertest.Find(t, obs, "button", "Like").Ref, browser.Click{}))
	said(ctx, t, p, "liked")
}

// TestAClickHitsWhatSlidesIn has pages move a button in by a style, which they do without being
// drawn anew for whoever asks where it is.
func TestAClickHitsWhatSlidesIn(t *testing.T) {
	ctx, p, _ := openPage(t)
	for range 4 {
		s := browsertest.NewSite(t, map[string]string{"/": `<style>div { animation: in .8s linear }
@keyframes in { from { transform: translateX(900px) } }</style><p id=out>nothing</p>
<div><button onclick="out.textContent = 'pressed'">Go</button></div>`})
		obs := browsertest.Open(ctx, t, p, s.URL+"/")
		require.NoError(t, p.Click(ctx, browsertest.Find(t, obs, "button", "Go").Ref, browser.Click{}))
		said(ctx, t, p, "pressed")
	}
}

// TestAMouseDoesAllThatOneOfPlasticDoes makes each gesture and reads what the page saw.
func TestAMouseDoesAllThatOneOfPlasticDoes(t *testing.T) {
	ctx, p, _ := openPage(t)
	s := browsertest.NewSite(t, map[string]string{"/": `<p id=out>nothing</p><button id=b>Gesture</button>
<div id=menu tabindex=0 style="width:100px">Menu<ul id=items
style="display:none"><li><a href="#chosen">Item</a></ul></div>
<style>#menu:hover ul { display: block !important }</style>
<script>for (const kind of ['click', 'dblclick', 'contextmenu', 'auxclick', 'mouseenter']) b.addEventListener(kind, e =>
	out.textContent = [kind, e.button, e.detail, e.ctrlKey, e.shiftKey, e.altKey, e.metaKey, e.isTrusted, held].join(' '));
let held = '';
addEventListener('keydown', e => held += e.key);
addEventListener('keyup', e => held += '-' + e.key)</script>`})
	obs := browsertest.Open(ctx, t, p, s.URL+"/")
	b := browsertest.Find(t, obs, "button", "Gesture").Ref
	for _, c := range []struct {
		why  string
		how  browser.Click
		want string
	}{
		{"one click", browser.Click{}, "click 0 1 false false false false true"},
		{"a double click", browser.Click{Count: 2}, "dblclick 0 2 false false false false true"},
		{"the right button", browser.Click{Button: browser.RightButton}, "2 1 false false false false true"},
		{"the middle button", browser.Click{Button: browser.MiddleButton}, "auxclick 1 1"},
		{"keys that are held", browser.Click{Modifiers: []string{"Control", "Shift"}},
			"click 0 1 true true false false true ControlShift"},
		{"all keys, named as some do", browser.Click{Modifiers: []string{"alt", "meta", "Alt"}},
			"click 0 1 false false true true true ControlShift-Shift-ControlAltMeta"},
	} {
		require.NoError(t, p.Click(ctx, b, c.how), c.why)
		said(ctx, t, p, c.want)
	}
	require.ErrorContains(t, p.Click(ctx, b, browser.Click{Button: "fourth"}), "page.unknown_button")
	require.ErrorContains(t, p.Click(ctx, b, browser.Click{Count: 9}), "page.unknown_click")
	require.ErrorContains(t, p.Click(ctx, b, browser.Click{Modifiers: []string{"Power"}}), "page.unknown_key")

	require.NotContains(t, browsertest.Observe(ctx, t, p).Outline, "Item")
	menu := browsertest.Find(t, obs, "clickable", "Menu").Ref
	require.NoError(t, p.Hover(ctx, menu))
	require.NoError(t, p.Hover(ctx, b))
	said(ctx, t, p, "mouseenter 0 0")
	require.NoError(t, p.Hover(ctx, menu))
	item := browsertest.Find(t, browsertest.Observe(ctx, t, p), "link", "Item").Ref
	require.NoError(t, p.Click(ctx, item, browser.Click{}), "the menu stays open while the mouse is over it")
	require.Contains(t, browsertest.Observe(ctx, t, p).URL, "#chosen")
}

// TestThingsAreDragged drags what the browser drags and what a page moves by itself, by
// elements and by places.
func TestThingsAreDragged(t *testing.T) {
	ctx, p, _ := openPage(t)
	s := browsertest.NewSite(t, map[string]string{
		"/html": `<div style="height:40px">top</div><div id=a draggable=true tabindex=0 aria-label=Card role=button>Card</div>
<div style="height:1500px"></div><div id=z role=button tabindex=0 aria-label=Bin
style="width:200px;height:80px">Bin</div>
<p id=out style="position:fixed;top:0">nothing</p><script>
const log = []; const note = what => { if (log.at(-1) !== what) log.push(what); out.textContent = log.join(' '); };
a.ondragstart = e => { e.dataTransfer.setData('text/plain', 'card 7'); e.dataTransfer.effectAllowed = 'move';
	note('start') };
a.ondragend = e => note('end:' + e.dataTransfer.dropEffect);
z.ondragenter = e => note('enter'); z.ondragover = e => { e.preventDefault(); note('over') };
z.ondrop = e => { e.preventDefault(); note('drop:' + e.dataTransfer.getData('text/plain')) };</script>`,
		"/pointer": `<div id=knob tabindex=0 role=button aria-label=Knob ` +
			`style="position:absolute;left:40px;top:60px;z-index:2;` +
			`width:40px;height:40px;background:red;touch-action:none"></div>` +
			`<div id=slot role=button tabindex=0 aria-label=Slot ` +
			`style="position:absolute;left:400px;top:300px;width:80px;height:80px;background:#ddd"></div>` +
			`<p id=out>nothing</p><script>
let moves = 0, down = null;
knob.onpointerdown = e => { down = {x: e.clientX - knob.offsetLeft, y: e.clientY - knob.offsetTop};
	knob.setPointerCapture(e.pointerId); moves = 0 };
knob.onpointermove = e => { if (!down) return; moves++;
	knob.style.left = e.clientX - down.x + 'px'; knob.style.top = e.clientY - down.y + 'px' };
knob.onpointerup = e => { down = null; const k = knob.getBoundingClientRect(), s = slot.getBoundingClientRect();
	out.textContent = (k.left > s.left - 20 && k.right < s.right + 20 && k.top > s.top - 20
		? 'in the slot ' : 'elsewhere ')
		+ (moves > 5 ? 'smoothly' : 'at once') };</script>`,
		"/canvas": `<canvas id=c width=300 height=200 style="border:0;position:absolute;left:0;top:0"></canvas>
<p id=out style="position:absolute;top:220px">nothing</p><script>
let from; c.onmousedown = e => from = [e.offsetX, e.offsetY].map(Math.round);
c.onmouseup = e => out.textContent = from + ' to ' + [e.offsetX, e.offsetY].map(Math.round) + ' button ' + e.button;
c.onmousemove = e => { if (!e.buttons) document.title = 'over ' + e.offsetX + ',' + e.offsetY };</script>`,
		"/held": `<div id=a tabindex=0 role=button aria-label=Row>Row</div><div id=z tabindex=0 role=button
aria-label=Place>Place</div>
<p id=out>nothing</p><script>a.onmousedown = () => a.draggable = true;
a.ondragstart = e => e.dataTransfer.setData('a', 'b');
z.ondragover = e => e.preventDefault(); z.ondrop = () => out.textContent = 'dropped';
a.ondragend = () => a.draggable = false</script>`,
	})
	obs := browsertest.Open(ctx, t, p, s.URL+"/html")
	require.NoError(t, p.Drag(ctx, browsertest.Find(t, obs, "button", "Card").Ref,
		browsertest.Find(t, obs, "button", "Bin").Ref))
	said(ctx, t, p, "start enter over drop:card 7 end:move")

	obs = browsertest.Open(ctx, t, p, s.URL+"/pointer")
	require.NoError(t, p.Drag(ctx, browsertest.Find(t, obs, "button", "Knob").Ref,
		browsertest.Find(t, obs, "button", "Slot").Ref))
	said(ctx, t, p, "in the slot smoothly")
	require.NoError(t, p.DragAt(ctx, browser.Point{X: 440, Y: 340}, browser.Point{X: 90, Y: 500}))
	said(ctx, t, p, "elsewhere smoothly")

	obs = browsertest.Open(ctx, t, p, s.URL+"/held")
	require.NoError(t, p.Drag(ctx, browsertest.Find(t, obs, "button", "Row").Ref,
		browsertest.Find(t, obs, "button", "Place").Ref))
	said(ctx, t, p, "dropped")

	browsertest.Open(ctx, t, p, s.URL+"/canvas")
	require.NoError(t, p.DragAt(ctx, browser.Point{X: 10, Y: 20}, browser.Point{X: 200, Y: 150}))
	said(ctx, t, p, "10,20 to 200,150 button 0")
	require.ErrorContains(t, p.DragAt(ctx, browser.Point{X: 10, Y: 20}), "page.no_way")
	require.NoError(t, p.ClickAt(ctx, browser.Point{X: 33, Y: 44}, browser.Click{Button: browser.RightButton}))
	said(ctx, t, p, "33,44 to 33,44 button 2")
	require.NoError(t, p.HoverAt(ctx, browser.Point{X: 55, Y: 66}))
	require.Contains(t, browsertest.Observe(ctx, t, p).Title, "over 55,66")
	for _, at := range []browser.Point{
		{X: -1, Y: 5}, {X: 5, Y: 800}, {X: 1280, Y: 5}, {X: math.NaN(), Y: 5}, {X: math.Inf(1), Y: 5},
	} {
		inside := browser.Point{X: 5, Y: 5}
		require.ErrorContains(t, p.ClickAt(ctx, at, browser.Click{}), "page.outside_viewport", "%v", at)
		require.ErrorContains(t, p.HoverAt(ctx, at), "page.outside_viewport", "%v", at)
		require.ErrorContains(t, p.DragAt(ctx, at, inside), "page.outside_viewport", "%v", at)
		require.ErrorContains(t, p.DragAt(ctx, inside, at), "page.outside_viewport", "%v", at)
	}
}

// TestAnEntryDraggedOntoItsNeighbourTakesItsPlace sorts a list as most that can be sorted
// do: entries change places when the mouse has passed the middle of the next one.
func TestAnEntryDraggedOntoItsNeighbourTakesItsPlace(t *testing.T) {
	ctx, p, _ := openPage(t)
	s := browsertest.NewSite(t, map[string]string{"/": `<ul id=l style="user-select:none"><li>One<li>Two<li>Three</ul>
<p id=out>nothing</p><script>
let held = null;
l.onmousedown = e => held = e.target;
onmousemove = e => { for (const li of held ? l.children : []) {
	const box = li.getBoundingClientRect(), middle = box.top + box.height / 2;
	if (li === held || e.clientY < box.top || e.clientY >= box.bottom) continue;
	if (held.compareDocumentPosition(li) & 4 ? e.clientY > middle + 1 : e.clientY < middle - 1)
		held.compareDocumentPosition(li) & 4 ? li.after(held) : li.before(held);
	break;
} };
onmouseup = () => { held = null; out.textContent = [...l.children].map(li => li.textContent.trim()).join(' ') };
</script>`})
	obs := browsertest.Open(ctx, t, p, s.URL+"/")
	entry := func(name string) browser.Ref { return browsertest.Find(t, obs, "listitem", name).Ref }
	require.NoError(t, p.Drag(ctx, entry("One"), entry("Two")))
	said(ctx, t, p, "Two One Three")
	require.NoError(t, p.Drag(ctx, entry("Three"), entry("One")))
	said(ctx, t, p, "Two Three One")
}

// TestADragFollowsItsWay draws along an angle, and reads that no movement left it.
func TestADragFollowsItsWay(t *testing.T) {
	ctx, p, _ := openPage(t)
	s := browsertest.NewSite(t, map[string]string{"/": `<body style="margin:0;height:400px"><p id=out>nothing</p><script>
let down = false, off = 0, corner = false, moves = 0;
onmousedown = () => down = true;
onmousemove = e => { if (!down) return; moves++;
	if (Math.min(Math.abs(e.clientY - 300), Math.abs(e.clientX - 250)) > 1) off++;
	corner = corner || e.clientX === 250 && e.clientY === 300 };
onmouseup = e => out.textContent = 'off ' + off + ' corner ' + corner + ' at ' + e.clientX + ',' + e.clientY +
	(moves > 20 ? ' smoothly' : ' at once');
</script>`})
	browsertest.Open(ctx, t, p, s.URL+"/")
	require.NoError(t, p.DragAt(ctx,
		browser.Point{X: 100, Y: 300}, browser.Point{X: 250, Y: 300}, browser.Point{X: 250, Y: 120}))
	said(ctx, t, p, "off 0 corner true at 250,120 smoothly")
}

// TestADragLeavesNoButtonPressed drags to what is gone, and clicks afterwards.
func TestADragLeavesNoButtonPressed(t *testing.T) {
	ctx, p, _ := openPage(t)
	s := browsertest.NewSite(t, map[string]string{"/": `<p id=out>nothing</p>
<button id=a onpointerdown="z.style.left = '-5000px'">From</button><button id=z style="position:absolute">To</button>
<button id=b>After</button><script>b.onmousemove = e => out.textContent = 'buttons ' + e.buttons</script>`})
	obs := browsertest.Open(ctx, t, p, s.URL+"/")
	err := p.Drag(ctx, browsertest.Find(t, obs, "button", "From").Ref, browsertest.Find(t, obs, "button", "To").Ref)
	require.ErrorContains(t, err, "page.not_in_view")
	require.NoError(t, p.Hover(ctx, browsertest.Find(t, obs, "button", "After").Ref))
	said(ctx, t, p, "buttons 0")
}

// TestClickComesToWhatIsHardToReach clicks below a header that stays in its place, and
// what can only be clicked by its label.
func TestClickComesToWhatIsHardToReach(t *testing.T) {
	ctx, p, _ := openPage(t)
	s := browsertest.NewSite(t, map[string]string{
		"/sticky": `<div style="position:fixed;top:0;left:0;right:0;height:120px;background:#eee;z-index:5">Header</div>
<p id=out style="margin-top:130px">nothing</p><div style="height:900px"></div><button id=b
onclick="out.textContent='clicked'">Below</button>
<div style="height:3000px"></div><script>scrollTo(0, 1030)</script>`,
		"/footer": `<div style="position:fixed;bottom:0;left:0;right:0;height:300px;background:#eee;z-index:5">Footer</div>
<p id=out>nothing</p><div style="height:1200px"></div><button id=b onclick="out.textContent='clicked'">Above</button>
<div style="height:900px"></div>`,
		"/labels": `<style>label.off input { position: absolute; left: -9999px } .hidden { position: absolute; width: 1px; ` +
			`height: 1px; overflow: hidden; clip: rect(0 0 0 0) } input.gone { display: none }
.skip { position: absolute; left: -9999px } .skip:focus { left: 0 }</style>
<a class=skip href="#main" onclick="out.textContent='skipped'">Skip</a><p id=out>nothing</p>
<label class=off><input type=checkbox aria-label=Far onchange="out.textContent='far ' + this.checked"> Far away</label>
<input class=hidden type=radio id=r aria-label=Near
onchange="out.textContent='near ' + this.checked"><label for=r>Nearby</label>
<input class=gone type=checkbox id=g onchange="out.textContent='gone ' + this.checked"><label for=g>Gone</label>
<label class=off><input type=checkbox aria-label=Terms onchange="out.textContent='terms ' + this.checked">` +
			`<a href="/elsewhere" style="display:inline-block;width:300px;text-align:center">the terms</a> agreed</label>`,
	})
	for _, path := range []string{"/sticky", "/footer"} {
		obs := browsertest.Open(ctx, t, p, s.URL+path)
		b := browsertest.Find(t, obs, "button", map[string]string{"/sticky": "Below", "/footer": "Above"}[path])
		require.NoError(t, p.Click(ctx, b.Ref, browser.Click{}), path)
		said(ctx, t, p, "clicked")
	}
	obs := browsertest.Open(ctx, t, p, s.URL+"/labels")
	for _, c := range []struct{ role, name, want string }{
		{"checkbox", "Far", "far true"}, {"checkbox", "Far", "far false"}, {"radio", "Near", "near true"},
		{"checkbox", "Gone", "gone true"}, {"checkbox", "Gone", "gone false"},
		{"checkbox", "Terms", "terms true"}, {"link", "Skip", "skipped"},
	} {
		require.NoError(t, p.Click(ctx, browsertest.Find(t, obs, c.role, c.name).Ref, browser.Click{}), c.want)
		said(ctx, t, p, c.want)
	}
	require.Contains(t, browsertest.Observe(ctx, t, p).URL, "/labels", "the link in the label was not clicked")
}

// TestScrollMovesTheListThatIsMeantAndSaysWhenNothingMoves scrolls lists beside the
// middle, in frames, sideways, and to their ends.
func TestScrollMovesTheListThatIsMeantAndSaysWhenNothingMoves(t *testing.T) {
	ctx, p, _ := openPage(t)
	s := browsertest.NewSite(t, map[string]string{
		"/": `<p id=out>nothing</p><div id=list style="height:200px;width:200px;overflow:auto"><div style="height:1000px">
<button>First</button></div></div><div id=row
style="width:200px;overflow-x:auto;white-space:nowrap"><div style="width:900px">
<button>Left</button></div></div><button>Outside</button><script>
list.onscroll = () => out.textContent = 'list ' + list.scrollTop;
row.onscroll = () => out.textContent = 'row ' + row.scrollLeft;
</script>`,
		"/frame": `<iframe src=/inner style="width:600px;height:400px"></iframe>`,
		"/inner": `<button>Inner</button><p id=out style="position:fixed;top:30px">nothing</p><div
style="height:3000px"></div>
<script>onscroll = () => out.textContent = 'inner ' + scrollY</script>`,
		"/own": `<div style="height:200px;overflow:hidden"><div id=rows role=button tabindex=0
style="height:100px;width:300px">Rows</div></div><p id=out>nothing</p><script>
let y = 0;
rows.parentElement.onwheel = e => { e.preventDefault(); rows.style.transform = 'translateY(' + (y -= e.deltaY) + 'px)';
	out.textContent = 'rows ' + y };</script>`,
		"/locked": `<button>Dialog</button><script>
document.addEventListener('wheel', e => e.preventDefault(), {passive: false})</script>`,
	})
	scroll := func(ref browser.Ref, pages int) bool {
		t.Helper()
		moved, err := p.Scroll(ctx, ref, pages)
		require.NoError(t, err)
		return moved
	}
	obs := browsertest.Open(ctx, t, p, s.URL+"/")
	first := browsertest.Find(t, obs, "button", "First").Ref
	require.True(t, scroll(first, 1))
	said(ctx, t, p, "list 200")
	require.True(t, scroll(first, 50))
	said(ctx, t, p, "list 800")
	require.False(t, scroll(first, 1), "it is at its end")
	require.True(t, scroll("", -1), "the page does not scroll, so what does on it is meant")
	said(ctx, t, p, "list 600")
	require.True(t, scroll(browsertest.Find(t, obs, "button", "Left").Ref, 1))
	said(ctx, t, p, "row 200")
	require.False(t, scroll(browsertest.Find(t, obs, "button", "Outside").Ref, 1))
	_, err := p.Scroll(ctx, "e999", 1)
	require.ErrorContains(t, err, "page.unknown_ref")

	obs = browsertest.Open(ctx, t, p, s.URL+"/frame")
	require.True(t, scroll(browsertest.Find(t, obs, "button", "Inner").Ref, 1))
	said(ctx, t, p, "inner 400")
	require.True(t, scroll("", 1), "the frame is what scrolls on the page")
	said(ctx, t, p, "inner 800")

	obs = browsertest.Open(ctx, t, p, s.URL+"/own")
	require.True(t, scroll(browsertest.Find(t, obs, "button", "Rows").Ref, 1), "the page moves it for the wheel")
	said(ctx, t, p, "rows -100")
	obs = browsertest.Open(ctx, t, p, s.URL+"/locked")
	require.False(t, scroll(browsertest.Find(t, obs, "button", "Dialog").Ref, 1), "the page only stops the wheel")
	require.False(t, scroll("", 1))
}

// TestChordsArePressedAsHandsDo presses several keys at once and reads what the page saw.
func TestChordsArePressedAsHandsDo(t *testing.T) {
	ctx, p, _ := openPage(t)
	s := browsertest.NewSite(t, map[string]string{"/": `<p id=out>nothing</p><script>let keys = [];
for (const kind of ['keydown', 'keyup']) addEventListener(kind, e => { if (e.key === 'F2') keys = [];
	else keys.push((kind === 'keyup' ? '-' : '')
	+ e.key + (kind === 'keydown' && e.code !== e.key ? '/' + e.code : '') + (e.ctrlKey ? 'c' : '')
	+ (e.shiftKey ? 's' : '')
	+ (e.metaKey ? 'm' : ''));
	out.textContent = keys.join(' ') + '.' })</script>`})
	browsertest.Open(ctx, t, p, s.URL+"/")
	for _, c := range []struct{ press, want string }{
		{"Control+Shift+K", "Control/ControlLeftc Shift/ShiftLeftcs K/KeyKcs -Kcs -Shiftc -Control."},
		{"Control+Shift+k", "Control/ControlLeftc Shift/ShiftLeftcs K/KeyKcs -Kcs -Shiftc -Control."},
		{"Meta", "Meta/MetaLeft -Meta."},
		{"cmd+ArrowUp", "Meta/MetaLeftm ArrowUpm -ArrowUpm -Meta."},
		{"Control+/", "Control/ControlLeftc //Slashc -/c -Control."},
		{"?", "Shift/ShiftLefts ?/Slashs -?s -Shift."},
		{"Q", "Shift/ShiftLefts Q/KeyQs -Qs -Shift."},
		{"+", "Shift/ShiftLefts +/Equals -+s -Shift."},
		{"Control++", "Control/ControlLeftc +/Equalc -+c -Control."},
		{"Shift", "Shift/ShiftLeft -Shift."},
	} {
		require.NoError(t, p.Press(ctx, "F2"))
		require.NoError(t, p.Press(ctx, c.press), c.press)
		said(ctx, t, p, "text: "+c.want)
	}
}

// TestNoGestureCarriesAFilledValue drags, selects and pastes in a browser where a login
// was filled.
func TestNoGestureCarriesAFilledValue(t *testing.T) {
	ctx, p, _ := openPage(t)
	s := browsertest.NewSite(t, map[string]string{"/": `<form action=/in method=post><input name=u aria-label=Username>
<input name=p type=password aria-label=Password><input name=c aria-label=Code
autocomplete=one-time-code><button>Log in</button></form>
<div id=card draggable=true role=button tabindex=0 aria-label=Card>Card</div><textarea aria-label=Loot></textarea>
<p id=out>nothing</p><script>const loot = document.querySelector('textarea');
card.ondragstart = e => e.dataTransfer.setData('text/plain',
	steal ? document.querySelector('[name=c]').value : 'harmless');
let steal = false; card.oncontextmenu = () => { steal = true; out.textContent = 'steals' };
</script>`})
	obs := browsertest.Open(ctx, t, p, s.URL+"/")
	of := func(role, name string) browser.Ref { return browsertest.Find(t, obs, role, name).Ref }
	require.NoError(t, p.Drag(ctx, of("button", "Card"), of("textbox", "Loot")))
	require.Equal(t, "harmless", browsertest.Find(t, browsertest.Observe(ctx, t, p), "textbox", "Loot").Value)

	fill := browsertest.Login("totp", "918273", s.URL)
	fill.Direct = true
	require.NoError(t, p.Fill(ctx, of("textbox", "Code"), fill))
	require.NoError(t, p.Click(ctx, of("textbox", "Code"), browser.Click{Count: 3}))
	require.ErrorContains(t, p.Drag(ctx, of("textbox", "Code"), of("textbox", "Loot")), "page.drag_refused",
		"the selected code")
	require.NoError(t, p.Drag(ctx, of("button", "Card"), of("textbox", "Loot")),
		"what holds no value is dragged as before")
	require.NoError(t, p.Click(ctx, of("button", "Card"), browser.Click{Button: browser.RightButton}))
	said(ctx, t, p, "steals")
	require.ErrorContains(t, p.Drag(ctx, of("button", "Card"), of("textbox", "Loot")), "page.drag_refused",
		"a script's own")
	require.ErrorContains(t, p.Click(ctx, of("textbox", "Loot"), browser.Click{Button: browser.MiddleButton}),
		"page.click_refused")
	require.ErrorContains(t, p.ClickAt(ctx, browser.Point{X: 5, Y: 5}, browser.Click{Button: browser.MiddleButton}),
		"page.click_refused")
	require.ErrorContains(t, p.Press(ctx, "Control+Shift+V"), "page.key_refused")
	after := browsertest.Observe(ctx, t, p)
	browsertest.RequireUnseen(t, "918273", after.Outline)
	require.NotContains(t, browsertest.Find(t, after, "textbox", "Loot").Value, "918")
}
