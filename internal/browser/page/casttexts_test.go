package page

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/cdproto"
	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/cdproto/target"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

// lateBrowser is a browser that begins to watch texts, and answers that too late.
type lateBrowser struct {
	tooLate context.CancelFunc // called once it has begun
	ended   chan struct{}      // closed once it has ended
	say     chan string
}

func (b lateBrowser) Read(ctx context.Context) ([]byte, error) {
	select {
	case text := <-b.say:
		return []byte(text), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (b lateBrowser) Write(_ context.Context, raw []byte) error {
	var msg cdproto.Message
	if err := jsonv2.Unmarshal(raw, &msg, protocol.PageText()); err != nil {
		return err
	}
	var result string
	switch params := string(msg.Params); {
	case msg.Method == "Page.getFrameTree":
		result = `{"frameTree":{"frame":{"id":"T","loaderId":"L","url":"","securityOrigin":""}}}`
	case msg.Method == "Page.createIsolatedWorld":
		result = `{"executionContextId":7}`
	case strings.Contains(params, "new MutationObserver"):
		b.tooLate()
		return nil
	default:
		close(b.ended)
		result = `{"result":{"type":"object","value":{"texts":[],"full":true}}}`
	}
	b.say <- fmt.Sprintf(`{"id":%d,"sessionId":%q,"result":%s}`, msg.ID, msg.SessionID, result)
	return nil
}

// TestAWatchThatBeganTooLateIsEnded has a document begin to watch its texts after nobody waits for
// it any more: left alone it would watch for as long as the document lasts.
func TestAWatchThatBeganTooLateIsEnded(t *testing.T) {
	connected, disconnect := context.WithCancel(t.Context())
	ctx, tooLate := context.WithCancel(t.Context())
	b := lateBrowser{tooLate: tooLate, ended: make(chan struct{}), say: make(chan string, 8)}
	conn := protocol.NewConn(connected, b, func(target.SessionID, string, jsonv2.Value) {})
	defer func() { disconnect(); <-conn.Done() }()
	of := &tab{set: new(Set), session: &session{Session: conn.Session("S"), targetID: "T"}}

	_, err := of.watchTexts(ctx)
	require.ErrorIs(t, err, context.Canceled)
	select {
	case <-b.ended:
	default:
		require.Fail(t, "the watch goes on")
	}
}
