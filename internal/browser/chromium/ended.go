//go:build unix

package chromium

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"time"

	"github.com/bctrl-go/bctrl/internal/browser"
)

// watch waits for the end of the process, asked for or not, and cleans up.
func (b *instance) watch() {
	killed := false
	select {
	case <-b.proc.exited:
	case <-b.mux.Done():
		killed = true
		// A browser whose pipe has ended is of no use. It is given a moment to end
		// by itself, for the sake of its exit status.
		select {
		case <-b.proc.exited:
			killed = false
		case <-time.After(exitTimeout):
		}
	}
	wanted := b.stopRequested()
	b.end()
	ctx, cancel := context.WithTimeout(context.Background(), 2*reapTimeout)
	defer cancel()
	err := b.proc.kill(ctx)
	switch {
	case b.overMemory.Load():
		err = errors.Join(browser.ErrMemory, err)
	case !wanted:
		err = errors.Join(b.whyEnded(killed), err)
	}
	<-b.mux.Done()
	b.guard.Wait()
	b.closePages()
	if b.emulator != nil {
		b.emulator.close()
	}
	err = errors.Join(err, b.closeWebDrivers())
	b.downloads.close()
	if b.profile != nil {
		err = errors.Join(err, b.dirs.removeUnkept())
		unsaved := b.profile.save(b.dirs.data, b.user, nobodyWrites)
		b.leaveDirs = unsaved != nil && !errors.Is(unsaved, browser.ErrProfileTooLarge)
		err = errors.Join(err, b.jar.close(), unsaved)
	}
	b.err = errors.Join(err, b.cleanUp())
	b.disk.remove(b)
	close(b.done)
}

func (b *instance) stopRequested() bool {
	select {
	case <-b.stopping:
		return true
	default:
		return false
	}
}

// whyEnded describes the end of a browser that nobody stopped. killed is set where its
// process was ended here, since its pipe had.
func (b *instance) whyEnded(killed bool) error {
	switch {
	case b.hung.Load():
		return browser.ErrHung
	case b.noDisk.Load(), b.diskIsFull():
		return fmt.Errorf("%w: %w", browser.ErrDiskFull, b.proc.failure())
	case !killed && wasKilled(b.proc.err) && oomKills() > b.oomKills.Load():
		return fmt.Errorf("%w: %w", browser.ErrSystemMemory, b.proc.failure())
	case !killed && wasKilled(b.proc.err):
		return fmt.Errorf("%w: %w", browser.ErrKilled, b.proc.failure())
	}
	return b.proc.failure()
}

// diskIsFull reports whether next to nothing is left of the disk with the browser's folder.
func (b *instance) diskIsFull() bool {
	left, err := spaceLeft(b.dirs.root)
	return err == nil && left.isBelow(crashBelow)
}

// wasKilled reports whether a process ended by SIGKILL.
func wasKilled(err error) bool {
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// cleanUp undoes what prepare has done, all of it or a part.
func (b *instance) cleanUp() (err error) {
	if b.proxy != nil {
		err = b.proxy.Close()
	}
	if b.display != nil {
		err = errors.Join(err, b.display.stop())
	}
	switch {
	case b.leaveDirs:
		err = errors.Join(err, b.dirs.leave())
	case b.dirs.root != "":
		err = errors.Join(err, b.dirs.remove())
	}
	if b.profile != nil {
		err = errors.Join(err, b.profile.close())
	}
	return err
}
