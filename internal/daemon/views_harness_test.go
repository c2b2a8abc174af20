package daemon

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/remote"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
)

// theatre is a server with two real browsers: one that is shown, and the one of a person
// who looks at the pages that show it.
type theatre struct {
	*testing.T
	url    string
	client *bctrl.Client
	ws     *bctrl.Workspace
	// shown is recorded, and visits site.
	shown *bctrl.Runtime
	site  *browsertest.Site
	// audience is the person's browser, for chromedp.
	audience context.Context
}

// filledPassword is what the vault has for the site. It is magenta where it is shown.
const filledPassword = "Zebra-Quarry-77"

func newTheatre(t *testing.T) *theatre {
	t.Helper()
	pages := map[string]string{"/": stagePage, "/second": secondPage, "/holder": holderPage}
	th := &theatre{T: t, site: browsertest.NewSite(t, pages)}
	th.open()
	var err error
	_, err = th.client.Vault.Set(t.Context(), "site", bctrl.VaultCredential{
		Username: "bot", Password: bctrl.NewSecret(filledPassword), Fill: bctrl.FillDirect,
		Origins: []string{th.site.LocalhostURL()},
	})
	require.NoError(t, err)
	th.ws, err = th.client.Workspaces.Create(t.Context(), bctrl.WorkspaceCreate{Name: "stage", Mounts: bctrl.Mounts{
		Vault:   &bctrl.VaultMount{Allow: []string{"site"}},
		Storage: &bctrl.StorageMount{Workspace: "stage"},
	}})
	require.NoError(t, err)
	th.shown = th.launch("shown", bctrl.Launch{Record: true})
	person := th.launch("person", bctrl.Launch{})
	address, err := person.ConnectURL(t.Context())
	require.NoError(t, err)
	allocator, cancelAllocator := remote.NewAllocator(context.Background(), address, remote.NoModifyURL)
	audience, cancel := chromedp.NewContext(allocator, chromedp.WithErrorf(func(string, ...any) {}))
	t.Cleanup(func() {
		cancel()
		cancelAllocator()
		chromedp.FromContext(audience).Allocator.Wait()
	})
	require.NoError(t, chromedp.Do(audience))
	th.audience = audience
	return th
}

// open starts the server.
func (th *theatre) open() {
	th.Helper()
	d, err := Open(th.Context(), Config{
		DataDir: filepath.Join(th.TempDir(), "data"),
		KeyFile: filepath.Join(th.TempDir(), "key"),
		Allow:   []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	})
	require.NoError(th, err)
	th.Cleanup(func() { require.NoError(th, d.Close()) })
	listener, err := (&net.ListenConfig{}).Listen(th.Context(), "tcp", "127.0.0.1:0")
	require.NoError(th, err)
	serving, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Serve(serving, listener) }()
	th.Cleanup(func() {
		stop()
		require.NoError(th, <-ended)
	})
	th.url = "http://" + listener.Addr().String()
	th.client, err = bctrl.New(bctrl.WithBaseURL(th.url), bctrl.WithAPIKey(d.FirstKey))
	require.NoError(th, err)
	th.Cleanup(th.client.CloseIdleConnections)
}

// in is the theatre for a part of its test.
func (th *theatre) in(t *testing.T) *theatre {
	own := *th
	own.T = t
	return &own
}

func (th *theatre) launch(alias string, l bctrl.Launch) *bctrl.Runtime {
	th.Helper()
	rt, err := th.ws.Runtimes.Browser(alias).Stagehand(th.Context(), l)
	require.NoError(th, err)
	return rt
}

func (th *theatre) visit(path string) {
	th.Helper()
	_, err := th.shown.Page.Goto(th.Context(), th.site.LocalhostURL()+path)
	require.NoError(th, err)
}

func (th *theatre) live(o bctrl.LiveOptions) *bctrl.LiveView {
	th.Helper()
	view, err := th.shown.Live(th.Context(), o)
	require.NoError(th, err)
	return view
}

// awaitSite waits until the site was told something.
func (th *theatre) awaitSite(path string) {
	th.Helper()
	require.Eventually(th, func() bool { return len(th.site.RequestsTo(path)) > 0 }, 20*time.Second, 10*time.Millisecond,
		"%s; the site has had %s", path, th.site.All())
}

// seat is a tab of the person.
type seat struct {
	*theatre
	ctx context.Context

	mu       sync.Mutex
	asked    []string // the addresses of all requests
	received [][]byte // the messages of websockets; those of pictures are binary
	pictures int
	problems []string // what the console has complained about
	failed   []string // why requests failed
}

// sit opens a tab of the person, which has to be closed by leaving.
func (th *theatre) sit() *seat {
	th.Helper()
	ctx, cancel := chromedp.NewContext(th.audience)
	ctx, cancelTimeout := context.WithTimeout(ctx, time.Minute)
	th.Cleanup(func() { cancelTimeout(); cancel() })
	s := &seat{theatre: th, ctx: ctx}
	require.NoError(th, chromedp.Listen(ctx, s.note))
	tell(s, network.Enable, network.EnableParams{})
	tell(s, cdplog.Enable, cdp.Empty{})
	s.size(1100, 800, false)
	return s
}

// note keeps what the tab does.
func (s *seat) note(ev any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch ev := ev.(type) {
	case *network.EventRequestWillBeSent:
		s.asked = append(s.asked, ev.Request.URL)
	case *network.EventWebSocketCreated:
		s.asked = append(s.asked, ev.URL)
	case *network.EventWebSocketFrameReceived:
		s.received = append(s.received, ev.Response.PayloadData)
		if ev.Response.Opcode == 2 {
			s.pictures++
		}
	case *network.EventLoadingFailed:
		s.failed = append(s.failed, ev.ErrorText+" "+string(ev.BlockedReason))
	case *cdplog.EventEntryAdded:
		if ev.Entry.Level == cdplog.EntryLevelError || ev.Entry.Source == cdplog.EntrySourceSecurity {
			s.problems = append(s.problems, ev.Entry.Text)
		}
	}
}

func tell[P, R any](s *seat, c cdp.Command[P, R], params P) R {
	s.Helper()
	got, err := chromedp.Call(s.ctx, c, params)
	require.NoError(s, err)
	return got
}

// size gives the tab the size of a window, or of a phone.
func (s *seat) size(width, height int64, phone bool) {
	s.Helper()
	tell(s, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: width, Height: height, DeviceScaleFactor: 1, Mobile: phone,
	})
	tell(s, emulation.SetTouchEmulationEnabled, emulation.SetTouchEmulationEnabledParams{Enabled: phone})
}

// look chooses light or dark.
func (s *seat) look(scheme string) {
	s.Helper()
	tell(s, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
}

func (s *seat) open(address string) {
	s.Helper()
	require.NoError(s, chromedp.Do(s.ctx, chromedp.Navigate(address)))
}

// eval returns what a script of the tab is.
func eval[T any](s *seat, script string) T {
	s.Helper()
	got, err := chromedp.Run(s.ctx, chromedp.Evaluate[T](script))
	require.NoError(s, err, script)
	return got
}

// until waits until a script is true.
func (s *seat) until(script, why string) {
	s.Helper()
	require.Eventually(s, func() bool { return eval[bool](s, "!!("+script+")") }, 20*time.Second, 10*time.Millisecond,
		"%s: %s\n%s", why, script, lazily(func() string { return eval[string](s, "document.body.innerText") }))
}

// lazily is a text that is made once it is printed.
type lazily func() string

func (l lazily) String() string { return l() }

// says waits until the page has a text, also one for screen readers.
func (s *seat) says(text string) {
	s.Helper()
	s.until(fmt.Sprintf("document.body.innerText.includes(%q)", text), "it says so")
}

// press presses keys one after the other: "Tab", "a".
func (s *seat) press(names ...string) {
	s.Helper()
	codes := map[string]int64{
		"Tab": 9, "Enter": 13, " ": 32, "End": 35, "Home": 36, "ArrowRight": 39, "ArrowLeft": 37, "F6": 117,
	}
	texts := map[string]string{
		"Enter": "\r", "Tab": "", "End": "", "Home": "", "ArrowRight": "", "ArrowLeft": "", "F6": "",
	}
	for _, name := range names {
		text, named := texts[name]
		if !named {
			text = name
		}
		kind := input.DispatchKeyEventTypeKeyDown
		if text == "" {
			kind = input.DispatchKeyEventTypeRawKeyDown
		}
		for _, kind := range []input.DispatchKeyEventType{kind, input.DispatchKeyEventTypeKeyUp} {
			p := input.DispatchKeyEventParams{Type: kind, Key: name, Code: name, WindowsVirtualKeyCode: codes[name]}
			if kind == input.DispatchKeyEventTypeKeyDown {
				p.Text = text
			}
			tell(s, input.DispatchKeyEvent, p)
		}
	}
}

// at is where a place of the picture is in the tab, by its shares.
func (s *seat) at(x, y float64) (float64, float64) {
	s.Helper()
	box := eval[[]float64](s, "(b => [b.left, b.top, b.width, b.height])(picture.getBoundingClientRect())")
	return box[0] + x*box[2], box[1] + y*box[3]
}

// click clicks at a place of the picture, by its shares.
func (s *seat) click(x, y float64) {
	s.Helper()
	x, y = s.at(x, y)
	for _, kind := range []input.DispatchMouseEventType{"mouseMoved", "mousePressed", "mouseReleased"} {
		p := input.DispatchMouseEventParams{Type: kind, X: x, Y: y, ClickCount: 1}
		if kind != "mouseMoved" {
			p.Button = input.MouseButtonLeft
		}
		tell(s, input.DispatchMouseEvent, p)
	}
}

// swipe moves fingers on the person's phone.
func (s *seat) swipe(kind input.DispatchTouchEventType, points ...*input.TouchPoint) {
	s.Helper()
	tell(s, input.DispatchTouchEvent, input.DispatchTouchEventParams{
		Type: kind, TouchPoints: append([]*input.TouchPoint{}, points...),
	})
}

// pixel is the colour of a place of the picture, as "r,g,b".
func (s *seat) pixel(x, y float64) string {
	s.Helper()
	return eval[string](s, fmt.Sprintf(
		"[...picture.getContext('2d').getImageData(picture.width * %g, picture.height * %g, 1, 1)"+
			".data].slice(0, 3).join()", x, y))
}

// requireOwnRequestsAlone fails where the tab has asked another server than ours, or where
// the console has complained.
func (s *seat) requireOwnRequestsAlone() {
	s.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	require.NotEmpty(s, s.asked)
	host := strings.TrimPrefix(s.url, "http://")
	for _, address := range s.asked {
		_, rest, _ := strings.Cut(address, "://")
		require.True(s, strings.HasPrefix(rest, host+"/embed/") || strings.HasPrefix(address, "blob:"+s.url+"/"), address)
	}
	require.Empty(s, s.problems)
}
