package modeltest

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// Form is a way in which models and the servers before them answer in practice, where it
// differs from what the API of their shape promises.
type Form string

// The forms. Those of events, loose calls, empty and cut answers are of OpenAI's shape.
const (
	// RefusesTools refuses a request with tools, as Ollama does for a model without
	// them. It calls tools that the text describes, in text.
	RefusesTools Form = "refuses tools"
	// CallsInText writes calls as JSON into its text, in fences, after its thoughts.
	CallsInText Form = "calls in text"
	// LooseCalls have arguments that are objects, no ids and a wrong reason to stop, in a
	// message of parts, and no count of tokens.
	LooseCalls Form = "loose calls"
	// Events come though nobody asked for a stream.
	Events Form = "events"
	// EmptyFirst answers each request without a message when it first comes.
	EmptyFirst Form = "empty first"
	// CutFirst stops the first call of a tool in the middle of its arguments.
	CutFirst Form = "cut first"
	// RefusesPictures refuses a request with pictures, as vLLM does for a model that
	// takes none.
	RefusesPictures Form = "refuses pictures"
)

func (m *Model) has(f Form) bool { return slices.Contains(m.forms, f) }

// refuseByForm refuses what the model's forms do not take.
func (m *Model) refuseByForm(tools int, pictures bool) *failure {
	switch {
	case tools > 0 && m.has(RefusesTools):
		return &failure{http.StatusBadRequest, "api_error", "registry.example/library/scripted:latest does not support tools"}
	case pictures && m.has(RefusesPictures):
		return &failure{http.StatusBadRequest, "BadRequestError", "scripted-1 is not a multimodal model"}
	}
	return nil
}

// once reports whether something has not come before.
func (m *Model) once(what string, body []byte) bool {
	key := sha256.Sum256(append([]byte(what), body...))
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.before[key] {
		return false
	}
	m.before[key] = true
	return true
}

// asText writes a call into text where the model's forms have it so.
func (m *Model) asText(c Call) Call {
	if c.Tool == "" || !m.has(CallsInText) && !m.has(RefusesTools) {
		return c
	}
	var calls []string
	for _, one := range c.all() {
		calls = append(calls, fmt.Sprintf(`{"tool": %q, "arguments": %s}`, one.Tool, one.arguments()))
	}
	object := `{"calls": [` + strings.Join(calls, ", ") + `]}`
	if m.has(CallsInText) {
		object = "<think>\nPerhaps {\"tool\": \"wait\"}? No.\n</think>\n\n" + c.Text + "\n```json\n" + object + "\n```"
	}
	return Call{Text: object}
}

// rewrite changes an answer as the model's forms have it.
func (m *Model) rewrite(answer chatResponse, body []byte) any {
	said := &answer.Choices[0]
	switch {
	case m.has(EmptyFirst) && m.once("empty", body):
		answer.Choices = []chatChoice{}
		return answer
	case len(said.Message.ToolCalls) > 0 && m.has(CutFirst) && m.once("cut", nil):
		arguments := &said.Message.ToolCalls[0].Function.Arguments
		*arguments = (*arguments)[:len(*arguments)/2]
		said.FinishReason = "length"
	case m.has(LooseCalls):
		return loose(answer)
	}
	if m.has(Events) {
		return events(answer)
	}
	return answer
}

// loose is an answer with [LooseCalls].
func loose(answer chatResponse) any {
	type object = map[string]any
	said := answer.Choices[0]
	message := object{"role": "assistant", "content": []object{
		{"type": "thinking", "thinking": []object{{"type": "text", "text": "hm"}}},
		{"type": "text", "text": said.Message.Content.text},
	}}
	calls := []object{}
	for _, c := range said.Message.ToolCalls {
		calls = append(calls, object{"function": object{"name": c.Function.Name,
			"arguments": json.RawMessage(c.Function.Arguments)}})
	}
	message["tool_calls"] = calls
	return object{"choices": []object{{"finish_reason": "stop", "message": message}}, "usage": nil}
}

// stream is an answer that is written as events.
type stream []any

// events is an answer in pieces.
func events(answer chatResponse) stream {
	type object = map[string]any
	chunk := func(delta object, finish any) object {
		return object{"object": "chat.completion.chunk", "model": answer.Model,
			"choices": []object{{"index": 0, "delta": delta, "finish_reason": finish}}}
	}
	said := answer.Choices[0]
	out := stream{chunk(object{"role": "assistant", "content": said.Message.Content.text}, nil)}
	for i, c := range said.Message.ToolCalls {
		half := len(c.Function.Arguments) / 2
		out = append(out,
			chunk(object{"tool_calls": []object{{"index": i, "id": c.ID, "type": "function",
				"function": object{"name": c.Function.Name, "arguments": c.Function.Arguments[:half]}}}}, nil),
			chunk(object{"tool_calls": []object{{"index": i,
				"function": object{"arguments": c.Function.Arguments[half:]}}}}, nil))
	}
	return append(out, chunk(object{}, said.FinishReason), object{"choices": []object{}, "usage": answer.Usage})
}

// describedTool is a line of the text that describes tools, and resultLine one before
// what came of a call.
var (
	describedTool = regexp.MustCompile(`(?m)^- ([a-z_]+): .*\{.*\}$`)
	resultLine    = regexp.MustCompile(`(?m)^The call of ([a-z_]*) (was answered|failed):\n`)
)

// readText reads a conversation in which tools are described, called and answered in
// text, as a model would, and brings it into the common form.
func readText(system string, conversation []message) (tools []string, _ []message) {
	for _, m := range describedTool.FindAllStringSubmatch(system, -1) {
		tools = append(tools, m[1])
	}
	var open []string // ids of calls
	for i, msg := range conversation {
		if msg.assistant {
			var said struct {
				Calls []struct {
					Tool      string
					Arguments map[string]any
				}
			}
			open = nil
			at := strings.Index(msg.text, `{"calls":`)
			if at < 0 || json.Unmarshal([]byte(msg.text[at:]), &said) != nil {
				continue
			}
			for j, c := range said.Calls {
				id := fmt.Sprintf("%d-%d", i, j)
				open = append(open, id)
				conversation[i].calls = append(conversation[i].calls, calledTool{id, Call{Tool: c.Tool, Args: c.Arguments}})
			}
			continue
		}
		for _, result := range resultLine.Split(msg.text, -1)[1:] {
			if len(open) > 0 {
				conversation[i].results = append(conversation[i].results, toolResult{open[0], strings.TrimSpace(result)})
				open = open[1:]
			}
		}
	}
	return tools, conversation
}
