package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime/pprof"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/daemon"
)

// serveProfiled in the environment makes this program the server, which
// writes CPU and allocation profiles when it stops; it names the directory of
// the data and of the profiles.
const serveProfiled = "BCTRL_BENCH_PROFILED"

// runProfiled serves what is in the directory, as `bctrl serve` does.
func runProfiled(ctx context.Context, home home, profiles string) (err error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	d, err := daemon.Open(ctx, daemon.Config{DataDir: home.data(), KeyFile: home.key(), Browsers: &browser.Fake{}})
	if err != nil {
		return errors.Join(err, l.Close())
	}
	cpu, err := os.Create(filepath.Join(profiles, "cpu.pprof"))
	if err != nil {
		return err
	}
	if err := pprof.StartCPUProfile(cpu); err != nil {
		return err
	}
	defer func() {
		pprof.StopCPUProfile()
		err = errors.Join(err, cpu.Close(), writeAllocations(filepath.Join(profiles, "allocs.pprof")))
	}()
	if !d.FirstKey.IsZero() {
		fmt.Println("export BCTRL_API_KEY=" + d.FirstKey.Expose())
	}
	fmt.Println("Listening on http://" + l.Addr().String())
	return errors.Join(d.Serve(ctx, l), d.Close())
}

func writeAllocations(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(pprof.Lookup("allocs").WriteTo(f, 0), f.Close())
}

// profile keeps the CPU profile of what this process does until end is called, where
// profiles are wanted.
func (p plan) profile(name string) (end func() error, err error) {
	if p.profiles == "" {
		return func() error { return nil }, nil
	}
	f, err := os.Create(filepath.Join(p.profiles, name+".pprof"))
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return f.Close()
	}, nil
}
