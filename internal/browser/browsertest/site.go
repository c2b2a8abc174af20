package browsertest

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// Site is a web server of a test: pages by path, and what was posted to it.
type Site struct {
	*httptest.Server
	mu       sync.Mutex
	Pages    map[string]string
	Handlers map[string]http.HandlerFunc
	Seen     []Received
}

// Received is a request that reached a site.
type Received struct {
	method, Host, Path, Query, ContentType, Body, Referer string
	// Proto is the version of HTTP: "HTTP/2.0".
	Proto  string
	Length int64
}

// NewSite starts a site that ends with its test.
func NewSite(t *testing.T, pages map[string]string) *Site {
	t.Helper()
	s := &Site{Pages: pages, Handlers: map[string]http.HandlerFunc{}}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	return s
}

// NewSecureSite starts a site over TLS and HTTP/2, with a certificate that nobody knows. It
// ends with its test.
func NewSecureSite(t *testing.T, pages map[string]string) *Site {
	t.Helper()
	s := &Site{Pages: pages, Handlers: map[string]http.HandlerFunc{}}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	s.EnableHTTP2 = true
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // a browser refuses its certificate first
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// At is the site under a name that the machine may have.
func (s *Site) At(host string) string {
	u, _ := url.Parse(s.URL)
	return u.Scheme + "://" + host + ":" + u.Port()
}

func (s *Site) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20)) // a broken body shows in the comparison
	s.mu.Lock()
	s.Seen = append(s.Seen, Received{
		method:      r.Method,
		Host:        r.Host,
		Proto:       r.Proto,
		Path:        r.URL.Path,
		Query:       r.URL.RawQuery,
		ContentType: r.Header.Get("Content-Type"),
		Body:        string(body),
		Referer:     r.Referer(),
		Length:      r.ContentLength,
	})
	handler := s.Handlers[r.URL.Path]
	page, ok := s.Pages[r.URL.Path]
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

// RequestsTo returns the requests to a path.
func (s *Site) RequestsTo(path string) []Received {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Received
	for _, r := range s.Seen {
		if r.Path == path {
			out = append(out, r)
		}
	}
	return out
}

// SetPages has the site show other pages from now on.
func (s *Site) SetPages(pages map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Pages = pages
}

// All returns all that reached the site as one text.
func (s *Site) All() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprint(s.Seen)
}

// LocalhostURL is the site under another name of this machine: another site to a
// browser.
func (s *Site) LocalhostURL() string { return strings.Replace(s.URL, "127.0.0.1", "localhost", 1) }

// ServePage serves a small page at every path.
func ServePage(t *testing.T, html string) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte(html))
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}
