package runtimes

import (
	"net/http"

	"github.com/coder/websocket"

	"github.com/bctrl-go/bctrl/internal/handshake"
	"github.com/bctrl-go/bctrl/internal/server/web"
)

// acceptDevTools takes the handshake of a DevTools client, or of a live view.
func (s *Service) acceptDevTools(w http.ResponseWriter, rq *web.Request) (*websocket.Conn, error) {
	var opts websocket.AcceptOptions
	if s.PublicURL != nil { // a proxy may have changed the Host that an Origin is held to
		opts.OriginPatterns = []string{s.PublicURL.Host}
	}
	return handshake.Accept(w, rq.Request, &opts)
}
