package server

import (
	"bytes"
	"io"
	"log"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

// processLog is what the process's log gets until a test ends.
type processLog struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements [io.Writer].
func (l *processLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func captureProcessLog(t *testing.T) *processLog {
	l := new(processLog)
	before := log.Writer()
	log.SetOutput(l)
	t.Cleanup(func() { log.SetOutput(before) })
	return l
}

func (l *processLog) empty(t *testing.T) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	require.True(t, l.text.Len() == 0, "something was logged")
}

// TestWhatAProviderSendsUnaskedReachesNoLog has a provider send the key behind
// its answer: it is no part of the answer, of the next one or of any log.
func TestWhatAProviderSendsUnaskedReachesNoLog(t *testing.T) {
	for _, answer := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
		"HTTP/1.1 204 No Content\r\n\r\n",
	} {
		logged := captureProcessLog(t)
		ended := make(chan struct{}, 10)
		c := newCallersHTTP1(t, func(w http.ResponseWriter, r *http.Request) {
			conn, rw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, answer+"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"+
				r.Header.Get("X-Acme")+strings.Repeat("\n", 100))
			_, _ = io.Copy(io.Discard, rw) // until the broker ends it
			conn.Close()
			ended <- struct{}{}
		})
		for range 3 {
			got, err := c.client.Capabilities.Invoke(t.Context(), things())
			require.NoError(t, err)
			require.False(t, bytes.Contains(got.Body, []byte("Key")))
			<-ended
		}
		require.Equal(t, bctrl.AuditAllowed, c.last().Decision)
		logged.empty(t)
	}
}
