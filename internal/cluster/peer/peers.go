package peer

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"
	"time"

	"github.com/bctrl-go/bctrl/internal/cluster"
)

const (
	// dialTime is how long a connection to another node may take, with its handshake.
	dialTime = 2 * time.Second
	// idleTime is less than that of the listeners, so that no request is sent on a
	// connection that is just being closed.
	idleTime = 90 * time.Second
	// idleConnections is how many are kept to each node.
	idleConnections = 256
)

// What a node tells the next one of a request beside the request itself. All of them begin
// with headerPrefix, and none is ever taken from a client.
const (
	headerPrefix  = "Bctrl-Passed-"
	headerAddress = headerPrefix + "Address" // where the caller is
	headerScheme  = headerPrefix + "Scheme"  // http or https, by which it came
)

// repeatable are the headers for which [http.Transport] takes a request for one that may be
// sent twice. They travel under other names.
var repeatable = [...]string{"Idempotency-Key", "X-Idempotency-Key"}

// ErrLost is what became of a request whose node could not be reached, or ended before it
// had answered. It may have been worked on.
var ErrLost = errors.New("the node does not answer")

// Config says what a node speaks to the others with.
type Config struct {
	// Member is this node.
	Member cluster.Member
	// Seed returns the secret of the cluster's authority, 32 bytes that are the caller's,
	// or why it is not there.
	Seed func(context.Context) ([]byte, error)
	// Now is the time; nil is that of this machine.
	Now func() time.Time
	// Log receives what an operator needs to know.
	Log *slog.Logger
}

// Peers are the other nodes of a cluster.
type Peers struct {
	member    cluster.Member
	identity  identity
	transport *http.Transport
	log       *slog.Logger
	answers   map[string]AnswerFunc // by the names of questions

	stop    context.CancelFunc
	running sync.WaitGroup
	mu      sync.Mutex
	open    map[*passing]struct{}
	// reached is when each node was last known to answer, of those that work on something.
	reached map[string]time.Time
}

// passing is a request that another node works on.
type passing struct {
	node cluster.Node
	end  context.CancelCauseFunc
}

// New makes the peers of a node. They are closed by [Peers.Close].
func New(cfg Config) *Peers {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	p := &Peers{
		member:  cfg.Member,
		log:     cfg.Log,
		open:    map[*passing]struct{}{},
		reached: map[string]time.Time{},
		answers: map[string]AnswerFunc{},
		identity: identity{
			seed: cfg.Seed,
			now:  cfg.Now,
			self: func() string { return cfg.Member.Self().ID },
		},
	}
	p.transport = &http.Transport{
		DialTLSContext:      p.dial,
		DisableCompression:  true, // an answer is passed on as it came
		MaxIdleConnsPerHost: idleConnections,
		IdleConnTimeout:     idleTime,
		WriteBufferSize:     32 << 10,
		ReadBufferSize:      32 << 10,
	}
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	p.running.Go(func() { p.watch(ctx) })
	return p
}

// Close lets go of all connections. Requests that others work on have ended before.
func (p *Peers) Close() {
	p.stop()
	p.running.Wait()
	p.transport.CloseIdleConnections()
}

// Forget lets go of all keys, as when the server is locked: no connection is made, and
// none taken, until they are there again.
func (p *Peers) Forget() {
	p.identity.forget()
	p.transport.CloseIdleConnections()
}

// Listen takes the connections of the other nodes from l.
func (p *Peers) Listen(l net.Listener) net.Listener {
	return tls.NewListener(l, p.identity.serverConfig())
}

// nodeKey is the key of the node that a request goes to, in its context.
type nodeKey struct{}

// dial connects to the node that the request in ctx goes to.
func (p *Peers) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	to, ok := ctx.Value(nodeKey{}).(cluster.Node)
	if !ok {
		return nil, errNoNode
	}
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	cfg, err := p.identity.clientConfig(ctx, to.ID)
	if err != nil {
		return nil, err
	}
	return (&tls.Dialer{Config: cfg}).DialContext(ctx, "tcp", to.Address)
}

// Pass passes a request on to another node, and its answer to w. An error means that w has
// no answer yet: the request's own context has ended, or the error is [ErrLost], that of
// [Peers.EndAll] or that of the cluster's secret. What breaks off later panics with [http.ErrAbortHandler].
func (p *Peers) Pass(w http.ResponseWriter, r *http.Request, to cluster.Node) error {
	ctx, done := p.follow(context.WithValue(r.Context(), nodeKey{}, to), to)
	defer done()
	var failed error
	proxy := &httputil.ReverseProxy{
		Transport:     p.transport,
		FlushInterval: -1,
		Rewrite:       func(pr *httputil.ProxyRequest) { rewrite(pr, to) },
		ModifyResponse: func(answer *http.Response) error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if answer.StatusCode != http.StatusSwitchingProtocols {
				answer.Body = &followedBody{answer.Body, ctx}
			}
			for name := range answer.Header {
				w.Header().Del(name) // set here for an answer of this node's own
			}
			return nil
		},
		ErrorHandler: func(_ http.ResponseWriter, _ *http.Request, err error) { failed = err },
		ErrorLog:     log.New(discard{}, "", 0),
	}
	proxy.ServeHTTP(w, r.WithContext(ctx))
	if failed == nil || r.Context().Err() != nil {
		return failed
	}
	if why := context.Cause(ctx); errors.Is(why, cluster.ErrLeaseLost) {
		return why
	}
	if _, _, err := p.identity.current(ctx); err != nil {
		return err
	}
	p.log.Warn("a node did not answer a request that was passed on to it",
		"node", to.ID, "name", to.Name, "address", to.Address, "error", failed)
	return errors.Join(ErrLost, failed)
}

// rewrite makes the request to a node out of the one that came.
func rewrite(pr *httputil.ProxyRequest, to cluster.Node) {
	in, out := pr.In, pr.Out
	out.URL.Scheme, out.URL.Host = "https", nameOf(to.ID)
	out.URL.RawQuery = in.URL.RawQuery // also where it cannot be parsed
	out.Host = in.Host
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
		if values, ok := in.Header[name]; ok {
			out.Header[name] = values
		}
	}
	for name := range out.Header {
		if isPassed(name) {
			delete(out.Header, name)
		}
	}
	// A transport asks once more where a connection breaks, if the request may be repeated. But
	// what the owner has begun it has begun: whoever asked decides whether to ask again.
	for _, name := range repeatable {
		if values, ok := out.Header[name]; ok {
			out.Header[headerPrefix+name] = values
			delete(out.Header, name)
		}
	}
	if out.Body == nil || out.Body == http.NoBody {
		if in.Method == http.MethodGet || in.Method == http.MethodHead || in.Method == http.MethodOptions {
			out.Body = io.NopCloser(strings.NewReader(""))
		}
	}
	out.Header.Set(headerAddress, in.RemoteAddr)
	scheme := "http"
	if in.TLS != nil {
		scheme = "https"
	}
	out.Header.Set(headerScheme, scheme)
}

func isPassed(header string) bool { return strings.HasPrefix(header, headerPrefix) }

// followedBody is the body of an answer that breaks off where its node was given up: the node
// learns that it was as the connection is closed, and may then end the answer as if it were whole.
type followedBody struct {
	io.ReadCloser
	ctx context.Context
}

// Read implements [io.Reader].
func (b *followedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF && b.ctx.Err() != nil {
		err = context.Cause(b.ctx)
	}
	return n, err
}

// passedKey marks the context of a request that another node has passed on.
type passedKey struct{}

// Passed reports whether another node has passed a request on to this one.
func (*Peers) Passed(r *http.Request) bool { return r.Context().Value(passedKey{}) != nil }

// Receive makes of a handler one for what [Peers.Listen] takes. It sees each request as
// it came to the node that passed it on.
func (p *Peers) Receive(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS == nil { // nothing but Listen makes a peer of anybody
			http.Error(w, "", http.StatusForbidden)
			return
		}
		from, err := callerOf(*r.TLS)
		if err != nil {
			http.Error(w, "", http.StatusForbidden)
			return
		}
		if r.URL.Path == pathAlive {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		if name, ok := strings.CutPrefix(r.URL.Path, pathAsk); ok {
			p.answerPeer(w, r, name)
			return
		}
		r = r.WithContext(context.WithValue(r.Context(), passedKey{}, from))
		r.RemoteAddr = r.Header.Get(headerAddress)
		if r.Header.Get(headerScheme) != "https" {
			r.TLS = nil
		}
		r.Header.Del(headerAddress)
		r.Header.Del(headerScheme)
		for _, name := range repeatable {
			if values, ok := r.Header[headerPrefix+name]; ok {
				r.Header[name] = values
				delete(r.Header, headerPrefix+name)
			}
		}
		next.ServeHTTP(w, r)
	})
}

// discard keeps what net/http says of a broken connection out of the log, which has it.
type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
