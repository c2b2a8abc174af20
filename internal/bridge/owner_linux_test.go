package bridge

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// The kernel's tables say whose a connection is, also where IPv4 is spoken over a socket
// of IPv6.
func TestTheOwnerOfAConnectionIsKnown(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	conn, err := net.Dial("tcp4", l.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	require.True(t, isOwnUsers(conn.LocalAddr().String(), l.Addr()))
	require.False(t, isOwnUsers("127.0.0.1:1", l.Addr()), "there is none")
	require.False(t, isOwnUsers("somewhere", l.Addr()))
	require.False(t, isOwnUsers(conn.LocalAddr().String(), nil))

	// As on a machine with the bytes of words in reverse; the uid is the eighth field.
	const table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n" +
		"   0: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 1 1 0 20 4 0 10 -1\n" +
		"   1: 0100007F:C351 0100007F:1F90 06 00000000:00000000 03:00001760 00000000     0        0 0 3 0\n" +
		"   2: 0100007F:C350 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  1234        0 2 1 0 20 4 0 10 -1\n"
	path := filepath.Join(t.TempDir(), "tcp")
	require.NoError(t, os.WriteFile(path, []byte(table), 0o600))
	uid, found := ownerIn(path, "0100007F:C350", "0100007F:1F90")
	require.True(t, found)
	require.Equal(t, 1234, uid, "the other end, not this one")
	for _, at := range []string{"0100007F:0001", "0100007F:C351"} {
		_, found = ownerIn(path, at, "0100007F:1F90")
		require.False(t, found, "nobody has it")
	}
	if host := inTable(netip.MustParseAddr("127.0.0.1"), 8080); host != "7F000001:1F90" {
		require.Equal(t, "0100007F:1F90", host)
		require.Equal(t, "0000000000000000FFFF00000100007F:1F90", inTable(netip.MustParseAddr("::ffff:127.0.0.1"), 8080))
	}
}
