package runtimes

import (
	"context"
	"net/http"
	"time"

	"github.com/coder/websocket"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// maxCDPMessage bounds one DevTools message from a client.
const maxCDPMessage = 32 << 20

func (s *Service) connectRuntime(ctx context.Context, rq *web.Request, _ web.None) (out wire.Connection, err error) {
	rt, ws, err := s.authorizedRuntime(ctx, rq)
	if err != nil {
		return out, err
	}
	lr, ok := s.activeRuntime(ctx, rt)
	if !ok {
		return out, web.ErrNotActive
	}
	made, token, err := s.connectURLs.issue(rt, lr.endsAt, rq.Caller, time.Now())
	if err != nil {
		return out, err
	}
	if lr.life.Err() != nil { // it has ended since, and its URLs were forgotten before this one
		s.connectURLs.forget(rt.ID)
		return out, web.ErrNotActive
	}
	ev := rq.Event()
	ev.Object, ev.Workspace, ev.Runtime = made.ID, ws.ID, rt.ID
	// It is of no use to anybody before it is told.
	err = s.Use(ctx, ev, func() error {
		u := rq.PublicURL()
		if rt.Driver == bctrl.DriverSelenium {
			u = webDriverURL(u, ws.ID, rt.Alias, token)
		} else {
			u.Scheme = map[string]string{"http": "ws", "https": "wss"}[u.Scheme]
			u = u.JoinPath("devtools", "browser", token)
		}
		out = wire.Connection{ID: made.ID, URL: wire.NewValue(u.String()), ExpiresAt: made.ExpiresAt}
		return nil
	})
	return out, err
}

// listConnectURLs lists the connect URLs of a runtime, without what makes them one.
func (s *Service) listConnectURLs(
	ctx context.Context, rq *web.Request, _ web.None,
) (list wire.List[bctrl.ConnectURLInfo], err error) {
	rt, _, err := s.authorizedRuntime(ctx, rq)
	if err != nil {
		return list, err
	}
	list.Plural = wire.ConnectURLs
	list.Items = s.connectURLs.list(rt.ID, rq.Caller, time.Now())
	return list, nil
}

// revokeConnectURL ends a connect URL and the connections that it has opened.
func (s *Service) revokeConnectURL(
	ctx context.Context, rq *web.Request, _ web.None,
) (out bctrl.ConnectURLInfo, err error) {
	rt, ws, err := s.authorizedRuntime(ctx, rq)
	if err != nil {
		return out, err
	}
	id, err := rq.Path("connectUrl", web.ValidUUID)
	if err != nil {
		return out, err
	}
	ev := rq.Event()
	ev.Object, ev.Workspace, ev.Runtime = id, ws.ID, rt.ID
	rq.MarkRecorded()
	err = s.Use(ctx, ev, func() error {
		found, ok := s.connectURLs.revoke(rt.ID, id, rq.Caller, time.Now())
		if !ok {
			return web.WithHint(
				web.NotFound("runtimes.connect_url_not_found", "the runtime has no such connect URL of this caller"),
				"list them: bctrl runtime connections",
			)
		}
		out = found
		return nil
	})
	return out, err
}

// errNoTicket is the answer to every connect URL that opens nothing, so that nobody
// learns which ones once did.
var errNoTicket = web.WithHint(
	web.Unauthorized("runtimes.connect_refused",
		"the connect URL is wrong, was revoked, or has ended with its runtime or with the key or token that asked for it"),
	"ask for another: bctrl runtime connect",
)

// errNoHandshake is in the audit log where a connect URL was opened by what is no
// websocket handshake.
var errNoHandshake = web.Invalid("runtimes.no_handshake", "", "this is not a websocket handshake that can be taken")

// serveDevTools lets a DevTools client in by a connect URL, until its runtime ends or
// the key or token that asked for the URL does. The token in the path is all the
// proof that there is.
func (s *Service) serveDevTools(w http.ResponseWriter, rq *web.Request) error {
	opened, ok := s.connectURLs.open(rq.PathValue("token"), time.Now())
	if !ok {
		return errNoTicket
	}
	defer func() { s.connectURLs.leave(opened, time.Now()) }()
	lr, ok := s.startedRuntime(opened.runtime)
	if !ok {
		return errNoTicket
	}
	accepted := false
	ctx, cancel := lr.whileLive(context.WithoutCancel(rq.Context()))
	defer cancel()
	defer context.AfterFunc(opened.life, cancel)()
	asked, seen := &web.Grant{Caller: opened.caller}, new(seenHosts)
	asked.Require(s.CheckUnlocked)
	seen.follow(asked)
	err := s.WhileGranted(ctx, asked, func(ctx context.Context) error {
		accepted = true
		var conn *websocket.Conn
		err := s.Use(ctx, opened.connected(rq), func() (err error) {
			if conn, err = s.acceptDevTools(w, rq); err != nil {
				return errNoHandshake // it was answered
			}
			return nil
		})
		if err == errNoHandshake {
			return nil
		}
		if err != nil {
			return err
		}
		// Chromium ends a connection without a close frame too: there are clients
		// that take one for a message.
		defer conn.CloseNow()
		conn.SetReadLimit(maxCDPMessage)
		if own := opened.caller.Runtime; own != nil {
			defer s.limitHosts(ctx, lr, own.WorkspaceID, own.Chain[2:])()
		}
		defer lr.uses.begin()()
		client := clientSocket{socket{conn}, clientRights{s, lr, opened.caller, rq.ID, rq.TraceID, seen}}
		if err := lr.browser.ServeCDP(ctx, client); err != nil {
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
