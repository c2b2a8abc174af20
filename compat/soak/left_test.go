package soak

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// leftTime is how long what has ended may be on record as not.
const leftTime = 60 * time.Second

// eventually requires that a count in the database comes to a number.
func (m *machines) eventually(ctx context.Context, why string, want int, query string) {
	m.t.Helper()
	ctx, done := context.WithTimeout(ctx, leftTime)
	defer done()
	got := -1
	for got != want {
		err := m.rows.QueryRowContext(ctx, query).Scan(&got)
		if err != nil || got != want && !pause(ctx, 100*time.Millisecond) {
			assert.Equal(m.t, want, got, "%s (%v)", why, err)
			return
		}
	}
}

// requireNothingLeft requires, of nodes that run and have nothing to do, that nothing is left of
// what they did.
func (m *machines) requireNothingLeft(ctx context.Context) {
	m.t.Helper()
	m.eventually(ctx, "nodes live", nodesOfAll, "SELECT COUNT(*) FROM nodes WHERE state <> 'ended'")
	m.eventually(ctx, "runtimes live of which nobody knows", 0, "SELECT COUNT(*) FROM runtimes WHERE live")
	m.eventually(ctx, "operations have not ended", 0, "SELECT COUNT(*) FROM operations WHERE NOT final")
	m.eventually(ctx, "names are held", 0, "SELECT COUNT(*) FROM holds")
	m.eventually(ctx, "nodes ended whose intents have no outcome", 0,
		"SELECT COUNT(*) FROM nodes WHERE state = 'ended' AND NOT settled")
	m.eventually(ctx, "runtimes are of no node", 0, "SELECT COUNT(*) FROM runtimes r WHERE live AND NOT EXISTS "+
		"(SELECT 1 FROM runtime_nodes n WHERE n.runtime_id = r.id)")
}

// requireEnded stops all nodes, and requires that nothing is left of them.
func (m *machines) requireEnded() {
	t := m.t
	t.Helper()
	for _, n := range m.nodes {
		p := n.running()
		browsers := descendants(p.cmd.Process.Pid)
		require.True(t, p.stop(stopTime), "node %d does not stop\n%s", n.i+1, m.journal.last())
		assert.NoError(t, p.err, "node %d does not end well", n.i+1)
		assert.NoError(t, m.gone(context.WithoutCancel(m.ctx), browsers))
	}
	m.eventually(context.WithoutCancel(m.ctx), "leases are left", 0,
		"SELECT COUNT(*) FROM nodes WHERE state <> 'ended' AND lease_until > EXTRACT(EPOCH FROM clock_timestamp()) * 1000")
	var of []string
	for _, n := range m.nodes {
		of = append(of, withText(n.data())...)
		of = append(of, withText(n.temporary())...)
		assert.Empty(t, foldersOf(n.temporary()), "node %d leaves folders for what is temporary", n.i+1)
		assert.Subset(t, []string{"lock", "node", "disk", "blobs", "profiles", "index", "log.db"}, foldersOf(n.data()),
			"node %d leaves more in its data", n.i+1)
		assert.Subset(t, []string{"disk"}, foldersOf(filepath.Join(n.data(), "profiles")), "node %d leaves profiles", n.i+1)
	}
	assert.Empty(t, of, "processes are left")
}

// foldersOf are what is in a folder.
func foldersOf(dir string) (names []string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil // there is none
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode()&fs.ModeSocket == 0 {
			names = append(names, e.Name())
		}
	}
	return names
}

// requireWholeLog has the log verified as an operator does while no server runs, and requires an
// event of each change that was acknowledged.
func (l *load) requireWholeLog() (events int) {
	t := l.t
	t.Helper()
	n := l.nodes[0]
	args := append([]string{"audit", "verify", "--files", n.bucketBy(strings.TrimPrefix(l.bucket.Endpoint, "http://"))},
		n.arguments(l.database.URL("bctrl"))...)
	out, err := n.command(args...).CombinedOutput()
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), "whole")

	rows, err := l.rows.QueryContext(context.WithoutCancel(l.ctx), "SELECT body FROM audit_events ORDER BY seq")
	require.NoError(t, err)
	defer func() { require.NoError(t, rows.Close()) }()
	recorded := map[string]bool{}
	for rows.Next() {
		events++
		var body []byte
		require.NoError(t, rows.Scan(&body))
		var event struct{ RequestID, Outcome string }
		require.NoError(t, json.Unmarshal(body, &event))
		recorded[event.RequestID] = recorded[event.RequestID] || event.Outcome == "ok"
	}
	require.NoError(t, rows.Err())
	for _, ids := range l.recorded {
		found := false
		for _, id := range ids {
			found = found || recorded[id]
		}
		require.True(t, found, "a change that was acknowledged is not in the log: %v", ids)
	}
	return events
}

// verify has a node verify the log.
func (n *node) verify(ctx context.Context) error {
	report, err := n.client.Audit.Verify(ctx)
	if err != nil {
		return err
	}
	if !report.OK {
		return fmt.Errorf("node %d finds problems in the log: %v", n.i+1, report.Problems)
	}
	return nil
}
