package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
)

// maxCalls bounds a measurement beside its time.
const maxCalls = 200_000

// call does the measured thing once; i counts up from 0 within a caller.
type call func(ctx context.Context, caller, i int) error

// result is what a measurement found.
type result struct {
	rate     float64 // calls a second
	p50, p99 time.Duration
	calls    int
}

// better keeps the round in which other work on the machine disturbed least.
func (r result) better(other result) result {
	if other.rate > r.rate {
		return other
	}
	return r
}

// measure lets callers call as often as they can for a while.
func measure(ctx context.Context, callers int, d time.Duration, fn call) (result, error) {
	times := make([][]time.Duration, callers)
	errs := make([]error, callers)
	var wg sync.WaitGroup
	runtime.GC()
	began := time.Now()
	for c := range callers {
		wg.Go(func() {
			for i := range maxCalls / callers {
				at := time.Now()
				if i > 0 && at.Sub(began) >= d {
					return
				}
				if errs[c] = fn(ctx, c, i); errs[c] != nil {
					return
				}
				times[c] = append(times[c], time.Since(at))
			}
		})
	}
	wg.Wait()
	took := time.Since(began)
	for _, err := range errs {
		if err != nil {
			return result{}, err
		}
	}
	all := slices.Concat(times...)
	if len(all) == 0 {
		return result{}, nil
	}
	slices.Sort(all)
	return result{
		rate:  float64(len(all)) / took.Seconds(),
		p50:   all[len(all)/2],
		p99:   all[len(all)*99/100],
		calls: len(all),
	}, nil
}

// side is one of two ways of doing a thing, with the server that serves it.
type side struct {
	fn     call
	server *process
}

// outcome is the best round of a side, and what both ends of it spent in all
// rounds.
type outcome struct {
	result
	atServer, atClient time.Duration
	calls              int
}

// serverCPU and clientCPU are the processor time that one call takes at either
// end: what other work on the machine disturbs least.
func (o outcome) serverCPU() time.Duration { return o.atServer / time.Duration(max(o.calls, 1)) }
func (o outcome) clientCPU() time.Duration { return o.atClient / time.Duration(max(o.calls, 1)) }

// compare measures two ways of doing a thing in turns, so that a machine that
// slows down slows both.
func (p plan) compare(ctx context.Context, callers int, ours, theirs side) (our, their outcome, err error) {
	for range p.rounds {
		for _, turn := range []struct {
			*outcome
			side
		}{{&their, theirs}, {&our, ours}} {
			before, err := turn.server.cpu()
			if err != nil {
				return our, their, err
			}
			own := ownCPU()
			r, err := measure(ctx, callers, p.each, turn.fn)
			if err != nil {
				return our, their, err
			}
			turn.atClient += ownCPU() - own
			after, err := turn.server.cpu()
			if err != nil {
				return our, their, err
			}
			turn.outcome.result = turn.outcome.better(r)
			turn.atServer += after - before
			turn.outcome.calls += r.calls
		}
	}
	return our, their, nil
}

// table prints aligned columns; the first is text, all others are numbers.
type table struct{ w *tabwriter.Writer }

func newTable(w io.Writer, title string, columns ...string) table {
	fmt.Fprintf(w, "\n%s\n\n", title)
	t := table{tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)}
	t.row(columns...)
	return t
}

func (t table) row(cells ...string) { fmt.Fprintln(t.w, strings.Join(cells, "\t")+"\t") }
func (t table) end()                { _ = t.w.Flush() } // to standard output

func rate(r float64) string  { return fmt.Sprintf("%.0f", r) }
func ratio(r float64) string { return fmt.Sprintf("%.2f", r) }
func micros(d time.Duration) string {
	return fmt.Sprintf("%.0f", float64(d)/float64(time.Microsecond))
}

// describe says what the numbers were measured on.
func (p plan) describe(w io.Writer) {
	model := "unknown"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if _, rest, ok := bytes.Cut(text, []byte("model name\t: ")); ok {
			line, _, _ := bytes.Cut(rest, []byte("\n"))
			model = string(line)
		}
	}
	load, _ := os.ReadFile("/proc/loadavg") // empty where there is none
	fmt.Fprintf(w, "%s %s/%s, %d CPUs, %s\nload before the run: %s", runtime.Version(), runtime.GOOS, runtime.GOARCH,
		runtime.NumCPU(), model, load)
	if syncs, err := syncRate(p.dir); err == nil {
		fmt.Fprintf(w, "one after the other, the disk syncs %.0f times a second (%s)\n", syncs, p.dir)
	}
	fmt.Fprintf(w, "best of %d rounds of %s\n", p.rounds, p.each)
}

// syncRate is how often a second a small write can be made durable.
func syncRate(dir string) (float64, error) {
	f, err := os.CreateTemp(dir, "sync-*")
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	const times = 200
	page := make([]byte, 4096)
	began := time.Now()
	for range times {
		if _, err := f.Write(page); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
	}
	return times / time.Since(began).Seconds(), nil
}

func newReader(b []byte) io.Reader { return bytes.NewReader(b) }
