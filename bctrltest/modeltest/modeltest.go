// Package modeltest is a language-model provider that follows a script. It
// speaks the wire formats of OpenAI (POST /v1/chat/completions, GET
// /v1/models) and Anthropic (POST /v1/messages, GET /v1/models), so that
// everything between an agent and its model runs as it would with a real one:
// the same requests, the same key check, the same refusals of a malformed
// conversation.
//
// It is no model. A [Script] looks at what the agent has sent, as a model
// would, and says which tool to call next.
package modeltest

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bctrl-go/bctrl"
)

// DefaultModel is the one model that is served when Config names none.
const DefaultModel = "scripted-1"

// maxBody bounds a request's body in bytes.
const maxBody = 8 << 20

// Config says who may ask and what is answered.
type Config struct {
	// Key must come with every request: as a bearer token or in x-api-key, as
	// the wire format has it.
	Key bctrl.Secret
	// Script decides what is answered.
	Script Script
	// Models are the models' names; nil is DefaultModel alone.
	Models []string
	// Forms are ways in which the answers differ from what the API promises; nil for
	// none.
	Forms []Form
}

// Request is a request that the provider has received.
type Request struct {
	Method, Path string
	// Header is what was sent; in place of the configured key it reads
	// "[secret]".
	Header http.Header
	// Body is what was sent, unchanged: whoever looks for a leaked value must
	// find it here.
	Body []byte
	// Status is how the request was answered.
	Status int
}

// Model is the provider. It is an [http.Handler], safe for concurrent use;
// its base URL ends in /v1.
type Model struct {
	key    bctrl.Secret
	script Script
	models []string
	forms  []Form
	mux    *http.ServeMux

	mu       sync.Mutex
	requests []Request
	failures []int // statuses of the next answers
	before   map[[sha256.Size]byte]bool
}

// New returns a provider.
func New(cfg Config) (*Model, error) {
	if cfg.Key.IsZero() || cfg.Script == nil {
		return nil, errors.New("modeltest: Key and Script are required")
	}
	if cfg.Models == nil {
		cfg.Models = []string{DefaultModel}
	}
	m := &Model{
		key:    cfg.Key,
		script: cfg.Script,
		models: cfg.Models,
		forms:  cfg.Forms,
		mux:    http.NewServeMux(),
		before: make(map[[sha256.Size]byte]bool),
	}
	m.mux.HandleFunc("GET /v1/models", m.serve(m.listModels))
	m.mux.HandleFunc("POST /v1/chat/completions", m.serve(m.chatCompletions))
	m.mux.HandleFunc("POST /v1/messages", m.serve(m.messages))
	m.mux.HandleFunc("/", m.serve(func(*http.Request, []byte) (any, *failure) {
		return nil, &failure{http.StatusNotFound, "not_found_error", "There is no such route."}
	}))
	return m, nil
}

// ServeHTTP implements [http.Handler].
func (m *Model) ServeHTTP(w http.ResponseWriter, r *http.Request) { m.mux.ServeHTTP(w, r) }

// Fail answers the next n requests with an HTTP status, 429 for example,
// whatever they ask.
func (m *Model) Fail(n, status int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failures = append(m.failures, slices.Repeat([]int{status}, n)...)
}

// Requests returns what has been received so far, in order.
func (m *Model) Requests() []Request {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.requests)
}

// failure is a refusal; each wire format has its own shape for it.
type failure struct {
	status  int
	kind    string
	message string
}

func invalid(message string) *failure {
	return &failure{http.StatusBadRequest, "invalid_request_error", message}
}

// serve reads a request, records it, checks the key and writes the answer.
func (m *Model) serve(answer func(*http.Request, []byte) (any, *failure)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		var out any
		fail := m.check(r)
		switch {
		case err != nil:
			fail = &failure{http.StatusRequestEntityTooLarge, "request_too_large", "The request is too large."}
		case fail == nil:
			out, fail = answer(r, body)
		}
		status := http.StatusOK
		if fail != nil {
			status, out = fail.status, fail.body(r)
		}
		m.record(r, body, status)
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("X-Request-Id", newID("req_"))
		if status == http.StatusTooManyRequests {
			h.Set("Retry-After", "1")
		}
		pieces, isStream := out.(stream)
		if isStream {
			h.Set("Content-Type", "text/event-stream")
		}
		w.WriteHeader(status)
		// An agent that has left needs no answer.
		if !isStream {
			_ = json.NewEncoder(w).Encode(out)
			return
		}
		for _, piece := range pieces {
			text, _ := json.Marshal(piece)
			fmt.Fprintf(w, "data: %s\n\n", text)
		}
		fmt.Fprint(w, "data: [DONE]\n\n")
	}
}

// check refuses a request without the key, and as Fail has asked for.
func (m *Model) check(r *http.Request) *failure {
	key := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	if isAnthropic(r) {
		key = r.Header.Get("X-Api-Key")
	}
	if !m.key.Equal(bctrl.NewSecret(key)) {
		return &failure{http.StatusUnauthorized, "authentication_error", "The API key is not valid."}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.failures) == 0 {
		return nil
	}
	status := m.failures[0]
	m.failures = m.failures[1:]
	return &failure{status, "api_error", http.StatusText(status)}
}

// body is the refusal in the shape of the wire format.
func (f *failure) body(r *http.Request) any {
	type text = map[string]any
	if isAnthropic(r) {
		return text{"type": "error", "error": text{"type": f.kind, "message": f.message}}
	}
	return text{"error": text{"message": f.message, "type": f.kind, "param": nil, "code": nil}}
}

// isAnthropic tells the wire formats apart where they share a path: Anthropic's
// always names its version.
func isAnthropic(r *http.Request) bool {
	return r.Header.Get("Anthropic-Version") != "" || r.URL.Path == "/v1/messages"
}

func (m *Model) record(r *http.Request, body []byte, status int) {
	header := r.Header.Clone()
	for _, values := range header {
		for i, v := range values {
			values[i] = strings.ReplaceAll(v, m.key.Expose(), m.key.String())
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.requests = append(m.requests, Request{
		Method: r.Method,
		Path:   r.URL.Path,
		Header: header,
		Body:   bytes.Clone(body),
		Status: status,
	})
}

// listModels answers in a shape that both wire formats read.
func (m *Model) listModels(*http.Request, []byte) (any, *failure) {
	type model struct {
		ID          string    `json:"id"`
		Object      string    `json:"object"`
		Created     int64     `json:"created"`
		OwnedBy     string    `json:"owned_by"`
		Type        string    `json:"type"`
		DisplayName string    `json:"display_name"`
		CreatedAt   time.Time `json:"created_at"`
	}
	out := struct {
		Object  string  `json:"object"`
		Data    []model `json:"data"`
		HasMore bool    `json:"has_more"`
	}{Object: "list"}
	created := time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)
	for _, name := range m.models {
		out.Data = append(out.Data, model{
			ID:          name,
			Object:      "model",
			Created:     created.Unix(),
			OwnedBy:     "modeltest",
			Type:        "model",
			DisplayName: name,
			CreatedAt:   created,
		})
	}
	return out, nil
}

// decide asks the script what comes next in a conversation.
func (m *Model) decide(model string, tools []string, conversation []message) (Call, *failure) {
	if !slices.Contains(m.models, model) {
		return Call{}, &failure{http.StatusNotFound, "not_found_error", "There is no such model."}
	}
	if fail := checkConversation(conversation); fail != nil {
		return Call{}, fail
	}
	call := m.script(newTurn(conversation, tools))
	for _, c := range call.all() {
		if !slices.Contains(tools, c.Tool) {
			return Call{}, invalid("The script calls " + c.Tool + ", which is not among the tools.")
		}
	}
	return call, nil
}

// newID returns an id as providers make them.
func newID(prefix string) string { return prefix + rand.Text() }
