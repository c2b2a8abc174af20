package page_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
)

// TestAPageIsSeenAgainThatWaitsForOneThatNeverLoads has a click lead to an address that never answers.
func TestAPageIsSeenAgainThatWaitsForOneThatNeverLoads(t *testing.T) {
	ctx, p, _ := openPage(t)
	ended := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/never" {
			select {
			case <-r.Context().Done():
			case <-ended:
			}
			return
		}
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, `<h1>Home</h1><button onclick="location = '/never'">Go</button>`)
	}))
	t.Cleanup(srv.Close)
	t.Cleanup(func() { close(ended) })
	obs := browsertest.Open(ctx, t, p, srv.URL+"/")
	require.NoError(t, p.Click(ctx, browsertest.Find(t, obs, "button", "Go").Ref, browser.Click{}))
	setBack := p.SetActionTimeout(time.Second)
	_, err := p.Observe(ctx)
	setBack()
	require.ErrorContains(t, err, "page.not_answering")
	require.Contains(t, browsertest.Observe(ctx, t, p).Outline, "Home")
}
