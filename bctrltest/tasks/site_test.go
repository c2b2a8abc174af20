package tasks

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

// site serves the pages of testdata and keeps what arrives.
//
// GET /NAME is the page NAME.html. Any POST that no page has a handler for is kept under
// its path and answered with thanks.
type site struct {
	// url and elsewhere are the same pages at two origins.
	url, elsewhere string
	mux            *http.ServeMux

	mu      sync.Mutex
	arrived map[string][]url.Values
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{mux: http.NewServeMux(), arrived: map[string][]url.Values{}}
	srv := httptest.NewServer(s.mux)
	t.Cleanup(srv.Close)
	s.url, s.elsewhere = srv.URL, strings.Replace(srv.URL, "127.0.0.1", "localhost", 1)
	s.mux.HandleFunc("GET /{page}", func(w http.ResponseWriter, r *http.Request) {
		s.show(w, r.PathValue("page"))
	})
	s.mux.HandleFunc("POST /", func(w http.ResponseWriter, r *http.Request) {
		if s.keep(w, r) != nil {
			s.say(w, "Thank you", "Your request has arrived.")
		}
	})
	for _, handle := range []func(*site){shopPages, formPages, listPages, filePages, loginPages} {
		handle(s)
	}
	return s
}

// show serves a page of testdata.
func (s *site) show(w http.ResponseWriter, name string) {
	root, err := os.OpenRoot("testdata")
	if err != nil {
		http.Error(w, "there are no pages", http.StatusInternalServerError)
		return
	}
	defer root.Close()
	page, err := root.ReadFile(name + ".html")
	if err != nil {
		http.Error(w, "there is no such page", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(page) // a browser that has left needs no page
}

// say answers with a page of a few words.
func (*site) say(w http.ResponseWriter, heading, html string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = fmt.Fprintf(w, "<!doctype html><title>%[1]s</title><h1>%[1]s</h1>%[2]s", heading, html)
}

// keep reads a form, keeps it under its path and returns it; nil when it is none, which
// is answered. A file is kept as its name and its bytes.
func (s *site) keep(w http.ResponseWriter, r *http.Request) url.Values {
	if err := r.ParseMultipartForm(1 << 20); err != nil && !errors.Is(err, http.ErrNotMultipart) {
		http.Error(w, "this is no form", http.StatusBadRequest)
		return nil
	}
	form := maps.Clone(r.PostForm)
	if form == nil {
		form = url.Values{}
	}
	if r.MultipartForm != nil {
		for field, files := range r.MultipartForm.File {
			for _, header := range files {
				f, err := header.Open()
				if err != nil {
					continue
				}
				text, _ := io.ReadAll(f)
				_ = f.Close()
				form[field] = append(form[field], header.Filename, string(text))
			}
		}
	}
	s.note(r.URL.Path, form)
	return form
}

// all are the forms that arrived at a path.
func (s *site) all(path string) []url.Values {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.arrived[path])
}

// once says what is wrong where not exactly one form with these fields arrived at a path:
// "name", "Ada", "city", "London". Values are of the tests, and never of the vault.
func (s *site) once(path string, fields ...string) error {
	all := s.all(path)
	if len(all) != 1 {
		return fmt.Errorf("%d requests arrived at %s, and not one", len(all), path)
	}
	for i := 0; i+1 < len(fields); i += 2 {
		if got := all[0].Get(fields[i]); got != fields[i+1] {
			return fmt.Errorf("%s of %s is %q, and not %q", fields[i], path, got, fields[i+1])
		}
	}
	return nil
}

// note keeps what a page's own handler has found.
func (s *site) note(path string, what url.Values) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.arrived[path] = append(s.arrived[path], what)
}
