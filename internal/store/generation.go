package store

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
)

// generation numbers the states of all that calls are resolved by, so that what was
// read and proven once need not be read again: it is what is stored for as long as
// the number is the same. Its methods are the writer's, but for now.
//
// The number is raised when a transaction changes a row, since what follows in the
// transaction has to see it, and again when that ended: a reader may have seen the
// state of before in between, and what was seen in a transaction that came to
// nothing never was.
type generation struct {
	n atomic.Uint64
	// changed is set while a transaction runs that has changed a row.
	changed atomic.Bool
	// compared is set once the running transaction knows what others have written.
	compared bool
	// version is SQLite's, by which it tells whether other connections have written.
	version int64
}

// raise gives up all that was read before.
func (g *generation) raise() { g.n.Add(1) }

// change is called before a statement changes something.
func (g *generation) change(statement string) {
	if !leavesCallsAsTheyAre(statement) {
		g.changed.Store(true)
		g.raise()
	}
}

// undo is called when a part of a transaction was undone.
func (g *generation) undo() {
	if g.changed.Load() {
		g.raise()
	}
}

// end is called when a transaction ended, whichever way, and before anybody learns
// of it.
func (g *generation) end() {
	g.undo()
	g.changed.Store(false)
	g.compared = false
}

// compare looks in a transaction, in which nobody else writes, whether somebody else
// has written since the one before. SQLite tells. PostgreSQL does not, and other
// servers may write to it: there nothing is known for longer than a transaction,
// which many share.
func (g *generation) compare(ctx context.Context, q Queries) error {
	switch {
	case g.compared:
		return nil
	case q.on.remote():
		g.raise()
	default:
		version, err := one(ctx, q, func(row scanner) (n int64, err error) { return n, row(&n) }, "PRAGMA data_version")
		if err != nil {
			return err
		}
		if version != g.version {
			g.version = version
			g.raise()
		}
	}
	g.compared = true
	return nil
}

// Generation numbers the state, as the transaction sees it, of all that calls are
// resolved by: secrets, credentials, capabilities, policies, bindings, attachments,
// and all else but what [leavesCallsAsTheyAre]. While the number stays the same, what
// was read and proven with it is what would be read.
func (tx *Tx) Generation(ctx context.Context) (uint64, error) {
	if err := tx.generation.compare(ctx, tx.Queries); err != nil {
		return 0, err
	}
	return tx.generation.n.Load(), nil
}

// Generation is [Tx.Generation] of the state that a reader sees, which has all that was
// acknowledged. ok is false on PostgreSQL, where only a transaction knows, and while one
// runs that has changed something, and may come to nothing.
func (db *DB) Generation() (n uint64, ok bool) {
	g := &db.batch.generation
	n = g.n.Load()
	return n, !db.on.remote() && !g.changed.Load()
}

// apartFromCalls are the tables that are written often and that no call is resolved
// by, nor anything that goes with their rows.
var apartFromCalls = []string{
	"agent_cache", "audit_checkpoints", "audit_events", "browser_profiles", "events", "folders", "idempotency",
	"invoke_rates", "objects", "operations", "profile_disks", "runtime_tokens", "runtimes", "vault_entries",
	"webhook_deliveries",
}

// leavesCallsAsTheyAre reports whether a statement changes only what no call is
// resolved by. One that it does not understand changes everything.
func leavesCallsAsTheyAre(statement string) bool {
	for _, verb := range []string{"INSERT INTO ", "UPDATE ", "DELETE FROM "} {
		if rest, ok := strings.CutPrefix(statement, verb); ok {
			end := strings.IndexAny(rest, " \t\n(")
			return end > 0 && slices.Contains(apartFromCalls, rest[:end])
		}
	}
	return false
}
