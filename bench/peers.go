package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"time"
)

// peerKeys is how many entries callers work on, and overwrittenKeys how few where they overwrite
// the same ones.
const (
	peerKeys        = 4096
	overwrittenKeys = 1000
)

// peerServer is a server that is asked the same as others, all of them by the least of clients.
type peerServer struct {
	*process
	name, key string
}

// peerCost is a call about each of so many keys of the vault in turn.
type peerCost struct {
	name, method, suffix string
	keys                 int
	// keyed is set where each call has an idempotency key, whose answer the server keeps.
	keyed bool
}

func peerCosts() []peerCost {
	return []peerCost{
		{name: "vault get", method: http.MethodGet, keys: peerKeys},
		{name: "TOTP code", method: http.MethodGet, suffix: "/totp", keys: peerKeys},
		{name: "vault set", method: http.MethodPut, keys: peerKeys, keyed: true},
		{name: "vault set, no idempotency key", method: http.MethodPut, keys: peerKeys},
		{name: fmt.Sprintf("overwrite %d keys", overwrittenKeys), method: http.MethodPut, keys: overwrittenKeys, keyed: true},
	}
}

// peerRow names what a server did of a cost.
func peerRow(cost, server string) string { return cost + ", " + server }

// peers compares the server with one that does the least for the same, the minimal server, and
// with the bare one, which does nothing for it. All are asked by a client that costs as little as
// it can, since it shares their processors.
func (p plan) peers(ctx context.Context, w io.Writer, ours *process, key string, bare *process) (err error) {
	costs := slices.DeleteFunc(peerCosts(), func(c peerCost) bool { return !p.only.MatchString("peers: " + c.name) })
	if len(costs) == 0 {
		return nil
	}
	before, err := syncRate(p.dir)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(p.dir, "minimal-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	minimal, err := startSelf(ctx, serveMinimal+"="+dir)
	if err != nil {
		return err
	}
	defer minimal.stop()
	servers := []peerServer{
		{name: "ours", process: ours, key: key},
		{name: "minimal", process: minimal, key: minimal.key},
		{name: "bare", process: bare, key: sampleSum},
	}
	for _, s := range servers {
		if err := s.fill(ctx); err != nil {
			return fmt.Errorf("filling the server %q: %w", s.name, err)
		}
	}
	t := newTable(w, "Three servers that are asked the same by the least of clients: calls a second, in the median round "+
		"and the best; times in the median round, and what the processors of server and client spent on a call, in "+
		"microseconds; the median of the rates over the minimal server's in the same rounds",
		"", "callers", "median", "best", "p50", "p99", "cpu", "client", "ratio")
	for _, cost := range costs {
		for _, callers := range p.callers {
			if err := p.comparePeers(ctx, t, cost, callers, servers); err != nil {
				return err
			}
		}
	}
	t.end()
	after, err := syncRate(p.dir)
	fmt.Fprintf(w, "\none after the other, the disk synced %.0f times a second before and %.0f after\n", before, after)
	return err
}

// comparePeers measures the servers in turns, and adds a row for each.
func (p plan) comparePeers(ctx context.Context, t table, cost peerCost, callers int, servers []peerServer) error {
	did := make([]peerRounds, len(servers))
	for range p.rounds {
		for i, s := range servers {
			if err := s.measure(ctx, cost, callers, p.each, &did[i]); err != nil {
				return fmt.Errorf("%s: %w", peerRow(cost.name, s.name), err)
			}
		}
	}
	minimal := did[1]
	for i, r := range did {
		var ratios []float64
		for round := range r.rates {
			ratios = append(ratios, r.rates[round]/minimal.rates[round])
		}
		t.row(peerRow(cost.name, servers[i].name), fmt.Sprint(callers), rate(middle(r.rates)), rate(r.rate),
			micros(middle(r.p50s)), micros(middle(r.p99s)), micros(r.serverCPU()), micros(r.clientCPU()), ratio(middle(ratios)))
	}
	return nil
}

// peerRounds is what a server did in each round, beside the best of them and what both ends
// spent in all.
type peerRounds struct {
	outcome
	rates      []float64
	p50s, p99s []time.Duration
}

// fill sets what is worked on.
func (s peerServer) fill(ctx context.Context) error {
	c := newPlainClient(s.url)
	c.key = s.key
	defer c.http.CloseIdleConnections()
	return each(ctx, peerKeys, func(ctx context.Context, i int) error {
		var out entry
		return c.call(ctx, http.MethodPut, nil, sampleLogin(), &out, "vault", workKey(i/64, i))
	})
}

// measure adds a round to those that the server did.
func (s peerServer) measure(
	ctx context.Context, cost peerCost, callers int, d time.Duration, into *peerRounds,
) (err error) {
	var body []byte
	if cost.method == http.MethodPut {
		if body, err = json.Marshal(sampleLogin()); err != nil { //nolint:gosec // a sample
			return err
		}
	}
	request := newLightRequest(cost.method, s.key, cost.suffix, body, cost.keyed)
	keys := make([]string, cost.keys)
	for i := range keys {
		keys[i] = url.PathEscape(workKey(i/64, i))
	}
	conns, err := dialLight(ctx, s.url, callers)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeLight(conns)) }()
	before, err := s.cpu()
	if err != nil {
		return err
	}
	own := ownCPU()
	r, err := measure(ctx, callers, d, func(_ context.Context, caller, i int) error {
		return conns[caller].call(request, keys[(caller+i*callers)%len(keys)])
	})
	if err != nil {
		return err
	}
	into.atClient += ownCPU() - own
	after, err := s.cpu()
	into.atServer += after - before
	into.calls += r.calls
	into.result = into.better(r)
	into.rates = append(into.rates, r.rate)
	into.p50s = append(into.p50s, r.p50)
	into.p99s = append(into.p99s, r.p99)
	return err
}
