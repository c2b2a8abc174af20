package model

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	openai "github.com/sashabaranov/go-openai"

	"github.com/bctrl-go/bctrl"
)

// openAI speaks chat completions: asked in go-openai's words, and answered as
// servers of that shape do in practice, which the library does not read.
type openAI struct{}

func (openAI) endpoint() string { return "chat/completions" }

// The two fields that bound an answer. OpenAI's newer models take the second one
// only, and many compatible servers know only the first.
const (
	maxTokensField           = "max_tokens"
	maxCompletionTokensField = "max_completion_tokens"
)

// tokensField is the field that bounds an answer to q.
func tokensField(q question) string {
	switch {
	case q.habits.tokensField != "":
		return q.habits.tokensField
	case q.provider == bctrl.OpenAI:
		return maxCompletionTokensField
	}
	return maxTokensField
}

// otherTokensField is the one that was not sent.
func otherTokensField(sent question) string {
	if tokensField(sent) == maxTokensField {
		return maxCompletionTokensField
	}
	return maxTokensField
}

func (openAI) encode(q question) ([]byte, error) {
	body := openai.ChatCompletionRequest{Model: q.model}
	if tokensField(q) == maxTokensField {
		body.MaxTokens = q.maxTokens //nolint:staticcheck // deprecated by OpenAI, and all that many compatible servers know
	} else {
		body.MaxCompletionTokens = q.maxTokens
	}
	if q.habits.effortNone {
		body.ReasoningEffort = openai.ReasoningEffortNone
	}
	if q.System != "" {
		body.Messages = append(body.Messages, openai.ChatCompletionMessage{
			Role:    openai.ChatMessageRoleSystem,
			Content: q.System,
		})
	}
	for _, m := range q.Messages {
		body.Messages = append(body.Messages, openAIMessage(m))
	}
	for _, t := range q.Tools {
		body.Tools = append(body.Tools, openai.Tool{
			Type:     openai.ToolTypeFunction,
			Function: &openai.FunctionDefinition{Name: t.Name, Description: t.Description, Parameters: t.Parameters},
		})
	}
	switch err := openai.NewReasoningValidator().Validate(body); {
	case errors.Is(err, openai.ErrReasoningToolsRequireResponses), errors.Is(err, openai.ErrReasoningEffortUnsupported):
		return nil, &failure{err: unsupported(), complaint: aboutEffort}
	case errors.Is(err, openai.ErrReasoningModelMaxTokensDeprecated):
		return nil, &failure{err: unsupported(), complaint: aboutTokensField}
	case err != nil:
		return nil, &failure{err: unsupported()}
	}
	encoded, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encode the request: %w", err)
	}
	return withExtras(encoded, extrasOf(q.Messages))
}

func unsupported() *bctrl.Error {
	return &bctrl.Error{
		Status:  http.StatusBadGateway,
		Code:    "model.unsupported",
		Message: "this model is not reached through chat completions",
		Hint:    "choose another model",
	}
}

func openAIMessage(m Message) openai.ChatCompletionMessage {
	switch m.Role {
	case Assistant:
		out := openai.ChatCompletionMessage{Role: openai.ChatMessageRoleAssistant, Content: m.Text}
		for _, c := range m.Calls {
			out.ToolCalls = append(out.ToolCalls, openai.ToolCall{
				ID: c.ID, Type: openai.ToolTypeFunction, Function: openai.FunctionCall{Name: c.Name, Arguments: c.Arguments},
			})
		}
		if m.Text == "" && len(m.Calls) == 0 {
			out.Content = silence
		}
		return out
	case ToolResult:
		text := m.Text
		if m.IsError {
			text = "Error: " + text
		}
		return openai.ChatCompletionMessage{Role: openai.ChatMessageRoleTool, Content: orPlaceholder(text),
			ToolCallID: m.CallID}
	case User:
	}
	if len(m.Images) == 0 {
		return openai.ChatCompletionMessage{Role: openai.ChatMessageRoleUser, Content: orPlaceholder(m.Text)}
	}
	out := openai.ChatCompletionMessage{Role: openai.ChatMessageRoleUser}
	if m.Text != "" {
		out.MultiContent = append(out.MultiContent, openai.ChatMessagePart{
			Type: openai.ChatMessagePartTypeText,
			Text: m.Text,
		})
	}
	for _, png := range m.Images {
		out.MultiContent = append(out.MultiContent, openai.ChatMessagePart{
			Type:     openai.ChatMessagePartTypeImageURL,
			ImageURL: &openai.ChatMessageImageURL{URL: "data:image/png;base64," + base64.StdEncoding.EncodeToString(png)},
		})
	}
	return out
}

// silence stands for a message without text: providers refuse an empty one.
const silence = "(nothing)"

func orPlaceholder(text string) string {
	if text == "" {
		return silence
	}
	return text
}
