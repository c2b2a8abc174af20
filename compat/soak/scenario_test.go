package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// scenario is what goes wrong, in its order.
type scenario struct {
	nodeKills, databaseKills, pauses, harms int
}

// deed is one thing that goes wrong.
type deed string

const (
	killsNode     deed = "node is killed"
	killsDatabase deed = "database is killed"
	pausesNode    deed = "node is paused"
	harmsWay      deed = "way is harmed"
)

// drawn are the deeds of the scenario, in an order that r draws.
func (s scenario) drawn(r *rand.Rand) (deeds []deed) {
	for _, d := range []struct {
		deed deed
		n    int
	}{
		{killsNode, s.nodeKills}, {killsDatabase, s.databaseKills}, {pausesNode, s.pauses}, {harmsWay, s.harms},
	} {
		for range d.n {
			deeds = append(deeds, d.deed)
		}
	}
	r.Shuffle(len(deeds), func(i, j int) { deeds[i], deeds[j] = deeds[j], deeds[i] })
	return deeds
}

// wrecker does what goes wrong.
type wrecker struct {
	*load
	r *rand.Rand
	// done counts what was done, others the pauses after which a node came back as another, and
	// kept those after which it did not.
	done         map[deed]int
	others, kept int
	// slowest is the longest that a node took to be ready after it was started.
	slowest time.Duration
}

// calmEvery is after how many deeds everything has to be well.
const calmEvery = 20

// play plays a scenario. What goes wrong with it, or with the callers meanwhile, ends it.
func (w *wrecker) play(ctx context.Context, deeds []deed) error {
	for i, d := range deeds {
		if err := errors.Join(ctx.Err(), w.faulty()); err != nil {
			return err
		}
		w.journal.write("DEED %d of %d: a %s", i+1, len(deeds), d)
		var err error
		switch d {
		case killsNode:
			err = w.killNode(ctx)
		case killsDatabase:
			err = w.killDatabase(ctx)
		case pausesNode:
			err = w.pauseNode(ctx)
		case harmsWay:
			err = w.harmWay(ctx)
		}
		w.done[d]++
		if err == nil && i%calmEvery == calmEvery-1 {
			err = w.calm(ctx)
			w.t.Logf("%d of %d deeds", i+1, len(deeds))
		}
		if err != nil {
			return fmt.Errorf("deed %d, a %s: %w", i+1, d, err)
		}
		pause(ctx, w.upTo(400*time.Millisecond))
	}
	return w.calm(ctx)
}

func (w *wrecker) upTo(most time.Duration) time.Duration {
	return time.Duration(w.r.Int64N(int64(most)))
}

func (w *wrecker) node() *node { return w.nodes[w.r.IntN(len(w.nodes))] }

// restart starts a node, and mostly waits until it is ready: what comes next meets some nodes that
// only start.
func (w *wrecker) restart(ctx context.Context, n *node) error {
	if err := n.start(); err != nil {
		return err
	}
	if w.r.IntN(4) == 0 {
		return nil
	}
	return w.await(ctx, n)
}

func (w *wrecker) await(ctx context.Context, n *node) error {
	began := time.Now()
	err := n.await(ctx)
	w.slowest = max(w.slowest, time.Since(began))
	return err
}

// killNode kills a node, and starts it again: at once, while the others take it for alive, or when
// they have ended what it had.
func (w *wrecker) killNode(ctx context.Context) error {
	n := w.node()
	w.journal.write("node %d is killed", n.i+1)
	if err := n.kill(ctx); err != nil {
		return err
	}
	if w.r.IntN(6) == 0 {
		pause(ctx, w.upTo(9*time.Second))
	}
	return w.restart(ctx, n)
}

// killDatabase kills PostgreSQL, with or without a word to its processes, and starts it again: at
// once, or when every node has lost its lease.
func (w *wrecker) killDatabase(ctx context.Context) error {
	kill, how := w.database.Kill, "told to end at once"
	if w.r.IntN(2) == 0 {
		kill, how = w.database.KillAll, "killed"
	}
	away := w.upTo(1500 * time.Millisecond)
	if w.r.IntN(8) == 0 {
		away = 5*time.Second + w.upTo(4*time.Second)
	}
	w.journal.write("the database is %s, for %v", how, away)
	if err := kill(); err != nil {
		return err
	}
	pause(ctx, away)
	if err := w.database.Start(); err != nil {
		return err
	}
	w.journal.write("the database is back")
	return nil
}

const (
	// outlived is a pause that no lease outlives, and surely that one which each does.
	outlived = 6500 * time.Millisecond
	// othersTime is how long a node that has lost its lease may take to be another.
	othersTime = 60 * time.Second
)

// pauseNode pauses a node for 1 to 12 seconds. One that was paused for longer than its lease comes
// back as another, and its browsers end.
func (w *wrecker) pauseNode(ctx context.Context) error {
	n := w.node()
	if err := w.await(ctx, n); err != nil {
		return err
	}
	before, err := n.id(ctx)
	if err != nil {
		return err
	}
	browsers := descendants(n.running().cmd.Process.Pid)
	long := time.Second + w.upTo(11*time.Second)
	w.journal.write("node %d, %s, is paused for %v", n.i+1, before, long)
	n.suspend()
	began := time.Now()
	pause(ctx, long)
	n.resume()
	long = time.Since(began)
	w.journal.write("node %d goes on after %v", n.i+1, long)
	if long < outlived {
		w.kept++
		return nil
	}
	w.others++
	wait, done := context.WithTimeout(ctx, othersTime)
	defer done()
	for {
		if after, err := n.id(wait); err == nil && after != before {
			break
		}
		if !pause(wait, 50*time.Millisecond) {
			return fmt.Errorf("node %d was paused for %v and is the same node", n.i+1, long)
		}
	}
	if err := w.gone(ctx, browsers); err != nil {
		return fmt.Errorf("after a pause of %v: %w", long, err)
	}
	return w.await(ctx, n)
}

// id is that of the node which the server is now.
func (n *node) id(ctx context.Context) (id string, err error) {
	ctx, done := context.WithTimeout(ctx, 3*time.Second)
	defer done()
	nodes, err := n.client.Nodes.List(ctx)
	if err != nil {
		return "", err
	}
	for _, one := range nodes {
		if one.Self {
			return one.ID, nil
		}
	}
	return "", errors.New("no node says that it answers")
}

// harmWay makes a way worse for up to 7 seconds, and sometimes kills a node meanwhile.
func (w *wrecker) harmWay(ctx context.Context) (err error) {
	n := w.node()
	ways := []*way{n.toDatabase, n.toDatabase, n.toNode, n.toNode, n.toBucket}
	on := ways[w.r.IntN(len(ways))]
	all := harms(w.r)
	h := all[w.r.IntN(len(all))]
	long := 300*time.Millisecond + w.upTo(7*time.Second)
	w.journal.write("%s %s for %v", on.name, h.text, long)
	if err := on.suffer(h); err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, on.mend(ctx))
		w.journal.write("%s carries everything again", on.name)
	}()
	if w.r.IntN(3) > 0 {
		pause(ctx, long)
		return nil
	}
	pause(ctx, long/2)
	other := w.node()
	w.journal.write("node %d is killed", other.i+1)
	if err := other.kill(ctx); err != nil {
		return err
	}
	w.done[killsNode]++
	if err := other.start(); err != nil {
		return err
	}
	pause(ctx, long/2)
	return nil
}

// calmTime is how long callers may take to be answered once nothing goes wrong.
const calmTime = 2 * time.Minute

// calm waits until all nodes are ready and each caller has had an answer since.
func (w *wrecker) calm(ctx context.Context) error {
	w.journal.write("CALM")
	for _, n := range w.nodes {
		if err := w.await(ctx, n); err != nil {
			return err
		}
	}
	return w.progress(ctx)
}
