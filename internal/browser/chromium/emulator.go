//go:build unix

package chromium

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser/devtools"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

// emulationTimeout bounds setting up one tab, frame or worker. One that does not
// answer runs all the same.
const emulationTimeout = 5 * time.Second

// maxTouchPoints is how many fingers a touch screen takes, as those of phones.
const maxTouchPoints = 5

// emulator sets in every tab, frame and worker, before it runs, what of the browser's
// appearance its command line cannot say. It has a connection of its own, so that what
// it sets is not undone when a client leaves.
type emulator struct {
	metrics   *emulation.SetDeviceMetricsOverrideParams
	touch     bool
	locale    string
	userAgent *emulation.SetUserAgentOverrideParams
	place     *emulation.SetGeolocationOverrideParams
	ownName   string // the user agent that the browser has by itself

	conn   *protocol.Conn
	ctx    context.Context // ends with the browser
	cancel context.CancelFunc
	work   sync.WaitGroup
	first  sync.WaitGroup // counts the tabs that were there before

	mu       sync.Mutex
	closed   bool
	listed   bool                      // all tabs that were there before are known
	sessions map[target.SessionID]bool // of pages and frames
}

// newEmulator returns nil where there is nothing to emulate.
func newEmulator(c bctrl.LaunchConfig) *emulator {
	e := &emulator{locale: c.Locale, touch: c.Touch, sessions: map[target.SessionID]bool{}}
	if c.Mobile || c.Headful { // a window is larger than the page in it
		width, height := viewport(c)
		e.metrics = &emulation.SetDeviceMetricsOverrideParams{
			Width:             int64(width),
			Height:            int64(height),
			DeviceScaleFactor: c.DeviceScaleFactor,
			Mobile:            c.Mobile,
		}
	}
	if c.UserAgent != "" {
		e.userAgent = &emulation.SetUserAgentOverrideParams{UserAgent: c.UserAgent, UserAgentMetadata: clientHints(c)}
	}
	if g := c.Geolocation; g != nil {
		accuracy := g.Accuracy
		if accuracy == 0 {
			accuracy = 10
		}
		e.place = &emulation.SetGeolocationOverrideParams{
			Latitude: &g.Latitude, Longitude: &g.Longitude, Accuracy: &accuracy,
		}
	}
	if e.metrics == nil && !e.touch && e.locale == "" && e.userAgent == nil && e.place == nil {
		return nil
	}
	return e
}

// start begins to watch for tabs, and returns once those that there are have been set
// up.
func (e *emulator) start(ctx, life context.Context, mux *devtools.Mux) error {
	client, err := mux.AttachServer(ctx)
	if err != nil {
		return err
	}
	var version cdpbrowser.GetVersionResult
	if err := mux.Call(ctx, cdpbrowser.CommandGetVersion, struct{}{}, &version); err != nil {
		return err
	}
	e.ownName = version.UserAgent
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return devtools.ErrBrowserGone
	}
	e.ctx, e.cancel = context.WithCancel(life)
	e.conn = protocol.NewConn(e.ctx, client, e.onEvent)
	e.mu.Unlock()
	if err := protocol.Tell(ctx, e.conn.Root(), target.SetAutoAttach, attachRelated()); err != nil {
		return fmt.Errorf("attach to the browser: %w", err)
	}
	e.mu.Lock()
	e.listed = true
	e.mu.Unlock()
	e.first.Wait()
	return nil
}

// close ends the watching once the browser has ended.
func (e *emulator) close() {
	e.mu.Lock()
	e.closed = true
	started := e.conn != nil
	e.mu.Unlock()
	if !started {
		return
	}
	e.cancel()
	<-e.conn.Done()
	e.work.Wait()
}

func attachRelated() target.SetAutoAttachParams {
	flat := true
	return target.SetAutoAttachParams{AutoAttach: true, WaitForDebuggerOnStart: true, Flatten: &flat}
}

// onEvent handles an event of the connection. It does not block.
func (e *emulator) onEvent(_ target.SessionID, method string, params jsonv2.Value) {
	switch method {
	case target.AttachedToTarget.Method:
		protocol.Event(params, e.onAttached)
	case target.DetachedFromTarget.Method:
		protocol.Event(params, e.onDetached)
	}
}

func (e *emulator) onAttached(ev target.EventAttachedToTarget) {
	session := e.conn.Session(ev.SessionID)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return
	}
	isFirst := !e.listed
	if isFirst {
		e.first.Add(1)
	}
	if kind := ev.TargetInfo.Type; kind == "page" || kind == "iframe" {
		e.sessions[ev.SessionID] = true
	}
	e.work.Go(func() {
		e.setUp(session, ev.TargetInfo.Type)
		if isFirst {
			e.first.Done()
		}
	})
}

// onDetached sets the locale anew where it was set by the tab that is gone: one process
// has one for all of its tabs, which ends with the session that has set it.
func (e *emulator) onDetached(ev target.EventDetachedFromTarget) {
	e.conn.EndSession(ev.SessionID)
	e.mu.Lock()
	defer e.mu.Unlock()
	wasPage := e.sessions[ev.SessionID]
	delete(e.sessions, ev.SessionID)
	if !wasPage || e.locale == "" || e.closed {
		return
	}
	for id := range e.sessions {
		session := e.conn.Session(id)
		e.work.Go(func() {
			ctx, cancel := context.WithTimeout(e.ctx, emulationTimeout)
			defer cancel()
			_ = protocol.Tell(ctx, session, emulation.SetLocaleOverride, e.localeParams())
		})
	}
}

func (e *emulator) localeParams() emulation.SetLocaleOverrideParams {
	return emulation.SetLocaleOverrideParams{Locale: e.locale}
}

// userAgentOf is what is set of a user agent, with which the languages go: the command line
// has them as they are sent (see acceptLanguage), and a worker of many tabs takes none from
// there. Nil is nothing.
func (e *emulator) userAgentOf(kind string) *emulation.SetUserAgentOverrideParams {
	if e.userAgent == nil && e.locale == "" {
		return nil
	}
	var with emulation.SetUserAgentOverrideParams // without a name it says of languages alone
	if kind == "shared_worker" || kind == "service_worker" {
		with.UserAgent = e.ownName
	}
	if e.userAgent != nil {
		with = *e.userAgent
	}
	if e.locale != "" {
		with.AcceptLanguage = strings.Join(languagesOf(e.locale), ",")
	}
	return &with
}

// setUp prepares a new tab, frame or worker and lets it run. All commands are sent before
// an answer is awaited: a paused one answers some of them only once it runs. What a
// kind cannot do it refuses, which does not matter.
func (e *emulator) setUp(session protocol.Session, kind string) {
	ctx, cancel := context.WithTimeout(e.ctx, emulationTimeout)
	defer cancel()
	var answers []<-chan struct{}
	send := func(method string, params any) {
		reply, err := session.Post(ctx, method, params)
		if err != nil {
			return
		}
		answered := make(chan struct{})
		answers = append(answers, answered)
		e.work.Go(func() {
			defer close(answered)
			select {
			case <-reply:
			case <-ctx.Done():
			}
		})
	}
	isPage := kind == "page" || kind == "iframe"
	if kind == "page" && e.metrics != nil {
		send(emulation.CommandSetDeviceMetricsOverride, *e.metrics)
	}
	if isPage && e.touch {
		send(emulation.CommandSetTouchEmulationEnabled,
			emulation.SetTouchEmulationEnabledParams{Enabled: true, MaxTouchPoints: maxTouchPoints})
	}
	if isPage && e.place != nil {
		send(emulation.CommandSetGeolocationOverride, *e.place)
	}
	if e.locale != "" {
		send(emulation.CommandSetLocaleOverride, e.localeParams())
	}
	if agent := e.userAgentOf(kind); agent != nil {
		send(emulation.CommandSetUserAgentOverride, *agent)
	}
	send(target.CommandSetAutoAttach, attachRelated())
	send(runtime.CommandRunIfWaitingForDebugger, cdp.Empty{})
	for _, answered := range answers {
		<-answered
	}
}
