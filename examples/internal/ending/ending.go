// Package ending tells an example when to end, so that nothing of what it has
// started is left: no server, no browser, no folder. A program of your own that
// starts nothing needs no more than [signal.NotifyContext].
package ending

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// Context returns a context that ends at Ctrl-C, at a request to end, when the
// terminal is closed, and when nobody reads any more what is printed, as behind
// head. Started by nohup, the example outlives its terminal. After stop each of
// them but the last ends the process at once.
func Context() (ctx context.Context, stop context.CancelFunc) {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGPIPE}
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) // also after stop
	return signal.NotifyContext(context.Background(), signals...)
}
