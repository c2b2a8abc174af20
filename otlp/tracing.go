// Package otlp has a server of bctrl tell an OpenTelemetry collector what its requests did
// and how long each part took, by OTLP over HTTP. It is a module of its own, so that nobody
// else links what that takes; otlp/cmd/bctrl is bctrl with it.
//
// The environment says where spans go and how many, by the variables that every program with
// an SDK of OpenTelemetry knows (https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/).
package otlp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/trace"
)

// Start is a command.Tracing: it begins the export that the environment asks for. The tracer
// is nil where OTEL_SDK_DISABLED is true or OTEL_TRACES_EXPORTER is none.
//
// No request waits for the collector: spans wait in a queue of OTEL_BSP_MAX_QUEUE_SIZE, 2048
// of them unless it says otherwise, and are dropped where it is full.
func Start(ctx context.Context, log *slog.Logger) (_ trace.Tracer, stop func(context.Context), err error) {
	otel.SetLogger(logr.Discard()) // else it writes what it cannot read to stderr, also headers
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		log.Warn("OpenTelemetry has met an error", "kind", fmt.Sprintf("%T", err)) // whose text quotes the environment
	}))
	wanted, err := isWanted()
	if err != nil || !wanted {
		return nil, func(context.Context) {}, err
	}
	about, err := resource.New(ctx,
		resource.WithTelemetrySDK(),
		resource.WithAttributes(
			attribute.String("service.name", "bctrl"),
			attribute.String("service.version", bctrl.Version),
		),
		resource.WithFromEnv(), // which has the last word
	)
	if err != nil {
		return nil, nil, errors.New("OTEL_RESOURCE_ATTRIBUTES: want names and values, such as deployment.environment=test")
	}
	client, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("exporting spans: %w", reason(err))
	}
	provider := sdk.NewTracerProvider(sdk.WithResource(about), sdk.WithBatcher(&exporter{SpanExporter: client, log: log}))
	stop = func(ctx context.Context) {
		if err := provider.Shutdown(ctx); err != nil {
			log.Warn("spans were not sent to the collector", "error", reason(err))
		}
	}
	return tracer{provider.Tracer("github.com/bctrl-go/bctrl")}, stop, nil
}

// sayEvery is how often the log says that spans are not sent.
const sayEvery = time.Minute

// exporter sends spans, and tells the log of those that it could not send.
type exporter struct {
	sdk.SpanExporter
	log *slog.Logger
	// failed counts spans, and said is when the log was last told of them, in Unix nanoseconds.
	failed, said atomic.Int64
}

// ExportSpans implements [sdk.SpanExporter].
func (e *exporter) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	err := e.SpanExporter.ExportSpans(ctx, spans)
	if err == nil {
		return nil
	}
	e.failed.Add(int64(len(spans)))
	now := time.Now().UnixNano()
	if said := e.said.Load(); now-said >= int64(sayEvery) && e.said.CompareAndSwap(said, now) {
		e.log.Warn("spans were not sent to the collector", "spans", e.failed.Swap(0), "error", reason(err))
	}
	return nil // the SDK would say it again, where nobody reads it
}

// reason is an error without the collector's address, which may hold a key, and without what it answered.
func reason(err error) error {
	if at, ok := errors.AsType[*url.Error](err); ok {
		return at.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return context.DeadlineExceeded
	}
	return errors.New("it did not take them")
}
