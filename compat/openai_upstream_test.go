package compat

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
)

const openAIKey = "sk-proj-upstream-0123456789abcdefghijklmnop"

// newOpenAI is the API of OpenAI: chat completions, streamed as server-sent
// events, and embeddings.
func newOpenAI(t testing.TB) *upstream {
	u := newUpstream(t, "api.openai.com")
	mux := http.NewServeMux()
	keyed := func(w http.ResponseWriter, r *http.Request) bool {
		known := r.Header.Get("Authorization") == "Bearer "+openAIKey
		if !known {
			openAIError(w, http.StatusUnauthorized, "invalid_api_key", "Incorrect API key provided")
		}
		return known
	}
	mux.HandleFunc("POST /v1/chat/completions", func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			Model  string
			Stream bool
		}
		switch {
		case !keyed(w, r):
		case !decodeJSON(w, r, &in):
		case in.Model == unknown:
			openAIError(w, http.StatusUnauthorized, "invalid_api_key", "Incorrect API key provided")
		case in.Model == elsewhere:
			u.note(elsewhere)
			w.Header().Set("Location", itself(r)+"/nowhere")
			w.WriteHeader(http.StatusTemporaryRedirect)
		case in.Model == limited:
			w.Header().Set("Retry-After-Ms", "1")
			if r.Header.Get("X-Stainless-Retry-Count") == "0" {
				openAIError(w, http.StatusTooManyRequests, "rate_limit_exceeded", "Rate limit reached")
				return
			}
			answerJSON(w, http.StatusOK, completion(in.Model, "the second time"))
		case in.Stream:
			u.openAIStream(w, r, in.Model)
		case in.Model == echo:
			w.Header().Set("X-Echo", openAIKey)
			answerJSON(w, http.StatusOK, completion(in.Model, "your key is "+openAIKey))
		default:
			answerJSON(w, http.StatusOK, completion(in.Model, "Hello there"))
		}
	})
	mux.HandleFunc("POST /v1/embeddings", func(w http.ResponseWriter, r *http.Request) {
		if keyed(w, r) {
			answerJSON(w, http.StatusOK, map[string]any{
				"object": "list",
				"model":  plain,
				"data":   []any{map[string]any{"object": "embedding", "index": 0, "embedding": []any{0.5, 0.25}}},
				"usage":  map[string]any{"prompt_tokens": 1, "total_tokens": 1},
			})
		}
	})
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, r *http.Request) {
		if keyed(w, r) {
			answerJSON(w, http.StatusOK, map[string]any{"object": "list", "data": []any{
				map[string]any{"id": plain, "object": "model", "created": 1760000000, "owned_by": "them"},
			}})
		}
	})
	u.handler = mux
	return u
}

func openAIError(w http.ResponseWriter, status int, code, message string) {
	answerJSON(w, status, map[string]any{"error": map[string]any{
		"message": message,
		"type":    "invalid_request_error",
		"param":   nil,
		"code":    code,
	}})
}

func completion(model, text string) map[string]any {
	return map[string]any{
		"id":      "chatcmpl-1",
		"object":  "chat.completion",
		"created": 1760000000,
		"model":   model,
		"choices": []any{map[string]any{
			"index":         0,
			"finish_reason": "stop",
			"message":       map[string]any{"role": "assistant", "content": text, "refusal": nil},
		}},
		"usage": map[string]any{"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11},
	}
}

// openAIStream sends a first word, and the others once the client has read it.
func (u *upstream) openAIStream(w http.ResponseWriter, r *http.Request, model string) {
	w.Header().Set("Content-Type", "text/event-stream")
	words := []string{"Hello", " there", "!"}
	if model == echo {
		words = []string{"key:", openAIKey}
	}
	for i, word := range words {
		text, _ := json.Marshal(map[string]any{ // cannot fail: texts and numbers
			"id":      "chatcmpl-1",
			"object":  "chat.completion.chunk",
			"created": 1760000000,
			"model":   model,
			"choices": []any{map[string]any{"index": 0, "delta": map[string]any{"content": word}, "finish_reason": nil}},
		})
		// In two writes, so that a key lies across the border of two chunks.
		half := len(text) - len(openAIKey)/2 - 30
		fmt.Fprintf(w, "data: %s", text[:half])
		_ = http.NewResponseController(w).Flush() // fails where the caller has gone
		fmt.Fprintf(w, "%s\n\n", text[half:])
		if i == 0 && !u.pause(w, r) {
			return
		}
	}
	fmt.Fprint(w, "data: [DONE]\n\n")
}
