package bridge

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// isOwnUsers reports whether the other end of a connection is a process of this user, by
// the kernel's tables of connections (proc_pid_net(5)).
func isOwnUsers(remote string, local net.Addr) bool {
	from, err := netip.ParseAddrPort(remote)
	if err != nil || local == nil {
		return false
	}
	to, err := netip.ParseAddrPort(local.String())
	if err != nil {
		return false
	}
	// A client may speak IPv4 over a socket of IPv6.
	for _, table := range []struct {
		path string
		as   func(netip.Addr) netip.Addr
	}{
		{"/proc/self/net/tcp", netip.Addr.Unmap},
		{"/proc/self/net/tcp6", func(a netip.Addr) netip.Addr { return netip.AddrFrom16(a.As16()) }},
	} {
		uid, found := ownerIn(table.path,
			inTable(table.as(from.Addr()), from.Port()), inTable(table.as(to.Addr()), to.Port()))
		if found {
			return uid == os.Getuid()
		}
	}
	return false
}

// inTable writes an address as the tables do: words of 32 bits as the machine holds them,
// in hexadecimal, and the port.
func inTable(a netip.Addr, port uint16) string {
	bytes := a.AsSlice()
	for i := 0; i+4 <= len(bytes); i += 4 {
		binary.BigEndian.PutUint32(bytes[i:], binary.NativeEndian.Uint32(bytes[i:]))
	}
	return strings.ToUpper(hex.EncodeToString(bytes)) + fmt.Sprintf(":%04X", port)
}

// ownerIn finds the user of the end of a connection that has the first address.
func ownerIn(path, local, remote string) (uid int, found bool) {
	f, err := os.Open(path)
	if err != nil {
		return 0, false
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		// Nobody holds a connection without an inode, and its user says nothing.
		if len(fields) < 10 || fields[1] != local || fields[2] != remote || fields[9] == "0" {
			continue
		}
		uid, err := strconv.Atoi(fields[7])
		return uid, err == nil
	}
	return 0, false
}
