// Package handshake takes the websocket handshakes of DevTools clients, which are not
// all as RFC 6455 wants them.
package handshake

import (
	"crypto/sha1" //nolint:gosec // RFC 6455 §1.3 has it so; it protects nothing
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/coder/websocket"
)

// Accept takes the handshake of a DevTools client as Chromium takes it: with version 13
// or 8, which have the same frames, and with any key that is not empty. There are clients
// whose key is not the 16 bytes of RFC 6455. An Origin has to be the request's own host,
// or match a pattern of opts. What is no handshake is answered.
func Accept(w http.ResponseWriter, r *http.Request, opts *websocket.AcceptOptions) (*websocket.Conn, error) {
	keys := r.Header.Values("Sec-WebSocket-Key")
	key := strings.TrimSpace(strings.Join(keys, ","))
	if key == "" {
		return websocket.Accept(w, r, opts)
	}
	r = r.Clone(r.Context())
	r.Header.Set("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==") // answered by acceptWriter
	if r.Header.Get("Sec-WebSocket-Version") == "8" {
		r.Header.Set("Sec-WebSocket-Version", "13")
	}
	return websocket.Accept(&acceptWriter{w, key}, r, opts)
}

// acceptWriter answers a handshake for the key that the client sent.
type acceptWriter struct {
	http.ResponseWriter
	key string
}

// WriteHeader proves to the client that its key was read.
func (w *acceptWriter) WriteHeader(status int) {
	if status == http.StatusSwitchingProtocols {
		sum := sha1.Sum([]byte(w.key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // as above
		w.Header().Set("Sec-WebSocket-Accept", base64.StdEncoding.EncodeToString(sum[:]))
	}
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets the connection be reached.
func (w *acceptWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
