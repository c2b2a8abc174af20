package model

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// anthropic speaks Anthropic's messages.
type anthropic struct{}

func (anthropic) endpoint() string { return "messages" }

// The wire shapes: https://docs.anthropic.com/en/api/messages.
type (
	anthropicRequest struct {
		Model     string             `json:"model"`
		MaxTokens int                `json:"max_tokens"`
		System    []anthropicBlock   `json:"system,omitempty"`
		Messages  []anthropicMessage `json:"messages"`
		Tools     []anthropicTool    `json:"tools,omitempty"`
	}
	anthropicMessage struct {
		Role string `json:"role"`
		// Content holds blocks, or what came as a block and goes back as it is.
		Content []json.RawMessage `json:"content"`
	}
	anthropicTool struct {
		Name        string          `json:"name"`
		Description string          `json:"description,omitempty"`
		InputSchema json.RawMessage `json:"input_schema"`
		Cache       *cacheControl   `json:"cache_control,omitempty"`
	}
	anthropicBlock struct {
		Type      string           `json:"type"`
		Text      string           `json:"text,omitempty"`
		ID        string           `json:"id,omitempty"`
		Name      string           `json:"name,omitempty"`
		Input     json.RawMessage  `json:"input,omitempty"`
		ToolUseID string           `json:"tool_use_id,omitempty"`
		Content   string           `json:"content,omitempty"`
		IsError   bool             `json:"is_error,omitempty"`
		Source    *anthropicSource `json:"source,omitempty"`
		Cache     *cacheControl    `json:"cache_control,omitempty"`
	}
	// cacheControl marks where a prefix of the request ends that the provider keeps, for
	// five minutes from its last use: docs.anthropic.com/en/docs/build-with-claude/prompt-caching.
	cacheControl struct {
		Type string `json:"type"`
	}
	anthropicSource struct {
		Type      string `json:"type"`
		MediaType string `json:"media_type"`
		Data      []byte `json:"data"` // encoding/json writes base64
	}
	anthropicResponse struct {
		Type       string            `json:"type"`
		Content    []json.RawMessage `json:"content"`
		StopReason string            `json:"stop_reason"`
		Usage      struct {
			Input         count `json:"input_tokens"`
			CacheCreation count `json:"cache_creation_input_tokens"`
			CacheRead     count `json:"cache_read_input_tokens"`
			Output        count `json:"output_tokens"`
		} `json:"usage"`
	}
)

// encode implements dialect. It marks up to two prefixes for the cache: the tools with
// the system text, which all questions share, and the messages that later ones repeat.
func (anthropic) encode(q question) ([]byte, error) {
	body := anthropicRequest{Model: q.model, MaxTokens: q.maxTokens}
	var keep *cacheControl
	if !q.habits.noCaching {
		keep = &cacheControl{"ephemeral"}
	}
	for _, t := range q.Tools {
		body.Tools = append(body.Tools, anthropicTool{Name: t.Name, Description: t.Description, InputSchema: t.Parameters})
	}
	switch last := len(body.Tools) - 1; {
	case q.System != "":
		body.System = []anthropicBlock{{Type: "text", Text: q.System, Cache: keep}}
	case last >= 0:
		body.Tools[last].Cache = keep
	}
	for i, m := range q.Messages {
		var end *cacheControl
		if i == q.Stable-1 {
			end = keep
		}
		role, blocks, err := anthropicBlocks(m, end)
		if err != nil {
			return nil, err
		}
		// Roles alternate: neighbours of one role are one message.
		if last := len(body.Messages) - 1; last >= 0 && body.Messages[last].Role == role {
			body.Messages[last].Content = append(body.Messages[last].Content, blocks...)
			continue
		}
		body.Messages = append(body.Messages, anthropicMessage{Role: role, Content: blocks})
	}
	var encoded bytes.Buffer
	if err := json.NewEncoder(&encoded).Encode(body); err != nil {
		return nil, fmt.Errorf("encode the request: %w", err)
	}
	return encoded.Bytes(), nil
}

// anthropicBlocks returns a message's role and content, whose end is marked with end.
func anthropicBlocks(m Message, end *cacheControl) (role string, content []json.RawMessage, err error) {
	var blocks []anthropicBlock
	switch m.Role {
	case Assistant:
		role = "assistant"
		if len(m.Opaque) > 0 && json.Unmarshal(m.Opaque, &content) != nil {
			content = nil // another provider's
		}
		if m.Text != "" || len(m.Calls) == 0 {
			blocks = append(blocks, anthropicBlock{Type: "text", Text: orPlaceholder(m.Text)})
		}
		for _, c := range m.Calls {
			blocks = append(blocks, anthropicBlock{
				Type:  "tool_use",
				ID:    c.ID,
				Name:  c.Name,
				Input: argumentsObject(c.Arguments),
			})
		}
	case ToolResult:
		role = "user"
		blocks = append(blocks, anthropicBlock{
			Type:      "tool_result",
			ToolUseID: m.CallID,
			Content:   orPlaceholder(m.Text),
			IsError:   m.IsError,
		})
	case User:
		role = "user"
		for _, png := range m.Images {
			blocks = append(blocks, anthropicBlock{
				Type:   "image",
				Source: &anthropicSource{Type: "base64", MediaType: "image/png", Data: png},
			})
		}
		if m.Text != "" || len(m.Images) == 0 {
			blocks = append(blocks, anthropicBlock{Type: "text", Text: orPlaceholder(m.Text)})
		}
	}
	if last := len(blocks) - 1; last >= 0 {
		blocks[last].Cache = end
	}
	for _, b := range blocks {
		raw, err := json.Marshal(b)
		if err != nil {
			return "", nil, fmt.Errorf("encode a message: %w", err)
		}
		content = append(content, raw)
	}
	return role, content, nil
}

// argumentsObject returns arguments where they are a JSON object, as a tool_use block
// must hold one, else an empty object.
func argumentsObject(arguments string) json.RawMessage {
	var fields map[string]json.RawMessage
	if json.Unmarshal([]byte(arguments), &fields) != nil || fields == nil {
		return json.RawMessage("{}")
	}
	return json.RawMessage(arguments)
}

func (anthropic) decode(body []byte, _ string) (*answer, error) {
	var r anthropicResponse
	if err := json.Unmarshal(body, &r); err != nil || r.Type != "message" {
		return nil, &failure{err: badAnswer("it is not a message")}
	}
	out := &answer{
		cut:     r.StopReason == "max_tokens" || r.StopReason == "model_context_window_exceeded",
		refused: r.StopReason == "refusal",
		usage: Usage{
			InputTokens:       int64(r.Usage.Input + r.Usage.CacheCreation + r.Usage.CacheRead),
			CachedInputTokens: int64(r.Usage.CacheRead),
			OutputTokens:      int64(r.Usage.Output),
		},
	}
	var thinking []json.RawMessage
	for i, raw := range r.Content {
		var b struct {
			Type  string          `json:"type"`
			Text  string          `json:"text"`
			ID    string          `json:"id"`
			Name  string          `json:"name"`
			Input json.RawMessage `json:"input"`
		}
		if err := json.Unmarshal(raw, &b); err != nil {
			return nil, &failure{err: badAnswer("a block of its content is malformed")}
		}
		switch b.Type {
		case "text":
			out.text += b.Text
		case "tool_use":
			if out.cut && i == len(r.Content)-1 {
				break // the input is what there was of it when it was cut off
			}
			out.calls = append(out.calls, ToolCall{ID: b.ID, Name: b.Name, Arguments: argumentsText(b.Input)})
		case "thinking", "redacted_thinking":
			thinking = append(thinking, raw)
		}
	}
	giveIDs(out.calls)
	if len(thinking) > 0 {
		var err error
		if out.opaque, err = json.Marshal(thinking); err != nil {
			return nil, &failure{err: badAnswer("its thinking is malformed")}
		}
	}
	return out, nil
}
