package miniwob

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path"
	"sync"
)

// harness starts an episode in a task's page and says how it ended.
//
//go:embed harness.js
var harness []byte

// Outcome is how an episode went.
type Outcome struct {
	// Utterance is what the page asks for.
	Utterance string `json:"utterance"`
	// Done reports that the page has ended the episode.
	Done bool `json:"done"`
	// Reward is from -1 to 1, without what a task takes off for time.
	Reward float64 `json:"reward"`
	Reason string  `json:"reason"`
}

// Site serves the pages of MiniWoB++ with the harness in each, and hears from it.
type Site struct {
	root *os.Root
	mux  *http.ServeMux

	mu       sync.Mutex
	episodes map[string]*episode
}

type episode struct {
	outcome Outcome
	started chan struct{}
}

// NewSite serves what lies in dir, the folder "html" of the package.
func NewSite(dir string) (*Site, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	s := &Site{root: root, mux: http.NewServeMux(), episodes: map[string]*episode{}}
	s.mux.HandleFunc("POST /episodes/{id}", s.hear)
	s.mux.HandleFunc("GET /miniwob/{task}", s.task)
	s.mux.Handle("GET /", http.FileServerFS(root.FS()))
	return s, nil
}

// Close lets go of the folder.
func (s *Site) Close() error { return s.root.Close() }

// ServeHTTP implements [http.Handler].
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Begin expects an episode with an id, and returns a channel that is closed when the
// page has started it.
func (s *Site) Begin(id string) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := &episode{started: make(chan struct{})}
	s.episodes[id] = e
	return e.started
}

// Outcome returns what is known of an episode.
func (s *Site) Outcome(id string) Outcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.episodes[id]; e != nil {
		return e.outcome
	}
	return Outcome{}
}

// hear is told by the harness how an episode goes.
func (s *Site) hear(w http.ResponseWriter, r *http.Request) {
	var o Outcome
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&o); err != nil {
		http.Error(w, "not an outcome", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.episodes[r.PathValue("id")]
	switch {
	case e == nil:
		http.Error(w, "no such episode", http.StatusNotFound)
	case o.Done && !e.outcome.Done:
		o.Utterance = e.outcome.Utterance
		e.outcome = o
	case e.outcome.Utterance == "":
		e.outcome.Utterance = o.Utterance
		close(e.started)
	}
}

// task serves a task's page with the harness at its end.
func (s *Site) task(w http.ResponseWriter, r *http.Request) {
	page, err := s.root.ReadFile(path.Join("miniwob", r.PathValue("task")))
	switch {
	case errors.Is(err, os.ErrNotExist):
		http.NotFound(w, r)
		return
	case err != nil:
		http.Error(w, "the task cannot be read", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	script := append(append([]byte("<script>"), harness...), "</script></body>"...)
	_, _ = w.Write(bytes.Replace(page, []byte("</body>"), script, 1)) // a browser that has left needs no page
}
