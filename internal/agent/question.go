package agent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/model"
	"github.com/bctrl-go/bctrl/internal/steptime"
	"github.com/bctrl-go/bctrl/internal/wire"
)

const (
	// maxCorrections is how often a model is told why its answer cannot be taken.
	maxCorrections = 2
	// maxReasons bounds the reasons that are told at a time.
	maxReasons = 10
	// maxAnswerBytes bounds the arguments of an answer.
	maxAnswerBytes = 1 << 20
	// maxSentBack bounds what is sent back of an answer that could not be taken.
	maxSentBack = 32 << 10
)

// question is one that a model answers with one call of one tool.
type question struct {
	chat   model.Chat
	system string
	text   string
	// png is a picture of the page; nil for none.
	png  []byte
	tool model.Tool
	// read takes the call's arguments, or returns why it cannot. Its reasons quote
	// nothing.
	read func(arguments string) (reasons []string)
	// code is that of the error when no answer could be taken.
	code string
}

// askStrictly puts a question until its answer can be taken. A model that answers
// otherwise is told why, at most maxCorrections times.
func (r *run) askStrictly(ctx context.Context, q question) error {
	messages := []model.Message{{Role: model.User, Text: q.text}}
	if q.png != nil {
		messages[0].Images = [][]byte{q.png}
	}
	var reasons []string
	for range 1 + maxCorrections {
		answer, err := r.askInTime(ctx, q.chat, model.Request{
			Model:    r.set.model,
			System:   q.system,
			Messages: messages,
			Tools:    []model.Tool{q.tool},
		})
		if err != nil {
			return err
		}
		if reasons = q.readAnswer(answer); len(reasons) == 0 {
			return nil
		}
		if more := len(reasons) - maxReasons; more > 0 {
			reasons = append(reasons[:maxReasons:maxReasons], fmt.Sprintf("and %d more", more))
		}
		messages = append(messages, r.correction(answer, "The answer cannot be taken: "+strings.Join(reasons, "; ")+
			". Call "+q.tool.Name+" again.")...)
	}
	return invalidAnswer(q.code, reasons)
}

// invalidAnswer is the error after the last correction.
func invalidAnswer(code string, reasons []string) error {
	return &bctrl.Error{
		Status: http.StatusBadGateway,
		Code:   code,
		Message: fmt.Sprintf("the model's answer could not be taken, also after %d corrections: %s", maxCorrections,
			strings.Join(reasons, "; ")),
		Hint: "try another model, or an instruction and a schema that ask for less",
	}
}

// readAnswer takes an answer, or returns why it cannot.
func (q question) readAnswer(answer *model.Response) (reasons []string) {
	if len(answer.Calls) == 0 {
		if answer.Stop == model.StopLength {
			return []string{"it was cut because it was too long"}
		}
		return []string{q.tool.Name + " was not called"}
	}
	call := answer.Calls[0]
	switch {
	case call.Name != q.tool.Name:
		return []string{"another tool than " + q.tool.Name + " was called"}
	case len(call.Arguments) > maxAnswerBytes:
		return []string{fmt.Sprintf("it is longer than %d bytes", maxAnswerBytes)}
	case !isObject(call.Arguments):
		if answer.Stop == model.StopLength {
			return []string{"it was cut because it was too long"}
		}
		return []string{"the arguments are not a JSON object"}
	}
	return q.read(call.Arguments)
}

// askInTime asks a model within the time of a step.
func (r *run) askInTime(ctx context.Context, chat model.Chat, req model.Request) (*model.Response, error) {
	stepCtx, cancel := steptime.With(ctx, r.set.stepTimeout, errStepTime)
	defer cancel()
	answer, err := r.ask(stepCtx, chat, req)
	if err != nil && ctx.Err() == nil && errors.Is(context.Cause(stepCtx), errStepTime) {
		err = r.timedOut(stepCtx, err)
	}
	return answer, err
}

// correction is an answer and what is said to it, as a conversation goes on.
func (r *run) correction(answer *model.Response, text string) []model.Message {
	if len(answer.Calls) == 0 {
		said := clip(answer.Text, maxHistoryText)
		if strings.TrimSpace(said) == "" {
			said = "(nothing)" // no provider takes a message without content
		}
		return []model.Message{{Role: model.Assistant, Text: said}, {Role: model.User, Text: text}}
	}
	m := model.Message{Role: model.Assistant, Text: clip(answer.Text, maxHistoryText)}
	var results []model.Message
	for i, c := range answer.Calls[:min(len(answer.Calls), wire.MaxStepActions)] {
		if !isObject(c.Arguments) || len(c.Arguments) > maxSentBack {
			c.Arguments = "{}"
		}
		if len(c.Name) > 64 || c.Name == "" {
			c.Name = "unknown"
		}
		c.ID = r.freshID(c.ID)
		m.Calls = append(m.Calls, c)
		result := model.Message{Role: model.ToolResult, CallID: c.ID, Text: text, IsError: true}
		if i > 0 {
			result.Text = "Only the first call counts."
		}
		results = append(results, result)
	}
	return append([]model.Message{m}, results...)
}
