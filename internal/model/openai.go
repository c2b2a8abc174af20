package model

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"sync/atomic"

	openai "github.com/sashabaranov/go-openai"

	"github.com/bctrl-go/bctrl"
)

// openAI speaks chat completions.
type openAI struct {
	wire *wire
	cfg  Config
	// Models differ in two parameters, and no list of models stays true. What
	// a refusal taught is kept: see adapt.
	effortNone, completionTokens atomic.Bool
	learned                      *learned
}

// Sees implements [Viewer].
func (o *openAI) Sees(_ context.Context, model string) bool {
	return o.learned.of(cmp.Or(model, o.cfg.Model)).sight == sighted
}

// Complete implements [Chat].
func (o *openAI) Complete(ctx context.Context, req Request) (*Response, error) {
	plain, err := o.request(req)
	if err != nil {
		return nil, err
	}
	for {
		body := o.withAdaptations(plain, req)
		extras := &toolExtras{next: o.wire, send: extrasOf(req.Messages)}
		cfg := openai.DefaultConfig("") // without a key: the broker adds it
		cfg.BaseURL, cfg.HTTPClient = o.wire.base.String(), extras
		answer, err := openai.NewClientWithConfig(cfg).CreateChatCompletion(ctx, body)
		switch {
		case err == nil:
			out, err := o.response(answer, extras)
			if err == nil {
				out.Provider, out.Model = o.cfg.Provider, body.Model
			}
			return out, err
		case o.adaptTo(err, body):
		default:
			return nil, o.callerError(ctx, err)
		}
	}
}

// withAdaptations returns body with the parameters in which models differ.
func (o *openAI) withAdaptations(body openai.ChatCompletionRequest, req Request) openai.ChatCompletionRequest {
	_, limit, _ := o.cfg.modelAndTokens(req) // checked by request
	if o.cfg.Provider == bctrl.OpenAI || o.completionTokens.Load() {
		body.MaxCompletionTokens = limit
	} else {
		body.MaxTokens = limit //nolint:staticcheck // deprecated by OpenAI, and all that many compatible servers know
	}
	if o.effortNone.Load() {
		body.ReasoningEffort = openai.ReasoningEffortNone
	}
	return body
}

// adaptTo reports whether err, the provider's or the library's own check,
// complains about a parameter that can be changed and has not been yet.
// OpenAI's newer models call tools in chat completions only without reasoning,
// and take max_completion_tokens where others know only max_tokens.
func (o *openAI) adaptTo(err error, sent openai.ChatCompletionRequest) bool {
	var param string
	f, failed := errors.AsType[*failure](err)
	switch {
	case failed && f.err.Code == "model.refused":
		param = f.param
	case errors.Is(err, openai.ErrReasoningToolsRequireResponses):
		param = "reasoning_effort"
	case errors.Is(err, openai.ErrReasoningModelMaxTokensDeprecated):
		param = "max_tokens"
	}
	switch {
	case param == "reasoning_effort" && sent.ReasoningEffort == "":
		o.effortNone.Store(true)
		return true
	case param == "max_tokens" && sent.MaxCompletionTokens == 0:
		o.completionTokens.Store(true)
		return true
	}
	return false
}

// callerError turns an error of the library into one of ours. What is not a
// failure of the wire comes from its own checks or its decoder.
func (o *openAI) callerError(ctx context.Context, err error) error {
	f, failed := errors.AsType[*failure](err)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case failed:
		if f.param == "reasoning_effort" {
			return unsupported()
		}
		return f.err
	case errors.Is(err, openai.ErrReasoningToolsRequireResponses), errors.Is(err, openai.ErrReasoningEffortUnsupported):
		return unsupported()
	}
	return badAnswer("it is not a chat completion")
}

func unsupported() *bctrl.Error {
	return &bctrl.Error{
		Status:  http.StatusBadGateway,
		Code:    "model.unsupported",
		Message: "this model does not call tools in chat completions",
		Hint:    "choose another model",
	}
}

// request writes req in the library's words.
func (o *openAI) request(req Request) (openai.ChatCompletionRequest, error) {
	model, _, err := o.cfg.modelAndTokens(req)
	if err != nil {
		return openai.ChatCompletionRequest{}, err
	}
	body := openai.ChatCompletionRequest{Model: model}
	if req.System != "" {
		body.Messages = append(body.Messages, openai.ChatCompletionMessage{
			Role:    openai.ChatMessageRoleSystem,
			Content: req.System,
		})
	}
	for _, m := range req.Messages {
		body.Messages = append(body.Messages, openAIMessage(m))
	}
	for _, t := range req.Tools {
		body.Tools = append(body.Tools, openai.Tool{
			Type:     openai.ToolTypeFunction,
			Function: &openai.FunctionDefinition{Name: t.Name, Description: t.Description, Parameters: t.Parameters},
		})
	}
	return body, nil
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

func (o *openAI) response(answer openai.ChatCompletionResponse, extras *toolExtras) (*Response, error) {
	if len(answer.Choices) == 0 {
		return nil, badAnswer("it holds no choice")
	}
	choice := answer.Choices[0]
	resp := &Response{
		Text:   choice.Message.Content,
		Usage:  Usage{InputTokens: int64(answer.Usage.PromptTokens), OutputTokens: int64(answer.Usage.CompletionTokens)},
		Opaque: extras.got,
	}
	if d := answer.Usage.PromptTokensDetails; d != nil {
		resp.Usage.CachedInputTokens = int64(d.CachedTokens)
	}
	for _, c := range choice.Message.ToolCalls {
		resp.Calls = append(resp.Calls, ToolCall{ID: c.ID, Name: c.Function.Name, Arguments: c.Function.Arguments})
	}
	switch {
	case len(resp.Calls) > 0:
		resp.Stop = StopTools
	case choice.FinishReason == openai.FinishReasonLength:
		resp.Stop = StopLength
	case choice.FinishReason == openai.FinishReasonContentFilter || choice.Message.Refusal != "":
		resp.Stop = StopRefusal
	default:
		resp.Stop = StopEnd
	}
	return resp, nil
}
