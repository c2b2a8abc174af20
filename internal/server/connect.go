package server

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// connectFor is how long a connect URL may be used to open a connection. One
// that is open lasts as long as the runtime.
const connectFor = 5 * time.Minute

// maxCDPMessage bounds one DevTools message from a client.
const maxCDPMessage = 32 << 20

// tickets are the tokens of connect URLs, by hash. They live in memory: the
// browsers they open die with the process too.
type tickets struct {
	mu   sync.Mutex
	open map[[sha256.Size]byte]ticket
}

type ticket struct {
	runtime string
	expires time.Time
	// caller is who it was issued to: the ticket of a runtime token dies with
	// the token.
	caller access.Caller
}

// issue makes a token for a runtime.
func (t *tickets) issue(runtime string, caller access.Caller, now time.Time) (token string, expires time.Time) {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails, by its contract
	token = base64.RawURLEncoding.EncodeToString(b[:])
	expires = now.Add(connectFor)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open == nil {
		t.open = map[[sha256.Size]byte]ticket{}
	}
	for hash, old := range t.open {
		if !old.expires.After(now) {
			delete(t.open, hash)
		}
	}
	t.open[sha256.Sum256([]byte(token))] = ticket{runtime, expires, caller}
	return token, expires
}

// redeem returns what a token opens. It may be used again until it expires:
// clients reconnect.
func (t *tickets) redeem(token string, now time.Time) (found ticket, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	found, ok = t.open[sha256.Sum256([]byte(token))]
	return found, ok && found.expires.After(now)
}

func (s *Server) connectRuntime(ctx context.Context, rq *request, _ none) (out wire.Connection, err error) {
	rt, ws, err := s.runtimeOf(ctx, rq)
	if err != nil {
		return out, err
	}
	if _, ok := s.member(rt.ID); !ok {
		return out, errNotActive
	}
	ev := rq.event()
	ev.Workspace, ev.Runtime = ws.ID, rt.ID
	err = s.use(ctx, ev, func() error {
		token, expires := s.tickets.issue(rt.ID, rq.caller, time.Now())
		u := s.publicURL(rq)
		u.Scheme = map[string]string{"http": "ws", "https": "wss"}[u.Scheme]
		u = u.JoinPath("devtools", "browser", token)
		out = wire.Connection{URL: wire.NewValue(u.String()), ExpiresAt: expires.UTC()}
		return nil
	})
	return out, err
}

// serveDevTools is the DevTools websocket that a connect URL opens. The token
// in the path is its proof.
func (s *Server) serveDevTools(w http.ResponseWriter, rq *request) error {
	refused := &bctrl.Error{Status: http.StatusUnauthorized, Code: "runtimes.connect_refused", Message: "the connect URL is wrong, has expired, or its runtime has ended"}
	opened, ok := s.tickets.redeem(rq.PathValue("token"), time.Now())
	if !ok {
		return refused
	}
	m, ok := s.member(opened.runtime)
	if !ok {
		return refused
	}
	ctx, unbind := s.tokenHolds.bind(context.WithoutCancel(rq.Context()), opened.caller.Token)
	defer unbind()
	if err := s.tokenLives(ctx, opened.caller); err != nil {
		return refused
	}
	conn, err := websocket.Accept(w, rq.Request, nil)
	if err != nil {
		return nil // Accept has answered
	}
	conn.SetReadLimit(maxCDPMessage)
	ctx, cancel := m.bound(ctx)
	defer cancel()
	if err := m.browser.ServeCDP(ctx, socket{conn}); err != nil {
		s.log.Debug("a DevTools connection ended", "runtime", m.id, "error", err)
	}
	_ = conn.Close(websocket.StatusNormalClosure, "the connection has ended") // the other side may be gone
	return nil
}

// socket makes a websocket what the browser package speaks over.
type socket struct{ *websocket.Conn }

func (c socket) Read(ctx context.Context) ([]byte, error) {
	_, msg, err := c.Conn.Read(ctx)
	return msg, err
}

func (c socket) Write(ctx context.Context, msg []byte) error {
	return c.Conn.Write(ctx, websocket.MessageText, msg)
}

// publicURL is where callers reach the server: as configured, else as this one
// did.
func (s *Server) publicURL(rq *request) *url.URL {
	if s.public != nil {
		u := *s.public
		return &u
	}
	u := &url.URL{Scheme: "http", Host: rq.Host}
	if rq.TLS != nil {
		u.Scheme = "https"
	}
	return u
}
