package model

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// toolExtras carries the "extra_content" of tool calls, which go-openai does
// not know: Google's models sign their calls in it and refuse a conversation
// that comes back without the signature. It serves one request.
type toolExtras struct {
	next Sender
	// send maps a call's id to what goes back with it.
	send map[string]json.RawMessage
	// got is what came, in the same form; nil for nothing.
	got json.RawMessage
}

// extrasOf collects what earlier answers brought.
func extrasOf(messages []Message) map[string]json.RawMessage {
	all := make(map[string]json.RawMessage)
	for _, m := range messages {
		var extras map[string]json.RawMessage
		if len(m.Opaque) > 0 && json.Unmarshal(m.Opaque, &extras) == nil {
			for id, extra := range extras {
				all[id] = extra
			}
		}
	}
	return all
}

// Do implements go-openai's HTTPDoer.
func (e *toolExtras) Do(req *http.Request) (*http.Response, error) {
	if len(e.send) > 0 {
		if err := e.inject(req); err != nil {
			return nil, err
		}
	}
	resp, err := e.next.Do(req)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body) // in memory already
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	e.got = collect(body)
	return resp, nil
}

// inject adds the extras to the calls they belong to.
func (e *toolExtras) inject(req *http.Request) error {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return fmt.Errorf("read the request: %w", err)
	}
	var top map[string]json.RawMessage
	var messages []map[string]json.RawMessage
	if err := json.Unmarshal(body, &top); err != nil {
		return fmt.Errorf("read the request: %w", err)
	}
	if err := json.Unmarshal(top["messages"], &messages); err != nil {
		return fmt.Errorf("read the messages: %w", err)
	}
	for _, m := range messages {
		var calls []map[string]json.RawMessage
		if len(m["tool_calls"]) == 0 || json.Unmarshal(m["tool_calls"], &calls) != nil {
			continue
		}
		for _, call := range calls {
			var id string
			if json.Unmarshal(call["id"], &id) == nil && len(e.send[id]) > 0 {
				call["extra_content"] = e.send[id]
			}
		}
		if m["tool_calls"], err = json.Marshal(calls); err != nil {
			return fmt.Errorf("write the calls: %w", err)
		}
	}
	if top["messages"], err = json.Marshal(messages); err != nil {
		return fmt.Errorf("write the messages: %w", err)
	}
	if body, err = json.Marshal(top); err != nil {
		return fmt.Errorf("write the request: %w", err)
	}
	req.ContentLength = int64(len(body))
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	req.Body, err = req.GetBody()
	return err
}

// collect returns the extras of an answer's first choice.
func collect(body []byte) json.RawMessage {
	var answer struct {
		Choices []struct {
			Message struct {
				ToolCalls []struct {
					ID    string          `json:"id"`
					Extra json.RawMessage `json:"extra_content"`
				} `json:"tool_calls"`
			} `json:"message"`
		} `json:"choices"`
	}
	if json.Unmarshal(body, &answer) != nil || len(answer.Choices) == 0 {
		return nil // go-openai says what is wrong with it
	}
	extras := make(map[string]json.RawMessage)
	for _, call := range answer.Choices[0].Message.ToolCalls {
		if len(call.Extra) > 0 && string(call.Extra) != "null" {
			extras[call.ID] = call.Extra
		}
	}
	if len(extras) == 0 {
		return nil
	}
	out, err := json.Marshal(extras)
	if err != nil {
		return nil // RawMessages that were just decoded do encode
	}
	return out
}
