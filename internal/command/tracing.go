package command

import (
	"context"
	"time"

	"github.com/bctrl-go/bctrl/internal/daemon"
)

// lastSpans is how long the spans that are left may take to be sent when the server ends.
const lastSpans = 5 * time.Second

// trace has a server tell its spans, where the program can. Stop is called once the server
// has ended.
func (p Program) trace(ctx context.Context, cfg *daemon.Config) (stop func(), err error) {
	if p.Tracing == nil {
		return func() {}, nil
	}
	tracer, end, err := p.Tracing(ctx, cfg.Log)
	if err != nil {
		return nil, err
	}
	cfg.Tracer = tracer
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastSpans)
		defer cancel()
		end(ctx)
	}, nil
}
