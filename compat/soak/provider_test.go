package soak

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// provider stands in for one that models are asked at. It counts how often each question came, and
// knows the keys of odd number alone, as histories have it.
type provider struct {
	*httptest.Server
	mu    sync.Mutex
	asked map[string]int
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	p := &provider{asked: map[string]int{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/chat/completions", func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Messages []struct{ Content string } }
		text, err := io.ReadAll(r.Body)
		if err != nil || json.Unmarshal(text, &in) != nil || len(in.Messages) != 1 {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		question := in.Messages[0].Content
		p.mu.Lock()
		p.asked[question]++
		p.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"choices": [{"message": {"content": %q}}]}`, question)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if v, err := strconv.Atoi(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer key-")); err != nil || v%2 == 0 {
			w.WriteHeader(http.StatusUnauthorized)
		}
		_, _ = io.WriteString(w, `{"object": "list", "data": []}`)
	})
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Server.Close)
	return p
}

// times is how often a question came.
func (p *provider) times(question string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked[question]
}
