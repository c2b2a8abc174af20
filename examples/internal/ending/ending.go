// Package ending tells an example when to end, so that nothing of what it has
// started is left: no server, no browser, no folder. A program of your own that
// starts nothing needs no more than [signal.NotifyContext].
package ending

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// Context returns a context that ends at Ctrl-C, at a request to end, when the
// terminal is closed, and when nobody reads any more what is printed, as behind
// head. Started by nohup, the example outlives its terminal. After stop each of
// them but the last ends the process at once.
func Context() (ctx context.Context, stop context.CancelFunc) {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	broken := make(chan os.Signal, 1)
	signal.Notify(broken, syscall.SIGPIPE) // also after stop
	ctx, stopNotify := signal.NotifyContext(context.Background(), signals...)
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		for {
			select {
			case <-broken: // or a socket is, whose peer has left
				if isUnread(os.Stdout) {
					cancel()
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return ctx, func() {
		cancel()
		stopNotify()
	}
}

// isUnread reports whether nobody reads from a pipe any more.
func isUnread(f *os.File) bool {
	asked := []unix.PollFd{{Fd: int32(f.Fd()), Events: unix.POLLOUT}}
	n, err := unix.Poll(asked, 0)
	return err == nil && n > 0 && asked[0].Revents&(unix.POLLERR|unix.POLLHUP|unix.POLLNVAL) != 0
}
