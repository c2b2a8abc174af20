package model

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"

	"github.com/bctrl-go/bctrl"
)

// chat asks the models of one provider.
type chat struct {
	wire    *wire
	cfg     Config
	learned *learned
	dialect dialect
}

// dialect is a shape in which models are asked.
type dialect interface {
	// endpoint is where questions go below the base URL.
	endpoint() string
	// encode writes a question. Its error is a *failure where a model of the name
	// is known not to take it.
	encode(q question) ([]byte, error)
	// decode reads an answer.
	decode(body []byte, mediaType string) (*answer, error)
}

// question is a request as one model is asked it.
type question struct {
	Request
	provider  bctrl.AIProvider
	model     string
	maxTokens int
	habits    habits
}

// answer is what a provider answered, before it is known what it means.
type answer struct {
	// text may hold thoughts and calls.
	text  string
	calls []ToolCall
	// cut says that the bound of tokens ended it, refused that the model will not.
	cut, refused bool
	usage        Usage
	opaque       []byte
}

// Sees implements [Viewer].
func (c *chat) Sees(_ context.Context, model string) bool {
	return c.learned.of(cmp.Or(model, c.cfg.Model)).sight == sighted
}

// Names implements [Namer].
func (c *chat) Names(_ context.Context, model string) (provider bctrl.AIProvider, name string, known bool) {
	name, _, err := c.cfg.modelAndTokens(Request{Model: model})
	return c.cfg.Provider, name, err == nil
}

// Complete implements [Chat]. What it repeats is the question, and only where there is
// no answer: nothing is done for an answer before it is returned.
func (c *chat) Complete(ctx context.Context, req Request) (*Response, error) {
	model, limit, err := c.cfg.modelAndTokens(req)
	if err != nil {
		return nil, err
	}
	known, empty := c.learned.of(model), 0
	for {
		q := known.adapt(question{req, c.cfg.Provider, model, limit, known})
		said, err := c.ask(ctx, q)
		if err == nil {
			return said.response(req, q), nil
		}
		failed, ok := errors.AsType[*failure](err)
		switch {
		case !ok:
			return nil, err
		case failed.err.Code == codeEmpty && empty < min(c.wire.retries, 1):
			empty++
		case known.learnFrom(failed.complaint, q):
			if !failed.complaint.onlyOnce() {
				c.learned.keep(model, known)
			}
		default:
			return nil, failed.err
		}
	}
}

// ask sends one question.
func (c *chat) ask(ctx context.Context, q question) (*answer, error) {
	body, err := c.dialect.encode(q)
	if err != nil {
		return nil, err
	}
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint().String(), bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	post.Header.Set("Content-Type", "application/json")
	post.Header.Set("Accept", "application/json")
	resp, err := c.wire.Do(post)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body) // in memory already
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	return c.dialect.decode(text, mediaType(resp))
}

func (c *chat) endpoint() *url.URL { return c.wire.base.JoinPath(c.dialect.endpoint()) }

// response says what an answer to q means, which asked for what req does.
func (a *answer) response(req Request, q question) *Response {
	out := &Response{
		Text:     withoutThoughts(a.text),
		Calls:    a.calls,
		Usage:    a.usage,
		Opaque:   a.opaque,
		Provider: q.provider,
		Model:    q.model,
		Unseen:   hasPictures(req) && !hasPictures(q.Request),
	}
	if len(out.Calls) == 0 {
		out.Text, out.Calls = callsInText(out.Text, req.Tools)
	}
	switch {
	case len(out.Calls) > 0:
		out.Stop = StopTools // whatever else is said of it
	case a.cut:
		out.Stop = StopLength
	case a.refused:
		out.Stop = StopRefusal
	case out.Text == "":
		out.Stop = StopEmpty
	default:
		out.Stop = StopEnd
	}
	return out
}

func hasPictures(req Request) bool {
	return slices.ContainsFunc(req.Messages, func(m Message) bool { return len(m.Images) > 0 })
}
