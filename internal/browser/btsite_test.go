package browser

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// website is a web server of a test: pages by path, and what was posted to it.
type website struct {
	*httptest.Server
	mu       sync.Mutex
	pages    map[string]string
	handlers map[string]http.HandlerFunc
	seen     []received
}

// received is a request that reached a site.
type received struct {
	method, path, query, contentType, body, referer string
	length                                          int64
}

func newSite(t *testing.T, pages map[string]string) *website {
	t.Helper()
	s := &website{pages: pages, handlers: map[string]http.HandlerFunc{}}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	return s
}

func (s *website) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20)) // a broken body shows in the comparison
	s.mu.Lock()
	s.seen = append(s.seen, received{r.Method, r.URL.Path, r.URL.RawQuery, r.Header.Get("Content-Type"), string(body), r.Referer(), r.ContentLength})
	handler := s.handlers[r.URL.Path]
	page, ok := s.pages[r.URL.Path]
	s.mu.Unlock()
	if handler != nil {
		r.Body = io.NopCloser(bytes.NewReader(body))
		handler(w, r)
		return
	}
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = io.WriteString(w, page)
}

// to returns the requests to a path.
func (s *website) to(path string) []received {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []received
	for _, r := range s.seen {
		if r.path == path {
			out = append(out, r)
		}
	}
	return out
}

// everything returns all that reached the site as one text.
func (s *website) everything() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprint(s.seen)
}

// local is the site under another name of this machine: another site to a
// browser.
func (s *website) local() string { return strings.Replace(s.URL, "127.0.0.1", "localhost", 1) }

// site serves a small page at every path.
func site(t *testing.T, html string) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte(html))
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}
