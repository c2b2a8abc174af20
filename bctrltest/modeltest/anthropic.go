package modeltest

import (
	"bytes"
	"encoding/json"
	"net/http"
)

// The wire format of Anthropic's messages, as far as an agent with tools needs
// it.
type (
	messagesRequest struct {
		Model     string `json:"model"`
		MaxTokens int    `json:"max_tokens"`
		System    blocks `json:"system"`
		Messages  []struct {
			Role    string `json:"role"`
			Content blocks `json:"content"`
		} `json:"messages"`
		Tools []struct {
			Name        string          `json:"name"`
			InputSchema json.RawMessage `json:"input_schema"`
		} `json:"tools"`
		Stream bool `json:"stream"`
	}
	block struct {
		Type      string          `json:"type"`
		Text      string          `json:"text,omitempty"`
		ID        string          `json:"id,omitempty"`
		Name      string          `json:"name,omitempty"`
		Input     json.RawMessage `json:"input,omitempty"`
		ToolUseID string          `json:"tool_use_id,omitempty"`
		Content   content         `json:"content,omitzero"`
		Source    *pictureSource  `json:"source,omitempty"`
	}
	messagesResponse struct {
		ID         string        `json:"id"`
		Type       string        `json:"type"`
		Role       string        `json:"role"`
		Model      string        `json:"model"`
		Content    []block       `json:"content"`
		StopReason string        `json:"stop_reason"`
		Usage      messagesUsage `json:"usage"`
	}
	messagesUsage struct {
		Input  int `json:"input_tokens"`
		Output int `json:"output_tokens"`
	}
)

// blocks is a message's content: a list, or a string for one block of text.
type blocks []block

// UnmarshalJSON reads both forms.
func (b *blocks) UnmarshalJSON(data []byte) error {
	var text string
	if json.Unmarshal(data, &text) == nil {
		*b = blocks{{Type: "text", Text: text}}
		return nil
	}
	return json.Unmarshal(data, (*[]block)(b))
}

func (m *Model) messages(r *http.Request, body []byte) (any, *failure) {
	if r.Header.Get("Anthropic-Version") == "" {
		return nil, invalid("The header anthropic-version is required.")
	}
	var in messagesRequest
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, invalid("The body is not a messages request.")
	}
	if in.Stream {
		return nil, invalid("Streams are not served.")
	}
	if in.MaxTokens <= 0 {
		return nil, invalid("max_tokens is required.")
	}
	var tools []string
	for _, t := range in.Tools {
		if !isObject(t.InputSchema) {
			return nil, invalid("A tool needs an input_schema.")
		}
		tools = append(tools, t.Name)
	}
	if fail := m.refuseByForm(len(tools), bytes.Contains(body, []byte(`"type":"image"`))); fail != nil {
		return nil, fail
	}
	conversation, fail := in.conversation()
	if fail != nil {
		return nil, fail
	}
	if m.has(RefusesTools) {
		var system string
		for _, b := range in.System {
			system += b.Text + "\n"
		}
		tools, conversation = readText(system, conversation)
	}
	call, fail := m.decide(in.Model, tools, conversation)
	if fail != nil {
		return nil, fail
	}
	call = m.asText(call)

	out := messagesResponse{
		ID:         newID("msg_"),
		Type:       "message",
		Role:       "assistant",
		Model:      in.Model,
		StopReason: "end_turn",
		Content:    []block{},
		Usage:      messagesUsage{Input: tokens(body), Output: tokens(call.arguments())},
	}
	if call.Text != "" {
		out.Content = append(out.Content, block{Type: "text", Text: call.Text})
	}
	for _, c := range call.all() {
		out.Content = append(out.Content, block{
			Type:  "tool_use",
			ID:    newID("toolu_"),
			Name:  c.Tool,
			Input: c.arguments(),
		})
		out.StopReason = "tool_use"
	}
	return out, nil
}

// conversation brings the messages into the common form.
func (in messagesRequest) conversation() ([]message, *failure) {
	var out []message
	for _, msg := range in.Messages {
		if msg.Role != "user" && msg.Role != "assistant" {
			return nil, invalid("A message has an unknown role.")
		}
		turn := message{assistant: msg.Role == "assistant"}
		if last := len(out) - 1; last >= 0 && out[last].assistant == turn.assistant {
			return nil, invalid("The roles of messages must alternate.")
		}
		for _, b := range msg.Content {
			switch b.Type {
			case "text":
				turn.text += b.Text
			case "thinking", "redacted_thinking":
			case "image":
				if b.Source != nil {
					turn.picture = b.Source.Data
				}
			case "tool_use":
				args, err := readArguments(b.Input)
				if err != nil {
					return nil, invalid("The input of a tool call is not an object.")
				}
				turn.calls = append(turn.calls, calledTool{b.ID, Call{Tool: b.Name, Args: args}})
			case "tool_result":
				turn.results = append(turn.results, toolResult{b.ToolUseID, b.Content.text})
				if b.Content.picture != nil {
					turn.picture = b.Content.picture
				}
			default:
				return nil, invalid("A block has an unknown type.")
			}
		}
		out = append(out, turn)
	}
	return out, nil
}
