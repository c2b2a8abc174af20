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

// minimalAt and openBaoAt are the places, among the servers of a row, of those that the others are
// put beside. OpenBao is the last, since it may not be there.
const (
	minimalAt = 1
	openBaoAt = 3
)

// peerServer is a server that is asked the same as others, all of them by the least of clients.
type peerServer struct {
	*process
	name, key string
	// openBao is set where it is asked by OpenBao's API, and otherwise by ours.
	openBao bool
}

// peerCost is a call about each of so many keys of the vault in turn.
type peerCost struct {
	name, method string
	// path and openBaoPath are what is asked by our API and by OpenBao's, around {key}.
	path, openBaoPath string
	keys              int
	// keyed is set where each call has an idempotency key, whose answer the server keeps. OpenBao
	// has no such thing.
	keyed bool
}

func peerCosts() []peerCost {
	get := peerCost{name: "vault get", method: http.MethodGet, path: "/v1/vault/{key}",
		openBaoPath: "/v1/secret/data/{key}", keys: peerKeys}
	code := get
	code.name, code.path, code.openBaoPath = "TOTP code", "/v1/vault/{key}/totp", "/v1/totp/code/{key}"
	set := get
	set.name, set.method, set.keyed = "vault set", http.MethodPut, true
	unkeyed := set
	unkeyed.name, unkeyed.keyed = "vault set, no idempotency key", false
	overwrite := set
	overwrite.name, overwrite.keys = fmt.Sprintf("overwrite %d keys", overwrittenKeys), overwrittenKeys
	return []peerCost{get, code, set, unkeyed, overwrite}
}

// peerRow names what a server did of a cost.
func peerRow(cost, server string) string { return cost + ", " + server }

// peers compares the server with OpenBao, with one that does the least for the same, the minimal
// server, and with the bare one, which does nothing for it. All are asked by a client that costs as
// little as it can, since it shares their processors.
func (p plan) peers(ctx context.Context, w io.Writer, ours *process, key string, bare *process) (err error) {
	costs := slices.DeleteFunc(peerCosts(), func(c peerCost) bool { return !p.only.MatchString("peers: " + c.name) })
	if len(costs) == 0 {
		return nil
	}
	before, err := syncRate(p.dir)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(p.dir, "peers-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	minimal, err := startSelf(ctx, serveMinimal+"="+dir)
	if err != nil {
		return err
	}
	defer minimal.stop()
	servers := []peerServer{ // the order of minimalAt and openBaoAt
		{name: "ours", process: ours, key: key},
		{name: "minimal", process: minimal, key: minimal.key},
		{name: "bare", process: bare, key: sampleSum},
	}
	columns := []string{"", "callers", "median", "best", "p50", "p99", "cpu", "client", "/ minimal"}
	bao, err := findOpenBao(ctx, w, dir)
	if err != nil {
		return err
	}
	if bao != nil {
		defer bao.stop()
		servers = append(servers, peerServer{name: "OpenBao", process: bao, key: bao.key, openBao: true})
		columns = append(columns, "/ OpenBao")
	}
	for _, s := range servers {
		if err := s.fill(ctx); err != nil {
			return fmt.Errorf("filling the server %q: %w", s.name, err)
		}
	}
	t := newTable(w, "Servers that are asked the same by the least of clients: calls a second, in the median round "+
		"and the best; times in the median round, and what the processors of server and client spent on a call, in "+
		"microseconds; the median of the rates over another server's in the same rounds", columns...)
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
	for i, r := range did {
		row := []string{peerRow(cost.name, servers[i].name), fmt.Sprint(callers), rate(middle(r.rates)), rate(r.rate),
			micros(middle(r.p50s)), micros(middle(r.p99s)), micros(r.serverCPU()), micros(r.clientCPU()), r.over(did[minimalAt])}
		if len(did) > openBaoAt {
			row = append(row, r.over(did[openBaoAt]))
		}
		t.row(row...)
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

// over is the median of the rates over another server's in the same rounds.
func (r peerRounds) over(other peerRounds) string {
	var ratios []float64
	for round := range r.rates {
		ratios = append(ratios, r.rates[round]/other.rates[round])
	}
	return ratio(middle(ratios))
}

// fill sets what is worked on.
func (s peerServer) fill(ctx context.Context) error {
	if s.openBao {
		b := newOpenBao(s.url)
		b.token = s.key
		defer b.http.CloseIdleConnections()
		return b.fill(ctx)
	}
	c := newPlainClient(s.url)
	c.key = s.key
	defer c.http.CloseIdleConnections()
	return each(ctx, peerKeys, func(ctx context.Context, i int) error {
		var out entry
		return c.call(ctx, http.MethodPut, nil, sampleLogin(), &out, "vault", workKey(i/64, i))
	})
}

// request is how the server is asked for a cost.
func (s peerServer) request(cost peerCost) (lightRequest, error) {
	path, in := cost.path, any(sampleLogin())
	if s.openBao {
		path, in = cost.openBaoPath, openBaoSecret{sampleLogin()}
	}
	var body []byte
	if cost.method == http.MethodPut {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return lightRequest{}, err
		}
	}
	return newLightRequest(cost.method, path, s.key, body, cost.keyed), nil
}

// entry is how the server is told of which entry, in a path.
func (s peerServer) entry(i int) string {
	key := workKey(i/64, i)
	if s.openBao {
		key = openBaoName(key)
	}
	return url.PathEscape(key)
}

// measure adds a round to those that the server did.
func (s peerServer) measure(
	ctx context.Context, cost peerCost, callers int, d time.Duration, into *peerRounds,
) (err error) {
	request, err := s.request(cost)
	if err != nil {
		return err
	}
	keys := make([]string, cost.keys)
	for i := range keys {
		keys[i] = s.entry(i)
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
