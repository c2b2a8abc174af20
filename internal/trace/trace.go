// Package trace tells a [Tracer] which parts the work of a request has, and how long each
// took. A server without one pays a look into the context for it.
//
// A tracer hands what it is told to somebody outside, so it is told little: names and keys
// are of this package's lists, and values are numbers, ids that the server made, route
// templates, codes of errors, and names that the program itself has. No path, query, header,
// body or address is among them, and no name that an organization gave.
package trace

import (
	"context"
	"errors"

	"github.com/bctrl-go/bctrl"
)

// Name says what a span is of.
type Name string

// The spans below that of a request, whose own name is its method and route.
const (
	// Write is a write to the store: how long it waited for others, and its transaction.
	Write Name = "store.write"
	// Pass is a request that was passed on to another node of the cluster.
	Pass Name = "node.pass"
	// Call is a call to a provider, from its intent to the end of its answer.
	Call Name = "provider.call"
	// Launch is the start of a browser, with the time in the queue.
	Launch Name = "runtime.launch"
	// Step is a step of an execution.
	Step Name = "execution.step"
	// AgentStep is one question to a model, and what the agent did for its answer.
	AgentStep Name = "agent.step"
	// Delivery is one attempt to tell the receiver of a webhook.
	Delivery Name = "webhook.attempt"
)

// Key says what a value is.
type Key string

// What spans tell. Those that have a name in OpenTelemetry's conventions have that one.
const (
	Method    Key = "http.request.method"
	Route     Key = "http.route" // the template
	Status    Key = "http.response.status_code"
	ErrorCode Key = "error.type" // the code of an error, such as vault.not_found
	RequestID Key = "bctrl.request_id"
	Node      Key = "bctrl.node"
	Provider  Key = "bctrl.provider" // of the registry, else other
	StepCall  Key = "bctrl.call"     // such as agent or page.goto
)

// Tracer makes spans. Its methods are called while callers wait, and at the same time.
type Tracer interface {
	// Start begins a span within the one that ctx is of, and returns the context of what
	// belongs to it. Where ctx is of none, traceparent says which it is in, as the header
	// of W3C Trace Context has it; empty is a trace of its own.
	Start(ctx context.Context, name string, kind Kind, traceparent string) (context.Context, Recording)
}

// Kind says which side of a connection a span is of.
type Kind int

// The kinds of spans.
const (
	Internal Kind = iota
	Server
	Client
)

// Recording is what a tracer has of a span.
type Recording interface {
	// Text and Number add to what the span tells.
	Text(key Key, value string)
	Number(key Key, value int)
	// End ends the span; code is that of its error, or empty. It is called once.
	End(code string)
	// Traceparent is what the next one is told for its spans to be within this one.
	Traceparent() string
}

// Span is a part of the work. The methods of a nil one do nothing.
type Span struct {
	tracer    Tracer
	recording Recording
}

// inContext is the key of the span that a context is of.
type inContext struct{}

// Begin begins the span of a request, or of what nobody asked for. A nil tracer makes none.
// The traceparent is the one that came with it, checked, or empty.
func Begin(ctx context.Context, t Tracer, name string, kind Kind, traceparent string) (context.Context, *Span) {
	if t == nil {
		return ctx, nil
	}
	return begin(ctx, t, name, kind, traceparent)
}

// Start begins a span within the one that ctx is of; where that is none it makes none.
func Start(ctx context.Context, name Name, kind Kind) (context.Context, *Span) {
	above := Of(ctx)
	if above == nil {
		return ctx, nil
	}
	return begin(ctx, above.tracer, string(name), kind, "")
}

func begin(ctx context.Context, t Tracer, name string, kind Kind, traceparent string) (context.Context, *Span) {
	ctx, recording := t.Start(ctx, name, kind, traceparent)
	s := &Span{tracer: t, recording: recording}
	return context.WithValue(ctx, inContext{}, s), s
}

// Of is the span that a context is of; nil where there is none.
func Of(ctx context.Context) *Span {
	s, _ := ctx.Value(inContext{}).(*Span)
	return s
}

// Text adds to what the span tells.
func (s *Span) Text(key Key, value string) {
	if s != nil {
		s.recording.Text(key, value)
	}
}

// Number adds to what the span tells.
func (s *Span) Number(key Key, value int) {
	if s != nil {
		s.recording.Number(key, value)
	}
}

// End ends the span. Of an error it tells the code alone.
func (s *Span) End(err error) {
	if s != nil {
		s.recording.End(codeOf(err))
	}
}

// EndWith ends the span with the code of an error, or none.
func (s *Span) EndWith(code string) {
	if s != nil {
		s.recording.End(code)
	}
}

// Traceparent is the header by which another node's spans are within this one; empty where
// there is none.
func (s *Span) Traceparent() string {
	if s == nil {
		return ""
	}
	return s.recording.Traceparent()
}

// codeOf is the code of an error. What has none may quote anything.
func codeOf(err error) string {
	if err == nil {
		return ""
	}
	if known, ok := errors.AsType[*bctrl.Error](err); ok && known.Code != "" {
		return known.Code
	}
	switch {
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.Is(err, context.DeadlineExceeded):
		return "deadline_exceeded"
	}
	return "error"
}
