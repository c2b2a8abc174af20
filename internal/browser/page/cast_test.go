package page_test

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/jpeg"
	"image/png"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
	"github.com/bctrl-go/bctrl/internal/sample"
)

// audience keeps the pictures of a tab that is shown.
type audience struct {
	mu     sync.Mutex
	frames []browser.Frame
}

// watch shows a tab until the test ends.
func watch(ctx context.Context, t *testing.T, screen browser.Screen, tab browser.TabID) *audience {
	t.Helper()
	a := new(audience)
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		ended <- screen.Cast(ctx, tab, func(f browser.Frame) {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.frames = append(a.frames, f)
		})
	}()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	return a
}

// since returns the pictures from the nth on.
func (a *audience) since(n int) []browser.Frame {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.frames[min(n, len(a.frames)):]
}

// until waits for a picture of which shows is true, from the nth on.
func (a *audience) until(t *testing.T, n int, why string, shows func(image.Image) bool) {
	t.Helper()
	require.Eventually(t, func() bool {
		for _, f := range a.since(n) {
			n++
			if f.JPEG != nil && shows(pictured(t, f)) {
				return true
			}
		}
		return false
	}, 20*time.Second, 20*time.Millisecond, why)
}

func pictured(t *testing.T, f browser.Frame) image.Image {
	t.Helper()
	img, err := jpeg.Decode(bytes.NewReader(f.JPEG))
	require.NoError(t, err)
	return img
}

// magenta counts the pixels that are clearly magenta, which on the pages below the text
// of what was filled is, and nothing else.
func magenta(img image.Image) (n int) {
	for pixel := range slices.Chunk(browsertest.Pixels(img).Pix, 4) {
		if pixel[1] < 130 && pixel[0] > 160 && pixel[2] > 160 {
			n++
		}
	}
	return n
}

func showsMagenta(img image.Image) bool { return magenta(img) > 0 }

// castForm is the beginning of a page with a password, 15 characters of which have it call what
// a script makes begin, and say that it is done a second later.
const castForm = `<style>body{background:#fff}input,.e{font:900 40px monospace;color:#f0f;background:#fff;` +
	`position:absolute;left:40px;top:80px;border:0;width:700px}.e{top:300px}b{position:absolute;top:10px}</style>` +
	`<b id=tick>0</b><form><input type=password name=p id=p aria-label=Password></form><script>
		let n = 0, begin; const every = (ms, f) => setInterval(f, ms);
		const echo = document.createElement('div'); echo.className = 'e';
		p.addEventListener('input', () => {
			if (p.value.length != 15) return;
			begin();
			every(25, () => { tick.textContent = ++n; if (n == 40) fetch('/done' + location.pathname); });
		});
		begin = () => {`

// jumps has the field of castForm be elsewhere all the time.
const jumps = `p.type = 'text'; every(15, () => { p.style.left = Math.random() * 500 + 'px';` +
	` p.style.top = Math.random() * 600 + 'px'; });`

// TestNoPictureShowsWhatWasFilled watches pages that do what they can with a value that
// was typed into them, while people watch. The value is magenta on all of them, and
// nothing else is.
func TestNoPictureShowsWhatWasFilled(t *testing.T) {
	pages := map[string]string{
		"/shows":  `every(30, () => p.type = n % 2 ? 'text' : 'password');`,
		"/echoes": `document.body.append(echo); every(20, () => echo.textContent = n % 2 ? p.value : '');`,
		"/inserts": `every(20, () => { if (echo.isConnected) return echo.remove(); echo.textContent = p.value; ` +
			`document.body.append(echo); });`,
		"/jumps": jumps,
		"/slides": `p.type = 'text'; p.animate([{transform: 'translate(0,0)'}, {transform: 'translate(500px,500px)'}],` +
			` {duration: 400, iterations: Infinity, direction: 'alternate'});`,
		"/copies": `const q = document.createElement('input'); q.style.top = '400px'; document.body.append(q);` +
			` every(20, () => q.value = n % 2 ? p.value : '');`,
		"/scrolls": `p.type = 'text'; document.body.style.height = '4000px'; every(16, () => scrollTo(0, n % 60 * 5));`,
		"/blinks":  `p.type = 'text'; every(20, () => p.style.display = p.style.display ? '' : 'none');`,
		"/class": `const none = document.createElement('style'); none.textContent = '.none { display: none }';` +
			` echo.textContent = p.value; echo.classList.add('none'); document.body.append(none, echo);` +
			` every(20, () => echo.classList.toggle('none'));`,
		"/renews": `p.type = 'text'; every(40, () => { const q = p.cloneNode(); q.value = p.value; p.replaceWith(q); });`,
	}
	ctx, p, _ := openPage(t)
	served := map[string]string{"/control": castForm + `}; p.type = 'text'; p.value = 'Visible1';</script>`}
	for path, script := range pages {
		served[path], served["/done"+path] = castForm+script+`}</script>`, "done"
	}
	s := browsertest.NewSite(t, served)
	browsertest.Open(ctx, t, p, s.URL+"/control")
	a := watch(ctx, t, p.Screen(), "t1")
	a.until(t, 0, "what was not filled is shown, and found", showsMagenta)
	// What is on its way from that page has come when another is seen.
	require.NoError(t, p.Goto(ctx, "about:blank", ""))
	a.until(t, len(a.since(0)), "nothing is magenta any more", func(img image.Image) bool { return !showsMagenta(img) })
	for _, path := range sample.Of(t, 3, slices.Sorted(maps.Keys(pages))) {
		begun := len(a.since(0))
		obs := browsertest.Open(ctx, t, p, s.URL+path)
		login := browsertest.Login("password", "Zebra-Quarry-77", s.URL)
		login.Direct = true
		require.NoError(t, p.Fill(ctx, browsertest.Find(t, obs, "textbox", "Password").Ref, login), path)
		require.Eventually(t, func() bool { return len(s.RequestsTo("/done"+path)) > 0 }, 30*time.Second,
			20*time.Millisecond, "%s has had its time", path)
		for _, f := range a.since(begun) {
			if f.JPEG != nil {
				require.Zero(t, magenta(pictured(t, f)), path)
			}
		}
	}
}

// TestATabIsShownWhileItsPageIsReplaced begins to show a tab over and over while it goes from
// site to site: between two of them it has no page that could be shown.
func TestATabIsShownWhileItsPageIsReplaced(t *testing.T) {
	ctx, p, _ := openPage(t)
	one := browsertest.NewSite(t, map[string]string{"/": "one"})
	other := browsertest.NewSite(t, map[string]string{"/": "other"})
	there := strings.Replace(other.URL, "127.0.0.1", "localhost", 1) // another site for the browser
	gone := make(chan error, 1)
	go func() {
		var errs []error
		for range 10 {
			errs = append(errs, p.Goto(ctx, one.URL, ""), p.Goto(ctx, there, ""))
		}
		gone <- errors.Join(errs...)
	}()
	for {
		select {
		case err := <-gone:
			require.NoError(t, err)
			return
		default:
		}
		shown, cancel := context.WithCancel(ctx)
		err := p.Screen().Cast(shown, "t1", func(browser.Frame) { cancel() })
		cancel()
		require.NoError(t, err)
	}
}

// TestAPersonUsesAPageByWhatTheScreenShows does what a person does, by shares of the
// picture.
func TestAPersonUsesAPageByWhatTheScreenShows(t *testing.T) {
	ctx, p, _ := openPage(t)
	screen := p.Screen()
	s := browsertest.NewSite(t, map[string]string{"/": `<style>body{margin:0;height:4000px}
		body > *{position:absolute}</style>
		<button style="left:100px;top:100px;width:200px;height:50px" onclick="say('clicked ' + event.detail)">Go</button>
		<input id=i aria-label=Name style="left:100px;top:200px;width:300px;height:40px">
		<div style="top:3000px">low</div><p id=out style="top:300px"></p>
		<div id=d draggable=true style="left:600px;top:100px;width:80px;height:80px;background:red"></div>
		<div id=e style="left:800px;top:100px;width:80px;height:80px;background:green"></div>
		<script>const say = text => { out.textContent += text + ';'; };
		document.addEventListener('touchstart', e => say('touched ' + e.touches.length));
		i.onkeydown = e => say(e.key + '/' + e.code);
		onscroll = () => { if (scrollY > 200) { say('scrolled'); onscroll = null; } };
		d.ondragstart = e => e.dataTransfer.setData('text/plain', 'card');
		e.ondragover = e => e.preventDefault();
		e.ondrop = e => say('dropped ' + e.dataTransfer.getData('text/plain'));
		</script>`})
	browsertest.Open(ctx, t, p, s.URL+"/")
	defer screen.TakeOver(ctx)()
	at := func(x, y float64) browser.Point { return browser.Point{X: x / 1280, Y: y / 800} }
	do := func(gestures ...browser.Gesture) {
		t.Helper()
		for _, g := range gestures {
			require.NoError(t, screen.Do(ctx, "t1", g), g.Kind)
		}
	}
	says := func(text string) {
		t.Helper()
		require.Eventually(t, func() bool { return strings.Contains(browsertest.Observe(ctx, t, p).Outline, text) },
			10*time.Second, 20*time.Millisecond, text)
	}
	press := func(p browser.Point, count int) []browser.Gesture {
		return []browser.Gesture{
			{Kind: browser.MouseMove, At: p},
			{Kind: browser.MouseDown, At: p, Button: browser.LeftButton, Buttons: 1, Count: count},
			{Kind: browser.MouseUp, At: p, Button: browser.LeftButton, Count: count},
		}
	}
	do(press(at(150, 120), 1)...)
	says("clicked 1;")
	do(press(at(150, 120), 2)...)
	says("clicked 2;")
	do(press(at(150, 220), 1)...)
	for _, r := range "Ab" {
		do(browser.Gesture{Kind: browser.KeyDown, Key: string(r), Code: "Key" + strings.ToUpper(string(r)), Text: string(r)},
			browser.Gesture{Kind: browser.KeyUp, Key: string(r)})
	}
	do(browser.Gesture{Kind: browser.KeyDown, Key: "Backspace", Code: "Backspace"},
		browser.Gesture{Kind: browser.InsertText, Text: "é日 pasted"},
		browser.Gesture{Kind: browser.Compose, Text: "に"}, browser.Gesture{Kind: browser.Compose},
		browser.Gesture{Kind: browser.InsertText, Text: "日本"},
		browser.Gesture{Kind: browser.KeyDown, Key: "VolumeUp"})
	says(`value="Aé日 pasted日本"`)
	says("A/KeyA;b/KeyB;Backspace/Backspace;")
	do(browser.Gesture{Kind: browser.TouchStart, Points: []browser.Touch{{ID: 1, At: at(150, 120)}}},
		browser.Gesture{Kind: browser.TouchEnd})
	says("touched 1;")
	says("touched 1;clicked 1;") // as a touch screen has it
	do(browser.Gesture{Kind: browser.MouseMove, At: at(640, 140)},
		browser.Gesture{Kind: browser.MouseDown, At: at(640, 140), Button: browser.LeftButton, Buttons: 1})
	dragged := 0.0
	require.Eventually(t, func() bool { // the browser takes a moment to tell that it drags
		dragged = min(dragged+8, 200)
		do(browser.Gesture{Kind: browser.MouseMove, At: at(640+dragged, 140), Buttons: 1})
		return dragged == 200 && p.PersonDrags()
	}, 10*time.Second, 10*time.Millisecond, "what can be dragged is")
	do(browser.Gesture{Kind: browser.MouseUp, At: at(840, 140), Button: browser.LeftButton})
	says("dropped card;")
	do(browser.Gesture{Kind: browser.Wheel, At: at(400, 400), DeltaY: 600})
	says("scrolled;")
	for _, g := range []browser.Gesture{
		{Kind: browser.MouseMove, At: browser.Point{X: 1.5}}, {Kind: "wave"},
		{Kind: browser.InsertText, Text: strings.Repeat("x", browser.MaxGestureText+1)},
	} {
		require.Error(t, screen.Do(ctx, "t1", g), g.Kind)
	}
	require.Error(t, screen.Do(ctx, "t9", browser.Gesture{Kind: browser.Reload}))
}

// TestAPersonCarriesNoFilledValueElsewhere has a person at a page with a login try to.
func TestAPersonCarriesNoFilledValueElsewhere(t *testing.T) {
	ctx, p, b := openPage(t)
	s := browsertest.NewSite(t, map[string]string{"/": `<form><input type=password aria-label=Password></form><input>`})
	obs := browsertest.Open(ctx, t, p, s.URL+"/")
	require.NoError(t, p.Fill(ctx, browsertest.Find(t, obs, "textbox", "Password").Ref,
		browsertest.Login("password", browsertest.Hunter, s.URL)))
	placeholder, _, _ := strings.Cut(browsertest.InputValues(ctx, t, b), "\n")
	for _, c := range []struct {
		why     string
		gesture browser.Gesture
		code    string
	}{
		{"copied", browser.Gesture{Kind: browser.KeyDown, Key: "c", Modifiers: []string{"Control"}}, "page.key_refused"},
		{"cut", browser.Gesture{Kind: browser.KeyDown, Key: "x", Modifiers: []string{"Meta"}}, "page.key_refused"},
		{"pasted", browser.Gesture{Kind: browser.KeyDown, Key: "Insert", Modifiers: []string{"Shift"}}, "page.key_refused"},
		{"undone", browser.Gesture{Kind: browser.KeyDown, Key: "z", Modifiers: []string{"Control"}}, "page.key_refused"},
		{"pasted by the mouse", browser.Gesture{Kind: browser.MouseDown, Button: browser.MiddleButton}, "page.click_refused"},
		{"what stands for it", browser.Gesture{Kind: browser.InsertText, Text: placeholder}, "page.text_refused"},
	} {
		err := p.Screen().Do(ctx, "t1", c.gesture)
		refused, ok := errors.AsType[*bctrl.Error](err)
		require.True(t, ok, c.why)
		require.Equal(t, c.code, refused.Code, c.why)
	}
	require.NoError(t, p.Screen().Do(ctx, "t1",
		browser.Gesture{Kind: browser.KeyDown, Key: "a", Modifiers: []string{"Control"}}))
}

// TestAPictureIsTakenWhileThePageIsReplaced takes pictures over and over while the tab goes from
// site to site: a browser never answers for a page that is gone meanwhile.
func TestAPictureIsTakenWhileThePageIsReplaced(t *testing.T) {
	ctx, p, _ := openPage(t)
	one := browsertest.NewSite(t, map[string]string{"/": "one"})
	other := browsertest.NewSite(t, map[string]string{"/": "other"})
	there := strings.Replace(other.URL, "127.0.0.1", "localhost", 1) // another site for the browser
	gone := make(chan error, 1)
	go func() {
		var errs []error
		for range 40 {
			errs = append(errs, p.Goto(ctx, one.URL, ""), p.Goto(ctx, there, ""))
		}
		gone <- errors.Join(errs...)
	}()
	for {
		select {
		case err := <-gone:
			require.NoError(t, err)
			return
		default:
		}
		shot, err := p.Screenshot(ctx, false)
		require.NoError(t, err)
		_, err = png.Decode(bytes.NewReader(shot))
		require.NoError(t, err)
	}
}
