package egress

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
)

// Owner returns nil where a connection was made by the browser that a proxy is for, and
// else why it is not served. peer is the end of whoever made it, at that of the proxy.
// It is asked once a connection, of several at a time perhaps.
type Owner func(peer, at netip.AddrPort) error

// ownedListener accepts connections of which nothing is read before their owner is known.
// A nil owner takes each.
type ownedListener struct {
	net.Listener
	owner Owner
}

// Accept implements [net.Listener]. The owner is asked when something is read, by the
// connection's own goroutine.
func (l ownedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	tcp, ok := conn.(*net.TCPConn)
	if err != nil || !ok || l.owner == nil {
		return conn, err
	}
	return &ownedConn{TCPConn: tcp, check: sync.OnceValue(func() error { return checkOwner(l.owner, tcp) })}, nil
}

func checkOwner(owner Owner, conn *net.TCPConn) error {
	peer, ok := conn.RemoteAddr().(*net.TCPAddr)
	at, atOK := conn.LocalAddr().(*net.TCPAddr)
	if !ok || !atOK {
		return fmt.Errorf("a connection from %v to %v", conn.RemoteAddr(), conn.LocalAddr())
	}
	if err := owner(peer.AddrPort(), at.AddrPort()); err != nil {
		return err
	}
	// The owner tells of the two addresses. They are those of this connection for as long
	// as both ends have it: who sends and leaves gives its port to the next.
	return checkEstablished(conn)
}

// ownedConn ends as soon as something is to be read of it, where it is none of the
// browser's. The server reads before it answers.
type ownedConn struct {
	*net.TCPConn
	check func() error
}

// Read implements [net.Conn].
func (c *ownedConn) Read(b []byte) (int, error) {
	if err := c.check(); err != nil {
		_ = c.Close()
		return 0, err
	}
	return c.TCPConn.Read(b)
}
