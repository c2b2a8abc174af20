package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"time"

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
	end, err := profilesIn(profiles, "server")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	if !d.FirstKey.IsZero() {
		fmt.Println("export BCTRL_API_KEY=" + d.FirstKey.Expose())
	}
	fmt.Println("Listening on http://" + l.Addr().String())
	return errors.Join(d.Serve(ctx, l), d.Close())
}

// profilesOf in the environment names the directory for profiles of a process that
// this program starts as something else; empty is none.
const profilesOf = "BCTRL_BENCH_PROFILES"

// keepProfiles is [profilesIn] the directory that the environment names, if any.
func keepProfiles(name string) (end func() error, err error) {
	dir := os.Getenv(profilesOf)
	if dir == "" {
		return func() error { return nil }, nil
	}
	return profilesIn(dir, name)
}

// profilesIn profiles this process until end is called: its processor time, where it
// waits, and what it allocates.
func profilesIn(dir, name string) (end func() error, err error) {
	at := func(kind string) string { return filepath.Join(dir, name+"-"+kind+".pprof") }
	cpu, err := os.Create(at("cpu"))
	if err != nil {
		return nil, err
	}
	runtime.SetBlockProfileRate(int(10 * time.Microsecond))
	if err := pprof.StartCPUProfile(cpu); err != nil {
		return nil, errors.Join(err, cpu.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return errors.Join(cpu.Close(), writeProfile("block", at("block")), writeProfile("allocs", at("allocs")))
	}, nil
}

func writeProfile(kind, path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(pprof.Lookup(kind).WriteTo(f, 0), f.Close())
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
