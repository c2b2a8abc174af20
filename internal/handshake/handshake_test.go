package handshake

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"
)

func TestAHandshakeIsTakenAsChromiumTakesIt(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if conn, err := Accept(w, r, &websocket.AcceptOptions{OriginPatterns: []string{"friend.example"}}); err == nil {
			_ = conn.CloseNow()
		}
	}))
	t.Cleanup(srv.Close)
	at := strings.TrimPrefix(srv.URL, "http://")
	whole := []string{"Connection: Upgrade", "Upgrade: websocket"}
	for _, tc := range []struct {
		why     string
		headers []string
		key     string // "" sends none
		want    int
	}{
		{"as RFC 6455 has it", []string{"Sec-WebSocket-Version: 13"}, "dGhlIHNhbXBsZSBub25jZQ==", 101},
		{"a key of another length", []string{"Sec-WebSocket-Version: 13"}, "nil", 101},
		{"the version before it, of the same frames", []string{"Sec-WebSocket-Version: 8"}, "any", 101},
		{"an origin that is named", []string{"Sec-WebSocket-Version: 13", "Origin: https://friend.example"}, "any", 101},
		{"the server's own origin", []string{"Sec-WebSocket-Version: 13", "Origin: http://" + at}, "any", 101},
		{"a page of anybody", []string{"Sec-WebSocket-Version: 13", "Origin: https://evil.example"}, "any", 403},
		{"no key", []string{"Sec-WebSocket-Version: 13"}, "", 400},
		{"an older version", []string{"Sec-WebSocket-Version: 7"}, "any", 400},
	} {
		conn, err := net.Dial("tcp", at)
		require.NoError(t, err)
		lines := append([]string{"GET / HTTP/1.1", "Host: " + at}, append(whole, tc.headers...)...)
		if tc.key != "" {
			lines = append(lines, "Sec-WebSocket-Key: "+tc.key)
		}
		_, err = conn.Write([]byte(strings.Join(lines, "\r\n") + "\r\n\r\n"))
		require.NoError(t, err)
		got, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err, tc.why)
		require.Equal(t, tc.want, got.StatusCode, tc.why)
		if tc.want == http.StatusSwitchingProtocols {
			sum := sha1.Sum([]byte(tc.key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
			require.Equal(t, base64.StdEncoding.EncodeToString(sum[:]), got.Header.Get("Sec-WebSocket-Accept"),
				"%s: the answer is to the key that was sent", tc.why)
		}
		_ = got.Body.Close()
		require.NoError(t, conn.Close())
	}
}
