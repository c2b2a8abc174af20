package model

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
)

// anthropic speaks Anthropic's messages.
type anthropic struct {
	wire    *wire
	cfg     Config
	learned *learned
}

// Sees implements [Viewer].
func (a *anthropic) Sees(_ context.Context, model string) bool {
	return a.learned.of(cmp.Or(model, a.cfg.Model)).sight == sighted
}

// The wire shapes: https://docs.anthropic.com/en/api/messages.
type (
	anthropicRequest struct {
		Model     string             `json:"model"`
		MaxTokens int                `json:"max_tokens"`
		System    string             `json:"system,omitempty"`
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
			Input         int64 `json:"input_tokens"`
			CacheCreation int64 `json:"cache_creation_input_tokens"`
			CacheRead     int64 `json:"cache_read_input_tokens"`
			Output        int64 `json:"output_tokens"`
		} `json:"usage"`
	}
)

// Complete implements [Chat].
func (a *anthropic) Complete(ctx context.Context, req Request) (*Response, error) {
	body, err := a.request(req)
	if err != nil {
		return nil, err
	}
	var encoded bytes.Buffer
	if err := json.NewEncoder(&encoded).Encode(body); err != nil {
		return nil, fmt.Errorf("encode the request: %w", err)
	}
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, a.wire.base.JoinPath("messages").String(), &encoded)
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	post.Header.Set("Content-Type", "application/json")
	post.Header.Set("Accept", "application/json")
	resp, err := a.wire.Do(post)
	if err != nil {
		return nil, forCaller(err)
	}
	defer resp.Body.Close()
	var answer anthropicResponse
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.Type != "message" {
		return nil, badAnswer("it is not a message")
	}
	out, err := answer.response()
	if err != nil {
		return nil, err
	}
	out.Provider, out.Model = a.cfg.Provider, body.Model
	return out, nil
}

func (a *anthropic) request(req Request) (anthropicRequest, error) {
	model, limit, err := a.cfg.modelAndTokens(req)
	if err != nil {
		return anthropicRequest{}, err
	}
	body := anthropicRequest{Model: model, MaxTokens: limit, System: req.System}
	for _, t := range req.Tools {
		body.Tools = append(body.Tools, anthropicTool{Name: t.Name, Description: t.Description, InputSchema: t.Parameters})
	}
	for _, m := range req.Messages {
		role, blocks, err := anthropicBlocks(m)
		if err != nil {
			return anthropicRequest{}, err
		}
		// Roles alternate: neighbours of one role are one message.
		if last := len(body.Messages) - 1; last >= 0 && body.Messages[last].Role == role {
			body.Messages[last].Content = append(body.Messages[last].Content, blocks...)
			continue
		}
		body.Messages = append(body.Messages, anthropicMessage{Role: role, Content: blocks})
	}
	return body, nil
}

// anthropicBlocks returns a message's role and content.
func anthropicBlocks(m Message) (role string, content []json.RawMessage, err error) {
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

func (r anthropicResponse) response() (*Response, error) {
	out := &Response{Usage: Usage{
		InputTokens:       r.Usage.Input + r.Usage.CacheCreation + r.Usage.CacheRead,
		CachedInputTokens: r.Usage.CacheRead,
		OutputTokens:      r.Usage.Output,
	}}
	var thinking []json.RawMessage
	for _, raw := range r.Content {
		var b anthropicBlock
		if err := json.Unmarshal(raw, &b); err != nil {
			return nil, badAnswer("a block of its content is malformed")
		}
		switch b.Type {
		case "text":
			out.Text += b.Text
		case "tool_use":
			out.Calls = append(out.Calls, ToolCall{ID: b.ID, Name: b.Name, Arguments: string(b.Input)})
		case "thinking", "redacted_thinking":
			thinking = append(thinking, raw)
		}
	}
	if len(thinking) > 0 {
		var err error
		if out.Opaque, err = json.Marshal(thinking); err != nil {
			return nil, badAnswer("its thinking is malformed")
		}
	}
	switch {
	case len(out.Calls) > 0:
		out.Stop = StopTools
	case r.StopReason == "max_tokens":
		out.Stop = StopLength
	case r.StopReason == "refusal":
		out.Stop = StopRefusal
	default:
		out.Stop = StopEnd
	}
	return out, nil
}
