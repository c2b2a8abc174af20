package soak

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/histories"
)

// player plays histories: a few callers at once lower and raise what a workspace mounts, use,
// rotate, delete and revoke, each request of any node. Whatever was killed, paused or cut off
// meanwhile, there has to be an order that explains all answers.
type player struct {
	*caller
	name  string
	stage *histories.Stage // nil where a new one is needed
	rt    *bctrl.Runtime
	made  int
	moved int64 // as the load's moves were when the stage was made
	// played are the histories that were explained, open those of them in which requests have no
	// answer, and bare those in which the runtime had ended.
	played     atomic.Int64
	open, bare int
}

// work plays one history.
func (p *player) work(ctx context.Context, c *caller) error {
	p.caller = c
	if p.stage != nil && p.moved != c.moves.Load() {
		p.leave(ctx)
	}
	if p.stage == nil {
		if err := p.renew(ctx); err != nil || p.stage == nil {
			return err
		}
	}
	begin, err := p.stage.Begin(p.rng)
	if err != nil {
		p.leave(ctx) // a request may be done later, into the next history
		return nil   //nolint:nilerr // which says no more than that one had no answer
	}
	history := p.stage.Play(p.stage.PlanOfNodes(p.rng))
	ended, err := p.hasEnded(ctx)
	if err != nil {
		return err
	}
	if ended {
		p.bare++
		withoutRuntime(history)
	}
	open := histories.LeaveOpen(history)
	if !porcupine.CheckOperations(histories.RulesOfNodes(begin), history) {
		return fmt.Errorf("a history has no explanation:\n%s", histories.Describe(begin, history))
	}
	p.played.Add(1)
	c.acknowledged.Add(1)
	if open {
		p.open++
	}
	switch {
	case open || ended:
		p.leave(ctx)
	case histories.Revokes(history):
		if err := p.mint(ctx); err != nil {
			p.leave(ctx)
		}
	}
	return nil
}

// withoutRuntime says of what was refused to a runtime, which has ended meanwhile, that it has no
// answer. What was given to it has to be explained all the same.
func withoutRuntime(history []porcupine.Operation) {
	for i := range history {
		asked, replied := history[i].Input.(histories.Asked), history[i].Output.(histories.Replied)
		if asked.By != histories.Organization && replied.Status != http.StatusOK {
			history[i].Output = histories.Replied{Status: http.StatusServiceUnavailable}
		}
	}
}

// hasEnded reports whether the runtime of the stage has.
func (p *player) hasEnded(ctx context.Context) (ended bool, err error) {
	err = p.ask(ctx, "look at a runtime", func(ctx context.Context, client *bctrl.Client, o ...bctrl.CallOption) error {
		ws, err := client.Workspaces.Get(ctx, p.stage.Workspace, o...)
		if err != nil {
			return err
		}
		rt, err := ws.Runtimes.Get(ctx, p.rt.Alias, o...)
		if err == nil {
			ended = rt.Latest().Status != bctrl.RuntimeActive
		}
		return err
	})
	return ended, err
}

// leave gives the stage up, and stops its runtime.
func (p *player) leave(ctx context.Context) {
	id, alias := p.stage.Workspace, p.rt.Alias
	p.stage = nil
	if err := p.ask(ctx, "stop a stage", func(ctx context.Context, client *bctrl.Client, o ...bctrl.CallOption) error {
		ctx, done := context.WithTimeout(ctx, callTime)
		defer done()
		ws, err := client.Workspaces.Get(ctx, id)
		if err != nil {
			return err
		}
		rt, err := ws.Runtimes.Get(ctx, alias)
		if err != nil {
			return err
		}
		return rt.Stop(ctx, o...)
	}); err != nil && ctx.Err() == nil {
		p.failed(fmt.Errorf("%s: stopping a stage: %w", p.name, err))
	}
}

// renew makes a stage. There is none yet where that meets with trouble.
func (p *player) renew(ctx context.Context) error {
	p.made++
	p.moved = p.moves.Load()
	name := p.name + "-" + strconv.Itoa(p.made)
	var ws *bctrl.Workspace
	if err := p.ask(ctx, "make a workspace",
		func(ctx context.Context, client *bctrl.Client, o ...bctrl.CallOption) (err error) {
			ws, err = client.Workspaces.Create(ctx, bctrl.WorkspaceCreate{Name: name}, o...)
			return err
		}); err != nil {
		return err
	}
	call, done := context.WithTimeout(ctx, callTime)
	defer done()
	n := p.pick()
	here, err := n.client.Workspaces.Get(call, ws.ID)
	if err == nil {
		p.rt, err = here.Runtimes.Browser("r").Stagehand(call, bctrl.Launch{})
	}
	if err != nil {
		if !isTrouble(err) && !mayEnd(err) {
			return fmt.Errorf("launch: %w", err)
		}
		if err := p.meet(n, "launch", err); err != nil {
			return err
		}
		return p.forget(ctx, ws.ID)
	}
	p.stage = &histories.Stage{
		Next:      newOnAnyNode(p.machines, p.rng),
		Workspace: ws.ID,
		Login:     name + "/login",
		AI:        name,
		Provider:  p.provider.URL + "/v1",
	}
	if err := p.mint(ctx); err != nil {
		p.leave(ctx)
	}
	return nil
}

// forget removes the workspace of a launch that had no answer, and its runtime, if any.
func (p *player) forget(ctx context.Context, id string) error {
	err := p.ask(ctx, "delete a workspace", func(ctx context.Context, client *bctrl.Client, o ...bctrl.CallOption) error {
		return client.Workspaces.Delete(ctx, id, bctrl.WithForce())
	})
	if errors.Is(err, bctrl.ErrNotFound) {
		return nil
	}
	return err
}

// mint gives the stage a token of its own, in the place of one that is revoked.
func (p *player) mint(ctx context.Context) error {
	call, done := context.WithTimeout(ctx, callTime)
	defer done()
	token, err := p.rt.Token(call, bctrl.TokenRequest{})
	if err != nil {
		return err
	}
	info, err := bctrl.InspectToken(token)
	if err != nil {
		return err
	}
	weaker, err := bctrl.Attenuate(token, bctrl.Mounts{Vault: &bctrl.VaultMount{Deny: []string{p.stage.Login}}},
		time.Time{})
	if err != nil {
		return err
	}
	narrow := base64.RawURLEncoding.EncodeToString([]byte(`{"vault": {"allowRawReads": false}}`))
	key := "Bearer " + p.key.Load().Expose()
	p.stage.Token = info.ID
	p.stage.As = map[histories.Actor][]string{
		histories.Organization: {"Authorization", key},
		histories.TokenHolder:  {"Authorization", "Bearer " + token.Expose()},
		histories.Denied:       {"Authorization", "Bearer " + weaker.Expose()},
		histories.NoRawReads:   {"Authorization", key, "BCTRL-Runtime", p.rt.ID, "BCTRL-Mounts", narrow},
	}
	return nil
}

// onAnyNode has each request answered by some node. One without an answer, or whose answer says
// that something was not there, is 503.
type onAnyNode struct {
	*machines
	mu  sync.Mutex
	rng *rand.Rand
}

// newOnAnyNode has the seed of r draw the nodes. Which of a few requests at once has which draw is up
// to those who make them.
func newOnAnyNode(m *machines, r *rand.Rand) *onAnyNode {
	return &onAnyNode{machines: m, rng: rand.New(rand.NewPCG(r.Uint64(), r.Uint64()))}
}

// next draws a node. It may be called by several at once, unlike what a caller's own source does.
func (a *onAnyNode) next() *node {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.nodes[a.rng.IntN(len(a.nodes))]
}

// ServeHTTP implements [http.Handler].
func (a *onAnyNode) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := a.next()
	ctx, done := context.WithTimeout(a.ctx, callTime)
	defer done()
	out := r.Clone(ctx)
	out.RequestURI, out.URL.Scheme, out.URL.Host, out.Host = "", "http", n.public, n.public
	resp, err := a.plain.RoundTrip(out)
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	defer resp.Body.Close()
	answer := httptest.NewRecorder()
	_, err = io.Copy(answer, resp.Body)
	if err != nil || isAway(resp.StatusCode) {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(resp.StatusCode)
	_, _ = w.Write(answer.Body.Bytes())
}

func TestASeedAsksTheSameNodesAgain(t *testing.T) {
	seed, _ := seeded(t)
	m := &machines{nodes: []*node{{i: 0}, {i: 1}, {i: 2}}}
	draw := func() (drawn []int) {
		nodes := newOnAnyNode(m, rand.New(rand.NewPCG(seed, 0)))
		for range 64 {
			drawn = append(drawn, nodes.next().i)
		}
		return drawn
	}
	first := draw()
	require.Equal(t, first, draw())
}
