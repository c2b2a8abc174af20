// Command cluster runs three servers as one, over a PostgreSQL and an S3 server that it
// starts on this machine, and shows what holds across them: a browser on each, any
// server takes any request, a lowering is obeyed by all of them once it is acknowledged,
// and when one is killed the others go on and the log stays whole.
//
//	make cluster        # or, where PostgreSQL is installed: go run ./examples/cluster
//
// Each server is a `bctrl serve` of its own, as it would be on three machines. What
// starts them is in machines.go; the function program is what a program of your own
// would do with their addresses.
package main

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/examples/internal/ending"
)

func main() {
	ctx, stop := ending.Context()
	err := run(ctx, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "\ncluster:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer) (err error) {
	began := time.Now()
	fmt.Fprintln(out, "Starting PostgreSQL, an S3 server and three servers of bctrl.")
	m, err := startMachines(ctx, 3)
	defer func() {
		switch {
		case err == nil:
		case ctx.Err() != nil:
			err = errors.New("interrupted")
		default:
			m.explain(os.Stderr)
		}
		err = errors.Join(err, m.close())
	}()
	if err != nil {
		return err
	}
	if err := program(ctx, m, out); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nDone in %.0f seconds. The program that did this is in examples/cluster/main.go.\n",
		time.Since(began).Seconds())
	return nil
}

// step prints what comes next, note what was seen.
func step(out io.Writer, text string) { fmt.Fprintf(out, "\n%s\n", text) }

func note(out io.Writer, format string, args ...any) { fmt.Fprintf(out, "   "+format+"\n", args...) }

// until asks again until the answer is yes, for at most 20 seconds.
func until(ctx context.Context, otherwise string, ask func() (bool, error)) error {
	end := time.After(20 * time.Second)
	for {
		if ok, err := ask(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-end:
			return errors.New(otherwise)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

const login = "prod/crm"

func program(ctx context.Context, m *machines, out io.Writer) error {
	clients := make([]*bctrl.Client, len(m.nodes))
	for i, n := range m.nodes {
		var err error
		// The address of one node; in front of real ones stands a balancer with one for all.
		if clients[i], err = bctrl.New(bctrl.WithBaseURL(n.url), bctrl.WithAPIKey(m.key)); err != nil {
			return err
		}
	}
	ws, err := prepare(ctx, clients[0])
	if err != nil {
		return err
	}
	step(out, "A browser on each node, all three asked of the first")
	runtimes, err := launchOnEach(ctx, clients, ws, out)
	if err != nil {
		return err
	}
	step(out, "Any node takes any request")
	if err := askEverywhere(ctx, clients, ws, m.page, out); err != nil {
		return err
	}
	step(out, "What one node has lowered, none permits any more")
	if err := lower(ctx, clients, ws, runtimes, out); err != nil {
		return err
	}
	step(out, "The third node is killed")
	if err := kill(ctx, m, clients, ws, out); err != nil {
		return err
	}
	step(out, "The log of all nodes is whole")
	report, err := clients[1].Audit.Verify(ctx)
	if err != nil {
		return err
	}
	if !report.OK {
		return fmt.Errorf("the log has problems: %v", report.Problems)
	}
	note(out, "%d events and %d records, verified by the second node", report.Events, report.Records)
	return nil
}

// prepare stores a login, and makes a workspace that may use it and visit this machine.
func prepare(ctx context.Context, client *bctrl.Client) (*bctrl.Workspace, error) {
	if _, err := client.Vault.Set(ctx, login, bctrl.VaultCredential{
		Username: "bot@company.com",
		Password: bctrl.NewSecret(rand.Text()),
		TOTP:     bctrl.NewSecret(base32.StdEncoding.EncodeToString([]byte(rand.Text())[:20])),
	}); err != nil {
		return nil, err
	}
	return client.Workspaces.Create(ctx, bctrl.WorkspaceCreate{
		Name: "sales",
		Mounts: bctrl.Mounts{
			Vault:   &bctrl.VaultMount{Allow: []string{"prod/"}},
			Storage: &bctrl.StorageMount{Workspace: "sales"},
		},
	})
}

// names are the aliases of the runtimes, one for each node.
func names(n int) []string { return []string{"first", "second", "third"}[:n] }

// launchOnEach launches as many runtimes as there are nodes, which go where there is the
// most room, and returns each as a node that may be another than its own sees it.
func launchOnEach(
	ctx context.Context, clients []*bctrl.Client, ws *bctrl.Workspace, out io.Writer,
) ([]*bctrl.Runtime, error) {
	began := time.Now()
	for _, alias := range names(len(clients)) {
		if _, err := ws.Runtimes.Browser(alias).Stagehand(ctx, bctrl.Launch{}); err != nil {
			return nil, err
		}
	}
	note(out, "launched in %v", time.Since(began).Round(time.Millisecond))
	var nodes []bctrl.Node
	err := until(ctx, "not one runtime on each node", func() (ok bool, err error) { // they say so each 1.5 seconds
		nodes, err = clients[0].Nodes.List(ctx)
		return !slices.ContainsFunc(nodes, func(n bctrl.Node) bool { return n.Runtimes != 1 }), err
	})
	if err != nil {
		return nil, err
	}
	for _, n := range nodes {
		note(out, "%s  %s  %d runtime", n.ID, n.State, n.Runtimes)
	}
	var seen []*bctrl.Runtime
	for i, alias := range names(len(clients)) {
		other, err := clients[(i+1)%len(clients)].Workspaces.Get(ctx, ws.ID)
		if err != nil {
			return nil, err
		}
		rt, err := other.Runtimes.Get(ctx, alias)
		if err != nil {
			return nil, err
		}
		seen = append(seen, rt)
	}
	return seen, nil
}

// askEverywhere has each node steer each runtime.
func askEverywhere(
	ctx context.Context, clients []*bctrl.Client, ws *bctrl.Workspace, page string, out io.Writer,
) error {
	for i, client := range clients {
		here, err := client.Workspaces.Get(ctx, ws.ID)
		if err != nil {
			return err
		}
		for _, alias := range names(len(clients)) {
			rt, err := here.Runtimes.Get(ctx, alias)
			if err != nil {
				return err
			}
			began := time.Now()
			if _, err := rt.Page.Goto(ctx, page); err != nil {
				return fmt.Errorf("node %d, runtime %s: %w", i+1, alias, err)
			}
			object, err := rt.Page.Screenshot(ctx, bctrl.ScreenshotArgs{Path: fmt.Sprintf("%s-by-%d.png", alias, i+1)})
			if err != nil {
				return fmt.Errorf("node %d, runtime %s: %w", i+1, alias, err)
			}
			note(out, "node %d steered %-6s: a page, and a picture of %d bytes in the bucket, in %v", i+1, alias,
				object.SizeBytes, time.Since(began).Round(time.Millisecond))
		}
	}
	return nil
}

// lower has all nodes give codes of a login to their runtimes while one takes it from the
// workspace, and fails if one of them gives a code that was asked for after that was
// acknowledged.
func lower(
	ctx context.Context, clients []*bctrl.Client, ws *bctrl.Workspace, runtimes []*bctrl.Runtime, out io.Writer,
) error {
	var acknowledged atomic.Bool
	var before, after, late atomic.Int64
	var asking sync.WaitGroup
	errs := make([]error, len(runtimes))
	for i, rt := range runtimes {
		asking.Go(func() {
			for range 100_000 {
				begunAfter := acknowledged.Load()
				_, err := rt.Vault.TOTP(ctx, login)
				switch {
				case err == nil && begunAfter:
					late.Add(1)
					return
				case err == nil:
					before.Add(1)
				case !errors.Is(err, bctrl.ErrForbidden):
					errs[i] = err
					return
				case begunAfter:
					after.Add(1)
					return
				}
			}
			errs[i] = errors.New("the lowering never came")
		})
	}
	err := until(ctx, "no codes are given", func() (bool, error) { return before.Load() >= 100, nil })
	if err != nil {
		return err
	}
	second, err := clients[1].Workspaces.Get(ctx, ws.ID)
	if err != nil {
		return err
	}
	mounts := second.Mounts
	mounts.Vault = &bctrl.VaultMount{Allow: []string{}}
	began := time.Now()
	err = second.Update(ctx, bctrl.WorkspaceUpdate{Mounts: &mounts})
	acknowledged.Store(true)
	took := time.Since(began)
	asking.Wait()
	if err := errors.Join(append(errs, err)...); err != nil {
		return err
	}
	if late.Load() > 0 {
		return fmt.Errorf("%d codes were given after the lowering", late.Load())
	}
	note(out, "%d one-time codes of a login given by all nodes before it; the second node acknowledged it after %v;\n"+
		"   of %d asked for after that none was given",
		before.Load(), took.Round(time.Millisecond), after.Load())
	return nil
}

// kill ends the last node as a power failure would, and waits until the others have
// found out.
func kill(ctx context.Context, m *machines, clients []*bctrl.Client, ws *bctrl.Workspace, out io.Writer) error {
	here, err := clients[0].Workspaces.Get(ctx, ws.ID)
	if err != nil {
		return err
	}
	before := map[string]*bctrl.Runtime{}
	for _, alias := range names(len(clients)) {
		if before[alias], err = here.Runtimes.Get(ctx, alias); err != nil {
			return err
		}
	}
	began := time.Now()
	m.nodes[len(m.nodes)-1].kill()
	failed := ""
	err = until(ctx, "nobody has noticed", func() (bool, error) {
		for alias, rt := range before {
			if err := rt.Refresh(ctx); err != nil {
				return false, err
			}
			if rt.Latest().Status == bctrl.RuntimeFailed {
				failed = alias
			}
		}
		return failed != "", nil
	})
	if err != nil {
		return err
	}
	note(out, "its runtime %q is failed (%s) after %v", failed, before[failed].Latest().Summary.Code,
		time.Since(began).Round(100*time.Millisecond))
	delete(before, failed)
	for alias, rt := range before {
		if _, err := rt.Page.Goto(ctx, m.page); err != nil {
			return fmt.Errorf("runtime %s: %w", alias, err)
		}
		note(out, "runtime %q goes on", alias)
	}
	return nil
}
