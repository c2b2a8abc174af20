// Package bridge lets a client that was written for a browser on its own machine drive a
// runtime. It runs on the client's machine and has a DevTools address there; what goes
// over it is passed on to the runtime's connect URL and back as it is, but for files:
// those of the machine that a client gives to a page are put into the mounted storage
// while the browser takes them over, and downloads that the client wants in a folder of
// the machine are brought there from the mounted storage.
//
// It may do what the key or token of its client may, and nothing that comes from the
// runtime makes it read a file: a client alone does.
package bridge

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/handshake"
)

// Config says what a bridge leads to.
type Config struct {
	// Runtime is the one whose browser clients drive. Its handle is used by the bridge
	// alone.
	Runtime *bctrl.Runtime
	// Server is the base URL of its server. The bridge connects nowhere else.
	Server string
	// AnyUser answers those who ask where the debugger is, as Chromium does at
	// /json/version, whoever of the machine asks. Without it, only processes of the
	// bridge's own user are told, and nobody where the system does not say whose a
	// connection is.
	AnyUser bool
	// EndWithClose ends the bridge once a client has closed the browser.
	EndWithClose bool
	// Report is told what goes wrong and no client hears of. It is called from several
	// goroutines.
	Report func(text string)
}

// Bridge leads to one runtime. See [Open].
type Bridge struct {
	Config
	server *url.URL
	http   *http.Client
	// token is the part of its address that nobody can guess, of 256 bits.
	token string
	// own is a connection that the bridge holds, so that the runtime is in use for as
	// long as the bridge runs, and that it hears of the runtime's end.
	own *websocket.Conn

	closed chan struct{} // is closed once a client has closed the browser
	close  func()

	mu      sync.Mutex
	ended   bool           // no client is let in any more
	clients sync.WaitGroup // grows under mu while not ended
}

// Timeouts of what the bridge does by itself.
const (
	dialTimeout    = 30 * time.Second
	cleanupTimeout = 10 * time.Second
	// shortLife is how long a connection of the bridge's own lasts at least where it is
	// worth another one.
	shortLife = time.Second
)

// pathBrowser stands before what makes an address of the DevTools protocol unguessable.
const pathBrowser = "/devtools/browser/"

// Open reaches the runtime.
func Open(ctx context.Context, c Config) (*Bridge, error) {
	server, err := url.Parse(c.Server)
	if err != nil || server.Host == "" {
		return nil, errors.New("the address of the server is none") // the error would repeat it
	}
	token := make([]byte, 32)
	_, _ = rand.Read(token) // it never fails: crypto/rand
	b := &Bridge{
		Config: c,
		server: server,
		http:   &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment}},
		token:  hex.EncodeToString(token),
		closed: make(chan struct{}),
	}
	b.close = sync.OnceFunc(func() { close(b.closed) })
	b.own, err = b.dial(ctx)
	return b, err
}

// dial connects to the runtime by a connect URL, at the server that the bridge knows: a
// URL that names another host leads to the same path of this one.
func (b *Bridge) dial(ctx context.Context) (*websocket.Conn, error) {
	address, err := b.Runtime.ConnectURL(ctx)
	if err != nil {
		return nil, err
	}
	_, token, ok := strings.Cut(address, pathBrowser)
	if !ok || token == "" || strings.ContainsAny(token, "/?#%") {
		return nil, errors.New("bridge.not_devtools: the runtime is driven by WebDriver, which needs no bridge: launch it " +
			"with another driver")
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, resp, err := websocket.Dial(ctx, b.server.JoinPath(pathBrowser, token).String(),
		&websocket.DialOptions{HTTPClient: b.http})
	if resp != nil && resp.StatusCode != http.StatusSwitchingProtocols {
		return nil, fmt.Errorf("bridge.not_connected: the server answers the runtime's connect URL with %d", resp.StatusCode)
	}
	if err != nil {
		if e, is := errors.AsType[*url.Error](err); is {
			err = e.Err // without the URL, which is a secret
		}
		return nil, fmt.Errorf("bridge.not_connected: the server cannot be reached: %w", err)
	}
	conn.SetReadLimit(maxMessage)
	return conn, nil
}

// Address is where clients find the debugger of a bridge that listens at an address.
func (b *Bridge) Address(at net.Addr) string {
	return (&url.URL{Scheme: "ws", Host: at.String(), Path: pathBrowser + b.token}).String()
}

// Serve lets clients in until ctx ends, the runtime does, or a client has closed the
// browser where that is to end the bridge. It says why where the runtime has ended.
func (b *Bridge) Serve(ctx context.Context, l net.Listener) error {
	return b.run(ctx, func(ctx context.Context) error {
		srv := &http.Server{
			Handler:           b.handler(),
			ReadHeaderTimeout: dialTimeout,
			BaseContext:       func(net.Listener) context.Context { return ctx },
		}
		stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
		defer stop()
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
}

// ServePipe lets one client in by a pipe, as Chromium does with --remote-debugging-pipe,
// where each message ends with a zero byte. It ends with the client.
func (b *Bridge) ServePipe(ctx context.Context, in *Pipe) error {
	return b.run(ctx, func(ctx context.Context) error {
		defer func() { _ = in.CloseNow() }()
		browser, err := b.dial(ctx)
		if err != nil {
			return err
		}
		newLink(b, in, browser).run(ctx)
		return nil
	})
}

// run serves until it is to end, and waits for what clients have begun.
func (b *Bridge) run(whole context.Context, serve func(context.Context) error) error {
	defer b.http.CloseIdleConnections()
	ctx, cancel := context.WithCancelCause(whole)
	defer cancel(nil)
	var both sync.WaitGroup
	both.Go(func() { cancel(b.watch(ctx)) })
	err := serve(ctx)
	ended := context.Cause(ctx)
	cancel(nil)
	both.Wait()
	b.mu.Lock()
	b.ended = true
	b.mu.Unlock()
	b.clients.Wait()
	if err == nil && ended != errBrowserClosed && !errors.Is(ended, context.Canceled) {
		err = b.endOf(whole, ended)
	}
	return err
}

// endOf says how the runtime has ended, where that is why the bridge is over. Nobody else
// uses its handle any more.
func (b *Bridge) endOf(ctx context.Context, cause error) error {
	rt := b.Runtime
	if rt.Refresh(ctx) != nil || rt.Status == bctrl.RuntimeActive {
		return cause
	}
	how := string(rt.Status)
	if rt.Info.Summary.Message != "" {
		how += ": " + rt.Info.Summary.Message
	}
	return fmt.Errorf("bridge.runtime_ended: the runtime is %s", how)
}

// errBrowserClosed ends a bridge that has done what it was for.
var errBrowserClosed = errors.New("the browser was closed")

// watch returns why the bridge is over: its own connection has ended, and there is no
// other one.
func (b *Bridge) watch(ctx context.Context) error {
	for {
		begun, ended := time.Now(), make(chan struct{})
		go func() {
			defer close(ended)
			for {
				if _, _, err := b.own.Read(ctx); err != nil {
					return
				}
			}
		}()
		select {
		case <-b.closed:
			_ = b.own.CloseNow()
			<-ended
			return errBrowserClosed
		case <-ended:
		}
		_ = b.own.CloseNow()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		own, err := b.dial(ctx) // its connect URL was revoked, or the network has failed
		if err == nil && time.Since(begun) < shortLife {
			_ = own.CloseNow()
			err = errors.New("bridge.not_connected: the server ends each connection to the runtime")
		}
		if err != nil {
			return err
		}
		b.own = own
	}
}

func (b *Bridge) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+pathBrowser+"{token}", b.serveClient)
	mux.HandleFunc("GET /json/version", b.discover)
	mux.HandleFunc("GET /json/version/{$}", b.discover)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A page in a browser of this machine, to which a name leads here, gets nothing.
		if !isLocalHost(r.Host) {
			http.Error(w, "bridge.host_refused: ask by the address of this machine", http.StatusForbidden)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// isLocalHost reports whether a Host is an address or localhost, which no name server
// can lead elsewhere.
func isLocalHost(host string) bool {
	name := (&url.URL{Host: host}).Hostname()
	return name == "localhost" || net.ParseIP(name) != nil
}

// discover says where the debugger is, to those who may know.
func (b *Bridge) discover(w http.ResponseWriter, r *http.Request) {
	at, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !b.AnyUser && !isOwnUsers(r.RemoteAddr, at) {
		http.Error(w, "bridge.discovery_refused: it is not known that this is asked by a process of the bridge's user: "+
			"connect to the address that it printed", http.StatusForbidden)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	_ = json.NewEncoder(w).Encode(map[string]string{ // whoever asked has left
		"Protocol-Version":     "1.3",
		"webSocketDebuggerUrl": (&url.URL{Scheme: "ws", Host: r.Host, Path: pathBrowser + b.token}).String(),
	})
}

const (
	// maxCommand bounds one message of a client, in bytes, as the server does.
	maxCommand = 32 << 20
	// maxMessage bounds one message of the runtime, in bytes: the server takes 256 MiB of
	// the browser, and its own names for files may be longer than the browser's.
	maxMessage = 257 << 20
)

// serveClient lets a client in.
func (b *Bridge) serveClient(w http.ResponseWriter, r *http.Request) {
	if subtle.ConstantTimeCompare([]byte(r.PathValue("token")), []byte(b.token)) != 1 {
		http.NotFound(w, r)
		return
	}
	if !b.enter() {
		return
	}
	defer b.clients.Done()
	ctx := r.Context()
	browser, err := b.dial(ctx)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	client, err := handshake.Accept(w, r, nil)
	if err != nil {
		_ = browser.CloseNow()
		return
	}
	client.SetReadLimit(maxCommand)
	newLink(b, client, browser).run(ctx)
}

// enter counts a client, unless the bridge is over.
func (b *Bridge) enter() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.ended {
		b.clients.Add(1)
	}
	return !b.ended
}
