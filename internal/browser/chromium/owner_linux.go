package chromium

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/bctrl-go/bctrl/internal/egress"
)

// owner knows the connections that the processes of a browser make.
//
// The kernel tells of a connection which user's it is and the number (inode) of its
// socket, and of each process the numbers of the sockets that it has. Chromium's
// connections are those of its network service, which has no sandbox of its own that would
// hide them.
type owner struct {
	pid  int // of the browser's first process, whose descendants the others are
	pgid int // of all of them; others of the server's session may join it (setpgid(2))
	user account

	mu sync.Mutex // one look among the processes at a time
	// last is the process that made the last connection: it makes nearly all.
	last int
}

// newOwner returns whose connections those of a browser are, by its first process, which
// leads its group. It fails where this process may not see the sockets of that one.
func newOwner(pid int, user account) (egress.Owner, error) {
	o := &owner{pid: pid, pgid: pid, user: user, last: pid}
	if err := checkKernelTells(); err != nil {
		return nil, err
	}
	// Descriptor 3 is the browser's end of its pipe: see start.
	err := o.asUser(func() error {
		_, err := os.Readlink(filepath.Join(descriptorsOf(pid), "3"))
		return err
	})
	if err != nil {
		return nil, err
	}
	return o.check, nil
}

// checkKernelTells asks the kernel about a connection that it has made for that. A kernel
// without sock_diag for TCP says of every connection that there is none, so asking about
// one that there is not would tell nothing.
func checkKernelTells() error {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("ask whose a connection is: %w", err)
	}
	defer l.Close()
	conn, err := (&net.Dialer{}).DialContext(context.Background(), "tcp4", l.Addr().String())
	if err != nil {
		return fmt.Errorf("ask whose a connection is: %w", err)
	}
	defer conn.Close()
	peer, at := conn.LocalAddr().(*net.TCPAddr), l.Addr().(*net.TCPAddr)
	_, err = findSocket(peer.AddrPort(), at.AddrPort())
	return err
}

// check is an [egress.Owner]. It looks once: whoever has connected has had the socket, and
// a descriptor for it, since before. Other users' connections hold up nobody's.
func (o *owner) check(peer, at netip.AddrPort) error {
	s, err := findSocket(peer, at)
	if err != nil {
		return err
	}
	if s.uid != o.user.uid {
		return errNotOwn
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.asUser(func() error { return o.findAmongMembers(s.inode) })
}

// findAmongMembers returns nil where a process of the browser has a socket.
func (o *owner) findAmongMembers(inode uint32) error {
	link := "socket:[" + strconv.FormatUint(uint64(inode), 10) + "]"
	if pgid, err := syscall.Getpgid(o.last); err == nil && pgid == o.pgid && holds(o.last, link) && o.isOwn(o.last) {
		return nil
	}
	pids, err := membersOf(o.pgid)
	if err != nil {
		return err
	}
	for _, pid := range pids {
		if pid != o.last && holds(pid, link) && o.isOwn(pid) {
			o.last = pid
			return nil
		}
	}
	return errNotOwn
}

// isOwn reports whether a process is the browser's first or descends from it, which nobody
// can come to do as one can join a group.
func (o *owner) isOwn(pid int) bool {
	for pid > 1 && pid != o.pid {
		pid = parentOf(pid)
	}
	return pid == o.pid
}

// descriptorsOf is the folder with the open files of a process.
func descriptorsOf(pid int) string { return filepath.Join("/proc", strconv.Itoa(pid), "fd") }

// holds reports whether a process has a file open that the kernel names link. Of those
// that hide their files, as renderers may, it has none.
func holds(pid int, link string) bool {
	dir, err := os.Open(descriptorsOf(pid))
	if err != nil {
		return false
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return false
	}
	target := make([]byte, len(link)+1)
	for _, name := range names {
		n, err := unix.Readlinkat(int(dir.Fd()), name, target)
		if err == nil && string(target[:n]) == link {
			return true
		}
	}
	return false
}

// asUser calls f with the rights to files that the browsers' user has: a server that is
// root without CAP_SYS_PTRACE, as in a container, may not look at another user's
// processes, and that user may (ptrace(2), access mode checking).
func (o *owner) asUser(f func() error) error {
	if o.user.isSelf() {
		return f()
	}
	failed := make(chan error, 1)
	go func() {
		// The thread is locked for good, and ends with the goroutine where it does not get
		// its own ids back.
		runtime.LockOSThread()
		gid, _ := unix.SetfsgidRetGid(int(o.user.gid)) // what it was; these do not fail otherwise
		uid, _ := unix.SetfsuidRetUid(int(o.user.uid))
		err := f()
		_, _ = unix.SetfsuidRetUid(uid)
		_, _ = unix.SetfsgidRetGid(gid)
		if now, _ := unix.SetfsuidRetUid(-1); now == uid { // -1 changes nothing and tells
			runtime.UnlockOSThread()
		}
		failed <- err
	}()
	return <-failed
}
