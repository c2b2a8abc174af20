package web

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestARequestThatWasEndedLeavesItsConnectionToTheNextUnharmed(t *testing.T) {
	live := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.Context().Err(); err != nil {
			t.Error("the request was over when it began")
		}
		sw := &statusWriter{ResponseWriter: w}
		body := &endingBody{ReadCloser: r.Body, w: sw}
		_, err := io.ReadAll(body)
		body.breakOff() // too late: it has been read
		if err != nil {
			t.Error("the body broke off")
		}
		sw.WriteHeader(http.StatusOK)
	}))
	defer live.Close()
	for range 50 { // over one connection
		resp, err := live.Client().Post(live.URL, "text/plain", strings.NewReader("all of it"))
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
	}
}
