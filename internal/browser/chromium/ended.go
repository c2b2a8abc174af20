//go:build unix

package chromium

import (
	"errors"
	"fmt"
	"os/exec"
	"syscall"

	"github.com/bctrl-go/bctrl/internal/browser"
)

// fullBelow is how much may be left of a disk that counts as full, in bytes. A browser goes
// on without one for the most part; what it ends by then is put down to that.
const fullBelow = 4 << 20

// whyEnded describes the end of a browser that nobody stopped. killed is set where its
// process was ended here, since its pipe had.
func (b *instance) whyEnded(killed bool) error {
	switch {
	case b.hung.Load():
		return browser.ErrHung
	case b.diskIsFull():
		return fmt.Errorf("%w: %w", browser.ErrDiskFull, b.proc.failure())
	case !killed && wasKilled(b.proc.err) && oomKills() > b.oomKills.Load():
		return fmt.Errorf("%w: %w", browser.ErrSystemMemory, b.proc.failure())
	case !killed && wasKilled(b.proc.err):
		return fmt.Errorf("%w: %w", browser.ErrKilled, b.proc.failure())
	}
	return b.proc.failure()
}

// diskIsFull reports whether nothing is left of the disk with the browser's folder.
func (b *instance) diskIsFull() bool {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(b.dirs.root, &stat); err != nil {
		return false
	}
	return uint64(stat.Bavail)*uint64(stat.Bsize) < fullBelow //nolint:unconvert // types differ by system
}

// withDiskFull adds to what failed at the start of a browser that there is no disk left,
// where that is why.
func withDiskFull(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", browser.ErrDiskFull, err)
	}
	return err
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
