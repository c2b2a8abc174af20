package runtimes

import (
	"context"
	"encoding/json"
	"time"

	"github.com/coder/websocket"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/live"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// liveMessage is what a page sends. Type says which of the fields it has.
type liveMessage struct {
	// Type is "hello", "shown", "tab", "take", "handBack" or "gesture".
	Type    string     `json:"type"`
	Session wire.Value `json:"session,omitzero"`
	Number  int        `json:"number,omitempty"`
	Tab     string     `json:"tab,omitempty"`
	Gesture handGiven  `json:"gesture,omitzero"`
}

// handGiven is a [browser.Gesture] as a page sends it.
type handGiven struct {
	Kind      string       `json:"kind"`
	X         float64      `json:"x,omitempty"`
	Y         float64      `json:"y,omitempty"`
	Button    string       `json:"button,omitempty"`
	Buttons   int          `json:"buttons,omitempty"`
	Count     int          `json:"count,omitempty"`
	DX        float64      `json:"dx,omitempty"`
	DY        float64      `json:"dy,omitempty"`
	Key       string       `json:"key,omitempty"`
	Code      string       `json:"code,omitempty"`
	Text      string       `json:"text,omitempty"`
	Repeat    bool         `json:"repeat,omitempty"`
	Modifiers []string     `json:"modifiers,omitempty"`
	Points    []touchGiven `json:"points,omitempty"`
}

type touchGiven struct {
	ID int     `json:"id"`
	X  float64 `json:"x"`
	Y  float64 `json:"y"`
}

func (h handGiven) gesture() browser.Gesture {
	g := browser.Gesture{
		Kind:      browser.GestureKind(h.Kind),
		At:        browser.Point{X: h.X, Y: h.Y},
		Button:    browser.Button(h.Button),
		Buttons:   h.Buttons,
		Count:     h.Count,
		DeltaX:    h.DX,
		DeltaY:    h.DY,
		Key:       h.Key,
		Code:      h.Code,
		Text:      h.Text,
		Repeat:    h.Repeat,
		Modifiers: h.Modifiers,
	}
	for _, p := range h.Points {
		g.Points = append(g.Points, browser.Touch{ID: p.ID, At: browser.Point{X: p.X, Y: p.Y}})
	}
	return g
}

// liveState is what a page is told whenever it changes.
type liveState struct {
	Type        string           `json:"type"` // "state"
	Interactive bool             `json:"interactive"`
	Tabs        []bctrl.PageInfo `json:"tabs"`
	// Shown is the tab that is shown, Following whether that is the one in front,
	// whichever, and Hidden whether the view may not show it.
	Shown     string `json:"shown"`
	Following bool   `json:"following"`
	Hidden    bool   `json:"hidden"`
	// Working says that an agent or a script works in the browser, and Doing what it does.
	Working bool   `json:"working"`
	Doing   string `json:"doing,omitempty"`
	// Person is "you" or "other" of who has taken the browser over; Waiting is set where
	// an agent waits for that person, and goes on in ContinuesMs.
	Person      string      `json:"person,omitempty"`
	Waiting     bool        `json:"waiting"`
	ContinuesMs int64       `json:"continuesMs,omitempty"`
	Dialog      *liveDialog `json:"dialog,omitempty"`
	ExpiresAt   time.Time   `json:"expiresAt"`
}

type liveDialog struct {
	Kind    string `json:"kind"`
	Message string `json:"message"`
	Default string `json:"default,omitempty"`
}

// sendStates tells the page what is shown, whenever it changes.
func (p *viewer) sendStates(ctx context.Context) {
	var last string
	for ctx.Err() == nil {
		tabsChange := p.shown.screen.TabsChange()
		control, controlChange := p.lr.control.State()
		working, doing, activityChange := p.lr.activity.State()
		p.mu.Lock()
		change := p.change
		p.mu.Unlock()
		state := p.state(ctx, control)
		state.Working, state.Doing = working, doing
		if data, err := json.Marshal(state); err == nil && string(data) != last {
			last = string(data)
			p.write(ctx, websocket.MessageText, data)
		}
		select {
		case <-tabsChange:
		case <-controlChange:
		case <-activityChange:
		case <-change:
		case <-ctx.Done():
			return
		}
		// What changes often is told a few times a second.
		_ = live.Pause(ctx, stateEvery)
	}
}

// stateEvery is the shortest time between two states.
const stateEvery = 100 * time.Millisecond

func (p *viewer) state(ctx context.Context, control live.ControlState) liveState {
	state := liveState{
		Type:        "state",
		Interactive: p.v.interactive,
		Tabs:        []bctrl.PageInfo{},
		Waiting:     control.Waiting,
		ExpiresAt:   p.v.expires,
	}
	if control.Waiting {
		state.ContinuesMs = max(time.Until(control.Until).Milliseconds(), 0)
	}
	switch control.Person {
	case "":
	case p.v.id:
		state.Person = "you"
	default:
		state.Person = "other"
	}
	tabs, err := p.shown.screen.Tabs(ctx)
	if err != nil {
		return state
	}
	for _, t := range tabs {
		info := bctrl.PageInfo{ID: string(t.ID), Active: t.Active}
		if p.mayShow(ctx, t.URL) {
			info.URL, info.Title = p.lr.secrets.String(bareURL(t.URL)), p.lr.secrets.String(t.Title)
		}
		state.Tabs = append(state.Tabs, info)
	}
	id, mayBeShown, err := p.tab(ctx)
	p.mu.Lock()
	state.Following = p.pinned == ""
	p.mu.Unlock()
	if state.Shown = string(id); err == nil {
		state.Hidden = !mayBeShown
	}
	if d, mayBeShown := p.dialog(ctx); mayBeShown {
		state.Dialog = &liveDialog{d.Kind, d.Message, d.Default}
	}
	return state
}
