package clients

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

// Variables of the environment that a suite passes on to the browsers it starts.
const (
	// browsersAt is the address where an executable asks for a runtime.
	browsersAt = "BCTRL_CLIENTS_BROWSERS"
	// plainBrowser is the Chromium that an executable turns into, where there is no
	// such address.
	plainBrowser = "BCTRL_CLIENTS_CHROMIUM"
)

// beBrowser is the main function of the executable that suites start as their
// browser. It reports whether it was meant.
func beBrowser() bool {
	address, plain := os.Getenv(browsersAt), os.Getenv(plainBrowser)
	switch {
	case plain != "":
		// An environment of its own, so that a wrapper in between does not come here again.
		err := syscall.Exec(plain, append([]string{plain, "--no-sandbox"}, os.Args[1:]...), os.Environ())
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	case address == "":
		return false
	case slices.Contains(os.Args, "--dump-dom"): // go-rod looks whether it works
		fmt.Println("<html><head></head><body></body></html>")
		return true
	}
	if err := serveAsBrowser(address); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return true
}

// serveAsBrowser is a browser for as long as it runs: the runtime ends with the
// connection on which it was asked for.
func serveAsBrowser(address string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return errors.New("no runtime was launched")
	}
	debugger := strings.TrimSpace(line)
	if slices.Contains(os.Args, "--remote-debugging-pipe") {
		return bridgePipe(ctx, debugger, os.NewFile(3, "in"), os.NewFile(4, "out"))
	}
	fmt.Fprintf(os.Stderr, "\nDevTools listening on %s\n", debugger)
	go func() {
		defer stop()
		_, _ = io.Copy(io.Discard, conn) // until the runtime has ended
	}()
	<-ctx.Done()
	return nil
}

// bridgePipe has the pipe of a DevTools client reach a websocket: a message ends
// with a zero byte there.
func bridgePipe(ctx context.Context, debugger string, in io.Reader, out io.Writer) error {
	ws, _, err := websocket.Dial(ctx, debugger, nil)
	if err != nil {
		return err
	}
	defer ws.CloseNow()
	ws.SetReadLimit(-1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		defer cancel()
		for r := bufio.NewReader(in); ; {
			msg, err := r.ReadBytes(0)
			if err != nil || ws.Write(ctx, websocket.MessageText, msg[:len(msg)-1]) != nil {
				return
			}
		}
	}()
	for {
		_, msg, err := ws.Read(ctx)
		if err != nil {
			return nil //nolint:nilerr // one of both has left
		}
		if _, err := out.Write(append(msg, 0)); err != nil {
			return nil //nolint:nilerr // as above
		}
	}
}

// browsers gives a runtime to each executable that asks for one, until the test ends.
type browsers struct {
	t  *testing.T
	ws *bctrl.Workspace
	wg sync.WaitGroup

	mu   sync.Mutex
	made int
}

// serveBrowsers returns the address where executables ask.
func serveBrowsers(t *testing.T, ws *bctrl.Workspace) string {
	t.Helper()
	b := &browsers{t: t, ws: ws}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	b.wg.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			b.wg.Go(func() {
				defer conn.Close()
				if err := b.serve(conn); err != nil {
					t.Logf("a browser: %v", err)
				}
			})
		}
	})
	t.Cleanup(func() {
		require.NoError(t, listener.Close())
		b.wg.Wait()
	})
	return listener.Addr().String()
}

// serve launches a runtime for an executable and stops it when that is gone.
func (b *browsers) serve(conn net.Conn) error {
	b.mu.Lock()
	b.made++
	alias := fmt.Sprintf("b%d", b.made)
	b.mu.Unlock()
	ctx := context.WithoutCancel(b.t.Context())
	rt, err := b.ws.Runtimes.Browser(alias).Playwright(ctx, bctrl.Launch{})
	if err != nil {
		return err
	}
	defer func() { _ = rt.Stop(ctx) }()
	address, err := rt.ConnectURL(ctx)
	if err != nil {
		return err
	}
	u, err := url.Parse(address)
	if err != nil {
		return err
	}
	// A browser ends when it is told to by a client; a runtime ends the connection then.
	over := make(chan struct{})
	ended := sync.OnceFunc(func() { close(over) })
	defer ended()
	front := httptest.NewServer(debuggerAt(*u, ended))
	defer front.Close()
	u.Host = strings.TrimPrefix(front.URL, "http://")
	if _, err := fmt.Fprintln(conn, u.String()); err != nil {
		return err
	}
	go func() {
		<-over
		_ = conn.Close() // the executable leaves too
	}()
	_, _ = io.Copy(io.Discard, conn) // until the executable is gone
	front.CloseClientConnections()
	return nil
}

// debuggerAt is the port of one browser: go-rod asks it for the address of its
// debugger first, and keeps to its host.
func debuggerAt(debugger url.URL, ended func()) http.Handler {
	mux := http.NewServeMux()
	path := debugger.EscapedPath()
	mux.HandleFunc("GET /json/version", func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, `{"webSocketDebuggerUrl": "ws://%s%s"}`, r.Host, path)
	})
	mux.Handle("/", &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: debugger.Host}) },
		ModifyResponse: func(r *http.Response) error {
			if both, is := r.Body.(io.ReadWriteCloser); is && r.StatusCode == http.StatusSwitchingProtocols {
				r.Body = &endedFirst{ReadWriteCloser: both, ended: ended}
			}
			return nil
		},
	})
	return mux
}

// endedFirst is the server's end of a connection; it says when the server was the first to
// end it.
type endedFirst struct {
	io.ReadWriteCloser
	closed atomic.Bool
	ended  func()
}

func (c *endedFirst) Read(b []byte) (int, error) {
	n, err := c.ReadWriteCloser.Read(b)
	if err != nil && !c.closed.Load() {
		c.ended()
	}
	return n, err
}

func (c *endedFirst) Close() error {
	c.closed.Store(true)
	return c.ReadWriteCloser.Close()
}

// chromium is the browser that runtimes have.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{
		"/usr/lib/chromium/chromium-headless-shell", "/usr/lib/chromium/chromium", "google-chrome-stable",
	} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatal("no Chromium was found: run scripts/install-browser")
	return ""
}
