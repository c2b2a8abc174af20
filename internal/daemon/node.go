package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/bctrl-go/bctrl/internal/cluster"
)

// listenForPeers listens where the other nodes reach this one, and refuses what a cluster
// cannot be made of; nil is a server that is in none.
func (cfg Config) listenForPeers() (net.Listener, error) {
	if cfg.NodeAddress == "" {
		return nil, nil //nolint:nilnil // a server alone listens for nobody
	}
	if cfg.Database.IsZero() {
		return nil, errors.New("a node of a cluster needs the database that its nodes share: give --database-file")
	}
	if cfg.Files == nil {
		return nil, errors.New("a node of a cluster needs the bucket in which its nodes keep files: give --files")
	}
	host, _, err := net.SplitHostPort(cfg.NodeAddress)
	if err != nil {
		return nil, errors.New("the node's address is not host:port: such as 10.1.2.3:7443")
	}
	if at, err := netip.ParseAddr(host); host == "" || err == nil && at.IsUnspecified() {
		return nil, errors.New("the node's address is that of every interface, which tells the other nodes nothing: " +
			"name the one at which they reach this machine")
	}
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", cfg.NodeAddress)
	if err != nil {
		return nil, fmt.Errorf("listening for the other nodes: %w", err)
	}
	return l, nil
}

// join makes the server a node of its cluster, where it is to be one.
func (d *Daemon) join(ctx context.Context, cfg Config) (err error) {
	if d.peers == nil {
		return nil
	}
	if err := d.endPredecessor(ctx, cfg); err != nil {
		return err
	}
	name, err := os.Hostname()
	if err != nil {
		name = "unknown"
	}
	node, err := cluster.Join(ctx, cluster.Config{
		Store: d.store,
		Node:  cluster.Node{Name: name, Address: d.advertised(cfg.NodeAddress), Version: version()},
		Lease: cfg.Lease,
		Renew: cfg.Renew,
		Watch: cfg.Watch,
		Registered: func(id string) error {
			return noteNode(cfg.DataDir, id)
		},
		Log: d.log,
	})
	if err == nil {
		d.node.Store(node)
	}
	return err
}

// nodeIn is where a node notes its id, for the server that starts next in its data
// directory.
func nodeIn(dir string) string { return filepath.Join(dir, "node") }

// noteNode notes the id of the node that has a data directory, and which directory that is: a
// copy has the same file.
func noteNode(dir, id string) error {
	which, err := identityOf(dir)
	if err != nil {
		return err
	}
	return os.WriteFile(nodeIn(dir), []byte(id+"\n"+which+"\n"), 0o600)
}

// identityOf is what a directory has alone for as long as its machine runs, wherever it is moved to:
// a machine that is a copy of another one has been started since. It is empty where a machine does
// not tell when it was started, as other than Linux.
func identityOf(dir string) (string, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return "", err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "", errors.New("the file system does not tell one directory from another")
	}
	return fmt.Sprintf("%s:%d:%d", bytes.TrimSpace(boot), stat.Dev, stat.Ino), nil
}

// endPredecessor ends the lease of the node that had the data directory before: the lock on
// it proves that its server has ended. The lock on a copy proves nothing: that node's lease runs
// out by itself, or it lives.
func (d *Daemon) endPredecessor(ctx context.Context, cfg Config) error {
	text, err := os.ReadFile(nodeIn(cfg.DataDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading which node this was: %w", err)
	}
	which, err := identityOf(cfg.DataDir)
	if err != nil {
		return fmt.Errorf("reading which directory this is: %w", err)
	}
	id, noted, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	if which == "" || noted != which {
		return nil
	}
	return d.store.ExpireLease(ctx, id)
}

// handlers are the server's, and have a node that is drained stop once nothing runs there.
func (d *Daemon) handlers(node *cluster.Membership) cluster.Handlers {
	h := d.Server.Node()
	watch := h.Watch
	h.Watch = func(ctx context.Context) error {
		err := watch(ctx)
		if node.Draining() && d.Server.Idle() {
			d.stopDrained()
		}
		return err
	}
	return h
}

// advertised is the address for the others: the host as it was given, which may be a
// name, and the port that the listener has.
func (d *Daemon) advertised(given string) string {
	host, _, err := net.SplitHostPort(given)
	if err != nil {
		return given
	}
	_, port, err := net.SplitHostPort(d.peers.Addr().String())
	if err != nil {
		return given
	}
	return net.JoinHostPort(host, port)
}

// Node is the server's place in a cluster, or alone.
func (d *Daemon) Node() cluster.Member {
	if node := d.node.Load(); node != nil {
		return node
	}
	return cluster.Alone{}
}

// version is that of the program, as Go has built it.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "unknown"
	}
	return info.Main.Version
}
