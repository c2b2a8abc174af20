package runtimes

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/tuple"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// maxCDPMessage bounds one DevTools message from a client.
const maxCDPMessage = 32 << 20

// connectFor is how long a connect URL is good from when it was last asked for or
// used, so that those which nobody uses are forgotten. A URL that is used ends with
// its runtime, or with the key or token that asked for it.
const connectFor = 30 * 24 * time.Hour

// tickets are the tokens of connect URLs. They are in memory alone: the browsers that
// they open die with the process too. A caller has one token for a runtime, for as
// long as both last, and is given the same one however often it asks: clients come
// back to an address after hours.
type tickets struct {
	mu   sync.Mutex
	key  []byte                       // tokens are made with it; drawn when the first is
	open map[[sha256.Size]byte]ticket // by the hash of the token
}

// ticket is what a connect URL opens.
type ticket struct {
	runtime string
	// caller is who it was issued to, and with whom it ends.
	caller  access.Caller
	expires time.Time
}

// renewed is a ticket that is asked for or used now: good for connectFor, and not
// longer than the token of its caller.
func (t ticket) renewed(now time.Time) ticket {
	t.expires = now.Add(connectFor)
	if of := t.caller.Token; of != nil && of.Expires.Before(t.expires) {
		t.expires = of.Expires
	}
	return t
}

// issue makes the token of a caller for a runtime, and forgets those that have expired.
func (t *tickets) issue(runtime string, c access.Caller, now time.Time) (token string, expires time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open == nil {
		t.open = map[[sha256.Size]byte]ticket{}
		t.key = make([]byte, sha256.Size)
		_, _ = rand.Read(t.key) // never fails, by its contract
	}
	for hash, old := range t.open {
		if !old.expires.After(now) {
			delete(t.open, hash)
		}
	}
	mac := hmac.New(sha256.New, t.key)
	who := []string{runtime, c.Org, c.Parent, c.KeyID}
	if c.Token != nil { // two of one id differ in their ends where one was weakened
		who = append(who, c.Token.ID, c.Token.Expires.UTC().Format(time.RFC3339Nano))
	}
	mac.Write(tuple.New(256).Text(who...))
	token = base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	made := ticket{runtime: runtime, caller: c}.renewed(now)
	t.open[sha256.Sum256([]byte(token))] = made
	return token, made.expires
}

// redeem returns the ticket of a token, and renews it.
func (t *tickets) redeem(token string, now time.Time) (found ticket, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	hash := sha256.Sum256([]byte(token))
	found, ok = t.open[hash]
	if !ok || !found.expires.After(now) {
		return ticket{}, false
	}
	t.open[hash] = found.renewed(now)
	return found, true
}

// forget drops the tickets of a runtime that has ended.
func (t *tickets) forget(runtime string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	maps.DeleteFunc(t.open, func(_ [sha256.Size]byte, of ticket) bool { return of.runtime == runtime })
}

func (s *Service) connectRuntime(ctx context.Context, rq *web.Request, _ web.None) (out wire.Connection, err error) {
	rt, ws, err := s.authorizedRuntime(ctx, rq)
	if err != nil {
		return out, err
	}
	lr, ok := s.startedRuntime(rt.ID)
	if !ok {
		return out, web.ErrNotActive
	}
	ev := rq.Event()
	ev.Workspace, ev.Runtime = ws.ID, rt.ID
	err = s.Use(ctx, ev, func() error {
		token, expires := s.tickets.issue(rt.ID, rq.Caller, time.Now())
		if lr.life.Err() != nil { // it has ended since, and its tickets were forgotten before this one
			s.tickets.forget(rt.ID)
			return web.ErrNotActive
		}
		u := rq.PublicURL()
		u.Scheme = map[string]string{"http": "ws", "https": "wss"}[u.Scheme]
		u = u.JoinPath("devtools", "browser", token)
		out = wire.Connection{URL: wire.NewValue(u.String()), ExpiresAt: expires.UTC()}
		return nil
	})
	return out, err
}

// errNoTicket is the answer to every connect URL that opens nothing, so that nobody
// learns which ones once did.
var errNoTicket = web.WithHint(
	web.Unauthorized("runtimes.connect_refused",
		"the connect URL is wrong, or has ended with its runtime or with the key or token that asked for it"),
	"ask for another: bctrl runtime connect",
)

// serveDevTools lets a DevTools client in by a connect URL, until its runtime ends or
// the key or token that asked for the URL does. The token in the path is all the
// proof that there is.
func (s *Service) serveDevTools(w http.ResponseWriter, rq *web.Request) error {
	opened, ok := s.tickets.redeem(rq.PathValue("token"), time.Now())
	if !ok {
		return errNoTicket
	}
	lr, ok := s.startedRuntime(opened.runtime)
	if !ok {
		return errNoTicket
	}
	accepted := false
	ctx, cancel := lr.whileLive(context.WithoutCancel(rq.Context()))
	defer cancel()
	asked := &web.Grant{Caller: opened.caller}
	asked.Require(s.CheckUnlocked)
	err := s.WhileGranted(ctx, asked, func(ctx context.Context) error {
		accepted = true
		conn, err := s.acceptDevTools(w, rq)
		if err != nil {
			return nil // Accept has answered it
		}
		// Chromium ends a connection without a close frame too: there are clients
		// that take one for a message.
		defer conn.CloseNow()
		conn.SetReadLimit(maxCDPMessage)
		if own := opened.caller.Runtime; own != nil {
			defer s.limitHosts(ctx, lr, own.WorkspaceID, own.Chain[2:])()
		}
		if err := lr.browser.ServeCDP(ctx, socket{conn}); err != nil {
			s.Log.Debug("a DevTools connection ended", "runtime", lr.id, "error", err)
		}
		return nil
	})
	if e := web.AsError(err); !accepted && e != web.ErrLocked && e != web.ErrInternal {
		return errNoTicket // in place of what ended the caller
	}
	return err
}

// socket is a websocket as a [browser.CDPConn].
type socket struct{ *websocket.Conn }

func (c socket) Read(ctx context.Context) ([]byte, error) {
	_, msg, err := c.Conn.Read(ctx)
	return msg, err
}

func (c socket) Write(ctx context.Context, msg []byte) error {
	return c.Conn.Write(ctx, websocket.MessageText, msg)
}
