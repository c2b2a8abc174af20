package server

import (
	"context"
	"encoding/base64"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/histories"
	"github.com/bctrl-go/bctrl/internal/store/pgtest"
)

// HistoriesVariable says how many histories over several nodes are played, and SeedVariable
// which.
const (
	historiesVariable = "BCTRL_NODE_HISTORIES"
	seedVariable      = "BCTRL_NODE_HISTORIES_SEED"
)

// onAnyNode has each request answered by some node.
type onAnyNode struct{ all []*node }

func (s onAnyNode) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.all[rand.IntN(len(s.all))].server.ServeHTTP(w, r)
}

// nodeStage makes stages in a cluster, one after the other: once nobody knows whether
// something was done, what comes late would be in the way of the next history.
type nodeStage struct {
	*histories.Stage
	nodes    *nodes
	runtime  string
	provider string
	number   int
	made     int
	key      string
}

// renew makes a new stage, with a browser on the first node. The organization stays.
func (ns *nodeStage) renew(t *testing.T) {
	first := *ns.nodes.all[0].harness
	first.key = ns.key
	ns.made++
	name := "s" + strconv.Itoa(ns.number) + "-" + strconv.Itoa(ns.made)
	ws := first.made(name, object{})
	rt := first.launch(ws, "r", nil)
	ns.Stage = &histories.Stage{
		Next:      onAnyNode{ns.nodes.all},
		Workspace: ws.ID,
		Login:     name + "/login",
		AI:        name,
		Provider:  ns.provider,
		Visit:     func(ctx context.Context) bool { return first.browsers.Visit(ctx, rt.ID, "site.example.com") },
	}
	ns.runtime = rt.ID
	ns.mint(t)
}

// mint gives the stage a new token, in the place of one that is revoked.
func (ns *nodeStage) mint(t *testing.T) {
	first := *ns.nodes.all[0].harness
	first.key = ns.key
	token := first.mint(ns.Workspace, "r", object{})
	info, err := bctrl.InspectToken(token)
	require.NoError(t, err)
	weaker, err := bctrl.Attenuate(token, bctrl.Mounts{Vault: &bctrl.VaultMount{Deny: []string{ns.Login}}}, time.Time{})
	require.NoError(t, err)
	narrow := base64.RawURLEncoding.EncodeToString([]byte(`{"vault": {"allowRawReads": false}}`))
	ns.Token = info.ID
	ns.As = map[histories.Actor][]string{
		histories.Organization: {"Authorization", "Bearer " + ns.key},
		histories.TokenHolder:  {"Authorization", "Bearer " + token.Expose()},
		histories.Denied:       {"Authorization", "Bearer " + weaker.Expose()},
		histories.NoRawReads:   {"Authorization", "Bearer " + ns.key, "BCTRL-Runtime", ns.runtime, "BCTRL-Mounts", narrow},
	}
}

// playOne plays a history, and reports whether some of its requests have no answer.
func (ns *nodeStage) playOne(t *testing.T, r *rand.Rand) (
	begin histories.Stored, history []porcupine.Operation, open bool,
) {
	playing := *ns.Stage
	playing.Next = ns.nodes.all[0].server // which is never cut off
	begin, err := playing.Begin(r)
	require.NoError(t, err)
	playing.Next = ns.Next
	plan := playing.PlanOfNodes(r)
	history = playing.Play(plan)
	ns.Versions = playing.Versions
	return begin, history, histories.LeaveOpen(history)
}

// nodeHistories plays n histories over all nodes, and calls wrong for each that the rules do
// not explain.
func nodeHistories(t *testing.T, all *nodes, seed uint64, n int, wrong func(i int64, text string)) {
	t.Helper()
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if v, err := strconv.Atoi(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer key-")); err != nil || v%2 == 0 {
			w.WriteHeader(http.StatusUnauthorized)
		}
		_, _ = io.WriteString(w, `{"object": "list", "data": []}`)
	}))
	t.Cleanup(provider.Close)
	var left atomic.Int64
	left.Store(int64(n))
	var stages sync.WaitGroup
	for i := range 8 {
		key, err := all.all[0].server.createOrganization(t.Context(), "o"+strconv.Itoa(i))
		require.NoError(t, err)
		ns := &nodeStage{nodes: all, provider: provider.URL + "/v1", number: i, key: key.Expose()}
		ns.renew(t)
		stages.Go(func() {
			for i := left.Add(-1); i >= 0 && !t.Failed(); i = left.Add(-1) {
				begin, history, open := ns.playOne(t, rand.New(rand.NewPCG(seed, uint64(i))))
				if !porcupine.CheckOperations(histories.RulesOfNodes(begin), history) {
					wrong(i, histories.Describe(begin, history))
				}
				if open {
					ns.renew(t)
				} else if histories.Revokes(history) {
					ns.mint(t)
				}
			}
		})
	}
	stages.Wait()
}

// trouble cuts nodes off from the database, one at a time, until stop.
func (all *nodes) trouble(r *rand.Rand) (stop func() (times int)) {
	done, ended := make(chan struct{}), make(chan struct{})
	times := 0
	go func() {
		defer close(ended)
		for {
			n := all.all[1+r.IntN(len(all.all)-1)]
			n.cable.Set([]pgtest.CableState{pgtest.StandsStill, pgtest.IsCut}[r.IntN(2)])
			for _, next := range []pgtest.CableState{pgtest.Carries, pgtest.Carries} { // it is away, and then there
				pause := time.NewTimer(time.Duration(r.IntN(int(2 * cutLease))))
				select {
				case <-pause.C:
				case <-done:
				}
				pause.Stop()
				n.cable.Set(next)
			}
			times++
			select {
			case <-done:
				return
			default:
			}
		}
	}()
	return func() int { close(done); <-ended; return times }
}

// TestNoNodeDecidesUnderACeilingThatWasReplaced plays short histories of lowering, raising,
// revoking, using, deleting and rotating, each request on any of three nodes, while two of
// them are cut off from the database now and then, or hear nothing from it: whatever was
// acknowledged anywhere is obeyed everywhere. A night plays thousands.
func TestNoNodeDecidesUnderACeilingThatWasReplaced(t *testing.T) {
	t.Parallel() // it waits most of the time
	seed, n := rand.Uint64(), 25
	if text := os.Getenv(historiesVariable); text != "" {
		var err error
		n, err = strconv.Atoi(text)
		require.NoError(t, err)
	}
	if text := os.Getenv(seedVariable); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("seed %d", seed)
	all := newNodes(t, 3, cutLease)
	stop := all.trouble(rand.New(rand.NewPCG(seed, math.MaxUint64)))
	nodeHistories(t, all, seed, n, func(i int64, text string) {
		t.Errorf("seed %d, history %d has no explanation:\n%s", seed, i, text)
	})
	t.Logf("%d histories, %d times a node was cut off", n, stop())
}
