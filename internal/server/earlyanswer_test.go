package server

import (
	"bufio"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// lines is a log that is read while it is written.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// TestAnAnswerThatComesBeforeTheBodyEndsTheConnection: net/http cannot find the
// next request behind a body that was still being read when the answer began.
func TestAnAnswerThatComesBeforeTheBodyEndsTheConnection(t *testing.T) {
	c := newCallersHTTP1(t, func(w http.ResponseWriter, _ *http.Request) {
		conn := http.NewResponseController(w)
		_ = conn.EnableFullDuplex()
		_, _ = io.WriteString(w, "early")
		_ = conn.Flush()
	})
	for _, test := range []struct{ framing, first, rest string }{
		{"Content-Length: 10", "12345", "67890"},
		{"Transfer-Encoding: chunked", "5\r\n12345\r\n", "5\r\n67890\r\n0\r\n\r\n"},
	} {
		var logged lines
		srv := httptest.NewUnstartedServer(c.server)
		srv.Config.ErrorLog = log.New(&logged, "", 0)
		srv.Start()
		conn, err := net.Dial("tcp", srv.Listener.Addr().String())
		require.NoError(t, err)
		require.NoError(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
		_, err = io.WriteString(conn, "POST /v1/proxy/acme~things/v1/things HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer "+
			c.key+"\r\n"+
			test.framing+"\r\n\r\n"+test.first)
		require.NoError(t, err)
		in := bufio.NewReader(conn)
		resp, err := http.ReadResponse(in, nil)
		require.NoError(t, err)
		text := make([]byte, len("early"))
		_, err = io.ReadFull(resp.Body, text)
		require.NoError(t, err)
		require.Equal(t, "early", string(text))
		assert.True(t, resp.Close, "%s: the connection is good for no other request", test.framing)
		_, _ = io.WriteString(conn, test.rest) // it may be closed by now
		_, _ = io.Copy(io.Discard, in)         // until it is closed
		require.NoError(t, conn.Close())
		srv.Close()
		require.Empty(t, logged.String(), test.framing)
	}
}
