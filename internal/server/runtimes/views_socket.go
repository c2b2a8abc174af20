package runtimes

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/time/rate"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/strictjson"
)

const (
	// maxLiveMessage bounds a message of a page, in bytes: a text that is pasted, and
	// what JSON adds to it.
	maxLiveMessage = 2*browser.MaxGestureText + 4<<10
	// helloBound is how long a page may take to say who it is, and writeBound to take
	// what it is sent.
	helloBound = 10 * time.Second
	writeBound = 10 * time.Second
	// unseenFrames is how many pictures a page is sent before it has said that it shows
	// the first of them, and stalledAfter how long it may take to.
	unseenFrames = 2
	stalledAfter = 30 * time.Second
	// gesturesPerSecond bounds what a page sends.
	gesturesPerSecond = 400
)

// liveNotice is what a page is told once: "refused" of a gesture, "end" of the view.
type liveNotice struct {
	Type    string `json:"type"`
	Code    string `json:"code"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// serveLiveSocket shows a live view to the page that has opened it, until either side
// ends it, the view or its runtime ends, or the key or token does that it was made with.
func (s *Service) serveLiveSocket(w http.ResponseWriter, rq *web.Request) error {
	v, lr, err := s.liveView(rq)
	if err != nil {
		return errors.Join(err, s.recordClaim(rq, v, false, err))
	}
	asked := &web.Grant{Caller: v.caller}
	asked.Require(s.CheckUnlocked)
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(rq.Context()))
	defer cancel(nil)
	var conn *websocket.Conn
	err = s.WhileGranted(ctx, asked, func(ctx context.Context) error {
		accepted, err := s.acceptDevTools(w, rq)
		if err != nil {
			return nil //nolint:nilerr // it has answered the request itself
		}
		conn = accepted
		return s.showLive(ctx, cancel, conn, v, lr, asked)
	})
	if conn == nil {
		err = whyNotOpened(err)
		return errors.Join(err, s.recordClaim(rq, v, false, err))
	}
	defer conn.CloseNow()
	if errors.Is(err, errOpenedTwice) {
		if err := s.recordClaim(rq, v, false, err); err != nil {
			s.Log.Error("that a live view was opened twice was not recorded", "view", v.id, "error", err)
		}
	}
	s.tellEnd(conn, err)
	return nil
}

// whyNotOpened is the refusal of a view that did not open.
func whyNotOpened(err error) error {
	if e := web.AsError(err); err == nil || e == web.ErrLocked || e == web.ErrInternal {
		return err
	}
	return errViewCallerEnded
}

// tellEnd tells a page why its view has ended, and closes its connection.
func (s *Service) tellEnd(conn *websocket.Conn, err error) {
	known, ok := errors.AsType[*bctrl.Error](err)
	if !ok {
		return // the page has left
	}
	switch known {
	case errViewEnded, errViewExpired, errViewRevoked, errViewReplaced, errOpenedTwice, errStalled, web.ErrLocked:
	default:
		known = errViewCallerEnded
	}
	ctx, cancel := context.WithTimeout(context.Background(), helloBound)
	defer cancel()
	data, err := json.Marshal(liveNotice{Type: "end", Code: known.Code, Message: known.Message, Hint: known.Hint})
	if err != nil || conn.Write(ctx, websocket.MessageText, data) != nil {
		return
	}
	_ = conn.Close(websocket.StatusNormalClosure, known.Code)
}

// viewer is a page that shows a live view.
type viewer struct {
	s     *Service
	v     *view
	lr    *liveRuntime
	conn  *websocket.Conn
	shown *showing
	// fail ends the view for the page.
	fail context.CancelCauseFunc

	acting sync.Mutex // held while something is done that the page asked for

	mu     sync.Mutex
	pinned browser.TabID // the tab that the person has chosen; "" follows the one in front
	acked  int           // the number of the newest picture that the page shows
	change chan struct{} // closed and replaced when pinned, acked or the rules change
}

// showLive shows a live view by a connection. Its error is why it has ended: a refusal that
// the page is told, or that the page has left.
func (s *Service) showLive(
	ctx context.Context, cancel context.CancelCauseFunc, conn *websocket.Conn, v *view, lr *liveRuntime, asked *web.Grant,
) error {
	conn.SetReadLimit(maxLiveMessage)
	hello, err := readHello(ctx, conn)
	if err != nil {
		return err
	}
	disconnect, err := v.connect(hello, cancel)
	if err != nil {
		return err
	}
	defer disconnect()
	shown, err := lr.show(ctx)
	if err != nil {
		return errViewEnded
	}
	if v.interactive { // who has it may take the browser over at any moment
		defer lr.uses.begin()()
	}
	if own := v.caller.Runtime; own != nil && v.interactive {
		defer s.limitHosts(ctx, lr, own.WorkspaceID, own.Chain[2:])()
	}
	p := &viewer{s: s, v: v, lr: lr, conn: conn, shown: shown, fail: cancel, change: make(chan struct{})}
	// What is asked again when rules change has the viewer look again at what it may show.
	defer asked.Require(func(context.Context, store.Queries, access.Caller) error {
		p.set(func() {})
		return nil
	})()
	defer v.endInTime(cancel)()
	defer context.AfterFunc(lr.life, func() { cancel(errViewEnded) })()
	if err := s.Audit.Record(context.WithoutCancel(ctx), v.event(liveOpened)); err != nil {
		return err
	}
	p.run(ctx)
	p.settle()
	lr.control.HandBack(v.id)
	closed := v.event(liveClosed)
	if err := s.Audit.Record(context.Background(), closed); err != nil {
		s.Log.Error("the end of a live view was not recorded", "view", v.id, "error", err)
	}
	if why := web.EndedBecause(ctx); why != nil {
		return why
	}
	return context.Cause(ctx)
}

// endInTime ends what shows the view once its time is up, unless that has ended before.
func (v *view) endInTime(end context.CancelCauseFunc) (ended func() bool) {
	return time.AfterFunc(time.Until(v.expires), func() { end(errViewExpired) }).Stop
}

// readHello reads the first message of a page, which proves that it has opened the view.
func readHello(ctx context.Context, conn *websocket.Conn) (session string, err error) {
	ctx, cancel := context.WithTimeout(ctx, helloBound)
	defer cancel()
	_, data, err := conn.Read(ctx)
	if err != nil {
		return "", err
	}
	var hello liveMessage
	if err := strictjson.Unmarshal(data, &hello); err != nil || hello.Type != "hello" {
		return "", errOpenedTwice
	}
	return hello.Session.Reveal(), nil
}

// run shows the view until ctx ends, which what it starts may have end.
func (p *viewer) run(ctx context.Context) {
	var working sync.WaitGroup
	defer working.Wait()
	// Reading with ctx would end the connection, by which the page is told why it ended.
	go p.read(context.WithoutCancel(ctx), ctx)
	working.Go(func() { p.sendStates(ctx) })
	working.Go(func() { p.sendFrames(ctx) })
	select {
	case <-ctx.Done():
	case <-p.v.ended:
		p.fail(errViewRevoked)
	}
}

// errPageLeft is why a view ends whose page has left.
var errPageLeft = errors.New("the page has left")

// read does what the page sends.
func (p *viewer) read(reading, ctx context.Context) {
	bound := rate.NewLimiter(gesturesPerSecond, gesturesPerSecond)
	for {
		_, data, err := p.conn.Read(reading)
		if err != nil {
			p.fail(errPageLeft)
			return
		}
		if bound.Wait(ctx) != nil {
			return
		}
		var m liveMessage
		if err := strictjson.Unmarshal(data, &m); err != nil {
			p.refused(ctx, web.AsError(web.BadJSON(err)))
			continue
		}
		if err := p.act(ctx, func() error { return p.do(ctx, m) }); err != nil && ctx.Err() == nil {
			p.refused(ctx, web.AsError(err))
		}
	}
}

// act does something that the page asked for, unless its view has ended.
func (p *viewer) act(ctx context.Context, do func() error) error {
	p.acting.Lock()
	defer p.acting.Unlock()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return do()
}

// settle waits, once the view has ended, for what the page asked for before: from then on
// nothing is done. Reading itself goes on until the connection is closed.
func (p *viewer) settle() {
	p.acting.Lock()
	defer p.acting.Unlock()
}

// refused tells the page that something that it asked for was not done.
func (p *viewer) refused(ctx context.Context, e *bctrl.Error) {
	p.send(ctx, liveNotice{Type: "refused", Code: e.Code, Message: e.Message, Hint: e.Hint})
}

// send sends a message. A page that does not take it is dropped.
func (p *viewer) send(ctx context.Context, message any) {
	data, err := json.Marshal(message)
	if err != nil {
		p.fail(err)
		return
	}
	p.write(ctx, websocket.MessageText, data)
}

func (p *viewer) write(ctx context.Context, kind websocket.MessageType, data []byte) {
	if ctx.Err() != nil {
		return
	}
	// Not with ctx, whose end would take the connection with it.
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeBound)
	defer cancel()
	if err := p.conn.Write(bounded, kind, data); err != nil {
		if bounded.Err() != nil {
			p.fail(errStalled)
			return
		}
		p.fail(errPageLeft)
	}
}

// do does what a message says.
func (p *viewer) do(ctx context.Context, m liveMessage) error {
	switch m.Type {
	case "shown":
		p.set(func() { p.acked = max(p.acked, m.Number) })
		return nil
	case "tab":
		return p.chooseTab(ctx, browser.TabID(m.Tab))
	}
	if !p.v.interactive {
		return web.WithHint(web.Forbidden("live.not_interactive", "this live view is for looking alone"),
			"ask for an interactive one")
	}
	switch m.Type {
	case "take":
		return p.take(ctx)
	case "handBack":
		p.lr.control.HandBack(p.v.id)
		return nil
	case "gesture":
		return p.gesture(ctx, m.Gesture.gesture())
	}
	return web.Invalid("live.unknown_message", "type", "there is no such message")
}

func (p *viewer) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
	close(p.change)
	p.change = make(chan struct{})
}

// chooseTab shows a tab; an empty id is whichever is in front. Who has taken the browser
// over brings it to the front, for agents too.
func (p *viewer) chooseTab(ctx context.Context, id browser.TabID) error {
	if id == "" || !p.lr.control.Touch(p.v.id) {
		p.set(func() { p.pinned = id })
		return nil
	}
	if err := p.shown.screen.Bring(ctx, id); err != nil {
		return err
	}
	p.set(func() { p.pinned = "" })
	return nil
}

// errTaken is the refusal of a browser that another person has taken over.
var errTaken = web.WithHint(web.Conflict("live.taken", "another person has taken this browser over"),
	"wait until it is handed back")

// take gives the browser to the person at the page.
func (p *viewer) take(ctx context.Context) error {
	ev := p.v.event(liveTakenOver)
	ev.Outcome = ""
	return p.s.Use(ctx, ev, func() error {
		taken := p.lr.control.Take(p.v.id, func() func() {
			release := p.shown.screen.TakeOver(ctx)
			p.lr.mark("person", "took over")
			return func() {
				release()
				p.lr.mark("person", "handed back")
				if err := p.s.Audit.Record(context.Background(), p.v.event(liveHandedBack)); err != nil {
					p.s.Log.Error("that a browser was handed back was not recorded", "view", p.v.id, "error", err)
				}
			}
		})
		if !taken {
			return errTaken
		}
		return nil
	})
}

// gesture does what the person at the page does, who has taken the browser over.
func (p *viewer) gesture(ctx context.Context, g browser.Gesture) error {
	asksNothing := g.Kind == browser.MouseMove || g.Kind == browser.MouseUp || g.Kind == browser.KeyUp
	if !p.lr.control.Touch(p.v.id) {
		if asksNothing {
			return nil // it was handed back in between
		}
		return web.WithHint(web.Conflict("live.not_taken", "the browser is not taken over"), "take it over first")
	}
	tab, mayBeUsed, err := p.tab(ctx)
	if g.Kind == browser.Accept || g.Kind == browser.Dismiss {
		d, mayBeAnswered := p.dialog(ctx)
		if d == nil {
			return nil // it was answered in between
		}
		tab, mayBeUsed, err = d.Tab, mayBeAnswered, nil
	}
	if err != nil {
		return err
	}
	if !mayBeUsed {
		if asksNothing {
			return nil
		}
		return errTabHidden
	}
	return p.shown.screen.Do(ctx, tab, g)
}

// errTabHidden is the refusal of what a person does to a tab that the view may not show.
var errTabHidden = web.WithHint(
	web.Forbidden("live.hidden", "the mounts that this live view was made with do not permit the host of this tab"),
	"choose another tab, or ask for a view that is made with the runtime's own mounts")

// dialog returns the question that waits for a person, and whether the view may show the
// tab that asks it, which need not be the one that is shown.
func (p *viewer) dialog(ctx context.Context) (d *browser.Dialog, mayBeShown bool) {
	if d = p.shown.screen.Dialog(); d == nil {
		return nil, false
	}
	tabs, err := p.shown.screen.Tabs(ctx)
	if err != nil {
		return d, false
	}
	i := slices.IndexFunc(tabs, func(t browser.Tab) bool { return t.ID == d.Tab })
	return d, i >= 0 && p.mayShow(ctx, tabs[i].URL)
}

// tab is the tab that is shown, and whether the view may show it.
func (p *viewer) tab(ctx context.Context) (id browser.TabID, mayBeShown bool, err error) {
	tabs, err := p.shown.screen.Tabs(ctx)
	if err != nil {
		return "", false, err
	}
	p.mu.Lock()
	pinned := p.pinned
	p.mu.Unlock()
	var found *browser.Tab
	for i := range tabs {
		if tabs[i].ID == pinned || found == nil && tabs[i].Active {
			found = &tabs[i]
		}
		if tabs[i].ID == pinned {
			break
		}
	}
	if found == nil {
		return "", false, web.NotFound("page.unknown_tab", "there is no tab")
	}
	return found.ID, p.mayShow(ctx, found.URL), nil
}

// mayShow reports whether the mounts of whoever made the view permit the host of a page.
func (p *viewer) mayShow(ctx context.Context, address string) bool {
	if p.v.caller.Runtime == nil {
		return true
	}
	now, err := p.s.CallerNow(ctx, p.v.caller)
	return err == nil && mayShow(now.Runtime.Chain, address)
}
