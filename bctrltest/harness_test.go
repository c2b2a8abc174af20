package bctrltest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"
)

// devtools is a DevTools client as thin as one can be, so that tests send what
// no library would and see every byte that comes back.
type devtools struct {
	ws *websocket.Conn

	mu      sync.Mutex
	next    int
	waiting map[int]chan cdpMessage
	events  []cdpMessage
	seen    bytes.Buffer // all that was received
	done    chan struct{}
}

type cdpMessage struct {
	ID        int             `json:"id,omitempty"`
	SessionID string          `json:"sessionId,omitempty"`
	Method    string          `json:"method,omitempty"`
	Params    json.RawMessage `json:"params,omitempty"`
	Result    json.RawMessage `json:"result,omitempty"`
	Error     *struct {
		Message string `json:"message"`
	} `json:"error,omitempty"`
}

// dialDevTools connects to a connect URL until the test ends.
func dialDevTools(t *testing.T, url string) *devtools {
	t.Helper()
	ws, _, err := websocket.Dial(t.Context(), url, nil)
	require.NoError(t, err)
	ws.SetReadLimit(64 << 20)
	d := &devtools{ws: ws, waiting: map[int]chan cdpMessage{}, done: make(chan struct{})}
	go d.read()
	t.Cleanup(func() {
		_ = ws.CloseNow() // it may have been closed by the other side
		<-d.done
	})
	return d
}

func (d *devtools) read() {
	defer close(d.done)
	for {
		_, b, err := d.ws.Read(context.Background())
		if err != nil {
			return
		}
		var m cdpMessage
		_ = json.Unmarshal(b, &m) // what is no message stays in seen
		d.mu.Lock()
		d.seen.Write(append(b, '\n'))
		if c, ok := d.waiting[m.ID]; ok && m.ID != 0 {
			delete(d.waiting, m.ID)
			c <- m
		} else {
			d.events = append(d.events, m)
		}
		d.mu.Unlock()
	}
}

// received is every byte that came from the server.
func (d *devtools) received() []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return bytes.Clone(d.seen.Bytes())
}

// sawEvent reports whether an event has come.
func (d *devtools) sawEvent(method string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range d.events {
		if e.Method == method {
			return true
		}
	}
	return false
}

// call sends a command and returns its result. Session "" is the browser's.
func (d *devtools) call(ctx context.Context, session, method string, params any) (json.RawMessage, error) {
	if params == nil {
		params = struct{}{}
	}
	raw, err := json.Marshal(params)
	if err != nil {
		return nil, err
	}
	answer := make(chan cdpMessage, 1)
	d.mu.Lock()
	d.next++
	id := d.next
	d.waiting[id] = answer
	d.mu.Unlock()
	b, err := json.Marshal(cdpMessage{
		ID:        id,
		SessionID: session,
		Method:    method,
		Params:    raw,
	})
	if err != nil {
		return nil, err
	}
	if err := d.ws.Write(ctx, websocket.MessageText, b); err != nil {
		return nil, err
	}
	select {
	case m := <-answer:
		if m.Error != nil {
			return nil, fmt.Errorf("%s: %s", method, m.Error.Message)
		}
		return m.Result, nil
	case <-d.done:
		return nil, fmt.Errorf("%s: the connection ended", method)
	case <-ctx.Done():
		return nil, fmt.Errorf("%s: %w", method, ctx.Err())
	}
}

// page attaches to the first tab.
func (d *devtools) page(ctx context.Context) (session string, err error) {
	raw, err := d.call(ctx, "", "Target.getTargets", nil)
	if err != nil {
		return "", err
	}
	var targets struct {
		TargetInfos []struct{ TargetID, Type string }
	}
	if err := json.Unmarshal(raw, &targets); err != nil {
		return "", err
	}
	for _, info := range targets.TargetInfos {
		if info.Type == "page" {
			raw, err := d.call(ctx, "", "Target.attachToTarget", map[string]any{"targetId": info.TargetID, "flatten": true})
			if err != nil {
				return "", err
			}
			var attached struct{ SessionID string }
			return attached.SessionID, json.Unmarshal(raw, &attached)
		}
	}
	return "", fmt.Errorf("the browser has no tab")
}

// eval evaluates a script in the page and decodes its value into out.
func (d *devtools) eval(ctx context.Context, session, script string, out any) error {
	raw, err := d.call(ctx, session, "Runtime.evaluate", map[string]any{"expression": script, "returnByValue": true,
		"awaitPromise": true})
	if err != nil {
		return err
	}
	var got struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails json.RawMessage
	}
	if err := json.Unmarshal(raw, &got); err != nil {
		return err
	}
	if got.ExceptionDetails != nil {
		return fmt.Errorf("evaluating: %s", got.ExceptionDetails)
	}
	return json.Unmarshal(got.Result.Value, out)
}
