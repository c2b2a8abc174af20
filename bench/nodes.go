package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/blob"
	"github.com/bctrl-go/bctrl/internal/blob/s3test"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/daemon"
	"github.com/bctrl-go/bctrl/internal/standin"
	"github.com/bctrl-go/bctrl/internal/store/pgtest"
)

// serveNode makes this program one server of those that are compared, as the JSON of a
// nodeConfig says which it names.
const serveNode = "BCTRL_BENCH_NODE"

// nodeConfig is one server, with a provider of its own in it, and browsers that are fake.
type nodeConfig struct {
	Data, Key, Head string
	// Database is the URL of a PostgreSQL database; empty is a file. Files is a bucket, which
	// makes the server a node of a cluster.
	Database, Files string
}

func runNode(ctx context.Context, text string) (err error) {
	var cfg nodeConfig
	if err := json.Unmarshal([]byte(text), &cfg); err != nil {
		return err
	}
	in, err := standin.New()
	if err != nil {
		return err
	}
	defer in.Close()
	if err := in.Serve(providerHost, provider()); err != nil {
		return err
	}
	out := daemon.Config{
		DataDir:         cfg.Data,
		KeyFile:         cfg.Key,
		HeadFile:        cfg.Head,
		Browsers:        &browser.Fake{},
		ProviderRoots:   in.Roots(),
		ProviderInstead: in.Instead,
	}
	if cfg.Database != "" {
		out.Database = bctrl.NewSecret(cfg.Database)
	}
	if cfg.Files != "" {
		files, err := blob.ParseS3(cfg.Files)
		if err != nil {
			return err
		}
		out.Files, out.NodeAddress = &files, "127.0.0.1:0"
	}
	d, err := daemon.Open(ctx, out)
	if err != nil {
		return err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return errors.Join(err, d.Close())
	}
	fmt.Println("export BCTRL_API_KEY=" + d.FirstKey.Expose())
	fmt.Println("Listening on http://" + l.Addr().String())
	return errors.Join(d.Serve(ctx, l), d.Close())
}

// layout is a way to run the server: some of them, over one database.
type layout struct {
	name    string
	servers []*process
	clients []*bctrl.Client
	key     string
	// workspaces are one workspace, as each client has it.
	workspaces []*bctrl.Workspace
	// database is told its time by; nil is in the servers.
	database *pgtest.Cluster
}

// startNode starts a server on a processor of its own, as far as there are so many.
func (l *layout) startNode(ctx context.Context, cfg nodeConfig) error {
	text, err := json.Marshal(cfg)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self)
	if pin, err := exec.LookPath("taskset"); err == nil {
		cmd = exec.CommandContext(ctx, pin, "-c", strconv.Itoa(len(l.servers)%runtime.NumCPU()), self)
	}
	cmd.Env = append(os.Environ(), serveNode+"="+string(text))
	server, err := start(cmd)
	if err != nil {
		return err
	}
	l.servers = append(l.servers, server)
	if l.key == "" {
		l.key = server.key
	}
	c, err := newClient(server.url, l.key)
	if err == nil {
		l.clients = append(l.clients, c)
	}
	return err
}

func (l *layout) stop() {
	for _, c := range l.clients {
		c.CloseIdleConnections()
	}
	for _, s := range l.servers {
		s.stop()
	}
}

// cpu is what the servers have used, and the database.
func (l *layout) cpu() (servers, database time.Duration, err error) {
	for _, s := range l.servers {
		one, err := s.cpu()
		if err != nil {
			return 0, 0, err
		}
		servers += one
	}
	if l.database != nil {
		database, err = l.database.CPU()
	}
	return servers, database, err
}

// nodeCost is one cost, as a client causes it.
type nodeCost struct {
	name string
	do   func(ctx context.Context, l *layout, c *bctrl.Client, caller, i int) error
}

// nodeKeys is how many keys each caller works on: setting one takes long on a database that
// is away.
const nodeKeys = 4

func nodeCosts() []nodeCost {
	body := map[string]any{"model": "m", "messages": []any{map[string]any{"role": "user", "content": "Who pays?"}}}
	return []nodeCost{
		{"vault get (TOTP code)", func(ctx context.Context, _ *layout, c *bctrl.Client, caller, i int) error {
			_, err := c.Vault.TOTP(ctx, workKey(caller, i%nodeKeys))
			return err
		}},
		{"vault set", func(ctx context.Context, _ *layout, c *bctrl.Client, caller, i int) error {
			_, err := c.Vault.Set(ctx, workKey(caller, i%nodeKeys), sampleCredential())
			return err
		}},
		{"invoke", func(ctx context.Context, _ *layout, c *bctrl.Client, _, _ int) error {
			answer, err := c.Capabilities.Invoke(ctx,
				bctrl.Invocation{Capability: "acme/things", Method: http.MethodPost, Body: body})
			return full(err, err == nil && answer.Status == http.StatusOK)
		}},
		{"launch and stop (fake browser)", func(ctx context.Context, l *layout, _ *bctrl.Client, caller, i int) error {
			ws := l.workspaces[caller%len(l.workspaces)]
			alias := fmt.Sprintf("r-%d-%d-%d", caller, i, time.Now().UnixNano()) // new in each round
			rt, err := ws.Runtimes.Browser(alias).Playwright(ctx, bctrl.Launch{})
			if err != nil {
				return err
			}
			return rt.Stop(ctx)
		}},
	}
}

// nodes compares servers over one database: one on a file, one on PostgreSQL, and two and
// three that share one, with the same work in turns.
func (p plan) nodes(ctx context.Context, w io.Writer) (err error) {
	costs := slices.DeleteFunc(nodeCosts(), func(c nodeCost) bool { return !p.only.MatchString("nodes: " + c.name) })
	if len(costs) == 0 {
		return nil
	}
	cluster, err := pgtest.New(true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cluster.Close(), pgtest.RemoveInitial()) }()
	dir := filepath.Join(p.dir, "nodes")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	bucket, err := s3test.Open(ctx, dir)
	if err != nil {
		return err
	}
	defer bucket.Close()
	for name, value := range bucket.Environment() {
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	for _, away := range []time.Duration{0, p.away} {
		title := "Servers that share a database, on this machine"
		if away > 0 {
			title = fmt.Sprintf("Servers that share a database which is %v away and as much back", away)
		}
		if err := p.nodesAway(ctx, w, title, cluster, bucket, away, costs); err != nil {
			return err
		}
		if p.away == 0 {
			break
		}
	}
	return nil
}

func (p plan) nodesAway(
	ctx context.Context, w io.Writer, title string, cluster *pgtest.Cluster, bucket *s3test.Server, away time.Duration,
	costs []nodeCost,
) (err error) {
	var all []*layout
	defer func() {
		for _, l := range all {
			l.stop()
		}
	}()
	names := []string{"SQLite", "PostgreSQL", "2 nodes", "3 nodes"}
	for i, name := range names {
		l := &layout{name: name}
		all = append(all, l)
		cable, err := p.startLayout(ctx, l, i, cluster, bucket, away)
		if cable != nil {
			defer func() { err = errors.Join(err, cable.Close()) }()
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	t := newTable(w, title+": calls a second, the ratio to one server on PostgreSQL; processor time of a call, "+
		"in microseconds; calls a second that one core of a server and one of the database would make",
		"", "callers", "a second", "ratio", "p50 ms", "server", "database", "a server's core", "the database's core")
	defer t.end()
	callers := slices.Max(p.callers)
	for _, cost := range costs {
		results := make([]nodeResult, len(all))
		for range p.rounds {
			for i, l := range all {
				if err := p.measureLayout(ctx, l, cost, callers, &results[i]); err != nil {
					return fmt.Errorf("%s, %s: %w", cost.name, l.name, err)
				}
			}
		}
		for i, r := range results {
			server, database := r.each(r.servers), r.each(r.database)
			t.row(cost.name+", "+names[i], fmt.Sprint(callers), rate(r.best.rate), ratio(r.best.rate/results[1].best.rate),
				fmt.Sprintf("%.1f", r.best.p50.Seconds()*1000), micros(server), micros(database), perCore(server),
				perCore(database))
		}
	}
	return nil
}

// nodeResult is what a layout did in all rounds.
type nodeResult struct {
	best              result
	calls             int
	servers, database time.Duration
}

func (r nodeResult) each(all time.Duration) time.Duration {
	return all / time.Duration(max(r.calls, 1))
}

// perCore is how many calls one core makes.
func perCore(each time.Duration) string {
	if each == 0 {
		return "0"
	}
	return rate(float64(time.Second) / float64(each))
}

func (p plan) measureLayout(ctx context.Context, l *layout, cost nodeCost, callers int, into *nodeResult) error {
	servers, database, err := l.cpu()
	if err != nil {
		return err
	}
	r, err := measure(ctx, callers, p.each, func(ctx context.Context, caller, i int) error {
		return cost.do(ctx, l, l.clients[caller%len(l.clients)], caller, i)
	})
	if err != nil {
		return err
	}
	serversNow, databaseNow, err := l.cpu()
	into.best = into.best.better(r)
	into.calls += r.calls
	into.servers += serversNow - servers
	into.database += databaseNow - database
	return err
}

// startLayout starts the servers: none of them shares its database where i is below 2, else
// i do. It returns the cable to the database, if there is one.
func (p plan) startLayout(
	ctx context.Context, l *layout, i int, cluster *pgtest.Cluster, bucket *s3test.Server, away time.Duration,
) (cable *pgtest.Cable, err error) {
	name := fmt.Sprintf("n%d_%d", i, away.Microseconds())
	dir := filepath.Join(p.dir, "nodes", name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	cfg := nodeConfig{Key: filepath.Join(dir, "key"), Head: filepath.Join(dir, "head")}
	if i > 0 {
		l.database = cluster
		if cfg.Database, err = cluster.Create(name); err != nil {
			return nil, err
		}
		if away > 0 {
			if cable, err = pgtest.OpenCable(cfg.Database); err != nil {
				return nil, err
			}
			cable.Delay(away)
			cfg.Database = cable.URL(cfg.Database)
		}
	}
	if i > 1 {
		files := "f" + strconv.Itoa(i) + "-" + strconv.FormatInt(away.Microseconds(), 10)
		if _, err := bucket.MakeBucket(files); err != nil {
			return cable, err
		}
		cfg.Files = bucket.URL(files)
	}
	for n := range max(i, 1) {
		cfg.Data = filepath.Join(dir, "data"+strconv.Itoa(n))
		if err := l.startNode(ctx, cfg); err != nil {
			return cable, err
		}
	}
	c := l.clients[0]
	if err := each(ctx, slices.Max(p.callers)*nodeKeys, func(ctx context.Context, i int) error {
		_, err := c.Vault.Set(ctx, workKey(i/nodeKeys, i%nodeKeys), sampleCredential())
		return err
	}); err != nil {
		return cable, err
	}
	if err := prepareBroker(ctx, c); err != nil {
		return cable, err
	}
	made, err := c.Workspaces.Create(ctx, bctrl.WorkspaceCreate{Name: "bench"})
	if err != nil {
		return cable, err
	}
	for _, c := range l.clients {
		ws, err := c.Workspaces.Get(ctx, made.ID)
		if err != nil {
			return cable, err
		}
		l.workspaces = append(l.workspaces, ws)
	}
	return cable, nil
}
