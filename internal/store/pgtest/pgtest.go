// Package pgtest starts PostgreSQL for tests: the programs of this machine, in a
// cluster of the test's own, at a socket in a folder of its own.
package pgtest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver of PostgreSQL
)

// programs are where Debian and others keep PostgreSQL.
const programs = "/usr/lib/postgresql/*/bin /usr/pgsql-*/bin /usr/local/pgsql/bin /opt/homebrew/opt/postgresql*/bin"

// install is what to do where there is none.
const install = "PostgreSQL 15 or later is not on this machine: run scripts/install-postgres"

// locate returns the folder of the newest initdb and postgres.
func locate() (string, error) {
	var found []string
	for pattern := range strings.FieldsSeq(programs) {
		names, err := filepath.Glob(filepath.Join(pattern, "initdb"))
		if err != nil {
			return "", err
		}
		found = append(found, names...)
	}
	if len(found) > 0 {
		return filepath.Dir(slices.Max(found)), nil
	}
	path, err := exec.LookPath("initdb")
	if err != nil {
		return "", errors.New(install)
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return "", err
	}
	return filepath.Dir(path), nil
}

// Cluster is a PostgreSQL server with its data.
type Cluster struct {
	bin, dir string
	port     int // on loopback; 0 is none
	options  []string
	as       *syscall.Credential // nil where the tests do not run as root
	server   *exec.Cmd
	watched  io.WriteCloser // to its guard
	small    string         // where a small disk is mounted, if any
}

// New makes a cluster and starts it. It syncs what it writes where durable is set,
// and is faster where not.
func New(durable bool) (*Cluster, error) { return start(&Cluster{}, durable) }

// NewAtPort is [New] with a port of 127.0.0.1 beside the socket, for what stands between.
func NewAtPort(durable bool, port int) (*Cluster, error) {
	return start(&Cluster{port: port, options: []string{
		"-c", "listen_addresses=127.0.0.1", "-c", "port=" + strconv.Itoa(port),
	}}, durable)
}

func start(c *Cluster, durable bool) (_ *Cluster, err error) {
	c.options = append(c.options, "-c", "fsync="+onOff(durable))
	if c.bin, err = locate(); err != nil {
		return nil, err
	}
	if c.as, err = unprivileged(); err != nil {
		return nil, err
	}
	if c.dir, err = os.MkdirTemp("", "bctrl-postgres-"); err != nil {
		return nil, err
	}
	if c.as != nil {
		err = os.Chown(c.dir, int(c.as.Uid), int(c.as.Gid))
	}
	if err == nil {
		err = c.initialize()
	}
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(c.dir))
	}
	return c, nil
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

// unprivileged is whom PostgreSQL runs as where the tests are root, which it refuses.
func unprivileged() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil //nolint:nilnil // nil is as the tests
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", install, err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

func (c *Cluster) data() string { return filepath.Join(c.dir, "data") }

// initialize makes the data of the cluster, or copies that of the process's first, which
// takes a tenth of the time.
func (c *Cluster) initialize() error {
	initial.mu.Lock()
	defer initial.mu.Unlock()
	if initial.dir != "" {
		return c.do("cp", "-a", initial.dir, c.data())
	}
	if err := c.do(filepath.Join(c.bin, "initdb"), "-D", c.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8",
		"--no-locale", "--no-sync", "--wal-segsize=1"); err != nil {
		return err
	}
	dir := c.dir + ".initial"
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	initial.dir = dir
	if c.as != nil {
		if err := os.Chown(dir, int(c.as.Uid), int(c.as.Gid)); err != nil {
			return err
		}
	}
	return c.do("cp", "-a", c.data()+"/.", dir)
}

// initial is the data of a cluster as it was made, which goes with the process.
var initial struct {
	mu  sync.Mutex
	dir string
}

// RemoveInitial removes the data that the process has kept to make clusters faster: call it
// after the last one is closed.
func RemoveInitial() error {
	initial.mu.Lock()
	defer initial.mu.Unlock()
	dir := initial.dir
	initial.dir = ""
	return os.RemoveAll(dir)
}

// do runs a program as PostgreSQL runs.
func (c *Cluster) do(program string, args ...string) error {
	cmd := exec.CommandContext(context.Background(), program, args...)
	cmd.Dir = c.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.as}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(program), err, out)
	}
	return nil
}

// guard starts the server and waits for a word, upon which it has the server end at once.
// A test's process that ends without one, however it does, leaves nothing behind.
const guard = `trap '' HUP; "$@" >log 2>&1 & server=$!; echo $server; read -r word; kill -QUIT $server; wait $server
[ -n "$word" ] || rm -rf "$PWD" "$PWD.initial"`

// Start starts the server, and returns once it takes connections.
func (c *Cluster) Start() (err error) {
	args := append([]string{
		"-c", guard, "guard", filepath.Join(c.bin, "postgres"), "-D", c.data(), "-k", c.dir,
		"-c", "listen_addresses=", "-c", "shared_buffers=16MB", "-c", "max_connections=200",
	}, c.options...)
	cmd := exec.CommandContext(context.Background(), "/bin/sh", args...)
	cmd.Dir = c.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.as, Setpgid: true}
	if c.watched, err = cmd.StdinPipe(); err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	c.server = cmd
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	late := time.NewTimer(time.Minute)
	defer late.Stop()
	for !c.ready() {
		select {
		case <-again.C:
		case <-late.C:
			return errors.Join(errors.New("PostgreSQL does not start:\n"+c.Log()), c.end())
		}
	}
	return nil
}

// ready reports whether the server has written that it is, into the file that tells
// pg_ctl so too.
func (c *Cluster) ready() bool {
	text, err := os.ReadFile(filepath.Join(c.data(), "postmaster.pid"))
	lines := strings.Split(string(text), "\n")
	return err == nil && len(lines) > 7 && strings.TrimSpace(lines[7]) == "ready" && lines[0] != ""
}

// Log is what the server has said.
func (c *Cluster) Log() string {
	text, err := os.ReadFile(filepath.Join(c.dir, "log"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// SignalAll sends the server and each of its processes a signal.
func (c *Cluster) SignalAll(signal syscall.Signal) error {
	text, err := os.ReadFile(filepath.Join(c.data(), "postmaster.pid"))
	if err != nil {
		return err
	}
	server, _, _ := strings.Cut(string(text), "\n")
	children, err := os.ReadFile(filepath.Join("/proc", server, "task", server, "children"))
	if err != nil {
		return err
	}
	for text := range strings.FieldsSeq(server + " " + string(children)) {
		pid, err := strconv.Atoi(text)
		if err != nil {
			return err
		}
		if err := syscall.Kill(pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
	}
	return nil
}

// Kill ends the server at once, as a crash would; [Cluster.Start] starts it again.
func (c *Cluster) Kill() error { return c.end() }

// KillAll ends each process of the server without a word, as a machine does that loses its power;
// [Cluster.Start] starts it again.
func (c *Cluster) KillAll() error { return errors.Join(c.SignalAll(syscall.SIGKILL), c.end()) }

func (c *Cluster) end() error {
	_, err := io.WriteString(c.watched, "end\n")
	err = errors.Join(err, c.watched.Close())
	_ = c.server.Wait() // the server was told to quit, and says so
	return errors.Join(err, os.RemoveAll(filepath.Join(c.data(), "postmaster.pid")))
}

// Close ends the server and removes its data.
func (c *Cluster) Close() error {
	_ = c.SignalAll(syscall.SIGCONT) // in case a test has stopped it
	return errors.Join(c.end(), c.removeSmall(), os.RemoveAll(c.dir))
}

// CPU is the processor time that all its processes have used, where there is a /proc, to
// 10 ms each.
func (c *Cluster) CPU() (all time.Duration, err error) {
	text, err := os.ReadFile(filepath.Join(c.data(), "postmaster.pid"))
	if err != nil {
		return 0, err
	}
	postmaster, _, _ := strings.Cut(string(text), "\n")
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(text), ") ") // the name may hold anything
		f := strings.Fields(rest)
		its := filepath.Base(filepath.Dir(path)) == postmaster
		if len(f) < 15 || !its && f[1] != postmaster {
			continue
		}
		times := f[11:13]
		if its {
			times = f[11:15] // with those that have ended
		}
		for _, ticks := range times {
			n, err := strconv.ParseInt(ticks, 10, 64)
			if err != nil {
				return 0, err
			}
			all += time.Duration(n) * 10 * time.Millisecond
		}
	}
	return all, err
}

// URL is that of a database of the cluster.
func (c *Cluster) URL(database string) string {
	query := url.Values{"host": {c.dir}}
	if c.port != 0 {
		query.Set("port", strconv.Itoa(c.port))
	}
	u := url.URL{
		Scheme:   "postgres",
		User:     url.User("postgres"),
		Path:     "/" + database,
		RawQuery: query.Encode(),
	}
	return u.String()
}

// Create makes an empty database, and returns its URL.
func (c *Cluster) Create(database string) (at string, err error) {
	return c.URL(database), execIn(c.URL("postgres"), "CREATE DATABASE "+database+" TEMPLATE template0")
}

// execIn runs a statement in a database, on a connection of its own.
func execIn(at, statement string) (err error) {
	db, err := sql.Open("pgx", at)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	_, err = db.ExecContext(context.Background(), statement)
	return err
}
