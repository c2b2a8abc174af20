package browsertest

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/bctrl-go/bctrl/internal/browser"
)

// Delivery is a delivered download, read whole.
type Delivery struct {
	browser.Download
	Text string
}

// Deliveries returns an OnDownload that passes on what it is given.
func Deliveries() (func(context.Context, browser.Download) (string, error), <-chan Delivery) {
	got := make(chan Delivery, 4)
	return func(_ context.Context, d browser.Download) (string, error) {
		r, err := d.Open()
		if err != nil {
			return "", err
		}
		defer r.Close()
		b, err := io.ReadAll(r)
		got <- Delivery{d, string(b)}
		return "/storage/" + d.Filename, err
	}, got
}

// DownloadSite serves a page with a link to a file, and a file that never ends.
func DownloadSite(t *testing.T) (url string, stop func()) {
	t.Helper()
	ended := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/report.csv":
			w.Header().Set("Content-Disposition", `attachment; filename="../../Q3 report.csv"`)
			w.Header().Set("Content-Type", "text/csv")
			_, _ = io.WriteString(w, "a,b\n1,2\n")
		case "/endless":
			w.Header().Set("Content-Disposition", "attachment; filename=endless.bin")
			chunk := make([]byte, 64<<10)
			for {
				if _, err := w.Write(chunk); err != nil {
					return
				}
				select {
				case <-ended:
					return
				case <-r.Context().Done():
					return
				default:
				}
			}
		default:
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, `<a id=report href="/report.csv?token=canary">report</a>`+
				`<a id=endless href="/endless">endless</a>`)
		}
	}))
	t.Cleanup(srv.Close)
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			close(ended)
		}
	}
	t.Cleanup(stop)
	return srv.URL, stop
}
