package daemon

import (
	"context"
	"log/slog"
	"time"
)

const (
	// clockOff is how far the clock of a server may be from that of its database before that is said.
	// A code of TOTP is good for 30 seconds, and what is signed for a moment for a minute.
	clockOff = 5 * time.Second
	// clockEvery is how often the two are compared.
	clockEvery = 5 * time.Minute
)

// clockWatch says when the clock of this machine is not that of the database. Leases go by the
// database's clock, and the times of events, tokens, links and TOTP by the machine's: two nodes that
// differ take each other's for old, or for not valid yet.
type clockWatch struct {
	compare func(context.Context) (ahead, within time.Duration, err error)
	log     *slog.Logger
	off     bool
}

// look compares the clocks, and says what has changed.
func (w *clockWatch) look(ctx context.Context) {
	ahead, within, err := w.compare(ctx)
	if err != nil {
		return // the next request says so
	}
	off := ahead.Abs() > clockOff+within
	switch {
	case off && !w.off:
		w.log.Warn("the clock of this machine is not that of the database: tokens, links, events and TOTP go by it, "+
			"so have it set by NTP", "ahead", ahead.Round(time.Second).String())
	case !off && w.off:
		w.log.Info("the clock of this machine is that of the database again")
	}
	w.off = off
}

// run looks until ctx ends, first at once.
func (w *clockWatch) run(ctx context.Context) {
	ticker := time.NewTicker(clockEvery)
	defer ticker.Stop()
	for {
		w.look(ctx)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}
