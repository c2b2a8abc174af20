package page

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/cdproto/target"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

// scripted is a browser that answers each command as answer says, with a result or an error.
type scripted struct {
	answer  func(method, params string) string
	answers chan []byte
}

func (s *scripted) Read(ctx context.Context) ([]byte, error) {
	select {
	case msg := <-s.answers:
		return msg, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *scripted) Write(_ context.Context, msg []byte) error {
	var asked struct {
		ID        int64           `json:"id"`
		SessionID string          `json:"sessionId"`
		Method    string          `json:"method"`
		Params    json.RawMessage `json:"params"`
	}
	if err := json.Unmarshal(msg, &asked); err != nil {
		return err
	}
	s.answers <- fmt.Appendf(nil, `{"id":%d,"sessionId":%q,%s}`, asked.ID, asked.SessionID,
		s.answer(asked.Method, string(asked.Params)))
	return nil
}

// TestWhatCannotBeLocatedIsNotLeftUncovered has a password in two frames of a page. Where the
// browser says that it is not drawn there is nothing to paint over; where it does not say how
// long a pixel of the frame is, there is no picture.
func TestWhatCannotBeLocatedIsNotLeftUncovered(t *testing.T) {
	const ratio = `"result":{"result":{"type":"number","value":2}}`
	const refused = `"error":{"code":-32000,"message":"no"}`
	for _, c := range []struct {
		why, quads, ratio string
		masks             bool
		boxes             int
	}{
		{"it is drawn", `"result":{"quads":[[0,0,9,0,9,9,0,9]]}`, ratio, true, 1},
		{"it is not", refused, ratio, true, 0},
		{"the document is gone", `"result":{"quads":[[0,0,9,0,9,9,0,9]]}`, refused, false, 0},
		{"another refusal", `"result":{"quads":[[0,0,9,0,9,9,0,9]]}`, `"error":{"code":-32603,"message":"no"}`, false, 0},
		{"no number", `"result":{"quads":[[0,0,9,0,9,9,0,9]]}`, `"result":{"result":{"type":"undefined"}}`, false, 0},
	} {
		asked := 0
		browser := &scripted{answers: make(chan []byte, 1), answer: func(method, params string) string {
			switch method {
			case "Page.getFrameTree":
				return `"result":{"frameTree":{"frame":{"id":"T","loaderId":"L","url":"http://a.test/"},"childFrames":[` +
					`{"frame":{"id":"A","parentId":"T","loaderId":"M","url":"http://a.test/a"}},` +
					`{"frame":{"id":"B","parentId":"T","loaderId":"N","url":"http://a.test/b"}}]}}`
			case "DOMSnapshot.captureSnapshot":
				node := `"nodes":{"backendNodeId":[%d],"attributes":[[0,1]]}},`
				return `"result":{"strings":["type","password","A","B"],"documents":[` +
					strings.TrimSuffix(fmt.Sprintf(`{"frameId":2,`+node+`{"frameId":3,`+node, 7, 8), ",") + `]}`
			case "DOM.getContentQuads":
				return c.quads
			case "Page.createIsolatedWorld":
				return `"result":{"executionContextId":1}`
			default:
				if strings.Contains(params, "devicePixelRatio") {
					asked++
				}
				return c.ratio
			}
		}}
		ctx, cancel := context.WithCancel(t.Context())
		conn := protocol.NewConn(ctx, browser, func(target.SessionID, string, jsonv2.Value) {})
		tab := &tab{set: &Set{}, session: &session{Session: conn.Session("S"), targetID: "T"}}
		masks, err := tab.masks(ctx)
		if c.masks {
			require.NoError(t, err, c.why)
			require.Len(t, masks, 2, c.why)
			require.Len(t, masks[0].boxes, c.boxes, c.why)
			require.LessOrEqual(t, asked, 3, "the page itself is asked once")
		} else {
			require.Error(t, err, c.why)
			require.False(t, isNotShown(err), c.why)
		}
		cancel()
		<-conn.Done()
	}
}
