package otlp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"testing"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.uber.org/goleak"

	"github.com/bctrl-go/bctrl/internal/command"
)

// runAs has the test program run as something else: it is a name of what.
const runAs = "BCTRL_OTLP_TEST_RUN_AS"

func TestMain(m *testing.M) {
	switch os.Getenv(runAs) {
	case "bctrl": // as ./cmd/bctrl
		command.Program{Tracing: Start}.Main()
	case "quarreler":
		if err := quarrel(os.Getenv("CANARY")); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	default:
		goleak.VerifyTestMain(m)
	}
}

// quarrel has OpenTelemetry meet with what it cannot read, past what [Start] refuses.
func quarrel(canary string) error {
	ctx := context.Background()
	_, stop, err := Start(ctx, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	if err != nil {
		return err
	}
	otel.Handle(errors.New(canary))
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL("http://\x7f"+canary))
	if err != nil {
		return err
	}
	stop(ctx)
	return exporter.Shutdown(ctx)
}
