// Package devtools lets clients from outside drive a browser over the DevTools
// protocol. The browser has one pipe: a mux gives each client a connection of its
// own over it, where it sees and names its own sessions alone, and a filter lets
// through what its rules permit.
//
// It knows nothing of pages and of what was filled into them: whoever owns the
// browser says which requests carry a value, see [Host].
package devtools

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/target"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

// The DevTools pipe has one end here and must serve several clients: the
// server's own driver and every websocket that ServeCDP was given. A mux gives
// each client a browser session of its own (Target.attachToBrowserTarget), so
// that what one discovers, attaches or enables is not seen by another, renames
// command ids, and routes each session's messages to the client that attached
// it. A client can name no session but its own. What the server's driver
// attaches is not shown to the others: targets.go.

const (
	// maxMessage bounds one message from the browser, in bytes: a screenshot
	// of a very long page fits.
	maxMessage = 256 << 20
	// maxQueued bounds what waits for a client that does not read, in bytes.
	maxQueued = 64 << 20
	// writeTimeout is how long a browser may leave its pipe unread.
	writeTimeout = 10 * time.Second
	// maxPending bounds a client's unanswered commands.
	maxPending = 4096
)

// ErrBrowserGone answers whoever asks something of a browser whose pipe has ended.
var ErrBrowserGone = browser.ErrGone

// The other reasons for the end of a client.
var (
	errSlowClient = errors.New("the client does not read its messages")
	errClientDone = errors.New("the client has left")
)

// message is the envelope of a DevTools message. Its decoder refuses
// duplicate and wrong-case names, so that what a filter checked is what the
// browser reads.
type message struct {
	ID        int64            `json:"id,omitzero"`
	SessionID target.SessionID `json:"sessionId,omitzero"`
	Method    string           `json:"method,omitzero"`
	Params    jsonv2.Value     `json:"params,omitzero"`
	Result    jsonv2.Value     `json:"result,omitzero"`
	Error     *messageError    `json:"error,omitzero"`

	// noted is what the filter has noted of a command, and finds again in its answer. No
	// peer sees it.
	noted noted
}

// noted is what the answer to a command is seen by beside its method.
type noted struct {
	fills  int    // how many fills there were before a trace began
	stream string // the handle that it names
}

type messageError struct {
	Code    int64        `json:"code"`
	Message string       `json:"message"`
	Data    jsonv2.Value `json:"data,omitzero"`
}

func (e *messageError) Error() string { return fmt.Sprintf("%s (%d)", e.Message, e.Code) }

// pendingCommand is a command whose answer has not come.
type pendingCommand struct {
	client  *Client // nil for the mux's own commands
	id      int64
	session target.SessionID
	method  string
	noted   noted
	// context is the browser context that the command ends, if it does.
	context cdp.BrowserContextID
	// frame is where the server asks for a world, if it does.
	frame cdp.FrameID
	// undiscovers says that the command has the session be told of targets no more.
	undiscovers bool
	answer      chan message // for the mux's own commands
	// paused is the request that the command decides about, decided what waited for that.
	paused  pauseKey
	decided *pause
}

// Mux serves one browser's pipe.
type Mux struct {
	out io.WriteCloser
	// onEvent receives the events of the connection itself, which belong to no client and
	// no target, and those of dialogs, from each session that hears of them, with the
	// session's target. It is called from the reader: it must not block or call.
	onEvent func(of target.ID, method string, params jsonv2.Value)

	writeMu sync.Mutex // serialises whole messages

	mu       sync.Mutex
	nextID   int64
	pending  map[int64]pendingCommand
	sessions map[target.SessionID]*clientSession
	clients  map[*Client]struct{}
	owners   owners
	worlds   worlds
	// shown are the addresses that targets show.
	shown map[target.ID]string
	// released has an element when a client has let go of a tab: its dialogs may
	// have nobody left who hears of them.
	released chan struct{}
	// listener hears of the dialogs of all tabs; nil while none does.
	listener *listener
	// finishing are the downloads whose end clients are told of once it is known what
	// became of the file.
	finishing finishing
	gone      bool
	work      sync.WaitGroup // grows under mu while not gone
	done      chan struct{}
}

// New serves the two ends of a DevTools pipe until in ends.
func New(in io.ReadCloser, out io.WriteCloser, onEvent func(of target.ID, method string, params jsonv2.Value)) *Mux {
	m := &Mux{
		out:      out,
		onEvent:  onEvent,
		pending:  map[int64]pendingCommand{},
		sessions: map[target.SessionID]*clientSession{},
		released: make(chan struct{}, 1),
		clients:  map[*Client]struct{}{},
		owners:   newOwners(),
		worlds:   newWorlds(),
		shown:    map[target.ID]string{},
		done:     make(chan struct{}),
	}
	go func() {
		defer close(m.done)
		defer m.work.Wait()
		defer m.endClients()
		defer in.Close()
		m.readAll(in)
	}()
	return m
}

// Done is closed when the pipe has ended.
func (m *Mux) Done() <-chan struct{} { return m.done }

// readAll routes messages, each ended by a zero byte, until the pipe ends.
func (m *Mux) readAll(in io.Reader) {
	scanner := bufio.NewScanner(in)
	scanner.Buffer(make([]byte, 64<<10), maxMessage)
	scanner.Split(func(data []byte, _ bool) (int, []byte, error) {
		if i := bytes.IndexByte(data, 0); i >= 0 {
			return i + 1, data[:i], nil
		}
		return 0, nil, nil
	})
	for scanner.Scan() {
		var msg message
		if err := jsonv2.Unmarshal(scanner.Bytes(), &msg, protocol.PageText()); err == nil {
			m.route(msg)
		}
		clear(scanner.Bytes()) // it may have held cookies, and the next message may be short
	}
}

func (m *Mux) endClients() {
	_ = m.out.Close() // the browser is gone or goes now
	m.mu.Lock()
	m.gone = true
	clients, pending := m.clients, m.pending
	m.clients, m.pending = map[*Client]struct{}{}, map[int64]pendingCommand{}
	clear(m.sessions)
	m.mu.Unlock()
	for c := range clients {
		m.mu.Lock()
		c.dropPauses("")
		m.mu.Unlock()
		c.end(ErrBrowserGone)
	}
	for _, p := range pending {
		if p.answer != nil {
			close(p.answer)
		}
	}
}

// route hands a message to the client that it is for.
func (m *Mux) route(msg message) {
	if msg.ID == 0 && m.keepPaused(msg) {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if msg.ID != 0 {
		p, ok := m.pending[msg.ID]
		if !ok {
			return
		}
		delete(m.pending, msg.ID)
		if p.client == nil {
			p.answer <- msg
			return
		}
		p.client.pending--
		if msg.Error != nil {
			p.client.undecidePause(p)
		}
		msg.ID, msg.SessionID, msg.noted = p.id, p.session, p.noted
		m.owners.answered(p, msg)
		m.noteWorld(p, msg)
		m.noteDebugger(p, msg)
		m.noteDiscovery(p, msg)
		msg, _ = m.withoutLockedOut(p.client, m.sessions[p.session], msg, p.method)
		msg = m.withoutOutside(p.client, m.owners.answerTo(p.client, msg, p.method), p.method)
		msg = m.asSeenBy(p.client, msg, p.method)
		if s := m.sessions[p.session]; s != nil {
			msg = s.sight.withoutScripts(msg, p.method)
		}
		if m.holdWorld(p, msg) {
			return
		}
		p.client.enqueue(msg, p.method)
		return
	}

	s := m.sessions[msg.SessionID]
	if s == nil {
		if msg.SessionID == "" {
			m.onEvent("", msg.Method, msg.Params)
			m.noteTarget(msg.Method, msg.Params)
			m.tellDownload(msg)
		}
		return
	}
	c := s.client
	switch msg.Method {
	case page.JavascriptDialogOpening.Method, page.JavascriptDialogClosed.Method:
		m.onEvent(s.target, msg.Method, msg.Params)
	}
	if !m.showsEvent(s, &msg) {
		return
	}
	switch msg.Method {
	case target.AttachedToTarget.Method:
		id, of := attachmentOf(msg.Params)
		m.sessions[id] = newClientSession(c, of, isOfBrowser(msg.Params))
		m.tellAttached(m.sessions[id])
	case target.DetachedFromTarget.Method:
		id, _ := attachmentOf(msg.Params)
		left := m.sessions[id]
		if left == nil {
			return // of a target that the client was not shown
		}
		m.forgetSession(id)
		defer m.tellAttached(left) // after this
	}
	var told bool
	if msg, told = m.withoutWorlds(s, msg); !told {
		return
	}
	if msg, told = m.withoutLockedOut(c, s, msg, msg.Method); !told {
		return
	}
	msg = m.asSeenBy(c, msg, msg.Method)
	if s.wasTold(msg) {
		return
	}
	if msg.SessionID == c.root {
		msg.SessionID = ""
	}
	if !c.isServer && msg.Method == pageDownloadProgress {
		m.tellProgress(c, msg)
		return
	}
	s.noteAsked(msg.Method)
	c.enqueue(msg, msg.Method)
}

// write sends one message to the browser.
func (m *Mux) write(msg message) error {
	b, err := jsonv2.Marshal(msg, protocol.PageText())
	if err != nil {
		return fmt.Errorf("encode a DevTools command: %w", err)
	}
	m.writeMu.Lock()
	defer m.writeMu.Unlock()
	if pipe, ok := m.out.(interface{ SetWriteDeadline(time.Time) error }); ok {
		_ = pipe.SetWriteDeadline(time.Now().Add(writeTimeout)) // only a pipe of a test cannot
	}
	b = append(b, 0)
	defer clear(b) // it may hold cookies
	if _, err := m.out.Write(b); err != nil {
		_ = m.out.Close() // half a message may be in it: the browser must go
		return ErrBrowserGone
	}
	return nil
}
