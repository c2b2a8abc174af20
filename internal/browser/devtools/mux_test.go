package devtools

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/cdproto/target"
	"github.com/stretchr/testify/require"
)

// scripted is the browser's end of a pipe. It attaches clients as sessions S1,
// S2, … and passes every other command to the test.
type scripted struct {
	out      io.WriteCloser
	commands chan message
	detached chan message // the sessions that the mux lets go of, as far as there is room
	mu       sync.Mutex
	sessions int
}

// newScripted returns a mux and the browser that it serves, until the test
// ends.
func newScripted(t *testing.T) (*Mux, *scripted) {
	t.Helper()
	commandsIn, commandsOut := io.Pipe()
	messagesIn, messagesOut := io.Pipe()
	s := &scripted{out: messagesOut, commands: make(chan message, 64), detached: make(chan message, 64)}
	m := New(messagesIn, commandsOut, func(target.ID, string, jsonv2.Value) {})
	done := make(chan struct{})
	go func() {
		defer close(done)
		r := bufio.NewReader(commandsIn)
		for {
			raw, err := r.ReadBytes(0)
			if err != nil {
				return
			}
			var msg message
			if err := json.Unmarshal(raw[:len(raw)-1], &msg); err != nil {
				t.Errorf("the browser cannot read %q", raw)
				return
			}
			switch msg.Method {
			case target.CommandAttachToBrowserTarget:
				s.sessions++
				s.say(t, `{"id":%d,"result":{"sessionId":"S%d"}}`, msg.ID, s.sessions)
			case target.CommandDetachFromTarget:
				select {
				case s.detached <- msg:
				default:
				}
				s.say(t, `{"id":%d,"result":{}}`, msg.ID)
			default:
				s.commands <- msg
			}
		}
	}()
	t.Cleanup(func() {
		_ = messagesOut.Close()
		<-m.done
		<-done
	})
	return m, s
}

// say sends what the browser has to say.
func (s *scripted) say(t *testing.T, format string, args ...any) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := fmt.Fprintf(s.out, format+"\x00", args...); err != nil {
		t.Errorf("the browser cannot speak: %v", err)
	}
}

func attach(t *testing.T, m *Mux) *Client {
	t.Helper()
	c, err := m.attachClient(t.Context(), nil, nil)
	require.NoError(t, err)
	return c
}

// read returns a client's next message as text.
func read(t *testing.T, c *Client) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	b, err := c.Read(ctx)
	require.NoError(t, err)
	return string(b)
}

func TestEachClientHasIdsAndSessionsOfItsOwn(t *testing.T) {
	m, browser := newScripted(t)
	a, b := attach(t, m), attach(t, m)

	require.NoError(t, a.Write(t.Context(), []byte(`{"id":1,"method":"Target.getTargets"}`)))
	require.NoError(t, b.Write(t.Context(), []byte(`{"id":1,"method":"Target.getTargets","params":{}}`)))
	first, second := <-browser.commands, <-browser.commands
	require.Equal(t, target.SessionID("S1"), first.SessionID, "a connection is a session of the browser")
	require.Equal(t, target.SessionID("S2"), second.SessionID)
	require.NotEqual(t, first.ID, second.ID)

	// Answers in the other order find their way.
	browser.say(t, `{"id":%d,"sessionId":"S2","result":{"for":"b"}}`, second.ID)
	browser.say(t, `{"id":%d,"sessionId":"S1","error":{"code":-1,"message":"for a","data":"x"}}`, first.ID)
	require.JSONEq(t, `{"id":1,"result":{"for":"b"}}`, read(t, b))
	require.JSONEq(t, `{"id":1,"error":{"code":-1,"message":"for a","data":"x"}}`, read(t, a))

	// A tab that a attached is a's, and so is a worker attached through it.
	browser.say(t, `{"sessionId":"S1","method":"Target.attachedToTarget","params":{"sessionId":"TAB"}}`)
	browser.say(t, `{"sessionId":"TAB","method":"Target.attachedToTarget","params":{"sessionId":"WORKER"}}`)
	browser.say(t, `{"sessionId":"WORKER","method":"Runtime.consoleAPICalled","params":{}}`)
	require.JSONEq(t, `{"method":"Target.attachedToTarget","params":{"sessionId":"TAB"}}`, read(t, a))
	require.JSONEq(t, `{"sessionId":"TAB","method":"Target.attachedToTarget","params":{"sessionId":"WORKER"}}`, read(t, a))
	require.JSONEq(t, `{"sessionId":"WORKER","method":"Runtime.consoleAPICalled","params":{}}`, read(t, a))

	for _, stolen := range []string{"TAB", "WORKER", "S1", "unknown"} {
		require.NoError(t, b.Write(t.Context(), []byte(`{"id":9,"sessionId":"`+stolen+`","method":"Runtime.evaluate"}`)))
		require.Contains(t, read(t, b), `"code":-32001`, stolen)
	}
	require.Empty(t, browser.commands, "none of it reached the browser")

	browser.say(t, `{"sessionId":"TAB","method":"Target.detachedFromTarget","params":{"sessionId":"WORKER"}}`)
	read(t, a)
	require.NoError(t, a.Write(t.Context(), []byte(`{"id":2,"sessionId":"WORKER","method":"Runtime.evaluate"}`)))
	require.Contains(t, read(t, a), `"code":-32001`, "a session that has ended")
}

func TestAClientThatDoesNotReadStopsNobodyElse(t *testing.T) {
	m, browser := newScripted(t)
	hanging, reading := attach(t, m), attach(t, m)
	big := strings.Repeat("x", 1<<20)
	for range maxQueued>>20 + 1 {
		browser.say(t, `{"sessionId":"S1","method":"Page.screencastFrame","params":{"data":"%s"}}`, big)
	}
	browser.say(t, `{"sessionId":"S2","method":"Page.frameResized","params":{}}`)
	require.Contains(t, read(t, reading), "Page.frameResized")
	<-hanging.ended.Done()
	_, err := hanging.Read(t.Context())
	require.ErrorIs(t, err, errSlowClient)
}

func TestADroppedClientEndsItsServingThoughItsConnectionHangs(t *testing.T) {
	m, browser := newScripted(t)
	client := attach(t, m)
	stuck := stuckConn{make(chan struct{})}
	served := make(chan error, 1)
	go func() {
		served <- copyMessages(t.Context(), stuck, client, testFilter())
	}()
	browser.say(t, `{"sessionId":"S1","method":"Page.frameResized","params":{}}`)
	<-stuck.writing // the connection hangs from here on
	big := strings.Repeat("x", 1<<20)
	for range maxQueued>>20 + 1 {
		browser.say(t, `{"sessionId":"S1","method":"Page.screencastFrame","params":{"data":"%s"}}`, big)
	}
	require.ErrorIs(t, <-served, errSlowClient)
}

// stuckConn never finishes a read or a write by itself.
type stuckConn struct{ writing chan struct{} }

func (c stuckConn) Read(ctx context.Context) ([]byte, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (c stuckConn) Write(ctx context.Context, _ []byte) error {
	close(c.writing)
	<-ctx.Done()
	return ctx.Err()
}

func TestUnansweredCommandsAreBounded(t *testing.T) {
	m, browser := newScripted(t)
	c := attach(t, m)
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		for range maxPending {
			<-browser.commands
		}
	}()
	for i := range maxPending {
		require.NoError(t, c.sendCommand(message{ID: int64(i + 1), Method: "Page.enable"}))
	}
	require.NoError(t, c.sendCommand(message{ID: maxPending + 1, Method: "Page.enable"}))
	require.Contains(t, read(t, c), "too many unanswered commands")
	<-drained
}

func TestTheBrowsersEndReachesEveryone(t *testing.T) {
	m, browser := newScripted(t)
	c := attach(t, m)
	answer := make(chan error, 1)
	go func() { answer <- m.Call(t.Context(), "Browser.getVersion", struct{}{}, nil) }()
	<-browser.commands
	require.NoError(t, browser.out.Close())
	<-m.done
	require.ErrorIs(t, <-answer, ErrBrowserGone, "who waits for an answer")
	_, err := c.Read(t.Context())
	require.ErrorIs(t, err, ErrBrowserGone, "who reads")
	require.ErrorIs(t, c.sendCommand(message{ID: 1, Method: "Page.enable"}), ErrBrowserGone, "who writes")
	_, err = m.attachClient(t.Context(), nil, nil)
	require.ErrorIs(t, err, ErrBrowserGone, "who comes")
	c.Close(t.Context())
}

func TestAnAnswerThatNobodyWaitsForIsDropped(t *testing.T) {
	m, browser := newScripted(t)
	c := attach(t, m)
	require.NoError(t, c.sendCommand(message{ID: 1, Method: "Page.enable"}))
	late := <-browser.commands
	c.Close(t.Context())
	browser.say(t, `{"id":%d,"sessionId":"S1","result":{}}`, late.ID)
	browser.say(t, `{"sessionId":"S1","method":"Page.frameResized","params":{}}`)
	browser.say(t, `{"method":"Page.frameResized","params":{}}`)
	browser.say(t, `not JSON`)
	other := attach(t, m) // and the mux goes on
	browser.say(t, `{"sessionId":"S2","method":"Page.frameResized","params":{"title":"\ud800"}}`)
	require.Contains(t, read(t, other), "frameResized", "a lone surrogate in a page's text loses nothing")
}

// TestAClientSetsNoBreakpointInAScriptThatItWasNotToldOf has it guess the number of the server's
// next script, which the browser may have by the time that it reads the command.
func TestAClientSetsNoBreakpointInAScriptThatItWasNotToldOf(t *testing.T) {
	m, browser := newScripted(t)
	c := attach(t, m)
	server, err := m.AttachServer(t.Context())
	require.NoError(t, err)
	for session, root := range map[string]string{"TAB": "S1", "OURS": "S2"} {
		browser.say(t, `{"sessionId":"%s","method":"Target.attachedToTarget","params":{"sessionId":"%s",`+
			`"targetInfo":{"targetId":"T","type":"page"}}}`, root, session)
	}
	require.Contains(t, read(t, c), "attachedToTarget")
	require.Contains(t, read(t, server), "attachedToTarget")
	parsed := func(id string) {
		browser.say(t, `{"sessionId":"TAB","method":"Debugger.scriptParsed","params":{"scriptId":"%s",`+
			`"executionContextId":1,"executionContextAuxData":{"type":"default"}}}`, id)
		require.Contains(t, read(t, c), "scriptParsed")
	}
	breakAt := func(id string) {
		require.NoError(t, c.Write(t.Context(), []byte(`{"id":1,"sessionId":"TAB","method":"Debugger.setBreakpoint",`+
			`"params":{"location":{"scriptId":"`+id+`","lineNumber":0},"condition":"1"}}`)))
	}
	parsed("6")
	breakAt("7")
	require.Equal(t, "Debugger.setBreakpoint", (<-browser.commands).Method, "the server has no script there")
	require.NoError(t, server.Write(t.Context(), []byte(
		`{"id":1,"sessionId":"OURS","method":"Page.createIsolatedWorld","params":{"frameId":"T"}}`)))
	require.Equal(t, "Page.createIsolatedWorld", (<-browser.commands).Method)
	breakAt("7")
	require.Contains(t, read(t, c), "Could not resolve breakpoint")
	breakAt("6")
	require.Equal(t, "Debugger.setBreakpoint", (<-browser.commands).Method)
	parsed("7")
	breakAt("7")
	require.Equal(t, "Debugger.setBreakpoint", (<-browser.commands).Method, "it is the page's")
	browser.say(t, `{"sessionId":"TAB","method":"Runtime.executionContextsCleared","params":{}}`)
	require.Contains(t, read(t, c), "executionContextsCleared")
	breakAt("6")
	require.Contains(t, read(t, c), "Could not resolve breakpoint", "numbers begin anew in another process")
}

// A browser that does not read its pipe is hung, and its end is decided.
func TestABrowserThatDoesNotReadIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, say := io.Pipe()
		pipe := &deafPipe{closed: make(chan struct{})}
		m := New(in, pipe, func(target.ID, string, jsonv2.Value) {})
		began := time.Now()
		require.ErrorIs(t, m.Call(t.Context(), "Browser.getVersion", struct{}{}, nil), ErrBrowserGone)
		require.Equal(t, writeTimeout, time.Since(began))
		<-pipe.closed
		require.NoError(t, say.Close())
		<-m.done
	})
}

// deafPipe blocks a write until its deadline.
type deafPipe struct {
	deadline time.Time
	once     sync.Once
	closed   chan struct{}
}

func (p *deafPipe) SetWriteDeadline(t time.Time) error { p.deadline = t; return nil }

func (p *deafPipe) Write([]byte) (int, error) {
	<-time.After(time.Until(p.deadline))
	return 0, context.DeadlineExceeded
}

func (p *deafPipe) Close() error { p.once.Do(func() { close(p.closed) }); return nil }
