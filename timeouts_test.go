package bctrl

import (
	"context"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/wire"
)

// held is a body that begins and then says nothing more.
type held struct {
	ctx  context.Context
	text string
}

func (h *held) Read(p []byte) (int, error) {
	if h.text == "" {
		<-h.ctx.Done()
		return 0, h.ctx.Err()
	}
	n := copy(p, h.text)
	h.text = h.text[n:]
	return n, nil
}

// endless answers what is waited for: streams that do not end, and questions that the
// server answers after 20 seconds with "not yet".
func endless() *fake {
	return &fake{answer: func(_ int, r *http.Request) (*http.Response, error) {
		resp := answered(200, "", wire.HeaderUpstreamStatus, "200")
		path := r.URL.Path
		switch {
		case strings.HasSuffix(path, "/wait"):
			select {
			case <-r.Context().Done():
				return nil, r.Context().Err()
			case <-time.After(20 * time.Second):
			}
			return answered(200, `{"operation":{"status":"running"},"waitStatus":"timeout"}`), nil
		case strings.HasPrefix(path, "/v1/operations"):
			return answered(200, `{"id":"op-1"}`), nil
		case strings.HasSuffix(path, "/ws-1"):
			return answered(200, workspaceBody), nil
		case strings.HasSuffix(path, "/crm"), r.Method == http.MethodPost && strings.HasSuffix(path, "/runtimes"):
			return answered(200, strings.Replace(runtimeBody, "active", "starting", 1)), nil
		}
		resp.ContentLength, resp.Body = -1, io.NopCloser(&held{r.Context(), ": begun\n\n"})
		return resp, nil
	}}
}

// lasting are the calls that are not over with the answer to one request.
func lasting(t *testing.T) map[string]func(context.Context, ...CallOption) error {
	ctx, c := t.Context(), clientOn(t, endless())
	op, err := c.Operations.Get(ctx, "op-1")
	require.NoError(t, err)
	ws, err := c.Workspaces.Get(ctx, "ws-1")
	require.NoError(t, err)
	rt, err := ws.Runtimes.Get(ctx, "crm")
	require.NoError(t, err)
	return map[string]func(context.Context, ...CallOption) error{
		"Operation.Wait": func(ctx context.Context, opts ...CallOption) error {
			_, err := op.Wait(ctx, opts...)
			return err
		},
		"Operation.Progress": func(ctx context.Context, opts ...CallOption) (err error) {
			for _, err = range op.Progress(ctx, opts...) {
				continue
			}
			return err
		},
		"Runtime.WaitEvent": func(ctx context.Context, opts ...CallOption) error {
			_, err := rt.WaitEvent(ctx, WaitEventOptions{}, opts...)
			return err
		},
		"BrowserLauncher.Stagehand": func(ctx context.Context, opts ...CallOption) error {
			_, err := ws.Runtimes.Browser("crm").Stagehand(ctx, Launch{}, opts...)
			return err
		},
		"Client.Updates": func(ctx context.Context, opts ...CallOption) (err error) {
			for _, err = range c.Updates(ctx, opts[0]) {
				continue
			}
			return err
		},
		"AuditService.Tail": func(ctx context.Context, opts ...CallOption) (err error) {
			for _, err = range c.Audit.Tail(ctx, AuditFilter{}, opts...) {
				continue
			}
			return err
		},
		"AuditService.Export": func(ctx context.Context, opts ...CallOption) error {
			return c.Audit.Export(ctx, io.Discard, AuditFilter{}, opts...)
		},
		"CapabilitiesService.Stream": func(ctx context.Context, opts ...CallOption) error {
			stream, err := c.Capabilities.Stream(ctx, Invocation{Capability: "openai/chat-completions"}, opts...)
			if err == nil {
				_, err = io.Copy(io.Discard, stream)
			}
			return err
		},
		"Storage.Open": func(ctx context.Context, opts ...CallOption) error {
			r, err := c.Storage("ns").Open(ctx, "a.csv", opts[0])
			if err == nil {
				_, err = io.Copy(io.Discard, r)
				r.Close()
			}
			return err
		},
	}
}

func TestACallTimeoutBoundsAllThatIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, call := range lasting(t) {
			begun := time.Now()
			err := call(t.Context(), WithCallTimeout(50*time.Second))
			require.ErrorIs(t, err, context.DeadlineExceeded, name)
			require.ErrorIs(t, err, ErrUnavailable, name)
			requireRoute(t, err, "transport.timeout", name)
			require.Equal(t, 50*time.Second, time.Since(begun), name)
		}
	})
}

func TestWhatIsWaitedForEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, call := range lasting(t) {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(50*time.Second, cancel)
			err := call(ctx, WithCallTimeout(0))
			require.ErrorIs(t, err, context.Canceled, name)
			require.NotErrorIs(t, err, ErrUnavailable, name)
			requireRoute(t, err, "transport.cancelled", name)
		}
	})
}

// requireRoute requires an *Error with a code, and the route that it is of.
func requireRoute(t *testing.T, err error, code, name string) {
	t.Helper()
	var e *Error
	require.ErrorAs(t, err, &e, name)
	require.Equal(t, code, e.Code, name)
	require.NotEmpty(t, e.Method, name)
	require.NotEmpty(t, e.PathTemplate, name)
}

func TestAStreamIsAskedForAnewWhereNoAnswerComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answer: func(n int, r *http.Request) (*http.Response, error) {
			if n == 2 {
				<-r.Context().Done()
				return nil, r.Context().Err()
			}
			resp := answered(200, "")
			resp.ContentLength, resp.Body = -1, io.NopCloser(strings.NewReader(
				"id: "+strconv.Itoa(n)+"\ndata: {\"seq\":"+strconv.Itoa(n)+"}\n\n"))
			return resp, nil
		}}
		var got []int64
		for e, err := range clientOn(t, f).Audit.Tail(t.Context(), AuditFilter{}) {
			require.NoError(t, err)
			if got = append(got, e.Seq); len(got) == 2 {
				break
			}
		}
		require.Equal(t, []int64{1, 3}, got)
		require.Equal(t, []string{"1"}, f.requests()[2].header["Last-Event-Id"])
	})
}

func TestAStreamThatIsNeverAnsweredIsAnErrorInTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answer: func(_ int, r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}}
		for _, err := range clientOn(t, f).Audit.Tail(t.Context(), AuditFilter{}) {
			requireRoute(t, err, "transport.timeout", "")
			require.ErrorIs(t, err, ErrUnavailable)
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}
		require.Len(t, f.requests(), 1)
	})
}

func TestANegativeCallTimeoutIsRefused(t *testing.T) {
	f := always(200, `{}`)
	c := clientOn(t, f)
	_, err := c.Profiles.Get(t.Context(), "p", WithCallTimeout(-time.Nanosecond))
	require.ErrorIs(t, err, ErrInvalid, "what is left of a time that is over is not forever")
	_, err = c.Capabilities.Stream(t.Context(), Invocation{Capability: "openai/chat-completions"}, WithCallTimeout(-1))
	require.ErrorIs(t, err, ErrInvalid)
	require.Empty(t, f.requests())
}

func TestAStreamThatIsClosedSaysSo(t *testing.T) {
	c := clientOn(t, endless())
	stream, err := c.Capabilities.Stream(t.Context(), Invocation{Capability: "openai/chat-completions"})
	require.NoError(t, err)
	_, err = stream.Read(make([]byte, 16))
	require.NoError(t, err)
	require.NoError(t, stream.Close())
	require.NoError(t, stream.Close())
	_, err = stream.Read(make([]byte, 8))
	requireRoute(t, err, "invoke.stream_closed", "")
	require.NotErrorIs(t, err, context.Canceled)
}

func TestATimeOfLessThanAMillisecondIsNotTheDefault(t *testing.T) {
	f := crmServer(map[string]string{
		"POST /v1/workspaces/ws-1/runtimes/crm/embed/live":      `{"id":"view-1"}`,
		"POST /v1/workspaces/ws-1/runtimes/crm/embed/recording": `{"status":"recording"}`,
	})
	_, rt := crm(t, f)
	_, err := rt.Live(t.Context(), LiveOptions{TTL: 15}) // of seconds, their author thought
	require.NoError(t, err)
	_, err = rt.RecordingWith(t.Context(), RecordingOptions{TTL: -15})
	require.NoError(t, err)
	sent := f.requests()
	require.Contains(t, sent[len(sent)-2].body, `"ttlMs":1`)
	require.Contains(t, sent[len(sent)-1].body, `"ttlMs":-1`)

	hooks := always(200, `{"id":"wh-1"}`)
	for overlap, sent := range map[time.Duration]string{3600: `"overlapMs":1`, -1: `"overlapMs":0`, 0: `{}`} {
		_, err := clientOn(t, hooks).Webhooks.RotateSecret(t.Context(), "wh-1", WebhookRotation{Overlap: overlap})
		require.NoError(t, err)
		all := hooks.requests()
		require.Contains(t, all[len(all)-1].body, sent)
	}
	require.Equal(t, millis(math.MaxInt64)+1, millisOrMore(math.MaxInt64))
	require.Equal(t, millis(math.MinInt64)-1, millisOrMore(math.MinInt64))
}

// TestALaunchWaitsForItsBrowser for as long as the server lets it be queued and start.
func TestALaunchWaitsForItsBrowser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		soon := endless().answer
		c := clientOn(t, &fake{answer: func(n int, r *http.Request) (*http.Response, error) {
			if r.Method != http.MethodPost {
				return soon(n, r)
			}
			select {
			case <-r.Context().Done():
				return nil, r.Context().Err()
			case <-time.After(80 * time.Second):
			}
			return answered(200, runtimeBody), nil
		}})
		ws, err := c.Workspaces.Get(t.Context(), "ws-1")
		require.NoError(t, err)
		_, err = ws.Runtimes.Browser("crm").Stagehand(t.Context(), Launch{})
		require.NoError(t, err)
		_, err = ws.Runtimes.Browser("crm").Stagehand(t.Context(), Launch{}, WithCallTimeout(70*time.Second))
		requireRoute(t, err, "transport.timeout", "")
	})
}
