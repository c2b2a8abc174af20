package bridge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"

	"github.com/coder/websocket"

	"github.com/bctrl-go/bctrl"
)

// end is one end of a DevTools connection. Its Write may be called by several at once.
type end interface {
	Read(ctx context.Context) (websocket.MessageType, []byte, error)
	Write(ctx context.Context, kind websocket.MessageType, msg []byte) error
	Close(code websocket.StatusCode, reason string) error
	CloseNow() error
}

// link is a client and its connection to the browser. Each message is read, looked at and
// written before the next is read, so that an end that does not read is felt at the other.
type link struct {
	b               *Bridge
	client, browser end

	uploads   uploads
	downloads downloads
	work      sync.WaitGroup // what goes on beside the messages
}

func newLink(b *Bridge, client, browser end) *link {
	l := &link{b: b, client: client, browser: browser}
	l.uploads.slots = make(chan struct{}, maxUploads)
	l.uploads.staged = map[commandKey][]string{}
	l.downloads.init()
	return l
}

// run passes messages on until one of both ends has left, and has the other one end in
// the same way.
func (l *link) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	var both sync.WaitGroup
	closing := false
	both.Go(func() {
		defer cancel()
		var err error
		closing, err = l.passCommands(ctx)
		endAs(l.browser, err)
	})
	both.Go(func() {
		defer cancel()
		endAs(l.client, l.passMessages(ctx))
	})
	both.Wait()
	l.work.Wait()
	l.removeStaged()
	_ = l.browser.CloseNow()
	_ = l.client.CloseNow()
	if closing && l.b.EndWithClose {
		l.b.close()
	}
}

// endAs ends a connection as the one on the other side has ended: with its code and
// reason, or without any.
func endAs(other end, err error) {
	if errors.Is(err, websocket.ErrMessageTooBig) {
		_ = other.Close(websocket.StatusMessageTooBig, "")
		return
	}
	if e, is := errors.AsType[websocket.CloseError](err); is {
		_ = other.Close(e.Code, e.Reason)
		return
	}
	_ = other.CloseNow()
}

// message is what a message says of itself.
type message struct {
	ID        int64           `json:"id"`
	SessionID string          `json:"sessionId"`
	Method    string          `json:"method"`
	Params    json.RawMessage `json:"params"`
	Result    json.RawMessage `json:"result"`
	Error     json.RawMessage `json:"error"`
}

// The commands that a bridge looks at.
const (
	closeBrowser        = "Browser.close"
	setFiles            = "DOM.setFileInputFiles"
	setDownloads        = "Browser.setDownloadBehavior"
	setDownloadsOfAPage = "Page.setDownloadBehavior"
)

// watched are the texts of which a command holds one that the bridge looks at.
func watched() [][]byte {
	return [][]byte{[]byte(setFiles), []byte("setDownloadBehavior"), []byte(closeBrowser)}
}

// passCommands passes on what the client says. It reports whether the client has said
// that the browser is to close.
func (l *link) passCommands(ctx context.Context) (closing bool, err error) {
	texts := watched()
	for {
		kind, msg, err := l.client.Read(ctx)
		if err != nil {
			if errors.Is(err, errCommandTooLarge) { // a pipe has no code to end with
				l.b.Report(err.Error())
			}
			return closing, err
		}
		var m message // what is no message is for the server to refuse
		holds := func(text []byte) bool { return bytes.Contains(msg, text) }
		if kind == websocket.MessageText && slices.ContainsFunc(texts, holds) {
			m = parseCommand(msg)
		}
		switch m.Method {
		case closeBrowser:
			closing = true
		case setFiles:
			if l.takesFiles(ctx, m, msg) {
				continue
			}
		case setDownloads, setDownloadsOfAPage:
			var before []byte
			if before, msg = l.noteBehavior(m, msg); before != nil {
				if err := l.browser.Write(ctx, websocket.MessageText, before); err != nil {
					return closing, err
				}
			}
		}
		if err := l.browser.Write(ctx, kind, msg); err != nil {
			return closing, err
		}
	}
}

// parseCommand reads what a command says of itself. Names of fields count as they are
// written, as they do for the browser.
func parseCommand(msg []byte) message {
	var fields map[string]json.RawMessage
	if json.Unmarshal(msg, &fields) != nil {
		return message{}
	}
	m := message{Params: fields["params"]}
	for name, to := range map[string]any{"id": &m.ID, "sessionId": &m.SessionID, "method": &m.Method} {
		if value, ok := fields[name]; ok && json.Unmarshal(value, to) != nil {
			return message{}
		}
	}
	return m
}

// passMessages passes on what the browser says.
func (l *link) passMessages(ctx context.Context) error {
	for {
		kind, msg, err := l.browser.Read(ctx)
		if err != nil {
			return err
		}
		if kind == websocket.MessageText && l.withholds(ctx, msg) {
			continue
		}
		if err := l.client.Write(ctx, kind, msg); err != nil {
			return err
		}
	}
}

// withholds looks at a message of the browser. It reports whether the client is not told of
// it, or only later.
func (l *link) withholds(ctx context.Context, msg []byte) bool {
	answers := l.uploads.waiting() || l.downloads.waiting()
	events := bytes.Contains(msg, []byte(`.download`)) || bytes.Contains(msg, []byte(`"Target.`))
	if !answers && !events {
		return false
	}
	var m message
	if json.Unmarshal(msg, &m) != nil {
		return false
	}
	if m.Method != "" {
		return l.withholdsEvent(ctx, m)
	}
	key := commandKey{m.SessionID, m.ID}
	l.removeStagedFor(key)
	return l.noteAnswer(key, len(m.Error) > 0)
}

// change returns a message with another value for a field of its parameters. All else is
// as it was.
func change(msg []byte, params map[string]any) ([]byte, error) {
	var outer, inner map[string]json.RawMessage
	if err := json.Unmarshal(msg, &outer); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(outer["params"], &inner); err != nil {
		return nil, err
	}
	if inner == nil {
		inner = map[string]json.RawMessage{} // the parameters were null
	}
	for name, value := range params {
		b, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		inner[name] = b
	}
	b, err := json.Marshal(inner)
	if err != nil {
		return nil, err
	}
	outer["params"] = b
	return json.Marshal(outer)
}

// refuse answers a command in the browser's place.
func (l *link) refuse(ctx context.Context, m message, err error) {
	text := err.Error()
	if e, is := errors.AsType[*bctrl.Error](err); is {
		text = e.Code + ": " + e.Message
		if e.Hint != "" {
			text += " (" + e.Hint + ")"
		}
	}
	answer := map[string]any{"id": m.ID, "error": map[string]any{"code": codeServerError, "message": text}}
	if m.SessionID != "" {
		answer["sessionId"] = m.SessionID
	}
	b, err := json.Marshal(answer)
	if err == nil {
		_ = l.client.Write(ctx, websocket.MessageText, b) // the client has left
	}
}

// codeServerError is the code of JSON-RPC with which the browser refuses.
const codeServerError = -32000
