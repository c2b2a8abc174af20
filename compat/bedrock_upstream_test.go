package compat

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream/eventstreamapi"
)

const bedrockHost = "bedrock-runtime." + awsRegion + ".amazonaws.com"

// modelID holds a colon, which the SDK escapes and signs escaped once more.
const modelID = "vendor.model-20250101-v1:0"

// newBedrock is the runtime of Bedrock: conversations, in one answer and as a stream
// of events.
func newBedrock(t testing.TB) *upstream {
	u := newUpstream(t, bedrockHost)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /model/{model}/converse", func(w http.ResponseWriter, r *http.Request) {
		switch r.PathValue("model") {
		case limited:
			bedrockError(w, http.StatusTooManyRequests, "ThrottlingException", "Too many requests")
		case echo:
			bedrockError(w, http.StatusBadRequest, "ValidationException", "the token "+awsSession)
		case modelID:
			answerJSON(w, http.StatusOK, map[string]any{
				"output": map[string]any{"message": map[string]any{
					"role":    "assistant",
					"content": []any{map[string]any{"text": "Hello there"}},
				}},
				"stopReason": "end_turn",
				"usage":      map[string]any{"inputTokens": 9, "outputTokens": 2, "totalTokens": 11},
				"metrics":    map[string]any{"latencyMs": 1},
			})
		default:
			bedrockError(w, http.StatusNotFound, "ResourceNotFoundException", "no such model")
		}
	})
	mux.HandleFunc("POST /model/{model}/converse-stream", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/vnd.amazon.eventstream")
		event(w, "messageStart", map[string]any{"role": "assistant"})
		for i, word := range []string{"Hello", " there", "!"} {
			event(w, "contentBlockDelta", map[string]any{"contentBlockIndex": 0, "delta": map[string]any{"text": word}})
			if i == 0 && !u.pause(w, r) {
				return
			}
		}
		event(w, "contentBlockStop", map[string]any{"contentBlockIndex": 0})
		event(w, "messageStop", map[string]any{"stopReason": "end_turn"})
	})
	u.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := signed(r, "bedrock"); err != nil {
			bedrockError(w, http.StatusForbidden, "InvalidSignatureException", err.Error())
			return
		}
		mux.ServeHTTP(w, r)
	})
	return u
}

func bedrockError(w http.ResponseWriter, status int, kind, text string) {
	w.Header().Set("X-Amzn-Errortype", kind)
	answerJSON(w, status, map[string]any{"message": text})
}

// event writes an event as the stream has it: binary, with checksums.
func event(w http.ResponseWriter, kind string, data any) {
	text, _ := json.Marshal(data) // constants
	var headers eventstream.Headers
	headers.Set(eventstreamapi.MessageTypeHeader, eventstream.StringValue(eventstreamapi.EventMessageType))
	headers.Set(eventstreamapi.EventTypeHeader, eventstream.StringValue(kind))
	headers.Set(":content-type", eventstream.StringValue("application/json"))
	var frame strings.Builder
	_ = eventstream.NewEncoder().Encode(&frame, eventstream.Message{Headers: headers, Payload: text}) // to memory
	// This fails where the caller has gone.
	_, _ = w.Write([]byte(frame.String()))
}
