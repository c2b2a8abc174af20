package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// NodeState is what a node is at.
type NodeState string

// The states of a node.
const (
	// NodeServing takes launches.
	NodeServing NodeState = "serving"
	// NodeDraining takes none, and stops once its runtimes have ended.
	NodeDraining NodeState = "draining"
	// NodeEnded has stopped, or was found without its lease.
	NodeEnded NodeState = "ended"
)

// Node is one of the servers that share a database, from its start to its end. A server
// that starts again is another node. Rows of nodes are not proven: whom they lead astray
// finds no server there that has the cluster's key.
type Node struct {
	// ID is a uuid that is new at each start.
	ID string
	// Number is the fencing number of its lease: each node has a greater one than all
	// before it.
	Number int64
	// Name is that of its machine, for people.
	Name string
	// Address is the host and port at which the other nodes reach it.
	Address string
	// Version is that of the program.
	Version string
	State   NodeState
	// Runtimes start or run there, and Room is how many more may; below 0 is no bound.
	Runtimes, Room int
	// Locked is set while it has no master key.
	Locked bool
	// Heard is the number of the newest change of rules that it obeys.
	Heard     int64
	StartedAt time.Time
	// LogFrom is a number up to which the audit log has no intent of its without outcome: where the
	// log stood when it came, or what [DB.SetLogFrom] has moved that to since.
	LogFrom int64
	// LeaseLeft is how long its lease lasts yet, by the database's clock.
	LeaseLeft time.Duration
}

// now is the database's time in milliseconds, as it is when the statement comes to it.
func (d *dialect) now() string {
	if d.remote() {
		return "(EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint"
	}
	return "CAST(unixepoch('subsec') * 1000 AS INTEGER)"
}

func (d *dialect) nodeColumns() string {
	return "id, number, name, address, version, state, runtimes, room, locked, heard, started_at, log_from, " +
		"lease_until - " + d.now()
}

func scanNode(row scanner) (n Node, err error) {
	var started, left int64
	err = row(&n.ID, &n.Number, &n.Name, &n.Address, &n.Version, &n.State, &n.Runtimes, &n.Room, &n.Locked, &n.Heard,
		&started, &n.LogFrom, &left)
	n.StartedAt, n.LeaseLeft = fromMillis(started), time.Duration(left)*time.Millisecond
	return n, err
}

// holdsLease is the condition of a node that lives.
func (d *dialect) holdsLease() string { return "state <> 'ended' AND lease_until > " + d.now() }

// Nodes lists the nodes that live, the oldest first.
func (q Queries) Nodes(ctx context.Context) ([]Node, error) {
	return many(ctx, q, scanNode, "SELECT "+q.on.nodeColumns()+" FROM nodes WHERE "+q.on.holdsLease()+" ORDER BY number")
}

// NodeOfRuntime returns the node that has a runtime, or had it when it ended. One that
// does not live is [ErrNotFound].
func (q Queries) NodeOfRuntime(ctx context.Context, org, runtime string) (Node, error) {
	return one(ctx, q, scanNode, "SELECT "+q.on.nodeColumns()+" FROM nodes WHERE "+q.on.holdsLease()+
		" AND id = (SELECT node_id FROM runtime_nodes WHERE org_id = $1 AND runtime_id = $2)", org, runtime)
}

// NodesOfRuntimes returns the ids of the nodes that have some runtimes of an organization, or
// had them when they ended, by the ids of those.
func (q Queries) NodesOfRuntimes(ctx context.Context, org string, runtimes []string) (map[string]string, error) {
	return q.pairs(ctx, "SELECT runtime_id, node_id FROM runtime_nodes WHERE runtime_id IN ("+q.on.listedTexts()+
		") AND org_id = $2", runtimes, org)
}

// pairs reads two texts of each row, for the texts of a list.
func (q Queries) pairs(ctx context.Context, query string, list []string, org string) (map[string]string, error) {
	texts, err := json.Marshal(list)
	if err != nil {
		return nil, err
	}
	pairs := map[string]string{}
	return pairs, each(ctx, q, func(row scanner) (p [2]string, err error) { return p, row(&p[0], &p[1]) },
		func(p [2]string) error { pairs[p[0]] = p[1]; return nil }, query, string(texts), org)
}

// RegisterNode adds a node whose lease lasts so long, beside the writer, and returns it
// with its number. Where its server was another node before, and an operator has drained
// that, this one is drained too; former is empty where it was none.
func (db *DB) RegisterNode(ctx context.Context, n Node, former string, lease time.Duration) (Node, error) {
	now, column, none := db.on.now(), "", ""
	if db.on.remote() {
		column, none = ", lane", ", 0"
	}
	for try := 1; ; try++ {
		registered, err := one(ctx, db.queries, scanNode, `INSERT INTO nodes (id, number, name, address, version, state,
			runtimes, room, heard, started_at, lease_until, log_from, settled, drained`+column+`)
			SELECT $1, COALESCE(MAX(number), 0) + 1, $2, $3, $4,
				CASE WHEN COALESCE(MAX(CASE WHEN drained AND id = $6 THEN 1 END), 0) = 1 THEN 'draining' ELSE 'serving' END,
				0, 0, 0, `+now+", "+now+` + $5,
				COALESCE((SELECT MAX(seq) FROM audit_events), 0), FALSE,
				COALESCE(MAX(CASE WHEN drained AND id = $6 THEN 1 END), 0) = 1`+none+` FROM nodes
			RETURNING `+db.on.nodeColumns(), n.ID, n.Name, n.Address, n.Version, lease.Milliseconds(), former)
		if errors.Is(err, ErrExists) && try < maxTries {
			continue // another node took the number at the same moment
		}
		if err != nil {
			return registered, fmt.Errorf("registering a node: %w", err)
		}
		db.leaseMargin.Store((lease / 6).Milliseconds())
		return registered, nil
	}
}

// ExpireLease ends the lease of a node that has stopped, or is known to.
func (db *DB) ExpireLease(ctx context.Context, id string) error {
	_, err := db.queries.exec(ctx, "UPDATE nodes SET lease_until = 0 WHERE id = $1 AND state <> 'ended'", id)
	return err
}

// ExpireLeases ends the leases of all nodes: for a server that has the database to itself.
func (db *DB) ExpireLeases(ctx context.Context) error {
	_, err := db.queries.exec(ctx, "UPDATE nodes SET lease_until = 0 WHERE state <> 'ended'")
	return err
}

// Renewal is what a node says when it renews its lease.
type Renewal struct {
	ID string
	// Lease is how long it lasts from now on.
	Lease time.Duration
	// Runtimes, Room and Locked are as in [Node].
	Runtimes, Room int
	Locked         bool
}

// Renewed is what a node is told when it has renewed its lease.
type Renewed struct {
	State NodeState
	// Leads is set while it is not locked, and no node that lives and is not was there before it.
	Leads bool
}

// shortestRenewal is what a renewal may take where a lease is very short.
const shortestRenewal = 500 * time.Millisecond

// RenewLease renews the lease of a node, beside the writer. One whose lease has run out,
// or that was ended, gets [ErrFenced]: it cannot be renewed any more. It is given up after a
// quarter of the lease, so that there is time to try again on another connection.
func (db *DB) RenewLease(ctx context.Context, r Renewal) (Renewed, error) {
	now, q := db.on.now(), db.queries
	if db.on.remote() {
		on := *db.on
		on.limit = min(on.limit, max(r.Lease/4, shortestRenewal))
		q.on = &on
	}
	renewed, err := one(ctx, q, func(row scanner) (out Renewed, err error) {
		return out, row(&out.State, &out.Leads)
	}, "UPDATE nodes SET lease_until = "+now+" + $1, runtimes = $2, room = $3, locked = $4 WHERE id = $5 AND "+
		db.on.holdsLease()+" RETURNING state, NOT locked AND NOT EXISTS (SELECT 1 FROM nodes AS other"+
		" WHERE other.number < nodes.number"+
		" AND NOT other.locked AND other.state <> 'ended' AND other.lease_until > "+now+")",
		r.Lease.Milliseconds(), r.Runtimes, r.Room, r.Locked, r.ID)
	if errors.Is(err, ErrNotFound) {
		err = ErrFenced
	}
	return renewed, err
}

// DrainNode has a node take no launches any more. One that does not live is
// [ErrNotFound].
func (tx *Tx) DrainNode(ctx context.Context, id string) (Node, error) {
	if err := tx.execChanging(ctx, "UPDATE nodes SET state = 'draining', drained = TRUE WHERE id = $1 AND "+
		tx.on.holdsLease(), id); err != nil {
		return Node{}, err
	}
	return one(ctx, tx.Queries, scanNode, "SELECT "+tx.on.nodeColumns()+" FROM nodes WHERE id = $1", id)
}

// DeadNodes lists those whose lease has run out, and whom nobody has ended yet.
func (q Queries) DeadNodes(ctx context.Context) ([]Node, error) {
	return many(ctx, q, scanNode, "SELECT "+q.on.nodeColumns()+" FROM nodes WHERE state <> 'ended' AND NOT ("+
		q.on.holdsLease()+") ORDER BY number")
}

// EndDeadNodes ends those whose lease has run out, and returns them. None of them writes
// anything any more. What they had is ended in the same transaction, by
// [Tx.EndOperations] and [Tx.FailLiveRuntimes].
func (tx *Tx) EndDeadNodes(ctx context.Context) ([]Node, error) {
	dead, err := tx.DeadNodes(ctx)
	if err != nil {
		return nil, err
	}
	for _, n := range dead {
		// When it was found dead, and not when its lease ran out: a clean end leaves no time.
		if err := tx.execChanging(ctx, "UPDATE nodes SET state = 'ended', lease_until = "+tx.on.now()+" WHERE id = $1",
			n.ID); err != nil {
			return nil, err
		}
	}
	return dead, nil
}

// ofNoNode is the condition of a row of a runtime that no node has which has not ended.
func ofNoNode(org, runtime string) string {
	return "NOT EXISTS (SELECT 1 FROM runtime_nodes of JOIN nodes n ON n.id = of.node_id WHERE of.org_id = " + org +
		" AND of.runtime_id = " + runtime + " AND n.state <> 'ended')"
}

// UnsettledNodes lists the nodes that were ended and whose intents may have no outcome yet.
func (q Queries) UnsettledNodes(ctx context.Context) ([]Node, error) {
	return many(ctx, q, scanNode, "SELECT "+q.on.nodeColumns()+
		" FROM nodes WHERE state = 'ended' AND NOT settled ORDER BY number")
}

// LogFrom is the least [Node.LogFrom] of the nodes that have not ended; [math.MaxInt64] where there is
// none.
func (q Queries) LogFrom(ctx context.Context) (int64, error) {
	return one(ctx, q, func(row scanner) (n int64, err error) { return n, row(&n) },
		"SELECT COALESCE(MIN(log_from), $1) FROM nodes WHERE state <> 'ended'", int64(math.MaxInt64))
}

// SetLogFrom moves [Node.LogFrom] of the nodes that have not ended to a number, beside the writer,
// and never back. Up to there the log has no intent without outcome of any of them; since none is
// ever written there again, that stays true, and a node may say so that has lost its lease.
func (db *DB) SetLogFrom(ctx context.Context, number int64) error {
	_, err := db.queries.exec(ctx, "UPDATE nodes SET log_from = $1 WHERE state <> 'ended' AND log_from < $1", number)
	return err
}

// SettleNode says that no intent of a node that was ended is without an outcome. It is
// [ErrNotFound] where that was said already.
func (tx *Tx) SettleNode(ctx context.Context, id string) error {
	return tx.execChanging(ctx, "UPDATE nodes SET settled = TRUE WHERE id = $1 AND state = 'ended' AND NOT settled", id)
}

// ForgetNodes removes what is left of nodes that ended before a time: all but the newest,
// whose number the next one follows.
func (tx *Tx) ForgetNodes(ctx context.Context, before time.Time) error {
	const gone = "state = 'ended' AND settled AND lease_until < $1 AND number < (SELECT MAX(number) FROM nodes)"
	if _, err := tx.exec(ctx, "DELETE FROM runtime_nodes WHERE node_id IN (SELECT id FROM nodes WHERE "+gone+")",
		millis(before)); err != nil {
		return err
	}
	_, err := tx.exec(ctx, "DELETE FROM nodes WHERE "+gone, millis(before))
	return err
}

// ErrFenced is returned by a write of a node whose lease has run out or was ended.
var ErrFenced = errors.New("store: the lease of this node has ended")

// Fence has every transaction of the writer from now on, and nothing else, be one of a
// node: none is durable once the node's lease has ended, and runtimes that are written are
// the node's. An empty id is that of a server that has the database to itself.
func (db *DB) Fence(node string) {
	db.node.Store(&node)
	db.feed.catchUp() // what the node obeys is on record as of now
}

// Node is the node whose transaction it is; empty where a server has the database to
// itself.
func (tx *Tx) Node() string { return tx.node }

// errLeaseEnds refuses a commit that might be later than the lease. A node has given up by
// its own clock by then.
var errLeaseEnds = fmt.Errorf("%w: too little is left of the lease of this node", ErrUnavailable)

// leaseQuery is how long the lease of a node lasts yet.
func (d *dialect) leaseQuery() string {
	return "SELECT lease_until - " + d.now() + " FROM nodes WHERE id = $1 AND state <> 'ended'"
}

// leaseOrError fails where no more than a margin is left of the lease of a node, in milliseconds, so
// that nothing that is sent after it is done: it divides by zero, since SQL alone has no statement that
// raises an error.
func (d *dialect) leaseOrError() string {
	return "SELECT 1 / COUNT(*) FROM nodes WHERE id = $1 AND state <> 'ended' AND lease_until > " + d.now() + " + $2"
}

// scanLease reads the answer to leaseOrError. What it returns is why, and the driver's own error.
func scanLease(why error) func(pgx.Row) error {
	return func(row pgx.Row) error {
		var held int
		err := row.Scan(&held)
		if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.Code == divisionByZero {
			return errors.Join(why, err)
		}
		return err
	}
}

// divisionByZero is a SQLSTATE.
const divisionByZero = "22012"

// checkLease refuses a transaction of a node that is without its lease.
func checkLease(row scanner) error {
	var left int64
	switch err := row(&left); {
	case errors.Is(err, sql.ErrNoRows), errors.Is(err, ErrNotFound):
		return ErrFenced
	case err != nil:
		return err
	case left <= 0:
		return ErrFenced
	}
	return nil
}
