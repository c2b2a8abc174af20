package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/custody"
	"github.com/bctrl-go/bctrl/internal/seal"
	"github.com/bctrl-go/bctrl/internal/store"
)

// measuresServer reports whether anything is measured for which a server is filled.
func (p plan) measuresServer() bool {
	names := []string{"ready", "kill", "transfer"}
	for _, c := range comparisons(nil, nil) {
		names = append(names, c.name)
	}
	for _, c := range peerCosts() {
		names = append(names, "peers: "+c.name)
	}
	return slices.ContainsFunc(names, p.only.MatchString)
}

// measureServer measures a real server process that holds n vault entries and
// n files that are not asked for.
func (p plan) measureServer(ctx context.Context, w io.Writer, program string, bareServer *process, n int) (err error) {
	h := home{program: program, profiles: p.profiles, dir: filepath.Join(p.dir, fmt.Sprint("server-", n))}
	if err := os.Mkdir(h.dir, 0o700); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(h.dir)) }()
	first, err := h.start(ctx)
	if err != nil {
		return err
	}
	key := first.key
	took, err := fillVault(ctx, first.url, key, n)
	if err == nil {
		now, most, memErr := first.memory()
		err = memErr
		fmt.Fprintf(w, "\n== Beside %d entries\n\nfilled at %.0f sets/s (64 callers); the server then held %.0f MiB, %.0f "+
			"at most\n", n, float64(n)/took.Seconds(), now, most)
	}
	first.stop()
	if err != nil {
		return err
	}
	if err := fillStorage(ctx, h, n); err != nil {
		return err
	}
	best, median, err := h.ready(ctx, p.ready, func() error { return nil })
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "ready %d ms after its start at best, %d ms in the median of %d\n", best.Milliseconds(),
		median.Milliseconds(), p.ready)

	if p.only.MatchString("kill") {
		best, median, err := h.ready(ctx, p.ready, func() error { return h.killUnderLoad(ctx, key, p.each) })
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "ready %d ms after its start at best, %d ms in the median of %d, each after a kill under load\n",
			best.Milliseconds(), median.Milliseconds(), p.ready)
	}

	server, err := h.start(ctx)
	if err != nil {
		return err
	}
	defer server.stop()
	c, err := newClient(server.url, key)
	if err != nil {
		return err
	}
	defer c.CloseIdleConnections()
	if err := answers(ctx, server.url); err != nil {
		return err
	}
	idle, _, err := server.memory()
	if err != nil {
		return err
	}
	bare := newPlainClient(bareServer.url)
	if err := p.costs(ctx, w, c, bare, server, bareServer); err != nil {
		return err
	}
	if err := p.peers(ctx, w, server, key, bareServer); err != nil {
		return err
	}
	if p.only.MatchString("transfer") {
		t := newTable(w, "MiB a second, in all", "", "callers", "SDK and server", "bare net/http", "ratio")
		unchecked := newPlainClient(server.url)
		unchecked.key = key
		if err := p.transfers(ctx, t, c, unchecked, bare); err != nil {
			return err
		}
		t.end()
	}
	now, most, err := server.memory()
	fmt.Fprintf(w, "\nmemory of the server: %.0f MiB when started, %.0f after all of this, %.0f at most\n", idle, now,
		most)
	return err
}

// costs compares what the server does with the bare one.
func (p plan) costs(
	ctx context.Context, w io.Writer, c *bctrl.Client, bare *plainClient, server, bareServer *process,
) error {
	costs := slices.DeleteFunc(comparisons(c, bare), func(c comparison) bool { return !p.only.MatchString(c.name) })
	if len(costs) == 0 {
		return nil
	}
	if err := prepare(ctx, c, slices.Max(p.callers)); err != nil {
		return err
	}
	t := newTable(w, "Calls a second; times, and what the server's processors spent on a call, in microseconds",
		"", "callers", "SDK and server", "p50", "p99", "cpu", "bare net/http", "p50", "cpu", "ratio")
	defer t.end()
	for _, cost := range costs {
		for _, callers := range p.callers {
			our, their, err := p.compare(ctx, callers, side{cost.ours, server}, side{cost.theirs, bareServer})
			if err != nil {
				return fmt.Errorf("%s: %w", cost.name, err)
			}
			t.row(cost.name, fmt.Sprint(callers), rate(our.rate), micros(our.p50), micros(our.p99), micros(our.serverCPU()),
				rate(their.rate), micros(their.p50), micros(their.serverCPU()), ratio(our.rate/their.rate))
		}
	}
	return nil
}

// prepare makes what the costs are measured on.
func prepare(ctx context.Context, c *bctrl.Client, callers int) error {
	_, err := c.AICredentials.Create(ctx, bctrl.AICredentialCreate{
		ID:       workCredential,
		Provider: bctrl.OpenAI,
		Label:    "Production",
		APIKey:   bctrl.NewSecret("sk-bench"),
	})
	if err != nil && !errors.Is(err, bctrl.ErrConflict) {
		return err
	}
	return each(ctx, callers*64, func(ctx context.Context, i int) error {
		_, err := c.Vault.Set(ctx, workKey(i/64, i), sampleCredential())
		return err
	})
}

// each calls fn for 0 to n-1, 64 at a time.
func each(ctx context.Context, n int, fn func(ctx context.Context, i int) error) error {
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, 64)
	for c := range errs {
		wg.Go(func() {
			for errs[c] == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				errs[c] = fn(ctx, i)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// fillVault sets n entries through the SDK.
func fillVault(ctx context.Context, url, key string, n int) (time.Duration, error) {
	c, err := newClient(url, key)
	if err != nil {
		return 0, err
	}
	defer c.CloseIdleConnections()
	credential := sampleCredential()
	began := time.Now()
	err = each(ctx, n, func(ctx context.Context, i int) error {
		_, err := c.Vault.Set(ctx, vaultKey(i), credential)
		return err
	})
	return time.Since(began), err
}

// fillStorage writes the rows of n files into the store of a server that does
// not run. Their bytes are never asked for, so there are none.
func fillStorage(ctx context.Context, h home, n int) (err error) {
	rows := &seal.Rows{}
	db, err := store.Open(ctx, filepath.Join(h.data(), "bctrl.db"), rows)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	key, err := custody.Key(ctx, custody.Config{DB: db, Rows: rows, KeyFile: h.key()})
	if err != nil {
		return err
	}
	defer key.Forget()
	if err := custody.UnlockRows(ctx, db, key, rows); err != nil {
		return err
	}
	orgs, err := db.Read().Organizations(ctx)
	if err != nil {
		return err
	}
	now := store.Now()
	for from := 0; from < n; from += 1000 {
		err := db.Write(ctx, func(tx *store.Tx) error {
			for i := from; i < min(from+1000, n); i++ {
				path := objectPath(i)
				id := fmt.Sprintf("bench-%08d", i)
				_, err := tx.PutObject(ctx, orgs[0].ID, store.Object{
					ID:          id,
					Namespace:   namespace,
					Path:        path,
					BlobID:      id,
					SHA256:      sampleSum,
					SizeBytes:   4096,
					ContentType: "text/csv",
					Filename:    filepath.Base(path),
					Source:      bctrl.SourceUpload,
					CreatedAt:   now,
				}, nil) // each path is new
				if err != nil {
					return err
				}
				err = audit.Append(tx, audit.Event{
					Org:      orgs[0].ID,
					Caller:   "bench",
					Action:   "storage.write",
					Object:   namespace + "/" + path,
					Decision: audit.Allowed,
					Outcome:  audit.OK,
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
