package modeltest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"time"
)

// The wire format of OpenAI's chat completions, as far as an agent with tools
// needs it.
type (
	chatRequest struct {
		Model    string        `json:"model"`
		Messages []chatMessage `json:"messages"`
		Tools    []struct {
			Type     string `json:"type"`
			Function struct {
				Name       string          `json:"name"`
				Parameters json.RawMessage `json:"parameters"`
			} `json:"function"`
		} `json:"tools"`
		Stream bool `json:"stream"`
	}
	chatMessage struct {
		Role       string     `json:"role"`
		Content    content    `json:"content"`
		ToolCalls  []chatCall `json:"tool_calls,omitempty"`
		ToolCallID string     `json:"tool_call_id,omitempty"`
	}
	chatCall struct {
		ID       string `json:"id"`
		Type     string `json:"type"`
		Function struct {
			Name      string `json:"name"`
			Arguments string `json:"arguments"` // JSON in a string
		} `json:"function"`
	}
	chatChoice struct {
		Index        int         `json:"index"`
		Message      chatMessage `json:"message"`
		FinishReason string      `json:"finish_reason"`
	}
	chatResponse struct {
		ID      string       `json:"id"`
		Object  string       `json:"object"`
		Created int64        `json:"created"`
		Model   string       `json:"model"`
		Choices []chatChoice `json:"choices"`
		Usage   chatUsage    `json:"usage"`
	}
	chatUsage struct {
		Prompt     int `json:"prompt_tokens"`
		Completion int `json:"completion_tokens"`
		Total      int `json:"total_tokens"`
	}
)

func (m *Model) chatCompletions(_ *http.Request, body []byte) (any, *failure) {
	var in chatRequest
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, invalid("The body is not a chat completion request.")
	}
	if in.Stream {
		return nil, invalid("Streams are not served.")
	}
	var tools []string
	for _, t := range in.Tools {
		if t.Type != "function" || !isObject(t.Function.Parameters) {
			return nil, invalid("A tool needs the type function and an object of parameters.")
		}
		tools = append(tools, t.Function.Name)
	}
	if fail := m.refuseByForm(len(tools), bytes.Contains(body, []byte(`"image_url"`))); fail != nil {
		return nil, fail
	}
	conversation, fail := readChat(in.Messages)
	if fail != nil {
		return nil, fail
	}
	if m.has(RefusesTools) {
		tools, conversation = readText(systemText(in.Messages), conversation)
	}
	call, fail := m.decide(in.Model, tools, conversation)
	if fail != nil {
		return nil, fail
	}
	call = m.asText(call)

	choice := chatChoice{Message: chatMessage{Role: "assistant", Content: content{text: call.Text}}, FinishReason: "stop"}
	for _, c := range call.all() {
		out := chatCall{ID: newID("call_"), Type: "function"}
		out.Function.Name, out.Function.Arguments = c.Tool, string(c.arguments())
		choice.Message.ToolCalls, choice.FinishReason = append(choice.Message.ToolCalls, out), "tool_calls"
	}
	prompt, completion := tokens(body), tokens(call.arguments())
	return m.rewrite(chatResponse{
		ID:      newID("chatcmpl-"),
		Object:  "chat.completion",
		Created: time.Now().Unix(),
		Model:   in.Model,
		Choices: []chatChoice{choice},
		Usage:   chatUsage{Prompt: prompt, Completion: completion, Total: prompt + completion},
	}, body), nil
}

// systemText is what the messages of the system say.
func systemText(in []chatMessage) (text string) {
	for _, msg := range in {
		if msg.Role == "system" || msg.Role == "developer" {
			text += msg.Content.text + "\n"
		}
	}
	return text
}

// readChat brings the messages into the common form.
func readChat(in []chatMessage) ([]message, *failure) {
	var out []message
	for _, msg := range in {
		switch msg.Role {
		case "system", "developer":
		case "user":
			out = append(out, message{text: msg.Content.text, picture: msg.Content.picture})
		case "assistant":
			turn := message{assistant: true, text: msg.Content.text}
			for _, c := range msg.ToolCalls {
				args, err := readArguments([]byte(c.Function.Arguments))
				if err != nil {
					return nil, invalid("The arguments of a tool call are not a JSON object.")
				}
				turn.calls = append(turn.calls, calledTool{c.ID, Call{Tool: c.Function.Name, Args: args}})
			}
			out = append(out, turn)
		case "tool":
			result := toolResult{msg.ToolCallID, msg.Content.text}
			if last := len(out) - 1; last >= 0 && len(out[last].results) > 0 {
				out[last].results = append(out[last].results, result)
			} else {
				out = append(out, message{results: []toolResult{result}})
			}
		default:
			return nil, invalid("A message has an unknown role.")
		}
	}
	return out, nil
}
