// Package daemontest runs several servers in one process, over one database and one
// bucket: a real PostgreSQL and a real S3 server.
package daemontest

import (
	"context"
	"database/sql"
	"errors"
	"net"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver of PostgreSQL

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/blob"
	"github.com/bctrl-go/bctrl/internal/blob/s3test"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/daemon"
	"github.com/bctrl-go/bctrl/internal/store/storetest"
)

// The times of the leases: long enough that none runs out on a machine that stands still
// for a while, and looked at often. A test that has one run out says so: [Node.Kill].
const (
	lease = time.Minute
	look  = 50 * time.Millisecond
)

// Cluster is a database, a bucket and the nodes on them.
type Cluster struct {
	// Nodes are those that were started, in that order, also those that have ended.
	Nodes []*Node
	// Key is the key of the first organization, which is the operator's.
	Key bctrl.Secret
	// Database is the URL of the database.
	Database string
	// Files is the bucket.
	Files blob.S3Config

	t   *testing.T
	dir string
	s3  *s3test.Server
}

// Node is a server of a cluster.
type Node struct {
	*daemon.Daemon
	// Config is what the server was opened with.
	Config daemon.Config
	// Browsers are the fakes that it starts.
	Browsers *browser.Fake
	// URL is where clients reach it, and Client one with the operator's key.
	URL    string
	Client *bctrl.Client

	cluster  *Cluster
	stop     context.CancelFunc
	ended    chan error
	finished bool
}

// NewCluster starts a cluster with so many nodes, one after the other. It ends with the
// test. It sets environment variables, so that the test cannot be parallel.
func NewCluster(t *testing.T, n int) *Cluster {
	t.Helper()
	c := &Cluster{t: t, Database: storetest.Database(t), dir: t.TempDir()}
	bucket := s3test.Start(t)
	c.s3 = bucket
	for name, value := range bucket.Environment() {
		t.Setenv(name, value)
	}
	if _, err := bucket.MakeBucket("files"); err != nil {
		t.Fatalf("making a bucket: %v", err)
	}
	var err error
	if c.Files, err = blob.ParseS3(bucket.URL("files")); err != nil {
		t.Fatalf("naming the bucket: %v", err)
	}
	for range n {
		c.Start()
	}
	return c
}

// Start starts one more node, with a data directory of its own.
func (c *Cluster) Start(change ...func(*daemon.Config)) *Node {
	c.t.Helper()
	name := strconv.Itoa(len(c.Nodes) + 1)
	n := &Node{cluster: c, Browsers: &browser.Fake{}}
	n.Config = daemon.Config{
		DataDir:     filepath.Join(c.dir, "data"+name),
		KeyFile:     filepath.Join(c.dir, "key"),
		HeadFile:    filepath.Join(c.dir, "head"),
		Database:    bctrl.NewSecret(c.Database),
		Files:       &c.Files,
		NodeAddress: "127.0.0.1:0",
		Browsers:    n.Browsers,
		Lease:       lease,
		Renew:       look,
		Watch:       look,
	}
	for _, f := range change {
		f(&n.Config)
	}
	n.open()
	return n
}

// open opens the server and lets it answer.
func (n *Node) open() {
	c := n.cluster
	c.t.Helper()
	var err error
	if n.Daemon, err = daemon.Open(c.t.Context(), n.Config); err != nil {
		c.t.Fatalf("opening a node: %v", err)
	}
	c.t.Cleanup(n.Stop)
	if !n.FirstKey.IsZero() {
		c.Key = n.FirstKey
	}
	l, err := (&net.ListenConfig{}).Listen(c.t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		c.t.Fatalf("listening: %v", err)
	}
	serving, stop := context.WithCancel(context.Background())
	n.stop, n.ended = stop, make(chan error, 1)
	go func() { n.ended <- n.Serve(serving, l) }()
	n.URL = "http://" + l.Addr().String()
	if n.Client, err = bctrl.New(bctrl.WithBaseURL(n.URL), bctrl.WithAPIKey(c.Key)); err != nil {
		c.t.Fatalf("making a client: %v", err)
	}
	c.t.Cleanup(n.Client.CloseIdleConnections)
	c.Nodes = append(c.Nodes, n)
}

// Stop stops the node as `bctrl serve` does that is told to. It does nothing when it has
// stopped already.
func (n *Node) Stop() {
	n.cluster.t.Helper()
	if n.finished {
		return
	}
	n.finished = true
	n.stop()
	if err := <-n.ended; err != nil {
		n.cluster.t.Errorf("serving: %v", err)
	}
	if err := n.Close(); err != nil {
		n.cluster.t.Errorf("closing a node: %v", err)
	}
}

// Again starts a server once more over the data directory of one that has stopped.
func (n *Node) Again() *Node {
	n.cluster.t.Helper()
	again := &Node{cluster: n.cluster, Config: n.Config, Browsers: &browser.Fake{}}
	again.Config.Browsers = again.Browsers
	again.open()
	return again
}

// ID is that of the node as it is now: a server that has lost its lease comes back as
// another.
func (n *Node) ID() string { return n.Node().Self().ID }

// Expire ends the lease of the node in the database, as it ends by itself when a node
// cannot renew it. To the others it has died; it finds out when it renews next.
func (n *Node) Expire() {
	n.cluster.t.Helper()
	if err := n.TryExpire(); err != nil {
		n.cluster.t.Fatalf("ending a lease: %v", err)
	}
}

// TryExpire is [Node.Expire] for another goroutine than the test's, which it does not end.
func (n *Node) TryExpire() error {
	return n.cluster.exec("UPDATE nodes SET lease_until = 0 WHERE id = $1", n.ID())
}

// Exec runs a statement in the database behind the nodes' backs.
func (c *Cluster) Exec(statement string, args ...any) {
	c.t.Helper()
	if err := c.exec(statement, args...); err != nil {
		c.t.Fatalf("changing the database: %v", err)
	}
}

func (c *Cluster) exec(statement string, args ...any) (err error) {
	db, err := sql.Open("pgx", c.Database)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	_, err = db.ExecContext(c.t.Context(), statement, args...)
	return err
}
