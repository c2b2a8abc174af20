package egress

import (
	"errors"
	"net"

	"golang.org/x/sys/unix"
)

// errLeft is of a connection whose other end has closed it, or sends no more.
var errLeft = errors.New("whoever connected has left")

// tcpEstablished is TCP_ESTABLISHED (net/tcp_states.h).
const tcpEstablished = 1

// checkEstablished returns nil where both ends have a connection open.
func checkEstablished(conn *net.TCPConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var info *unix.TCPInfo
	asked := raw.Control(func(fd uintptr) { info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) })
	if err := errors.Join(asked, err); err != nil {
		return err
	}
	if info.State != tcpEstablished {
		return errLeft
	}
	return nil
}
