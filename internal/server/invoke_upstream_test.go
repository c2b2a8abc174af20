package server

import (
	"bufio"
	"context"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/egress"
	"github.com/bctrl-go/bctrl/internal/standin"
)

// TestAProviderThatMisbehaves has what comes of each way to answer badly.
func TestAProviderThatMisbehaves(t *testing.T) {
	raw := func(lines ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, strings.Join(lines, "\r\n"))
			_ = conn.Close()
		}
	}
	for _, test := range []struct {
		why, code string
		handler   http.HandlerFunc
	}{
		{"a redirect", "invoke.redirect_refused", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://evil.example/", http.StatusFound)
		}},
		{"a permanent redirect to itself", "invoke.redirect_refused", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path, http.StatusPermanentRedirect)
		}},
		{"nothing in its time", "invoke.upstream_timeout", func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
		}},
		{"half an answer in its time", "invoke.upstream_timeout", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}},
		{"too much, as it says", "invoke.response_too_large", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000000")
			_, _ = io.WriteString(w, strings.Repeat("x", 1000000))
		}},
		{"too much, unsaid", "invoke.response_too_large", func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, strings.Repeat("x", 1000)); err != nil {
					return
				}
				_ = http.NewResponseController(w).Flush()
			}
		}},
		{"an encoding that is not the body's", "invoke.answer_refused", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "br") // without a body it would be well, and many servers do that
			_, _ = io.WriteString(w, "plain")
		}},
		{"it breaks off", "invoke.upstream_unreachable", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}},
		{"another protocol", "invoke.answer_refused", raw("HTTP/1.1 101 Switching Protocols", "Upgrade: x",
			"Connection: Upgrade", "", "")},
		{"no HTTP at all", "invoke.upstream_unreachable", raw("SSH-2.0-OpenSSH", "")},
		{"large headers", "invoke.response_header_too_large", raw("HTTP/1.1 200 OK", "X-Big: "+strings.Repeat("x", 100<<10),
			"", "")},
		{"huge headers", "invoke.response_header_too_large", raw("HTTP/1.1 200 OK", "X-Big: "+strings.Repeat("x", 2<<20), "",
			"")},
		{"less than it declares", "invoke.upstream_unreachable", raw("HTTP/1.1 200 OK", "Content-Length: 10", "", "x")},
		{"it hangs up", "invoke.upstream_unreachable", raw()},
	} {
		t.Run(test.why, func(t *testing.T) {
			c := newCallersHTTP1(t, test.handler)
			c.policy(bctrl.CapabilityPolicy{MaxResponseBytes: 10_000})
			inv := things()
			inv.Timeout = time.Second
			if test.code == "invoke.upstream_timeout" {
				inv.Timeout = 100 * time.Millisecond
			}
			_, err := c.client.Capabilities.Invoke(t.Context(), inv)
			require.Equal(t, test.code, codeOf(err), "%v", err)
			require.EqualValues(t, 1, c.hits.Load(), "it is not asked again")
			e := c.last()
			require.Equal(t, test.code, e.Outcome)
			require.Equal(t, bctrl.AuditAllowed, e.Decision)
		})
	}
}

func TestAProviderOfAnotherNameIsNotReached(t *testing.T) {
	c := newCallers(t, nil)
	address, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, address.Close())
	other, err := standin.New() // whose authority is not trusted
	require.NoError(t, err)
	t.Cleanup(other.Close)
	require.NoError(t, other.Serve(acmeHost, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("it got a request")
	})))
	to, _ := other.Instead(acmeHost + ":443")
	c.providers.Redirect(acmeHost+":443", to)
	_, err = c.client.Capabilities.Invoke(t.Context(), things())
	require.Equal(t, "invoke.upstream_unreachable", codeOf(err))
	require.ErrorContains(t, err, "certificate")

	c.providers.Redirect(acmeHost+":443", address.Addr().String())
	_, err = c.client.Capabilities.Invoke(t.Context(), things())
	require.Equal(t, "invoke.upstream_unreachable", codeOf(err))
}

// resolving gives names addresses.
type resolving map[string]string

func (r resolving) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr(r[host])}, nil
}

func TestANameThatIsPrivateIsNotReached(t *testing.T) {
	for _, address := range []string{"127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1",
		"64:ff9b::7f00:1", "fd00:ec2::254", "100.100.100.200"} {
		t.Run(address, func(t *testing.T) {
			c := newCallers(t, nil, func(cfg *Config) { cfg.Egress = egress.Policy{Resolver: resolving{acmeHost: address}} })
			_, err := c.client.Capabilities.Invoke(t.Context(), things())
			require.Equal(t, "invoke.address_refused", codeOf(err))
			require.NotContains(t, err.Error(), "  ")
			require.NotContains(t, err.Error(), address, "nobody learns what is behind a name")
			require.Equal(t, "invoke.address_refused", c.last().Outcome)
		})
	}
}

func TestASecretDoesNotComeBack(t *testing.T) {
	encoded := base64.StdEncoding.EncodeToString([]byte("user:" + acmeKey))
	c := newCallers(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("X-Echo", r.Header.Get("X-Acme"))
		conn := http.NewResponseController(w)
		for _, text := range []string{"data: " + acmeKey + "\n\n", "data: " + encoded + "\n\n", "data: end\n\n"} {
			for i := range len(text) { // byte by byte
				_, _ = io.WriteString(w, text[i:i+1])
				_ = conn.Flush()
			}
		}
		w.Header().Set(http.TrailerPrefix+"X-Trailing", acmeKey)
	})
	got, err := c.client.Capabilities.Invoke(t.Context(), things())
	require.NoError(t, err)
	stream, err := c.client.Capabilities.Stream(t.Context(), things())
	require.NoError(t, err)
	streamed, err := io.ReadAll(stream)
	require.NoError(t, err)
	require.NoError(t, stream.Close())
	for _, text := range []string{string(got.Body), string(streamed)} {
		require.NotContains(t, text, acmeKey)
		require.NotContains(t, text, encoded)
		require.NotContains(t, text, encoded[8:30])
		require.Contains(t, text, "data: [secret]\n\n")
		require.True(t, strings.HasSuffix(text, "data: end\n\n"), text)
	}
	require.Equal(t, "Key [secret]", stream.Header.Get("X-Echo"))
	require.Equal(t, "Key [secret]", got.Header.Get("X-Echo"))
}

func TestWhatThePolicyNamesIsTakenOut(t *testing.T) {
	kind := "application/json"
	c := newCallers(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", kind)
		if r.Method != http.MethodHead {
			_, _ = io.WriteString(w, `{"id":1,"email":"a@b","owner":{"email":["x"],"name":"n"}}`)
		}
	})
	c.policy(bctrl.CapabilityPolicy{Redact: []string{"email", "owner.name"}})
	got, err := c.client.Capabilities.Invoke(t.Context(), things())
	require.NoError(t, err)
	require.Equal(t, `{"id":1,"email":"[redacted]","owner":{"email":"[redacted]","name":"[redacted]"}}`, string(got.Body))

	kind = "text/plain"
	_, err = c.client.Capabilities.Invoke(t.Context(), things())
	require.Equal(t, "invoke.answer_refused", codeOf(err), "what cannot be told apart is not passed on")
	head := things()
	head.Method = http.MethodHead
	got, err = c.client.Capabilities.Invoke(t.Context(), head)
	require.NoError(t, err, "there is nothing to take out of")
	require.Empty(t, got.Body)
}

// TestAHeadSaysHowLongItsAnswerWouldBe, which is what most of them are asked for.
func TestAHeadSaysHowLongItsAnswerWouldBe(t *testing.T) {
	c := newCallers(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/things" {
			w.Header().Set("Content-Length", "5000000000")
		}
	})
	for path, length := range map[string]string{"/v1/things": "5000000000", "/v1/things/7": ""} {
		got, err := c.client.Capabilities.Invoke(t.Context(), bctrl.Invocation{
			Capability: "acme/things",
			Method:     http.MethodHead,
			Path:       path,
		})
		require.NoError(t, err)
		require.Equal(t, length, got.Header.Get("Content-Length"))
		require.Empty(t, got.Body)
	}
}

func TestAnAnswerStreamsBeforeItEnds(t *testing.T) {
	more := make(chan struct{})
	c := newCallers(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for n := range 3 {
			_, _ = io.WriteString(w, "data: "+strconv.Itoa(n)+"\n\n")
			_ = http.NewResponseController(w).Flush()
			<-more
		}
	})
	stream, err := c.client.Capabilities.Stream(t.Context(), things())
	require.NoError(t, err)
	lines := bufio.NewReader(stream)
	for n := range 3 {
		line, err := lines.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "data: "+strconv.Itoa(n)+"\n", line)
		_, err = lines.ReadString('\n')
		require.NoError(t, err)
		more <- struct{}{}
	}
	_, err = lines.ReadString('\n')
	require.ErrorIs(t, err, io.EOF)
	require.Equal(t, "text/event-stream", stream.Header.Get("Content-Type"))
	require.NoError(t, stream.Close())
	e := c.last()
	require.Equal(t, "ok", e.Outcome)
	require.EqualValues(t, 3*len("data: 0\n\n"), e.ResponseBytes)
}

// TestWhoeverLeavesEndsTheCall has the provider see it, whoever ends a stream.
func TestWhoeverLeavesEndsTheCall(t *testing.T) {
	for why, leave := range map[string]func(*bctrl.InvokeStream, context.CancelFunc){
		"the reader closes": func(s *bctrl.InvokeStream, _ context.CancelFunc) { _ = s.Close() },
		"the context ends":  func(_ *bctrl.InvokeStream, cancel context.CancelFunc) { cancel() },
		"the loop breaks off": func(s *bctrl.InvokeStream, _ context.CancelFunc) {
			s.Chunks()(func([]byte, error) bool { return false })
		},
	} {
		t.Run(why, func(t *testing.T) {
			ended := make(chan struct{})
			c := newCallers(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.WriteString(w, "first")
				_ = http.NewResponseController(w).Flush()
				<-r.Context().Done()
				close(ended)
			})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			stream, err := c.client.Capabilities.Stream(ctx, things())
			require.NoError(t, err)
			leave(stream, cancel)
			<-ended
			_ = stream.Close()
			c.settled(func() bool { return c.last().Outcome == "request.abandoned" }, "the log says so")
		})
	}
}

func TestACallEndsWhenItsWorkspaceIsLowered(t *testing.T) {
	ended := make(chan struct{})
	c := newCallers(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "first")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		close(ended)
	})
	ws := c.made("sales", object{"capabilities": object{"allow": []string{"acme/"}}})
	c.launch(ws, "r", nil)
	w, err := c.client.Workspaces.Get(t.Context(), ws.ID)
	require.NoError(t, err)
	rt, err := w.Runtimes.Get(t.Context(), "r")
	require.NoError(t, err)
	stream, err := rt.Capabilities.Stream(t.Context(), things())
	require.NoError(t, err)
	require.NoError(t, w.Update(t.Context(), bctrl.WorkspaceUpdate{Mounts: &bctrl.Mounts{}}))
	<-ended // and this was before the change was acknowledged
	_, err = io.ReadAll(stream)
	require.Error(t, err, "a part is not taken for the whole")
	require.NoError(t, stream.Close())
	c.settled(func() bool { return c.last().Outcome == "capability.outside_mount" }, "the log says why")
}

func TestAStreamThatBreaksOffIsNoWhole(t *testing.T) {
	c := newCallers(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	stream, err := c.client.Capabilities.Stream(t.Context(), things())
	require.NoError(t, err)
	_, err = io.ReadAll(stream)
	require.Equal(t, "invoke.broken_off", codeOf(err))
	require.NoError(t, stream.Close())
	require.Equal(t, "invoke.upstream_unreachable", c.last().Outcome)
}

func TestManyCallsAtATime(t *testing.T) {
	c := newCallers(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = w.Write(body)
	})
	var group sync.WaitGroup
	for n := range 32 {
		group.Go(func() {
			inv := bctrl.Invocation{Capability: "acme/things", Path: "/v1/things",
				RawBody: strings.NewReader(strings.Repeat(strconv.Itoa(n), 50_000))}
			got, err := c.client.Capabilities.Invoke(t.Context(), inv)
			if err != nil || string(got.Body) != strings.Repeat(strconv.Itoa(n), 50_000) {
				t.Errorf("call %d: %v", n, err)
			}
		})
	}
	group.Wait()
	require.EqualValues(t, 32, c.hits.Load())
}
