package model

import (
	"encoding/json"
	"fmt"
)

// extrasOf collects the "extra_content" of tool calls that earlier answers brought, by
// the calls' ids. Google's models sign their calls in it and refuse a conversation that
// comes back without the signature.
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

// withExtras adds them to the calls of a request, since go-openai does not know them.
func withExtras(body []byte, extras map[string]json.RawMessage) ([]byte, error) {
	if len(extras) == 0 {
		return body, nil
	}
	var top map[string]json.RawMessage
	var messages []map[string]json.RawMessage
	if err := json.Unmarshal(body, &top); err != nil {
		return nil, fmt.Errorf("read the request: %w", err)
	}
	if err := json.Unmarshal(top["messages"], &messages); err != nil {
		return nil, fmt.Errorf("read the messages: %w", err)
	}
	var err error
	for _, m := range messages {
		var calls []map[string]json.RawMessage
		if len(m["tool_calls"]) == 0 || json.Unmarshal(m["tool_calls"], &calls) != nil {
			continue
		}
		for _, call := range calls {
			var id string
			if json.Unmarshal(call["id"], &id) == nil && len(extras[id]) > 0 {
				call["extra_content"] = extras[id]
			}
		}
		if m["tool_calls"], err = json.Marshal(calls); err != nil {
			return nil, fmt.Errorf("write the calls: %w", err)
		}
	}
	if top["messages"], err = json.Marshal(messages); err != nil {
		return nil, fmt.Errorf("write the messages: %w", err)
	}
	if body, err = json.Marshal(top); err != nil {
		return nil, fmt.Errorf("write the request: %w", err)
	}
	return body, nil
}

// collectExtras returns what came with calls, under the ids that they have been given;
// nil for nothing.
func collectExtras(came []completionCall, given []ToolCall) json.RawMessage {
	extras := make(map[string]json.RawMessage)
	for i, call := range came {
		if len(call.Extra) > 0 && string(call.Extra) != "null" {
			extras[given[i].ID] = call.Extra
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
