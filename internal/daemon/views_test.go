package daemon

import (
	"bytes"
	"fmt"
	"image/jpeg"
	"image/png"
	"math"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/page"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

// stagePage tells its site what is done to it. The box in the corner changes from red to
// blue and back.
const stagePage = `<!doctype html><title>Stage</title><style>
	body { margin: 0; background: #fff } body > * { position: absolute }
	#box { left: 0; top: 0; width: 200px; height: 100px; background: rgb(255, 0, 0) }
	#box.moved { background: rgb(0, 0, 255) }
	#go { left: 400px; top: 100px; width: 400px; height: 100px }
	#ask { left: 900px; top: 100px; width: 200px; height: 100px }
	input { left: 400px; width: 700px; height: 80px; border: 0; font: 900 40px monospace; color: #f0f; background: #fff }
	#typed { top: 300px } #secret { top: 500px }
</style>
<div id=box></div><button id=go>Go</button><button id=ask>Ask</button>
<input id=typed aria-label=Typed><input id=secret type=password aria-label=Password>
<script>
	setInterval(() => box.classList.toggle('moved'), 300);
	const told = new Set(), did = what => { if (!told.has(what)) { told.add(what); fetch('/did/' + what); } };
	go.onclick = () => did('click');
	ask.onclick = () => { if (confirm('Sure?')) did('answered'); };
	addEventListener('touchstart', () => did('touch'));
	onwheel = e => did('wheel');
	typed.oninput = () => { if (typed.value === 'ab') did('typed'); if (typed.value === 'ab pasted') did('pasted'); };
	secret.oninput = () => { if (secret.value.length === 15) { secret.type = 'text'; did('filled'); } };
</script>`

const secondPage = `<!doctype html><title>Second</title><body style="background:rgb(0,255,0)">`

// holderPage holds a page in a frame, whose address stands behind the number sign.
const holderPage = `<!doctype html><title>Holder</title><iframe id=held style="width:1000px;height:700px"></iframe>
	<script>held.src = decodeURIComponent(location.hash.slice(1))</script>`

// TestThePagesOfViewsInARealBrowser opens the pages that show a browser in another one.
func TestThePagesOfViewsInARealBrowser(t *testing.T) {
	th := newTheatre(t)
	th.visit("/")
	for _, part := range []struct {
		promise string
		holds   func(*theatre)
	}{
		{"a person sees the browser move, and its tabs", seesWhatMoves},
		{"a person takes the browser over by mouse, keys, paste and touch, and tasks wait", takesOver},
		{"anybody reads and operates the page, by keyboard, on a phone and with a screen reader", isReadAndOperatedByAnybody},
		{"a page of a named origin holds a view in a frame, and no other does", isHeldInFrames},
		{"a recording that goes on leaves the focus where it is", goesOnUnderItsReader},
		{"a page receives nothing of what was filled", receivesNothingFilled},
	} {
		t.Run(part.promise, func(t *testing.T) { part.holds(th.in(t)) })
	}
	require.NoError(t, th.shown.Stop(t.Context()))
	t.Run("a recording is played, sought, read and operated by anybody", func(t *testing.T) { isPlayed(th.in(t)) })
	t.Run("a recording is downloaded as a movie that players know", func(t *testing.T) { isDownloaded(th.in(t)) })
	t.Run("a recording that was deleted is said to be gone", func(t *testing.T) { isSaidToBeGone(th.in(t)) })
}

func seesWhatMoves(th *theatre) {
	s := th.sit()
	s.open(th.live(bctrl.LiveOptions{}).URL)
	s.until("picture.dataset.shown", "a picture is drawn")
	shows := func(x, y float64, colour, why string) {
		s.Helper()
		require.Eventually(s, func() bool { return near(s.pixel(x, y), colour) }, 20*time.Second, 10*time.Millisecond, why)
	}
	for range 2 {
		shows(0.05, 0.05, "255,0,0", "the box is red")
		shows(0.05, 0.05, "0,0,255", "the box is blue")
	}
	s.until(fmt.Sprintf("address.textContent === %q", th.site.LocalhostURL()+"/"), "the address is shown")
	tab, err := th.shown.Pages.Open(th.Context(), th.site.LocalhostURL()+"/second")
	require.NoError(s, err)
	shows(0.5, 0.5, "0,255,0", "the tab that came to the front is shown")
	s.until("[...tabs.querySelectorAll('button')].map(b => b.textContent).join() === 'Stage,Second'", "tabs have titles")
	eval[any](s, "tabs.querySelector('button').click()")
	shows(0.5, 0.5, "255,255,255", "the tab that is chosen is shown")
	s.says("Follow the browser")
	eval[any](s, "tabs.querySelector('[data-tab=follow]').click()")
	shows(0.5, 0.5, "0,255,0", "the tab in front is shown again")
	require.NoError(s, th.shown.Pages.Close(th.Context(), tab.ID))
	shows(0.5, 0.5, "255,255,255", "a tab that was closed is shown no more")
	require.False(s, eval[bool](s, "!document.querySelector('#actions').hidden"), "there is nothing to take over")
	s.requireOwnRequestsAlone()
}

func takesOver(th *theatre) {
	s := th.sit()
	s.open(th.live(bctrl.LiveOptions{Interactive: true}).URL)
	s.until("picture.dataset.shown && !document.querySelector('#actions').hidden", "it is shown")
	s.press("Tab", "Tab")
	eval[any](s, "take.focus()")
	s.press("Enter")
	s.says("You have taken over")
	s.until("document.activeElement === keys", "the keyboard is the browser's")

	s.click(600.0/1280, 150.0/800)
	th.awaitSite("/did/click")
	x, y := s.at(0.5, 0.9)
	tell(s, input.DispatchMouseEvent, input.DispatchMouseEventParams{
		Type: "mouseWheel", X: x, Y: y, DeltaX: 1, DeltaY: 60,
	})
	th.awaitSite("/did/wheel")
	s.click(600.0/1280, 340.0/800)
	s.press("a", "b")
	th.awaitSite("/did/typed")
	eval[any](s, `(() => { const data = new DataTransfer(); data.setData('text/plain', ' pasted');
		keys.dispatchEvent(new ClipboardEvent('paste', {clipboardData: data, bubbles: true, cancelable: true})); })()`)
	th.awaitSite("/did/pasted")
	x, y = s.at(0.5, 0.9)
	s.size(1100, 800, true)
	s.swipe(input.DispatchTouchEventTypeTouchStart, &input.TouchPoint{X: x, Y: y})
	s.swipe(input.DispatchTouchEventTypeTouchEnd)
	th.awaitSite("/did/touch")
	s.size(1100, 800, false)

	gone := make(chan error, 1)
	go func() {
		_, err := th.shown.Page.Goto(th.Context(), th.site.LocalhostURL()+"/second")
		gone <- err
	}()
	s.says("You have taken over, the agent waits")
	s.until("document.activeElement === keys", "all keys are the browser's")
	s.press("F6")
	s.until("document.activeElement === take", "F6 leaves the picture")
	select {
	case err := <-gone:
		require.FailNow(s, "the task did not wait", "%v", err)
	default:
	}
	s.press("Enter")
	require.NoError(s, <-gone)
	s.until("take.textContent === 'Take over'", "it was handed back")
	s.requireOwnRequestsAlone()
	th.visit("/")
}

func receivesNothingFilled(th *theatre) {
	s := th.sit()
	s.open(th.live(bctrl.LiveOptions{Interactive: true}).URL)
	s.until("picture.dataset.shown", "it is shown")
	_, err := th.shown.Page.Fill(th.Context(), bctrl.FillArgs{
		Key: "site", Password: &bctrl.ElementDescription{Role: "textbox", Name: "Password"},
	})
	require.NoError(s, err)
	th.awaitSite("/did/filled")
	s.mu.Lock()
	before := s.pictures
	s.mu.Unlock()
	require.Eventually(s, func() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.pictures > before+1 },
		20*time.Second, 20*time.Millisecond, "pictures come of the page that shows what was filled")
	s.until("picture.dataset.shown && document.querySelector('#cover').hidden", "they are shown")
	s.mu.Lock()
	defer s.mu.Unlock()
	masked := 0
	for _, m := range s.received {
		require.False(s, bytes.Contains(m, []byte(filledPassword)), "a message has it")
		if len(m) < 14 || m[12] != 0xff {
			continue
		}
		img, err := jpeg.Decode(bytes.NewReader(m[12:]))
		require.NoError(s, err)
		for y := 510; y < 570; y += 2 {
			for x := 410; x < 900; x += 2 {
				r, g, b, _ := img.At(x, y).RGBA()
				if r>>8 > 160 && b>>8 > 160 && g>>8 < 130 {
					require.Fail(s, "a picture shows what was filled")
				}
				if min(r, g, b)>>8 >= 96-ofJPEG && max(r, g, b)>>8 <= 96+ofJPEG {
					masked++
				}
			}
		}
	}
	require.Positive(s, masked, "it is painted over")
}

func isHeldInFrames(th *theatre) {
	named := []string{th.site.LocalhostURL()}
	recording, err := th.shown.RecordingWith(th.Context(), bctrl.RecordingOptions{EmbedOrigins: named})
	require.NoError(th, err)
	for kind, address := range map[string]string{
		"a live view": th.live(bctrl.LiveOptions{EmbedOrigins: named}).URL,
		"a recording": recording.URL,
	} {
		holder := "/holder#" + url.QueryEscape(address)
		s := th.sit()
		s.open(th.site.URL + holder)
		require.Eventually(s, func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return slices.ContainsFunc(s.problems, func(text string) bool { return strings.Contains(text, "frame-ancestors") })
		}, 20*time.Second, 20*time.Millisecond, "%s is refused to another origin", kind)
		require.False(s, s.showsTheStage(), kind)
		s = th.sit()
		s.open(named[0] + holder)
		require.Eventually(s, s.showsTheStage, 20*time.Second, 50*time.Millisecond, "%s is shown", kind)
	}
	views, err := th.shown.LiveViews(th.Context())
	require.NoError(th, err)
	require.True(th, slices.ContainsFunc(views, func(v *bctrl.LiveView) bool {
		return len(v.EmbedOrigins) > 0 && v.OpenedAt != nil
	}), "the live view was opened in its frame")
}

// showsTheStage reports whether the tab shows the ground on which both pages put a picture,
// whatever that is of, in a frame too.
func (s *seat) showsTheStage() bool {
	s.Helper()
	img, err := png.Decode(bytes.NewReader(tell(s, page.CaptureScreenshot, page.CaptureScreenshotParams{}).Data))
	require.NoError(s, err)
	for y := 0; y < img.Bounds().Dy(); y += 8 {
		for x := 0; x < img.Bounds().Dx(); x += 8 {
			r, g, b, _ := img.At(x, y).RGBA()
			if r>>8 == 0x20 && g>>8 == 0x24 && b>>8 == 0x2c { // --stage of page.css, where it is light
				return true
			}
		}
	}
	return false
}

// ofJPEG is how much JPEG may make of a colour.
const ofJPEG = 24

// near reports whether two colours differ by no more than that.
func near(a, b string) bool {
	var x, y [3]float64
	_, err1 := fmt.Sscanf(a, "%g,%g,%g", &x[0], &x[1], &x[2])
	_, err2 := fmt.Sscanf(b, "%g,%g,%g", &y[0], &y[1], &y[2])
	return err1 == nil && err2 == nil &&
		max(math.Abs(x[0]-y[0]), math.Abs(x[1]-y[1]), math.Abs(x[2]-y[2])) <= ofJPEG
}
