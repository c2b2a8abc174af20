package soak

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

// upgradeVariable names the commit to upgrade from.
const upgradeVariable = "BCTRL_UPGRADE_FROM"

// drainTime is how long a node may take to stop once it is drained: until its runtimes have ended.
const drainTime = 3 * time.Minute

// TestNodesAreReplacedOneAtATimeAndNoRequestFails drains each of three nodes and starts one in its place,
// under load. In the long run the nodes are those of commits before, and what replaces them is this source;
// else both are this one, and one node is replaced.
func TestNodesAreReplacedOneAtATimeAndNoRequestFails(t *testing.T) {
	here := buildHere(t)
	for _, u := range upgrades(t) {
		t.Run(u.name, func(t *testing.T) {
			from := here
			if u.from != "" {
				from = buildCommit(t, u.from)
			}
			replaceUnderLoad(t, from, here, u)
		})
	}
}

// upgrade is what nodes are upgraded from.
type upgrade struct {
	name string
	// from is a commit; empty is this source.
	from    string
	working func(*machines, uint64) (*load, *work)
	// cuts is set where such a server cut off its calls to providers as it stopped.
	cuts bool
}

func upgrades(t *testing.T) []upgrade {
	t.Helper()
	switch revision := os.Getenv(upgradeVariable); {
	case revision != "":
		return []upgrade{{name: "from " + revision, from: revision, working: newLoad}}
	case !full():
		return []upgrade{{name: "by the same", working: newLoad}}
	}
	// The first ones passed no requests on, so that clients had to know who had which runtime.
	first, _, _ := strings.Cut(git(t, "log", "--reverse", "--format=%H", "-S--node-address", "--", "*.go"), "\n")
	require.NotEmpty(t, first, "the history does not say which commit had nodes first")
	return []upgrade{
		{name: "from the commit before", from: "HEAD~1", working: newLoad},
		{name: "from the first that had nodes", from: first, working: newLoadOfRows, cuts: true},
	}
}

// replaceUnderLoad starts nodes of one program and replaces them by those of another.
func replaceUnderLoad(t *testing.T, from, to string, u upgrade) {
	t.Helper()
	ctx := untilInterrupted(t)
	seed, _ := seeded(t)
	m := newMachines(t, ctx, from)
	m.startAll()
	m.prepare()
	l, own := u.working(m, seed)
	var replaced atomic.Pointer[node]
	l.strange = func(n *node, err error) bool { return isStrangeIn(replaced.Load(), n, err, u.cuts) }
	l.begin()
	err := l.progress(ctx)
	nodes := m.nodes
	if from == to {
		nodes = nodes[:1]
	}
	for _, n := range nodes {
		if err == nil {
			replaced.Store(n)
			err = l.replace(ctx, n, to)
		}
		if err == nil {
			replaced.Store(nil)
			err = l.progress(ctx)
		}
	}
	l.requireWell(ctx, own, err)
	l.tell(own)
}

// isStrangeIn reports whether an error is more than what is documented of a node that is replaced: it
// has no answer, once it has stopped and until the next one listens, and a call that is repeated finds
// that another node still works on it. A node that cuts off calls says that it is stopping.
func isStrangeIn(replaced, asked *node, err error, cuts bool) bool {
	e, ok := errors.AsType[*bctrl.Error](err)
	switch {
	case !ok:
		return true
	case e.Code == "request.in_progress", cuts && asked == replaced && e.Code == "server.stopping":
		return false
	}
	return asked != replaced || e.Code != "transport.no_answer"
}

// replace drains a node, waits until it has stopped, and starts another program in its place.
func (l *load) replace(ctx context.Context, n *node, program string) error {
	id, err := n.id(ctx)
	if err != nil {
		return err
	}
	n.journal.write("node %d, %s, is drained", n.i+1, id)
	if _, err := n.nodes[(n.i+1)%len(n.nodes)].client.Nodes.Drain(ctx, id); err != nil {
		return fmt.Errorf("drain: %w", err)
	}
	if err := l.awaitDrained(ctx, n); err != nil {
		return err
	}
	if err := n.running().err; err != nil {
		return fmt.Errorf("node %d was drained and ended: %w", n.i+1, err)
	}
	n.journal.write("node %d has stopped, and another starts in its place", n.i+1)
	n.program = program
	if err := n.start(); err != nil {
		return err
	}
	return n.await(ctx)
}

// awaitDrained waits until a node has stopped. Those who have runtimes stop them meanwhile: a node may
// hear that it is drained as late as it renews its lease, and take one until then.
func (l *load) awaitDrained(ctx context.Context, n *node) error {
	ctx, done := context.WithTimeout(ctx, drainTime)
	defer done()
	move := time.NewTicker(2 * time.Second)
	defer move.Stop()
	for {
		l.moves.Add(1)
		select {
		case <-n.running().ended:
			return nil
		case <-move.C:
		case <-ctx.Done():
			return fmt.Errorf("node %d was drained and did not stop in %v", n.i+1, drainTime)
		}
	}
}

// progress waits until each caller had an answer.
func (l *load) progress(ctx context.Context) error {
	ctx, done := context.WithTimeout(ctx, calmTime)
	defer done()
	for _, c := range l.callers {
		for had := c.acknowledged.Load(); c.acknowledged.Load() == had; {
			if err := l.faulty(); err != nil {
				return err
			}
			if !pause(ctx, 20*time.Millisecond) {
				return fmt.Errorf("%s has no answer in %v", c.name, calmTime)
			}
		}
	}
	return nil
}

// git asks about the history, which a shallow copy has not.
func git(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir = filepath.Join("..", "..")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "an upgrade is from a commit before, which takes the history of the repository "+
		"(git fetch --unshallow): git %s: %s", strings.Join(args, " "), out)
	return strings.TrimSpace(string(out))
}

// buildCommit builds the program of a commit, from a copy of its files.
func buildCommit(t *testing.T, revision string) string {
	t.Helper()
	commit := git(t, "rev-parse", "--verify", revision+"^{commit}")
	t.Logf("from %s", git(t, "log", "-1", "--format=%h %s", commit))
	source := t.TempDir()
	archive := filepath.Join(t.TempDir(), "source.tar")
	git(t, "archive", "--output", archive, commit)
	out, err := exec.CommandContext(t.Context(), "tar", "-xf", archive, "-C", source).CombinedOutput()
	require.NoError(t, err, string(out))
	return buildFrom(t, source)
}
