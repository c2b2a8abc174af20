package chromium

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// socket is what the kernel tells of one.
type socket struct {
	uid   uint32
	inode uint32 // 0 of one that no process has open any more
}

// errNoSocket is of a connection that is over.
var errNoSocket = errors.New("nobody has the connection")

// findSocket returns the socket of the end peer of an IPv4 connection to at, which is of
// this machine. It asks the kernel for that one (sock_diag(7)): to read the table of all
// (/proc/net/tcp) takes milliseconds, however few there are.
func findSocket(peer, at netip.AddrPort) (s socket, err error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_INET_DIAG)
	if err != nil {
		return s, fmt.Errorf("ask whose a connection is: %w", err)
	}
	defer unix.Close(fd)
	if err := unix.Sendto(fd, socketQuestion(peer, at), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return s, fmt.Errorf("ask whose a connection is: %w", err)
	}
	answer := make([]byte, os.Getpagesize())
	n, _, err := unix.Recvfrom(fd, answer, unix.MSG_DONTWAIT) // the kernel has answered before Sendto returned
	if err != nil {
		return s, fmt.Errorf("ask whose a connection is: %w", err)
	}
	return parseSocket(answer[:n], peer, at)
}

// The layout of questions and answers (linux/netlink.h, linux/inet_diag.h): a header, for a
// question struct inet_diag_req_v2, for an answer struct inet_diag_msg, with a struct
// inet_diag_sockid in both.
const (
	diagByFamily   = 20 // SOCK_DIAG_BY_FAMILY
	diagQuestion   = 56
	diagAnswer     = 72
	diagQuestionID = 8 // where the sockid begins in a question
	diagAnswerID   = 4 // and in an answer
	diagAnswerUID  = 64
	diagAnswerNode = 68
)

// appendSocketID appends the two ends of a connection as a sockid begins: the ports, then
// the addresses, each with room for one of IPv6.
func appendSocketID(b []byte, peer, at netip.AddrPort) []byte {
	b = binary.BigEndian.AppendUint16(b, peer.Port())
	b = binary.BigEndian.AppendUint16(b, at.Port())
	for _, end := range []netip.AddrPort{peer, at} {
		ip := end.Addr().Unmap().As4()
		b = append(b, ip[:]...)
		b = append(b, make([]byte, 12)...)
	}
	return b
}

// socketQuestion asks for one connection, in whatever state and on whatever interface.
func socketQuestion(peer, at netip.AddrPort) []byte {
	native := binary.NativeEndian
	q := native.AppendUint32(nil, unix.SizeofNlMsghdr+diagQuestion)
	q = native.AppendUint16(q, diagByFamily)
	q = native.AppendUint16(q, unix.NLM_F_REQUEST)
	q = append(q, make([]byte, 8)...) // a number and a sender: there is one question on the socket
	q = append(q, unix.AF_INET, unix.IPPROTO_TCP, 0, 0)
	q = native.AppendUint32(q, ^uint32(0))
	q = appendSocketID(q, peer, at)
	q = native.AppendUint32(q, 0)
	return native.AppendUint64(q, ^uint64(0)) // no cookie: INET_DIAG_NOCOOKIE twice
}

// parseSocket reads the answer about a connection.
func parseSocket(answer []byte, peer, at netip.AddrPort) (s socket, err error) {
	messages, err := syscall.ParseNetlinkMessage(answer)
	if err != nil || len(messages) == 0 {
		return s, errors.New("the kernel's answer about a connection is none")
	}
	m := messages[0]
	native := binary.NativeEndian
	if m.Header.Type == unix.NLMSG_ERROR && len(m.Data) >= 4 {
		if errno := syscall.Errno(-int32(native.Uint32(m.Data))); errno != syscall.ENOENT {
			return s, fmt.Errorf("ask whose a connection is: %w", errno)
		}
		return s, errNoSocket
	}
	if m.Header.Type != diagByFamily || len(m.Data) < diagAnswer {
		return s, errors.New("the kernel's answer about a connection is another")
	}
	// Where there is no such connection, one that listens on the port of peer is told.
	asked := appendSocketID(nil, peer, at)
	told := m.Data[diagAnswerID:]
	if m.Data[0] != unix.AF_INET || string(told[:len(asked)]) != string(asked) {
		return s, errNoSocket
	}
	s.uid, s.inode = native.Uint32(m.Data[diagAnswerUID:]), native.Uint32(m.Data[diagAnswerNode:])
	if s.inode == 0 {
		return s, errNoSocket
	}
	return s, nil
}
