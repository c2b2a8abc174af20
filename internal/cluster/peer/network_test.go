package peer

import (
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// network carries bytes to a node and back, until it stops: then nothing comes through, and
// every connection stands, as where a cable is pulled.
type network struct {
	listener net.Listener
	to       string
	carrying sync.WaitGroup

	mu      sync.Mutex
	stopped chan struct{} // closed when it goes on; nil while it carries
	conns   []net.Conn
	closed  bool
}

func newNetwork(t *testing.T, to string) *network {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	n := &network{listener: l, to: to}
	n.carrying.Go(n.accept)
	t.Cleanup(func() {
		_ = l.Close()
		n.goOn()
		n.mu.Lock()
		n.closed = true
		for _, c := range n.conns {
			_ = c.Close()
		}
		n.mu.Unlock()
		n.carrying.Wait()
	})
	return n
}

func (n *network) stop() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.stopped = make(chan struct{})
}

func (n *network) goOn() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.stopped != nil {
		close(n.stopped)
		n.stopped = nil
	}
}

func (n *network) wait() {
	n.mu.Lock()
	stopped := n.stopped
	n.mu.Unlock()
	if stopped != nil {
		<-stopped
	}
}

func (n *network) accept() {
	for {
		in, err := n.listener.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", n.to)
		if err != nil {
			_ = in.Close()
			continue
		}
		n.mu.Lock()
		n.conns = append(n.conns, in, out)
		if n.closed { // which may have been while it was dialled: nobody else closes these two
			_, _ = in.Close(), out.Close()
		}
		n.mu.Unlock()
		n.carrying.Go(func() { n.carry(in, out) })
		n.carrying.Go(func() { n.carry(out, in) })
	}
}

func (n *network) carry(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buffer := make([]byte, 32<<10)
	for {
		count, err := from.Read(buffer)
		n.wait()
		if err != nil {
			return
		}
		if _, err := to.Write(buffer[:count]); err != nil {
			return
		}
	}
}
