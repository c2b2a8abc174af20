package compat

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
)

const anthropicKey = "sk-ant-api03-upstream-0123456789abcdefghij"

// newAnthropic is the API of Anthropic: messages, in one answer and streamed.
func newAnthropic(t testing.TB) *upstream {
	u := newUpstream(t, "api.anthropic.com")
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/messages", func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			Model  string
			Stream bool
		}
		switch {
		case !anthropicKeyed(r) || r.Header.Get("Anthropic-Version") == "":
			anthropicError(w, http.StatusUnauthorized, "authentication_error", "invalid x-api-key")
		case !decodeJSON(w, r, &in):
		case in.Model == unknown:
			anthropicError(w, http.StatusUnauthorized, "authentication_error", "invalid x-api-key")
		case in.Model == limited && r.Header.Get("X-Stainless-Retry-Count") == "0":
			w.Header().Set("Retry-After-Ms", "1")
			anthropicError(w, http.StatusTooManyRequests, "rate_limit_error", "slow down")
		case in.Stream:
			u.anthropicStream(w, r, in.Model)
		case in.Model == echo:
			answerJSON(w, http.StatusOK, message(in.Model, "your key is "+anthropicKey))
		default:
			answerJSON(w, http.StatusOK, message(in.Model, "Hello there"))
		}
	})
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, r *http.Request) {
		if !anthropicKeyed(r) {
			anthropicError(w, http.StatusUnauthorized, "authentication_error", "invalid x-api-key")
			return
		}
		answerJSON(w, http.StatusOK, map[string]any{
			"data": []any{map[string]any{
				"type":         "model",
				"id":           plain,
				"display_name": "Plain",
				"created_at":   "2025-10-09T08:53:20Z",
			}},
			"has_more": false,
			"first_id": plain,
			"last_id":  plain,
		})
	})
	u.handler = mux
	return u
}

// anthropicKeyed reports whether a request has the key, in the place of older SDKs
// or in that of newer ones.
func anthropicKeyed(r *http.Request) bool {
	return r.Header.Get("X-Api-Key") == anthropicKey || r.Header.Get("Authorization") == "Bearer "+anthropicKey
}

func anthropicError(w http.ResponseWriter, status int, kind, text string) {
	answerJSON(w, status, map[string]any{
		"type":       "error",
		"error":      map[string]any{"type": kind, "message": text},
		"request_id": "req_1",
	})
}

func message(model, text string) map[string]any {
	return map[string]any{
		"id":            "msg_1",
		"type":          "message",
		"role":          "assistant",
		"model":         model,
		"stop_reason":   "end_turn",
		"stop_sequence": nil,
		"content":       []any{map[string]any{"type": "text", "text": text}},
		"usage":         map[string]any{"input_tokens": 9, "output_tokens": 2},
	}
}

// anthropicStream sends a first word, and the others once the client has read it.
func (u *upstream) anthropicStream(w http.ResponseWriter, r *http.Request, model string) {
	w.Header().Set("Content-Type", "text/event-stream")
	send := func(event string, data map[string]any) {
		data["type"] = event
		text, _ := json.Marshal(data) // constants
		fmt.Fprintf(w, "event: %s\ndata: %s\n\n", event, text)
	}
	start := message(model, "")
	start["content"], start["stop_reason"] = []any{}, nil
	send("message_start", map[string]any{"message": start})
	send("content_block_start", map[string]any{"index": 0, "content_block": map[string]any{"type": "text", "text": ""}})
	words := []string{"Hello", " there", "!"}
	if model == echo {
		words = []string{"key:", anthropicKey}
	}
	for i, word := range words {
		send("content_block_delta", map[string]any{"index": 0, "delta": map[string]any{"type": "text_delta", "text": word}})
		if i == 0 && !u.pause(w, r) {
			return
		}
	}
	send("content_block_stop", map[string]any{"index": 0})
	send("message_delta", map[string]any{
		"delta": map[string]any{"stop_reason": "end_turn", "stop_sequence": nil},
		"usage": map[string]any{"output_tokens": 2},
	})
	send("message_stop", map[string]any{})
}
