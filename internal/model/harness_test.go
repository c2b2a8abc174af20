package model

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/broker"
	"github.com/bctrl-go/bctrl/internal/egress"
)

const (
	canaryKey    = "sk-canary-0123456789"
	canaryPrompt = "canary-prompt-0123456789"
)

// fake is a provider on loopback that records what it is sent.
type fake struct {
	url    string
	broker *broker.Broker
	bodies []string
	paths  []string
}

// serve starts a provider that answers the nth request with handle(n).
func serve(t *testing.T, handle func(n int, w http.ResponseWriter, r *http.Request)) *fake {
	t.Helper()
	loopback := egress.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	f := &fake{broker: broker.New(broker.Config{Egress: loopback})}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error("read the request")
		}
		f.bodies = append(f.bodies, string(body))
		f.paths = append(f.paths, r.Method+" "+r.URL.EscapedPath())
		handle(len(f.bodies)-1, w, r)
	}))
	f.url = srv.URL
	t.Cleanup(func() { f.broker.Close(); srv.Close() })
	return f
}

// says answers every request with one status and body.
func says(status int, body string) func(int, http.ResponseWriter, *http.Request) {
	return func(_ int, w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func (f *fake) config(p bctrl.AIProvider) Config {
	never := 0
	return Config{
		Provider:   p,
		BaseURL:    f.url + "/v1",
		Model:      "m-1",
		Key:        bctrl.NewSecret(canaryKey),
		MaxRetries: &never,
	}
}

func (f *fake) chat(t *testing.T, p bctrl.AIProvider, edit func(*Config)) Chat {
	t.Helper()
	cfg := f.config(p)
	if edit != nil {
		edit(&cfg)
	}
	chat, err := New(f.broker, cfg)
	require.NoError(t, err)
	return chat
}

var providers = []bctrl.AIProvider{bctrl.OpenAI, bctrl.Google, bctrl.OpenAICompatible, bctrl.Anthropic}

// conversation uses everything that a request can hold.
func conversation() Request {
	return Request{
		System: "be brief",
		Messages: []Message{
			{Role: User, Text: canaryPrompt, Images: [][]byte{[]byte("\x89PNG")}},
			{Role: Assistant, Text: "I look", Calls: []ToolCall{
				{ID: "c1", Name: "click", Arguments: `{"ref":"e1"}`}, {ID: "c2", Name: "wait", Arguments: "not json"},
			}},
			{Role: ToolResult, CallID: "c1", Text: "clicked"},
			{
				Role:    ToolResult,
				CallID:  "c2",
				Text:    "bad arguments",
				IsError: true,
			},
			{Role: User, Text: "go on"},
		},
		Tools: []Tool{{Name: "click", Description: "Click.",
			Parameters: []byte(`{"type":"object","properties":{"ref":{"type":"string"}}}`)}},
	}
}

const (
	openAIAnswer = `{"id":"x","object":"chat.completion","choices":[{"index":0,"finish_reason":"tool_calls",
		"message":{"role":"assistant","content":"now","tool_calls":[
			{"id":"c3","type":"function","function":{"name":"click","arguments":"{\"ref\":\"e2\"}"}}]}}],
		"usage":{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18,
			"prompt_tokens_details":{"cached_tokens":6}}}`
	anthropicAnswer = `{"id":"x","type":"message","role":"assistant","model":"m-1","stop_reason":"tool_use",
		"content":[{"type":"text","text":"now"},{"type":"tool_use","id":"c3","name":"click","input":{"ref":"e2"}}],
		"usage":{"input_tokens":4,"cache_creation_input_tokens":1,"cache_read_input_tokens":6,"output_tokens":7}}`
)

func answerFor(p bctrl.AIProvider) string {
	if p == bctrl.Anthropic {
		return anthropicAnswer
	}
	return openAIAnswer
}
