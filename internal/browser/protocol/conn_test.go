package protocol

import (
	"context"
	"io"
	"testing"

	"github.com/chromedp/cdproto"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/target"
	"github.com/stretchr/testify/require"
)

// browserEnd is the browser's end of a connection: a test reads commands and says
// what it likes.
type browserEnd struct {
	commands chan cdproto.Message
	say      chan string
}

func (b browserEnd) Read(ctx context.Context) ([]byte, error) {
	select {
	case text, ok := <-b.say:
		if !ok {
			return nil, io.EOF
		}
		return []byte(text), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (b browserEnd) Write(_ context.Context, raw []byte) error {
	var msg cdproto.Message
	if err := jsonv2.Unmarshal(raw, &msg, PageText()); err != nil {
		return err
	}
	b.commands <- msg
	return nil
}

// newConn returns a connection that ends with its test, its other end and the events
// that it hears.
func newConn(t *testing.T) (*Conn, browserEnd, <-chan string) {
	t.Helper()
	b := browserEnd{commands: make(chan cdproto.Message, 8), say: make(chan string)}
	events := make(chan string, 8)
	ctx, cancel := context.WithCancel(t.Context())
	c := NewConn(ctx, b, func(session target.SessionID, method string, params jsonv2.Value) {
		events <- string(session) + " " + method + " " + string(params)
	})
	t.Cleanup(func() { cancel(); <-c.Done() })
	return c, b, events
}

func TestAnswersFindTheirCallsInAnyOrder(t *testing.T) {
	c, b, events := newConn(t)
	titles := make(chan string, 2)
	ask := func(session target.SessionID) {
		var got struct{ Title string }
		if err := c.Session(session).Call(t.Context(), "X.title", cdp.Empty{}, &got); err != nil {
			t.Errorf("call: %v", err)
		}
		titles <- string(session) + " " + got.Title
	}
	go ask("A")
	first := <-b.commands
	go ask("B")
	second := <-b.commands
	require.EqualValues(t, "A", first.SessionID)
	require.NotEqual(t, first.ID, second.ID)

	b.say <- `{"id":2,"sessionId":"B","result":{"Title":"two"}}`
	require.Equal(t, "B two", <-titles)
	b.say <- `no message`
	b.say <- `{"id":99,"result":{}}`
	b.say <- `{"sessionId":"A","method":"Page.frameResized","params":{"x":1}}`
	require.Equal(t, `A Page.frameResized {"x":1}`, <-events)
	b.say <- `{"id":1,"sessionId":"A","result":{"Title":"lone \ud800 surrogate"}}`
	require.Contains(t, <-titles, "surrogate")
}

func TestAnErrorOfTheBrowserIsTheCallers(t *testing.T) {
	c, b, _ := newConn(t)
	failed := make(chan error, 1)
	go func() { failed <- Tell(t.Context(), c.Root(), page.Enable, page.EnableParams{}) }()
	<-b.commands
	b.say <- `{"id":1,"error":{"code":-32000,"message":"not now"}}`
	require.ErrorContains(t, <-failed, "not now")
}

// TestNoCallWaitsForWhatHasEnded ends what a call waits for in each way.
func TestNoCallWaitsForWhatHasEnded(t *testing.T) {
	for _, c := range []struct {
		why  string
		end  func(c *Conn, b browserEnd, cancel func())
		want error
	}{
		{"its context", func(_ *Conn, _ browserEnd, cancel func()) { cancel() }, context.Canceled},
		{"its session", func(c *Conn, _ browserEnd, _ func()) { c.EndSession("A") }, ErrGone},
		{"the connection", func(_ *Conn, b browserEnd, _ func()) { close(b.say) }, io.EOF},
	} {
		t.Run(c.why, func(t *testing.T) {
			conn, b, _ := newConn(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := make(chan error, 1)
			go func() { ended <- conn.Session("A").Call(ctx, "X.wait", cdp.Empty{}, nil) }()
			<-b.commands
			c.end(conn, b, cancel)
			require.ErrorIs(t, <-ended, c.want)
		})
	}
}

func TestACallOfAnotherSessionGoesOnWaiting(t *testing.T) {
	c, b, _ := newConn(t)
	answered := make(chan error, 1)
	go func() { answered <- c.Session("B").Call(t.Context(), "X.wait", cdp.Empty{}, nil) }()
	<-b.commands
	c.EndSession("A")
	b.say <- `{"id":1,"sessionId":"B","result":{}}`
	require.NoError(t, <-answered)
}

func TestNothingIsCalledOverAConnectionThatHasEnded(t *testing.T) {
	c, b, _ := newConn(t)
	close(b.say)
	<-c.Done()
	err := c.Root().Call(t.Context(), "X.late", cdp.Empty{}, nil)
	require.ErrorIs(t, err, io.EOF)
	require.Empty(t, b.commands)
}
