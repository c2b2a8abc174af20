package bctrltest_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest"
)

// losing loses the first answer to a wait that holds an event.
type losing struct {
	*http.Transport
	mu   sync.Mutex
	lost string
	// answered is closed once a wait was answered.
	answered chan struct{}
	once     sync.Once
}

func (l *losing) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := l.Transport.RoundTrip(r)
	if err != nil || !strings.HasSuffix(r.URL.Path, "/events/wait") {
		return resp, err
	}
	text, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(text))
	l.once.Do(func() { close(l.answered) })
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost != "" || !bytes.Contains(text, []byte(`"event":{`)) {
		return resp, nil
	}
	l.lost = string(text)
	return nil, errors.New("the connection broke")
}

func TestAnEventIsNotLostWithTheAnswerThatHasIt(t *testing.T) {
	srv := bctrltest.New(t)
	ws, err := srv.Client().Workspaces.Create(t.Context(), bctrl.WorkspaceCreate{Name: "w"})
	require.NoError(t, err)
	for _, tc := range []struct {
		what   string
		wait   bctrl.WaitEventOptions
		happen func(*bctrl.Runtime) error
	}{
		{"from now on", bctrl.WaitEventOptions{Types: []bctrl.EventType{bctrl.EventStepEnded}},
			func(rt *bctrl.Runtime) error {
				_, err := rt.Pages.List(t.Context())
				return err
			}},
		{"the end", bctrl.WaitEventOptions{Types: []bctrl.EventType{bctrl.EventStopped}, After: bctrl.FirstKept},
			func(rt *bctrl.Runtime) error { return rt.Stop(t.Context()) }},
	} {
		t.Run(tc.what, func(t *testing.T) {
			transport := &losing{Transport: &http.Transport{}, answered: make(chan struct{})}
			t.Cleanup(transport.CloseIdleConnections)
			rt, err := ws.Runtimes.Browser("r").Stagehand(t.Context(), bctrl.Launch{})
			require.NoError(t, err)
			lossy := srv.Client(bctrl.WithHTTPClient(&http.Client{Transport: transport}))
			there, err := lossy.Workspaces.Get(t.Context(), ws.ID)
			require.NoError(t, err)
			waiting, err := there.Runtimes.Get(t.Context(), "r")
			require.NoError(t, err)
			type got struct {
				event *bctrl.Event
				err   error
			}
			done := make(chan got, 1)
			go func() {
				e, err := waiting.WaitEvent(t.Context(), tc.wait, bctrl.WithCallTimeout(10*time.Second))
				done <- got{e, err}
			}()
			if tc.wait.After == 0 { // its now has to be before what happens
				select {
				case <-transport.answered:
				case out := <-done:
					require.NoError(t, out.err)
				}
			}
			require.NoError(t, tc.happen(rt))
			out := <-done
			require.NoError(t, out.err)
			require.NotEmpty(t, transport.lost)
			require.Contains(t, transport.lost, out.event.ID)
			require.NoError(t, rt.Stop(t.Context()))
		})
	}
}
