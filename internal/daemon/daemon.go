// Package daemon puts a server together from a data directory: it locks the
// directory, opens the key, the store and what else the server works with, and
// serves until it is told to stop. `bctrl serve`, the demo and bctrltest all
// start here.
package daemon

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofrs/flock"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/blob"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/chromium"
	"github.com/bctrl-go/bctrl/internal/browser/pool"
	"github.com/bctrl-go/bctrl/internal/cluster"
	"github.com/bctrl-go/bctrl/internal/custody"
	"github.com/bctrl-go/bctrl/internal/egress"
	"github.com/bctrl-go/bctrl/internal/metrics"
	"github.com/bctrl-go/bctrl/internal/model"
	"github.com/bctrl-go/bctrl/internal/registry"
	"github.com/bctrl-go/bctrl/internal/seal"
	"github.com/bctrl-go/bctrl/internal/server"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/trace"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// Config says where a daemon keeps its data and what it works with.
type Config struct {
	// DataDir holds everything but the key. It is made with mode 0700.
	DataDir string
	// Database is the URL of a PostgreSQL database that holds what is otherwise in a
	// file of DataDir: all but the bytes of files and the browsers' profiles. Empty is
	// that file. It may hold a password, and is never repeated.
	Database bctrl.Secret
	// KeySource is where the key encryption key comes from. Empty is where it
	// came from before; of new data, KeyVariable where it is set, else KeyFile.
	KeySource bctrl.SealSource
	// KeyFile holds the key; it must not lie inside DataDir, so that a copy of
	// the data is worth nothing alone. It is made on the first run.
	KeyFile string
	// HeadFile keeps where the audit log stands, signed, so that a database that
	// was put back to an older state is found; it must not lie inside DataDir
	// either. Empty is KeyFile with ".head" after it.
	HeadFile string
	// KeyVariable names an environment variable that holds the key instead.
	KeyVariable string
	// Passphrase makes the key where the source is one; the zero one starts the
	// server locked. The first run needs it.
	Passphrase bctrl.Secret
	// Browsers starts the runtimes' browsers; nil looks for Chromium, as
	// Chromium says.
	Browsers browser.Driver
	Chromium chromium.Options
	// Warm is how many browsers are kept ready, for runtimes that are launched as is the
	// default; 0 is none.
	Warm int
	// MaxRuntimes bounds the runtimes that start or run at a time, and MinFreeMemory is
	// how much memory has to be left for another one, in bytes; 0 is no bound. A
	// launch waits for room for QueueTime; 0 is 30 seconds.
	MaxRuntimes   int
	MinFreeMemory int64
	QueueTime     time.Duration
	// Files is the bucket that keeps the bytes of files; nil is DataDir.
	Files *blob.S3Config
	// DirectLinks has signed links send their users on to that bucket, which they must reach.
	DirectLinks bool
	// Allow lists special address ranges, such as 127.0.0.0/8, that pages and
	// model providers may be at all the same.
	Allow []netip.Prefix
	// Providers is a folder of the users' own providers; empty for none. See
	// package registry.
	Providers string
	// Prices is a file that says what models cost; empty for none. See package model.
	Prices string
	// ProviderRoots and ProviderInstead let tests stand in for providers: see
	// [server.Config].
	ProviderRoots   *x509.CertPool
	ProviderInstead func(address string) (to string, ok bool)
	// PublicURL is where callers reach the server, for links; nil is wherever
	// each caller did.
	PublicURL *url.URL
	// NodeAddress is where this server listens for the others of a cluster, host:port,
	// and where they reach it; empty has the database to itself. A cluster needs Database
	// and Files, which its nodes share, and one key.
	NodeAddress string
	// Lease, Renew and Watch are as in [cluster.Config].
	Lease, Renew, Watch time.Duration
	// CallGrace is how long calls to providers may take to their end once the server is to stop; 0 is 6
	// seconds.
	CallGrace time.Duration
	// KeepRecordings is for how long the recordings of runtimes stay in storage; 0 is for ever.
	KeepRecordings time.Duration
	// Log receives what an operator needs to know; nil discards it.
	Log *slog.Logger
	// Tracer is told of the parts of each request; nil is nobody. The caller ends it after
	// the daemon.
	Tracer trace.Tracer
}

// ErrInUse is returned when another server has the data directory.
var ErrInUse = errors.New("another server uses this data directory")

// Daemon is an open data directory with the server over it.
type Daemon struct {
	// Server answers requests.
	Server *server.Server
	// FirstKey is the organization key that the first run made, to be shown
	// once; zero on every later run.
	FirstKey bctrl.Secret

	handler http.Handler
	metrics *metrics.Metrics
	pool    *pool.Pool // nil where no browser is kept ready
	lock    *flock.Flock
	store   *store.DB
	custody *custody.Custodian
	peers   net.Listener // nil outside of a cluster
	// node is this server in its cluster; nil in none, and before it has joined.
	node   atomic.Pointer[cluster.Membership]
	bucket *blob.S3 // nil where files are in the data directory
	// chromium is what starts browsers, nil where another driver does or none can.
	chromium *chromium.Driver
	// drained is closed, by stopDrained, when a node that was drained has nothing to do.
	drained      chan struct{}
	stopDrained  func()
	closeBlobs   func() error
	log          *slog.Logger
	sweeps       sync.WaitGroup
	stopSweeping context.CancelFunc
	closeOnce    sync.Once
	closeErr     error
}

// Open locks and opens the data directory, making it on the first run.
func Open(ctx context.Context, cfg Config) (_ *Daemon, err error) {
	d := &Daemon{log: cfg.Log, drained: make(chan struct{})}
	d.stopDrained = sync.OnceFunc(func() { close(d.drained) })
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	// These before anything is made.
	providers, err := cfg.registry()
	if err != nil {
		return nil, err
	}
	prices, err := cfg.prices()
	if err != nil {
		return nil, err
	}
	if d.peers, err = cfg.listenForPeers(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.closeAll())
		}
	}()
	if err := d.openBucket(ctx, cfg.Files); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("making the data directory: %w", err)
	}
	if d.lock, err = lockData(cfg.DataDir); err != nil {
		return nil, err
	}
	if err := cfg.completeFiles(); err != nil {
		return nil, err
	}
	rows := &seal.Rows{}
	if d.store, err = cfg.openStore(ctx, rows, false); err != nil {
		return nil, err
	}
	if err := d.checkBucket(ctx); err != nil {
		return nil, err
	}
	keys, err := d.custodyConfig(ctx, cfg, rows)
	if err != nil {
		return nil, err
	}
	if d.custody, err = custody.Open(ctx, keys); err != nil {
		return nil, err
	}
	if d.custody.Locked() {
		d.log.Warn("the server is locked: it needs its passphrase to seal and open anything")
	}
	if err := d.join(ctx, cfg); err != nil {
		return nil, err
	}
	blobs, err := d.openBlobs(cfg.DataDir)
	if err != nil {
		return nil, err
	}
	d.metrics = metrics.New()
	d.store.Observe(d.metrics.Committed)
	policy := egress.Policy{Allow: cfg.Allow}
	d.Server, err = server.New(ctx, server.Config{
		Store:    d.store,
		Custody:  d.custody,
		Cluster:  d.Node(),
		Browsers: d.driver(cfg),
		Warm:     d.warm,
		Capacity: server.Capacity{
			Runtimes:  cfg.MaxRuntimes,
			MinFree:   cfg.MinFreeMemory,
			Available: availableMemory,
			QueueTime: cfg.QueueTime,
		},
		ProfileDir:      filepath.Join(cfg.DataDir, "profiles"),
		Egress:          policy,
		ProviderRoots:   cfg.ProviderRoots,
		ProviderInstead: cfg.ProviderInstead,
		PublicURL:       cfg.PublicURL,
		Blobs:           blobs,
		DirectLinks:     d.directLinks(cfg),
		Log:             d.log,
		Meter:           d.metrics,
		Tracer:          cfg.Tracer,
		CallGrace:       cfg.CallGrace,
		KeepRecordings:  cfg.KeepRecordings,
		Registry:        providers,
		Prices:          prices,
	})
	if err != nil {
		return nil, err
	}
	d.handler = d.Server
	d.watch()
	if d.FirstKey, err = d.Server.EnsureOrganization(ctx); err != nil {
		return nil, err
	}
	if err := d.claimBucket(ctx); err != nil {
		return nil, err
	}
	d.startSweeping(ctx, cfg.Watch)
	if node := d.node.Load(); node != nil {
		node.Handle(d.handlers(node))
	}
	return d, nil
}

// openBucket opens the bucket for files, where one is named.
func (d *Daemon) openBucket(ctx context.Context, cfg *blob.S3Config) (err error) {
	if cfg == nil {
		return nil
	}
	if d.bucket, err = blob.OpenS3(ctx, *cfg); err != nil {
		return err
	}
	d.closeBlobs = d.bucket.Close
	if d.bucket.KeepsVersions() {
		d.log.Warn("the bucket for files keeps versions: what is deleted stays there until a rule of the bucket removes it")
	}
	return nil
}

// openBlobs opens what has the bytes of files where it is not the bucket.
func (d *Daemon) openBlobs(dir string) (blob.Store, error) {
	if d.bucket != nil {
		return d.bucket, nil
	}
	disk, err := blob.OpenDisk(filepath.Join(dir, "blobs"))
	if err != nil {
		return nil, err
	}
	d.closeBlobs = disk.Close
	return disk, nil
}

func (d *Daemon) directLinks(cfg Config) blob.Linker {
	if d.bucket == nil || !cfg.DirectLinks {
		return nil
	}
	return d.bucket
}

func (cfg Config) registry() (*registry.Registry, error) {
	if cfg.Providers == "" {
		return registry.Builtin()
	}
	return registry.Load(cfg.Providers)
}

func (cfg Config) prices() (*model.Prices, error) {
	if cfg.Prices == "" {
		return nil, nil //nolint:nilnil // a nil table knows no price
	}
	return model.LoadPrices(cfg.Prices)
}

// Locked reports whether the server has no key to seal or open anything with.
func (d *Daemon) Locked() bool { return d.custody.Locked() }

// KeySource is where the server's key comes from.
func (d *Daemon) KeySource() bctrl.SealSource { return d.custody.Source() }

// driver returns what starts browsers, and keeps some ready. A machine without one can
// still keep secrets and files: launching says what is missing.
func (d *Daemon) driver(cfg Config) browser.Driver {
	driver := cfg.Browsers
	if driver == nil {
		found, err := chromium.New(cfg.Chromium)
		if err != nil {
			d.log.Warn("runtimes cannot be launched", "error", err)
			return noBrowser{err}
		}
		if err := found.CheckOwners(); err != nil {
			d.log.Warn("every local program that finds the port of a browser's proxy is served by it, and launches with "+
				"secrets for requests are refused", "error", err)
		}
		driver, d.chromium = found, found
	}
	able, ok := driver.(browser.Preparer)
	if !ok || cfg.Warm < 1 {
		return driver
	}
	d.pool = pool.New(pool.Config{Driver: able, Warm: cfg.Warm, Log: d.log})
	return d.pool
}

// warm is how many browsers are ready, and how many are to be.
func (d *Daemon) warm() (ready, want int) {
	if d.pool == nil {
		return 0, 0
	}
	c := d.pool.Counts()
	return c.Ready, c.Want
}

// noBrowser refuses every launch.
type noBrowser struct{ why error }

func (n noBrowser) Launch(context.Context, browser.Spec) (browser.Browser, error) {
	return nil, n.Check()
}

// Check implements [browser.Checker].
func (n noBrowser) Check() error {
	return &bctrl.Error{Status: http.StatusServiceUnavailable, Code: wire.CodeNoBrowser, Message: n.why.Error()}
}

// CheckWebDriver leaves it to the launch to say what is missing.
func (noBrowser) CheckWebDriver() error { return nil }

// lockData takes a data directory for this process.
func lockData(dir string) (*flock.Flock, error) {
	lock := flock.New(lockIn(dir), flock.SetPermissions(0o600))
	held, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("locking the data directory: %w", err)
	}
	if !held {
		return nil, fmt.Errorf("%s: %w", dir, ErrInUse)
	}
	return lock, nil
}

func lockIn(dir string) string { return filepath.Join(dir, "lock") }

func databaseIn(dir string) string { return filepath.Join(dir, "bctrl.db") }

// openStore opens the database. An existing one is not made where there is none.
func (cfg Config) openStore(ctx context.Context, rows *seal.Rows, existing bool) (*store.DB, error) {
	if cfg.Database.IsZero() {
		return store.Open(ctx, databaseIn(cfg.DataDir), rows)
	}
	return store.OpenPostgres(ctx, store.Postgres{
		URL:      cfg.Database.Expose(),
		Shared:   cfg.NodeAddress != "",
		Existing: existing,
	}, rows)
}

// custodyConfig says where the key of a server is, and where the log's head.
func (d *Daemon) custodyConfig(ctx context.Context, cfg Config, rows *seal.Rows) (out custody.Config, err error) {
	out = cfg.custody(d.store, rows, d.log)
	if out.Head, err = d.head(ctx, cfg); err != nil || cfg.NodeAddress == "" {
		return out, err
	}
	out.Leads = func() bool {
		node := d.node.Load()
		return node != nil && node.Leads()
	}
	return out, nil
}

// custody says where the key is, and where the log's head of a server that is alone.
func (cfg Config) custody(db *store.DB, rows *seal.Rows, log *slog.Logger) custody.Config {
	return custody.Config{
		DB:          db,
		Rows:        rows,
		Source:      cfg.KeySource,
		KeyFile:     cfg.KeyFile,
		KeyVariable: cfg.KeyVariable,
		Passphrase:  cfg.Passphrase,
		Head:        audit.HeadFile(cfg.HeadFile),
		Log:         log,
	}
}

// completeFiles says where the head of the log is when nobody has, and refuses files
// that lie inside the data directory.
func (cfg *Config) completeFiles() (err error) {
	if cfg.HeadFile, err = cfg.headFile(); err != nil || cfg.KeyFile == "" {
		return err
	}
	inside, err := isWithin(cfg.DataDir, cfg.KeyFile)
	if err == nil && inside {
		err = fmt.Errorf("the key file %s lies inside the data directory: whoever copies the data would have the key",
			cfg.KeyFile)
	}
	return err
}

// headFile is where the head of the audit log is kept.
func (cfg Config) headFile() (string, error) {
	path := cfg.HeadFile
	if path == "" {
		if cfg.KeyFile == "" {
			return "", errors.New("no file for the head of the audit log is named")
		}
		path = cfg.KeyFile + ".head"
	}
	inside, err := isWithin(cfg.DataDir, path)
	if err != nil {
		return "", err
	}
	if inside {
		return "", fmt.Errorf("the head of the audit log %s lies inside the data directory: "+
			"whoever puts the data back to an older state would put it back too", path)
	}
	return path, nil
}

func isWithin(dir, path string) (bool, error) {
	dir, err := realPath(dir)
	if err != nil {
		return false, err
	}
	path, err = realPath(path)
	if err != nil {
		return false, err
	}
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel), nil
}

// realPath is an absolute path without links, as far as it exists and can be looked at.
func realPath(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	rest := ""
	for at := path; at != filepath.Dir(at); at = filepath.Dir(at) {
		if found, err := filepath.EvalSymlinks(at); err == nil {
			return filepath.Join(found, rest), nil
		}
		rest = filepath.Join(filepath.Base(at), rest)
	}
	return path, nil
}

// Wrap puts a handler in front of the server, before Serve.
func (d *Daemon) Wrap(middleware func(http.Handler) http.Handler) { d.handler = middleware(d.handler) }

// shutdownGrace is how long requests may take to finish once the daemon is told to
// stop.
const shutdownGrace = 10 * time.Second

// Serve answers on l until ctx ends, or until the node was drained and nothing runs there
// any more, then lets what runs finish, at most 10 seconds, and cancels what is left.
// In a cluster it also answers the other nodes.
func (d *Daemon) Serve(ctx context.Context, l net.Listener) error {
	if d.peers == nil {
		return d.serve(ctx, l, d.handler, maxHeader)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	peers := make(chan error, 1)
	go func() {
		defer stop()
		l, handler := d.Server.ForPeers(d.peers)
		peers <- d.serve(ctx, l, handler, maxHeader+4<<10) // what one node tells another comes to those of the caller
	}()
	err := d.serve(ctx, l, d.handler, maxHeader)
	stop()
	return errors.Join(err, <-peers)
}

// maxHeader bounds the headers of a request, in bytes.
const maxHeader = 64 << 10

func (d *Daemon) serve(ctx context.Context, l net.Listener, handler http.Handler, maxHeader int) error {
	requests, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	srv := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          log.New(connectionLog{d.log}, "", 0),
		BaseContext:       func(net.Listener) context.Context { return requests },
	}
	srv.RegisterOnShutdown(d.Server.EndStreams) // they would never end by themselves
	stopped := make(chan error, 1)
	go func() {
		select {
		case <-ctx.Done():
		case <-d.drained:
			d.log.Info("the node is drained, and stops")
		}
		wait, done := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
		defer done()
		err := srv.Shutdown(wait)
		cancel() // ends what outlasted the grace
		if errors.Is(err, context.DeadlineExceeded) {
			err = srv.Close()
		}
		stopped <- err
	}()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving: %w", err)
	}
	return <-stopped
}

// Close ends what runs and lets go of the data directory. Closing again gives
// the first result.
func (d *Daemon) Close() error {
	d.closeOnce.Do(func() { d.closeErr = d.closeAll() })
	return d.closeErr
}

func (d *Daemon) closeAll() error {
	var errs []error
	if d.stopSweeping != nil {
		d.stopSweeping()
		d.sweeps.Wait()
	}
	if d.Server != nil {
		errs = append(errs, d.Server.Close(context.Background()))
	}
	if d.pool != nil {
		errs = append(errs, d.pool.Close())
	}
	if d.custody != nil {
		errs = append(errs, d.custody.Close())
	}
	if node := d.node.Load(); node != nil {
		ctx := context.Background()
		errs = append(errs, d.store.CatchUp(ctx), node.Leave(ctx)) // nothing is written after it
	}
	if d.peers != nil {
		if err := d.peers.Close(); !errors.Is(err, net.ErrClosed) { // it was served
			errs = append(errs, err)
		}
	}
	if d.store != nil {
		errs = append(errs, d.store.Close())
	}
	if d.closeBlobs != nil {
		errs = append(errs, d.closeBlobs())
	}
	if d.lock != nil {
		errs = append(errs, d.lock.Close())
	}
	return errors.Join(errs...)
}
