package blob

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// startWriteback asks the kernel to begin writing a range to the disk and does
// not wait for it. It is a hint: what it cannot do, the sync at the end does.
func startWriteback(f file, offset, n int64) {
	conn, ok := f.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SyncFileRange(int(fd), offset, n, unix.SYNC_FILE_RANGE_WRITE)
	})
}
