package pgtest

import (
	"context"
	"errors"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// Cable carries what one server says to its database.
type Cable struct {
	listener net.Listener
	socket   string
	carrying sync.WaitGroup

	mu    sync.Mutex
	ends  map[net.Conn]struct{}
	state CableState
	delay time.Duration
	// whole is closed when it carries again.
	whole chan struct{}
}

// CableState is what a cable does.
type CableState int

// What a cable can do.
const (
	// Carries is of one that is whole.
	Carries CableState = iota
	// StandsStill keeps what is said, for when it carries again.
	StandsStill
	// IsCut has no connection, and takes none.
	IsCut
)

// NewCable makes a cable to the cluster of a database, which goes with the test.
func NewCable(tb testing.TB, database string) *Cable {
	tb.Helper()
	w, err := OpenCable(database)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := w.Close(); err != nil {
			tb.Error(err)
		}
	})
	return w
}

// OpenCable is [NewCable] for who closes it himself.
func OpenCable(database string) (*Cable, error) {
	u, err := url.Parse(database)
	if err != nil {
		return nil, err
	}
	sockets, err := filepath.Glob(filepath.Join(u.Query().Get("host"), ".s.PGSQL.*"))
	if err != nil {
		return nil, err
	}
	w := &Cable{ends: map[net.Conn]struct{}{}}
	for _, name := range sockets {
		if info, err := os.Stat(name); err == nil && info.Mode()&os.ModeSocket != 0 {
			w.socket = name
		}
	}
	if w.socket == "" {
		return nil, errors.New("the database has no socket here")
	}
	if w.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	w.carrying.Go(w.serve)
	return w, nil
}

// Close cuts the cable for good.
func (w *Cable) Close() error {
	err := w.listener.Close()
	w.Set(IsCut)
	w.carrying.Wait()
	return err
}

// URL is that of a database of the same cluster over the cable.
func (w *Cable) URL(database string) string {
	u, err := url.Parse(database)
	if err != nil {
		panic(err) // it was parsed by [NewCable]
	}
	u.Host = w.listener.Addr().String()
	u.RawQuery = url.Values{"sslmode": {"disable"}}.Encode()
	return u.String()
}

// Set lets the cable carry, stand still or be cut.
func (w *Cable) Set(state CableState) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.whole != nil {
		close(w.whole)
		w.whole = nil
	}
	if w.state = state; state == StandsStill {
		w.whole = make(chan struct{})
	}
	if state == IsCut {
		for c := range w.ends {
			_ = c.Close() // which is what a cut is
		}
	}
}

// Delay has what is said arrive so much later from now on, in each direction: a database that
// is not on this machine.
func (w *Cable) Delay(by time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.delay = by
}

// late waits for as long as what was said takes.
func (w *Cable) late() {
	w.mu.Lock()
	by := w.delay
	w.mu.Unlock()
	if by > 0 {
		<-time.After(by)
	}
}

// await returns once the cable does not stand still, and what it does then.
func (w *Cable) await() CableState {
	for {
		w.mu.Lock()
		state, whole := w.state, w.whole
		w.mu.Unlock()
		if whole == nil {
			return state
		}
		<-whole
	}
}

func (w *Cable) serve() {
	for {
		client, err := w.listener.Accept()
		if err != nil {
			return
		}
		w.carrying.Go(func() { w.connect(client) })
	}
}

func (w *Cable) connect(client net.Conn) {
	defer client.Close()
	if w.await() == IsCut {
		return
	}
	server, err := new(net.Dialer).DialContext(context.Background(), "unix", w.socket)
	if err != nil {
		return
	}
	defer server.Close()
	w.mu.Lock()
	w.ends[client], w.ends[server] = struct{}{}, struct{}{}
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.ends, client)
		delete(w.ends, server)
	}()
	var both sync.WaitGroup
	both.Go(func() { w.carry(server, client) })
	both.Go(func() { w.carry(client, server) })
	both.Wait()
}

// carry carries what one end says to the other, until either is closed.
func (w *Cable) carry(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		w.late()
		if w.await() == IsCut {
			return
		}
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
