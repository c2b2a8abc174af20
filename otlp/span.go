package otlp

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	otel "go.opentelemetry.io/otel/trace"

	"github.com/bctrl-go/bctrl/internal/trace"
)

// tracer is a [trace.Tracer] over one of OpenTelemetry's.
type tracer struct{ of otel.Tracer }

// headerTraceParent is that of W3C Trace Context, as a carrier has it.
const headerTraceParent = "traceparent"

// Start implements [trace.Tracer]. A caller's tracestate is not read: what it says is its own.
func (t tracer) Start(
	ctx context.Context, name string, kind trace.Kind, traceparent string,
) (context.Context, trace.Recording) {
	if traceparent != "" {
		carrier := propagation.MapCarrier{headerTraceParent: traceparent}
		ctx = propagation.TraceContext{}.Extract(ctx, carrier)
	}
	ctx, span := t.of.Start(ctx, name, otel.WithSpanKind(kinds[kind]))
	return ctx, &recording{span: span, server: kind == trace.Server}
}

var kinds = [...]otel.SpanKind{
	trace.Internal: otel.SpanKindInternal,
	trace.Server:   otel.SpanKindServer,
	trace.Client:   otel.SpanKindClient,
}

// recording is a [trace.Recording].
type recording struct {
	span   otel.Span
	server bool
	status int
}

// Text implements [trace.Recording].
func (r *recording) Text(key trace.Key, value string) {
	r.span.SetAttributes(attribute.String(string(key), value))
}

// Number implements [trace.Recording].
func (r *recording) Number(key trace.Key, value int) {
	if key == trace.Status {
		r.status = value
	}
	r.span.SetAttributes(attribute.Int(string(key), value))
}

// End implements [trace.Recording]. A refusal of the server is no error of the server's own:
// OpenTelemetry's conventions leave the status of such a span as it is.
func (r *recording) End(code string) {
	if code != "" {
		r.Text(trace.ErrorCode, code)
	}
	if code != "" && (!r.server || r.status >= 500) {
		r.span.SetStatus(codes.Error, "")
	}
	r.span.End()
}

// Traceparent implements [trace.Recording].
func (r *recording) Traceparent() string {
	at := r.span.SpanContext()
	return fmt.Sprintf("00-%s-%s-%s", at.TraceID(), at.SpanID(), at.TraceFlags())
}
