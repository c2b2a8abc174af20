package peer

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/cluster"
)

// member is a node that knows of others what a test says. Until then it is as where the database
// does not answer, when all may live.
type member struct {
	cluster.Member
	self cluster.Node
	live atomic.Pointer[[]cluster.Node]
}

func newMember() *member {
	return &member{self: cluster.Node{ID: uuid.NewString()}}
}

func (m *member) Self() cluster.Node { return m.self }

func (m *member) Nodes(context.Context) ([]cluster.Node, error) {
	live := m.live.Load()
	if live == nil {
		return nil, errors.New("the database does not answer")
	}
	return *live, nil
}

// node is one end of what a test connects.
type node struct {
	*Peers
	member *member
	at     cluster.Node
}

func seedOf(key byte) []byte { return bytes.Repeat([]byte{key}, 32) }

// newNode makes a node of the cluster with a key, as its clock says.
func newNode(t testing.TB, key byte, now func() time.Time) *node {
	t.Helper()
	n := &node{member: newMember()}
	n.Peers = New(Config{
		Member: n.member,
		Seed:   func(context.Context) ([]byte, error) { return seedOf(key), nil },
		Now:    now,
		Log:    slog.New(slog.DiscardHandler),
	})
	t.Cleanup(n.Close)
	return n
}

// answer has the node answer the others by a handler.
func (n *node) answer(t testing.TB, h http.Handler) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	srv := &http.Server{Handler: n.Receive(h), ReadHeaderTimeout: time.Minute, ErrorLog: nil}
	srv.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(n.Listen(l)) }()
	t.Cleanup(func() { _ = srv.Close(); <-done })
	n.at = cluster.Node{ID: n.member.self.ID, Address: l.Addr().String()}
}

// front serves clients by passing all that they ask on to a node. What the node does not
// answer is 503.
func (n *node) front(t testing.TB, to func() cluster.Node) *httptest.Server {
	t.Helper()
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := n.Pass(w, r, to()); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	srv.Start()
	t.Cleanup(srv.Close)
	return srv
}
