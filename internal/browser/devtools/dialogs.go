package devtools

import (
	"context"
	"fmt"
	"sync"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"

	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

// A page stands still while a dialog of it is open. The browser tells the sessions of its tab
// that have turned the events of Page on. Where none has it answers by itself and tells nobody,
// and one with a window waits for the person before it, who is not there. So the server listens
// in every tab as soon as a client may drive one: each dialog is told of, and none waits for
// nobody.

// listener hears of the dialogs of all tabs.
type listener struct {
	m      *Mux
	client *Client
	conn   *protocol.Conn
	// changed has an element when a dialog was opened, or a client has let go of a tab.
	changed chan struct{}

	mu   sync.Mutex
	open map[target.SessionID]page.DialogType // the dialogs that are open, by its own session
}

// ListenForDialogs has the dialogs of every tab be told of from now on, and has those be
// answered that neither a client nor the server's driver is told of: as a browser answers that
// nobody watches. The context bounds the start alone.
func (m *Mux) ListenForDialogs(ctx context.Context) error {
	client, err := m.AttachServer(ctx)
	if err != nil {
		return err
	}
	l := &listener{
		m:       m,
		client:  client,
		changed: make(chan struct{}, 1),
		open:    map[target.SessionID]page.DialogType{},
	}
	l.conn = protocol.NewConn(context.WithoutCancel(ctx), client, l.onEvent)
	flat := true
	err = protocol.Tell(ctx, l.conn.Root(), target.SetAutoAttach, target.SetAutoAttachParams{
		AutoAttach:             true,
		WaitForDebuggerOnStart: true, // a page may ask something at once
		Flatten:                &flat,
		Filter:                 target.Filter{{Type: "page"}},
	})
	m.mu.Lock()
	if m.gone && err == nil {
		err = ErrBrowserGone
	}
	if err == nil {
		m.listener = l
		m.work.Go(l.run)
	}
	m.mu.Unlock()
	if err != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), detachTimeout)
		defer cancel()
		client.Close(ctx) // or tabs would wait for it
		return fmt.Errorf("listening for dialogs: %w", err)
	}
	return nil
}

// run answers dialogs until the browser is gone.
func (l *listener) run() {
	for {
		select {
		case <-l.changed:
			l.answerUnheard()
		case <-l.conn.Done():
			return
		}
	}
}

func (l *listener) onEvent(in target.SessionID, method string, params jsonv2.Value) {
	switch method {
	case target.AttachedToTarget.Method:
		protocol.Event(params, func(ev target.EventAttachedToTarget) { l.begin(ev.SessionID) })
	case target.DetachedFromTarget.Method:
		protocol.Event(params, func(ev target.EventDetachedFromTarget) {
			l.closed(ev.SessionID)
			l.conn.EndSession(ev.SessionID)
		})
	case page.JavascriptDialogOpening.Method:
		protocol.Event(params, func(ev page.EventJavascriptDialogOpening) { l.opened(in, ev.Type) })
	case page.JavascriptDialogClosed.Method:
		l.closed(in)
	}
}

// begin listens in a tab, and lets it run.
func (l *listener) begin(in target.SessionID) {
	s := l.conn.Session(in)
	// They fail only where the tab or the browser is gone.
	_, _ = s.Post(context.Background(), page.CommandEnable, cdp.Empty{})
	_, _ = s.Post(context.Background(), runtime.CommandRunIfWaitingForDebugger, cdp.Empty{})
}

func (l *listener) opened(in target.SessionID, kind page.DialogType) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open[in] = kind
	l.signal()
}

func (l *listener) closed(in target.SessionID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, in)
}

// signal has it look whether somebody hears of each dialog.
func (l *listener) signal() {
	select {
	case l.changed <- struct{}{}:
	default: // it is about to
	}
}

// answerUnheard answers the dialogs that nobody else was told of.
func (l *listener) answerUnheard() {
	// The browser tells all who hear of a dialog before it answers this.
	if protocol.Tell(context.Background(), l.conn.Root(), cdpbrowser.GetVersion, cdp.Empty{}) != nil {
		return // it is gone
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for in, kind := range l.open {
		if l.m.othersWereAsked(l.client, in) {
			continue
		}
		// It fails only where the dialog is closed by now.
		_, _ = l.conn.Session(in).Post(context.Background(), page.CommandHandleJavaScriptDialog,
			page.HandleJavaScriptDialogParams{
				Accept: kind == page.DialogTypeAlert || kind == page.DialogTypeBeforeunload,
			})
	}
}

// othersWereAsked reports whether somebody else was told of the dialog that is open in the tab
// of a session of c.
func (m *Mux) othersWereAsked(c *Client, in target.SessionID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	of := m.sessions[in]
	if of == nil {
		return true // the tab is gone
	}
	for _, s := range m.sessions {
		if s.target == of.target && s.client != c && s.asked {
			return true
		}
	}
	return false
}

// noteAsked notes whether a session has been told of a dialog that is open. Call it with mu held.
func (s *clientSession) noteAsked(method string) {
	switch method {
	case page.JavascriptDialogOpening.Method:
		s.asked = true
	case page.JavascriptDialogClosed.Method:
		s.asked = false
	}
}
