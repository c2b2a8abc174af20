package model

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// howToCall is what a model is told that calls tools in its text.
const howToCall = `You act by calling tools. To call tools, answer with one JSON object and nothing after it:
{"calls": [{"tool": "NAME", "arguments": {}}]}
These are the tools, each with the JSON Schema of its arguments:
`

// What is before the result of a call that was made in text.
const (
	answeredWith = "The call of %s was answered:\n"
	failedWith   = "The call of %s failed:\n"
)

// inText returns req with its tools described, called and answered in text.
func inText(req Request) Request {
	var system strings.Builder
	if req.System != "" {
		system.WriteString(req.System + "\n\n")
	}
	system.WriteString(howToCall)
	for _, t := range req.Tools {
		system.WriteString("- " + t.Name + ": " + oneLine(t.Description) + " " + string(t.Parameters) + "\n")
	}
	names := make(map[string]string) // of the tools that were called, by the call's id
	messages := make([]Message, len(req.Messages))
	for i, m := range req.Messages {
		switch m.Role {
		case Assistant:
			for _, c := range m.Calls {
				names[c.ID] = c.Name
			}
			m.Text = strings.TrimSpace(m.Text + "\n" + callsAsText(m.Calls))
			m = Message{Role: Assistant, Text: m.Text}
		case ToolResult:
			before := answeredWith
			if m.IsError {
				before = failedWith
			}
			m = Message{Role: User, Text: strings.Replace(before, "%s", names[m.CallID], 1) + m.Text}
		case User:
		}
		messages[i] = m
	}
	req.System, req.Messages, req.Tools = system.String(), messages, nil
	return req
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// textCall is a call in the form that [howToCall] asks for.
type textCall struct {
	Tool      string          `json:"tool"`
	Arguments json.RawMessage `json:"arguments"`
}

func callsAsText(calls []ToolCall) string {
	if len(calls) == 0 {
		return ""
	}
	out := struct {
		Calls []textCall `json:"calls"`
	}{}
	for _, c := range calls {
		out.Calls = append(out.Calls, textCall{c.Name, argumentsObject(c.Arguments)})
	}
	text, err := json.Marshal(out)
	if err != nil {
		return "" // RawMessages that are objects do encode
	}
	return string(text)
}

// withoutThoughts returns text without the thoughts that models of reasoning write
// before their answer. An end without a beginning is one that the server began itself.
func withoutThoughts(text string) string {
	text = strings.TrimSpace(text)
	for _, tag := range []string{"think", "thinking", "thought", "reasoning"} {
		start, end := "<"+tag+">", "</"+tag+">"
		switch {
		case strings.HasPrefix(text, start):
			_, after, closed := strings.Cut(text, end)
			if !closed {
				return "" // cut off while it was thinking
			}
			return withoutThoughts(after)
		case !strings.Contains(text, start) && strings.Contains(text, end):
			return strings.TrimSpace(text[strings.LastIndex(text, end)+len(end):])
		}
	}
	return text
}

const (
	// maxTextCalls is how much of an answer's end is searched for calls, in bytes.
	maxTextCalls = 256 << 10
	// maxTries bounds how many places of it are tried.
	maxTries = 100
)

// callsInText returns the calls of tools that an answer ends with as JSON, whether in
// fences or not, and what is before them. Several that nothing but brackets, fences and
// tags separates are all called; of those that words separate, the last ones.
func callsInText(text string, tools []Tool) (before string, calls []ToolCall) {
	if len(tools) == 0 {
		return text, nil
	}
	isTool := func(name string) bool { return slices.ContainsFunc(tools, func(t Tool) bool { return t.Name == name }) }
	start := max(0, len(text)-maxTextCalls)
	first, end := 0, 0 // of the group of calls found last
	for i, tries := start, 0; i < len(text) && tries < maxTries; i++ {
		if text[i] != '{' && text[i] != '[' {
			continue
		}
		tries++
		var value json.RawMessage
		d := json.NewDecoder(strings.NewReader(text[i:]))
		if d.Decode(&value) != nil {
			continue
		}
		found := readCalls(value, isTool, 0)
		after := i + int(d.InputOffset())
		if len(found) > 0 {
			if len(calls) == 0 || !isSeparator(text[end:i]) {
				calls, first = nil, i
			}
			calls, end = append(calls, found...), after
		}
		i = after - 1
	}
	if len(calls) == 0 {
		return text, nil
	}
	giveIDs(calls)
	return strings.TrimSpace(withoutFence(text[:first])), calls
}

// isSeparator reports whether text is only what stands between calls.
func isSeparator(text string) bool {
	for _, mark := range []string{"```json", "```", "<tool_call>", "</tool_call>", ",", ";", "]", "["} {
		text = strings.ReplaceAll(text, mark, "")
	}
	return strings.TrimSpace(text) == ""
}

// withoutFence removes the mark that opens what follows text.
func withoutFence(text string) string {
	text = strings.TrimSpace(text)
	for _, mark := range []string{"```json", "```", "<tool_call>", "["} {
		text = strings.TrimSpace(strings.TrimSuffix(text, mark))
	}
	return text
}

// maxDepth is how deep calls may lie in what a model wrote.
const maxDepth = 4

// readCalls reads the forms in which models write calls: {"tool": …, "arguments": {…}}
// with the usual other words for both, {"click": {…}}, and those in lists or under a
// word for calls. It returns nil for anything else.
func readCalls(value json.RawMessage, isTool func(string) bool, depth int) []ToolCall {
	if depth > maxDepth {
		return nil
	}
	var list []json.RawMessage
	if json.Unmarshal(value, &list) == nil {
		var all []ToolCall
		for _, one := range list {
			found := readCalls(one, isTool, depth+1)
			if found == nil {
				return nil
			}
			all = append(all, found...)
		}
		return all
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(value, &fields) != nil {
		return nil
	}
	if call, ok := readCall(fields, isTool); ok {
		return []ToolCall{call}
	}
	for _, word := range []string{"calls", "tool_calls", "actions", "call", "tool_call", "function_call", "function",
		"action", "tool"} {
		if inner, has := fields[word]; has {
			if found := readCalls(inner, isTool, depth+1); found != nil {
				return found
			}
		}
	}
	return nil
}

// readCall reads one call.
func readCall(fields map[string]json.RawMessage, isTool func(string) bool) (ToolCall, bool) {
	for _, word := range []string{"tool", "name", "function", "tool_name", "action"} {
		var name string
		if json.Unmarshal(fields[word], &name) != nil || !isTool(name) {
			continue
		}
		for _, word := range []string{"arguments", "args", "parameters", "params", "input", "action_input"} {
			if given, has := fields[word]; has {
				return ToolCall{Name: name, Arguments: argumentsText(given)}, true
			}
		}
		rest := maps.Clone(fields)
		for _, other := range []string{word, "id", "type", "thought", "thoughts", "reasoning", "say"} {
			delete(rest, other)
		}
		text, err := json.Marshal(rest)
		return ToolCall{Name: name, Arguments: string(text)}, err == nil
	}
	if len(fields) != 1 {
		return ToolCall{}, false
	}
	for name, given := range fields {
		if isTool(name) {
			return ToolCall{Name: name, Arguments: argumentsText(given)}, true
		}
	}
	return ToolCall{}, false
}

// argumentsText returns a call's arguments from the forms that servers write them in: a
// string that holds an object, the object itself, or nothing.
func argumentsText(given json.RawMessage) string {
	if len(given) == 0 {
		return "{}"
	}
	var text, inner string
	if given[0] != '"' || json.Unmarshal(given, &text) != nil {
		return string(given)
	}
	if json.Unmarshal([]byte(text), &inner) == nil && strings.HasPrefix(inner, "{") {
		return inner // encoded twice
	}
	if strings.TrimSpace(text) == "" {
		return "{}"
	}
	return text
}
