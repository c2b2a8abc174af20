package soak

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

// work is what the callers of a test own, to be checked at the end.
type work struct {
	logins  []*logins
	files   []*stored
	players []*player
}

// newLoad has callers of each kind.
func newLoad(m *machines, seed uint64) (*load, *work) {
	l, w := newLoadOfRows(m, seed)
	l.add("launch", launch)
	w.addPlayers(l, 2)
	return l, w
}

func (w *work) addPlayers(l *load, n int) {
	for i := range n {
		own := &player{name: fmt.Sprintf("player%d", i)}
		w.players = append(w.players, own)
		l.add(own.name, own.work)
	}
}

// played is how many histories were explained so far.
func (w *work) played() (sum int64) {
	for _, p := range w.players {
		sum += p.played.Load()
	}
	return sum
}

// newLoadOfRows has callers of each kind that needs no runtime.
func newLoadOfRows(m *machines, seed uint64) (*load, *work) {
	l, w := &load{machines: m, seed: seed}, &work{}
	for i := range 3 {
		own := &logins{name: fmt.Sprintf("logins%d", i)}
		w.logins = append(w.logins, own)
		l.add(own.name, own.work)
	}
	for i := range 2 {
		own := &stored{name: fmt.Sprintf("files%d", i)}
		w.files = append(w.files, own)
		l.add(own.name, own.work)
	}
	l.add("invoke", invoke)
	l.add("keys", keys)
	return l, w
}

// prepare makes what the callers share.
func (m *machines) prepare() {
	t, client := m.t, m.nodes[0].client
	t.Helper()
	_, err := client.AICredentials.Create(m.ctx, bctrl.AICredentialCreate{
		ID: model, Provider: bctrl.OpenAICompatible, APIKey: bctrl.NewSecret("key-1"), BaseURL: m.provider.URL + "/v1",
	})
	require.NoError(t, err)
	_, err = client.Workspaces.Create(m.ctx, bctrl.WorkspaceCreate{Name: workspace})
	require.NoError(t, err)
}

// check requires of each node what was acknowledged.
func (w *work) check(ctx context.Context, l *load) error {
	for _, c := range l.callers {
		for _, own := range w.logins {
			if own.name == c.name {
				if err := own.checkAll(ctx, c); err != nil {
					return err
				}
			}
		}
		for _, own := range w.files {
			if own.name == c.name {
				if err := own.checkAll(ctx, c); err != nil {
					return err
				}
			}
		}
	}
	for _, p := range w.players {
		if p.stage != nil {
			p.leave(ctx)
		}
	}
	for _, n := range l.nodes {
		if err := n.verify(ctx); err != nil {
			return err
		}
	}
	return l.faulty()
}

// TestWhatWasAcknowledgedSurvivesKillsPausesAndPartitions plays a scenario: see the package.
func TestWhatWasAcknowledgedSurvivesKillsPausesAndPartitions(t *testing.T) {
	ctx := untilInterrupted(t)
	seed, r := seeded(t)
	s := scenario{nodeKills: 2, databaseKills: 1, pauses: 1, harms: 2}
	if full() {
		s = scenario{nodeKills: 200, databaseKills: 50, pauses: 12, harms: 20}
	}
	m := newMachines(t, ctx, buildHere(t))
	m.startAll()
	m.prepare()
	l, own := newLoad(m, seed)
	w := &wrecker{load: l, r: r, done: map[deed]int{}}
	began := time.Now()
	l.begin()
	err := w.play(ctx, s.drawn(r))
	took := time.Since(began)
	l.requireWell(ctx, own, err)
	acknowledged, _ := l.total()
	require.Greater(t, int(acknowledged), len(s.drawn(r)), "too little was done for it to mean anything")
	w.tell(took)
	l.tell(own)
}

// mostRounds bounds how often the scenario of histories is played.
const mostRounds = 100

// TestNoDecisionIsStaleWhateverHappens has histories alone played, until there are enough of them, while
// nodes are cut off, paused and killed, and the database with them.
func TestNoDecisionIsStaleWhateverHappens(t *testing.T) {
	ctx := untilInterrupted(t)
	seed, r := seeded(t)
	s, enough := scenario{nodeKills: 1, pauses: 1, harms: 2}, int64(20)
	if full() {
		s, enough = scenario{nodeKills: 2, databaseKills: 1, pauses: 2, harms: 15}, 2000
	}
	m := newMachines(t, ctx, buildHere(t))
	m.startAll()
	m.prepare()
	l, own := &load{machines: m, seed: seed}, &work{}
	own.addPlayers(l, 6)
	w := &wrecker{load: l, r: r, done: map[deed]int{}}
	began := time.Now()
	l.begin()
	var err error
	for round := 0; err == nil && own.played() < enough; round++ {
		if err = w.play(ctx, s.drawn(r)); round == mostRounds {
			err = errors.Join(err, fmt.Errorf("of %d histories %d were played", enough, own.played()))
		}
	}
	took := time.Since(began)
	l.requireWell(ctx, own, err)
	t.Logf("%d histories, all of which have an explanation", own.played())
	half := 0
	for _, p := range own.players {
		half += p.open + p.bare
	}
	require.Less(t, int64(4*half), own.played(), "too many of them say little")
	w.tell(took)
	l.tell(own)
}

// requireWell ends the load, and requires that it and what went wrong met no fault, that all nodes have
// what was acknowledged, and that nothing is left when they have stopped but a log that is whole.
func (l *load) requireWell(ctx context.Context, own *work, err error) {
	t := l.t
	t.Helper()
	if fault := l.end(); fault != nil {
		err = fault // which came first
	}
	if err == nil {
		err = own.check(ctx, l)
	}
	require.NoError(t, err, "%s=%d; the last seconds:\n%s", seedVariable, l.seed, l.journal.last())
	l.requireNothingLeft(ctx)
	l.requireEnded()
	t.Logf("%d events in the log", l.requireWholeLog())
}

// tell prints what went wrong.
func (w *wrecker) tell(took time.Duration) {
	w.t.Logf("%v: %d kills of nodes, %d of the database, %d pauses (%d longer than a lease), %d ways harmed",
		took.Round(time.Second), w.done[killsNode], w.done[killsDatabase], w.done[pausesNode], w.others, w.done[harmsWay])
	w.t.Logf("the slowest node was ready after %v, and the slowest browser gone %v after its node",
		w.slowest.Round(100*time.Millisecond), w.slowestEnd.Round(100*time.Millisecond))
}

// tell prints what callers did.
func (l *load) tell(own *work) {
	acknowledged, troubles := l.total()
	l.t.Logf("%d calls acknowledged, %d made again: %s", acknowledged, troubles, strings.Join(l.troublesMet(), ", "))
	for _, c := range l.callers {
		l.t.Logf("%-8s %6d acknowledged, %5d made again", c.name, c.acknowledged.Load(), c.troubles.Load())
	}
	for _, p := range own.players {
		require.Positive(l.t, p.played.Load(), "%s looked at nothing", p.name)
		l.t.Logf("%s: %d histories, %d with requests that have no answer, %d whose runtime had ended",
			p.name, p.played.Load(), p.open, p.bare)
	}
}
