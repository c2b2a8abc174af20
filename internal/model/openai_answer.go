package model

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
)

// A chat completion, as servers write it in practice. Of an event stream, which some
// send unasked, each event is one, with deltas in place of messages.
type (
	completion struct {
		Choices []completionChoice `json:"choices"`
		Usage   *completionUsage   `json:"usage"`
	}
	completionChoice struct {
		FinishReason string            `json:"finish_reason"`
		Message      completionMessage `json:"message"`
		Delta        completionMessage `json:"delta"`
	}
	completionMessage struct {
		Content      spoken            `json:"content"`
		Refusal      string            `json:"refusal"`
		ToolCalls    []completionCall  `json:"tool_calls"`
		FunctionCall *completionMethod `json:"function_call"` // what tool_calls were before
	}
	completionCall struct {
		Index    *int             `json:"index"`
		ID       string           `json:"id"`
		Function completionMethod `json:"function"`
		// Extra is Google's, see withExtras.
		Extra json.RawMessage `json:"extra_content"`
	}
	completionMethod struct {
		Name      string          `json:"name"`
		Arguments json.RawMessage `json:"arguments"`
	}
	completionUsage struct {
		Prompt     count `json:"prompt_tokens"`
		Completion count `json:"completion_tokens"`
		Details    *struct {
			Cached count `json:"cached_tokens"`
		} `json:"prompt_tokens_details"`
		CacheHit count `json:"prompt_cache_hit_tokens"` // DeepSeek's word for it
	}
)

// spoken is text that comes as a string, as null, or as a list of parts, of which
// thoughts and what else there may be are not said.
type spoken string

// UnmarshalJSON reads the three forms.
func (s *spoken) UnmarshalJSON(data []byte) error {
	var text *string
	if json.Unmarshal(data, &text) == nil {
		if text != nil {
			*s = spoken(*text)
		}
		return nil
	}
	var parts []struct {
		Type string          `json:"type"`
		Text json.RawMessage `json:"text"`
	}
	if err := json.Unmarshal(data, &parts); err != nil {
		return err
	}
	for _, p := range parts {
		var said string
		if (p.Type == "text" || p.Type == "output_text") && json.Unmarshal(p.Text, &said) == nil {
			*s += spoken(said)
		}
	}
	return nil
}

// count is a number of tokens. What is none is 0: a wrong count is no reason to refuse
// an answer.
type count int64

// maxCount is more tokens than a request can have.
const maxCount = 1 << 40

// UnmarshalJSON reads a number in any form.
func (c *count) UnmarshalJSON(data []byte) error {
	n, err := strconv.ParseFloat(strings.Trim(string(data), `"`), 64)
	if err == nil && n > 0 {
		*c = count(min(n, maxCount))
	}
	return nil
}

// eventStart begins a stream of events, also where its media type says otherwise.
var eventStart = regexp.MustCompile(`^\s*(data|event|id|retry)?:`)

func (openAI) decode(body []byte, mediaType string) (*answer, error) {
	var said completion
	if mediaType == "text/event-stream" || eventStart.Match(body) {
		var err error
		if said, err = joinEvents(body); err != nil {
			return nil, err
		}
	} else if json.Unmarshal(body, &said) != nil || said.Choices == nil {
		return nil, &failure{err: badAnswer("it is not a chat completion")}
	}
	if len(said.Choices) == 0 {
		return nil, &failure{err: emptyAnswer()}
	}
	choice := said.Choices[0]
	message := choice.Message
	if f := message.FunctionCall; f != nil && len(message.ToolCalls) == 0 {
		message.ToolCalls = []completionCall{{Function: *f}}
	}
	out := &answer{
		text:    string(message.Content),
		cut:     choice.FinishReason == "length" || choice.FinishReason == "max_tokens",
		refused: choice.FinishReason == "content_filter" || message.Refusal != "",
	}
	if u := said.Usage; u != nil {
		out.usage = Usage{InputTokens: int64(u.Prompt), OutputTokens: int64(u.Completion)}
		cached := u.CacheHit
		if u.Details != nil {
			cached = cmp.Or(u.Details.Cached, cached)
		}
		out.usage.CachedInputTokens = min(int64(cached), out.usage.InputTokens)
	}
	for _, c := range message.ToolCalls {
		if string(c.Function.Arguments) == "null" {
			c.Function.Arguments = nil // how some write none
		}
		out.calls = append(out.calls, ToolCall{
			ID:        c.ID,
			Name:      c.Function.Name,
			Arguments: argumentsText(c.Function.Arguments),
		})
	}
	giveIDs(out.calls)
	out.opaque = collectExtras(message.ToolCalls, out.calls)
	if last := len(out.calls) - 1; last >= 0 && out.cut && !json.Valid([]byte(out.calls[last].Arguments)) {
		out.calls = out.calls[:last]
	}
	return out, nil
}

// giveIDs gives an id to calls that have none, or one that another has.
func giveIDs(calls []ToolCall) {
	seen := make(map[string]bool)
	for i := range calls {
		if calls[i].ID == "" || seen[calls[i].ID] {
			calls[i].ID = "call_" + rand.Text()
		}
		seen[calls[i].ID] = true
	}
}

// joinEvents makes one completion of an event stream.
func joinEvents(body []byte) (completion, error) {
	var whole completion
	joined := completionChoice{}
	var arguments []strings.Builder // of each call
	seen := false
	for line := range bytes.Lines(body) {
		data, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte("data:"))
		if data = bytes.TrimSpace(data); !ok || len(data) == 0 || string(data) == "[DONE]" {
			continue // a comment, the name of an event, the end
		}
		var event completion
		if json.Unmarshal(data, &event) != nil {
			return completion{}, &failure{err: badAnswer("an event of its stream is not a chat completion")}
		}
		if event.Usage != nil {
			whole.Usage = event.Usage
		}
		if len(event.Choices) == 0 {
			continue
		}
		seen = true
		delta := event.Choices[0].Delta
		joined.FinishReason = cmp.Or(event.Choices[0].FinishReason, joined.FinishReason)
		joined.Message.Content += delta.Content + event.Choices[0].Message.Content
		joined.Message.Refusal += delta.Refusal
		for _, part := range delta.ToolCalls {
			calls := joined.Message.ToolCalls
			at := len(calls) // a part without an index is a call, or goes on with the last one
			if part.Index != nil && *part.Index >= 0 && *part.Index < at {
				at = *part.Index
			} else if part.Index == nil && part.Function.Name == "" && at > 0 {
				at--
			}
			if at == len(calls) {
				joined.Message.ToolCalls = append(calls, completionCall{})
				arguments = append(arguments, strings.Builder{})
			}
			call := &joined.Message.ToolCalls[at]
			call.ID = cmp.Or(call.ID, part.ID)
			call.Function.Name = cmp.Or(call.Function.Name, part.Function.Name)
			if len(part.Extra) > 0 {
				call.Extra = part.Extra
			}
			arguments[at].WriteString(fragment(part.Function.Arguments))
		}
	}
	for i := range arguments {
		joined.Message.ToolCalls[i].Function.Arguments, _ = json.Marshal(arguments[i].String()) // a string does encode
	}
	if seen {
		whole.Choices = []completionChoice{joined}
	}
	return whole, nil
}

// fragment is a part of a call's arguments: of a string, or the object itself.
func fragment(part json.RawMessage) string {
	var text string
	if len(part) == 0 || json.Unmarshal(part, &text) == nil {
		return text
	}
	return string(part)
}
