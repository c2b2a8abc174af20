// Command bench measures the running server and the SDK beside a bare net/http
// server, in the same run on the same machine, and prints how they compare.
// README.md tells how to read the tables.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// plan says what is measured, and for how long.
type plan struct {
	each    time.Duration
	rounds  int
	entries []int
	callers []int
	only    *regexp.Regexp
	ready   int
	// upload is how many bytes are up- and downloaded at a time.
	upload int64
	dir    string
	// away is how far a database is away in one direction, for servers that share one.
	away time.Duration
	// smoke leaves out what takes long at its smallest size too.
	smoke bool
	// profiles is where the server's profiles go; empty for none.
	profiles string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench: "+err.Error())
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	if dir, ok := os.LookupEnv(serveBare); ok {
		return runBare(ctx, dir)
	}
	if dir, ok := os.LookupEnv(serveMinimal); ok {
		return runMinimal(ctx, dir)
	}
	if profiles, ok := os.LookupEnv(serveProfiled); ok {
		return runProfiled(ctx, home{dir: os.Args[1]}, profiles)
	}
	if dir, ok := os.LookupEnv(serveBroker); ok {
		return runBroker(ctx, dir)
	}
	if node, ok := os.LookupEnv(serveNode); ok {
		return runNode(ctx, node)
	}
	if _, ok := os.LookupEnv(serveProxy); ok {
		return runProxy(ctx)
	}
	p := plan{callers: []int{1, 16, 64}}
	flag.DurationVar(&p.away, "away", time.Millisecond, "how far a shared database is away, one way; 0 leaves that out")
	flag.Func("callers", "how many call at a time, each number after a comma (default 1,16,64)", p.setCallers)
	only := ""
	few := 0
	many := 0
	mib := int64(0)
	flag.DurationVar(&p.each, "time", 500*time.Millisecond, "how long each cost is measured, in each round")
	flag.IntVar(&p.rounds, "rounds", 3, "how often; the best round counts")
	flag.IntVar(&few, "few", 1_000, "unrelated entries of the small server; 0 leaves it out")
	flag.IntVar(&many, "many", 100_000, "unrelated entries of the large server; 0 leaves it out")
	flag.Int64Var(&mib, "mib", 256, "MiB that are uploaded and downloaded at a time")
	flag.IntVar(&p.ready, "ready", 10, "how often the start is timed")
	flag.StringVar(&only, "only", "",
		"what to measure: a regular expression of how its name begins, such as 'vault get', 'peers' or 'peers: vault get'")
	flag.StringVar(&p.profiles, "profile", "",
		"run the server inside a copy of this program, which leaves its last profiles of CPU, waiting and allocations "+
			"in this directory")
	flag.Parse()
	if p.each <= 0 || p.rounds < 1 || few < 0 || many < 0 || few > 1_000_000 || many > 1_000_000 || mib < 1 || mib > 1024 {
		return errors.New("the flags ask for nothing, or for too much")
	}
	p.upload = mib << 20
	for _, n := range []int{few, many} {
		if n > 0 {
			p.entries = append(p.entries, n)
		}
	}
	var err error
	if p.only, err = beginning(only); err != nil {
		return fmt.Errorf("reading -only: %w", err)
	}
	if p.dir, err = os.MkdirTemp("", "bctrl-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(p.dir)
	return p.run(ctx, os.Stdout)
}

// beginning matches names that begin so. Rows of a group have its name before their own ("peers: vault get"),
// so that what is called the same elsewhere is not meant with them.
func beginning(pattern string) (*regexp.Regexp, error) { return regexp.Compile("^(?:" + pattern + ")") }

// setCallers reads the flag of that name.
func (p *plan) setCallers(text string) error {
	p.callers = nil
	for one := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(one)
		if err != nil || n < 1 || n > 1024 {
			return errors.New("want numbers from 1 to 1024")
		}
		p.callers = append(p.callers, n)
	}
	return nil
}

func (p plan) run(ctx context.Context, w io.Writer) error {
	program := filepath.Join(p.dir, "bctrl")
	// In the folder above is the module of the server.
	build := exec.CommandContext(ctx, "go", "build", "-C", "..", "-ldflags=-s -w", "-o", program, "./cmd/bctrl")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as README.md says
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building the server: %w: %s", err, out)
	}
	p.describe(w)
	bare, err := startBare(ctx, p.dir)
	if err != nil {
		return err
	}
	defer bare.stop()
	if err := p.compareClients(ctx, w, bare); err != nil {
		return err
	}
	if err := p.local(w); err != nil {
		return err
	}
	if err := p.broker(ctx, w); err != nil {
		return err
	}
	if err := p.commands(ctx, w, program); err != nil {
		return err
	}
	if err := p.runtimes(ctx, w, program); err != nil {
		return err
	}
	if err := p.nodes(ctx, w); err != nil {
		return err
	}
	if err := p.agents(ctx, w); err != nil {
		return err
	}
	if !p.measuresServer() {
		return nil
	}
	for _, n := range p.entries {
		if err := p.measureServer(ctx, w, program, bare, n); err != nil {
			return err
		}
	}
	return nil
}
