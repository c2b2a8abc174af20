package store

import (
	"context"
	"slices"
	"time"
)

// RuleChange says whose rules a transaction has changed: what an organization permits, or
// one of its workspaces.
type RuleChange struct {
	Org string `json:"org"`
	// Workspace is the one whose rules have changed; empty is all of the organization's.
	Workspace string `json:"ws,omitempty"`
	// Runtime is one that is to end, on the node that has it. Nothing else changes then.
	Runtime string `json:"rt,omitempty"`
}

// RuleNews is what a server has to obey that shares its database.
type RuleNews struct {
	// All is set where anybody's rules may have changed: notices were missed.
	All     bool         `json:"all,omitempty"`
	Changes []RuleChange `json:"changes,omitempty"`
	// Lock is set where every server is to forget the key encryption key.
	Lock bool `json:"lock,omitempty"`
}

// The rows of the table rule_changes: the number of the newest change of rules, and that
// of the newest one which locks all servers.
const (
	newestChange = 1
	newestLock   = 2
)

// ChangedRules says that the transaction changes what is permitted; without an
// organization that concerns everybody. The servers that share the database are told of it
// when it is durable, and [DB.AwaitRules] waits until they obey. Alone it does nothing.
func (tx *Tx) ChangedRules(c RuleChange) {
	tx.triedToChange = true
	if c.Org == "" {
		tx.rules.All = true
		return
	}
	tx.rules.Changes = append(tx.rules.Changes, c)
}

// AskToEnd is [Tx.ChangedRules] for a runtime that another node has, which is to end it. It
// stays on record, since news may be missed: see [Queries.AskedToEnd].
func (tx *Tx) AskToEnd(ctx context.Context, org, runtime string) error {
	tx.ChangedRules(RuleChange{Org: org, Runtime: runtime})
	_, err := tx.exec(ctx, "UPDATE runtime_nodes SET asked_to_end = TRUE WHERE org_id = $1 AND runtime_id = $2",
		org, runtime)
	return err
}

// AskedToEnd lists the runtimes that live, and that their nodes were asked to end.
func (q Queries) AskedToEnd(ctx context.Context) ([]RuleChange, error) {
	return many(ctx, q, func(row scanner) (c RuleChange, err error) { return c, row(&c.Org, &c.Runtime) },
		"SELECT n.org_id, n.runtime_id FROM runtime_nodes n JOIN runtimes r ON r.org_id = n.org_id AND r.id = n.runtime_id "+
			"WHERE n.asked_to_end AND r.live")
}

// LockAll is [Tx.ChangedRules] for a change that locks every server.
func (tx *Tx) LockAll() { tx.rules.Lock, tx.triedToChange = true, true }

// Concerns reports whether all rules of an organization may have changed.
func (n *RuleNews) Concerns(org string) bool {
	return n.All || slices.Contains(n.Changes, RuleChange{Org: org})
}

// any reports whether there is anything in it.
func (n *RuleNews) any() bool { return n.All || n.Lock || len(n.Changes) > 0 }

// add joins what is to be obeyed with more of it.
func (n *RuleNews) add(more RuleNews) {
	n.All = n.All || more.All
	n.Lock = n.Lock || more.Lock
	if n.All {
		n.Changes = nil
		return
	}
	n.Changes = append(n.Changes, more.Changes...)
}

// raiseRules numbers what a transaction changes of the rules. It runs alone, so
// that the numbers are in the order of the transactions.
func (b *batch) raiseRules(ctx context.Context, jobs []*job) (news RuleNews, number int64, err error) {
	if !b.on.shared {
		return news, 0, nil
	}
	for _, j := range jobs {
		if j.err == nil {
			news.add(j.tx.rules)
		}
	}
	if !news.any() {
		return news, 0, nil
	}
	const raise = "INSERT INTO rule_changes (id, number) VALUES ($1, $2) " +
		"ON CONFLICT (id) DO UPDATE SET number = "
	number, err = one(ctx, b.q, func(row scanner) (n int64, err error) { return n, row(&n) },
		raise+"rule_changes.number + 1 RETURNING number", newestChange, 1)
	if err == nil && news.Lock {
		_, err = b.q.exec(ctx, raise+"excluded.number", newestLock, number)
	}
	return news, number, err
}

// ruleNumbers reads the numbers of the newest change of rules, and of the newest one that
// locks all servers.
func (q Queries) ruleNumbers(ctx context.Context) (newest, lock int64, err error) {
	_, err = one(ctx, q, func(row scanner) (none struct{}, err error) { return none, row(&newest, &lock) },
		"SELECT COALESCE(MAX(number), 0), COALESCE(MAX(CASE WHEN id = $1 THEN number END), 0) FROM rule_changes",
		newestLock)
	return newest, lock, err
}

// nodesBehind counts the nodes that live and do not obey a change of rules yet.
func (q Queries) nodesBehind(ctx context.Context, number int64) (n int, err error) {
	return one(ctx, q, func(row scanner) (n int, err error) { return n, row(&n) },
		"SELECT COUNT(*) FROM nodes WHERE heard < $1 AND "+q.on.holdsLease(), number)
}

// hearRules records that this node obeys all changes of rules up to a number, and tells
// those who wait for it. A node whose lease has run out records nothing.
func (db *DB) hearRules(ctx context.Context, number int64) error {
	node := db.node.Load()
	if node == nil || *node == "" {
		return nil
	}
	text, err := notice{Heard: true}.encode()
	if err != nil {
		return err
	}
	_, err = db.queries.exec(ctx, "WITH node AS (UPDATE nodes SET heard = $1 WHERE id = $2 AND heard < $1 AND "+
		db.on.holdsLease()+" RETURNING id) SELECT pg_notify("+channel+", $3) FROM node", number, *node, text)
	return err
}

// Obeys reports whether a node obeys all changes of rules that are durable now.
func (db *DB) Obeys(ctx context.Context, node string) (bool, error) {
	return one(ctx, db.queries, func(row scanner) (obeys bool, err error) { return obeys, row(&obeys) },
		"SELECT heard >= (SELECT COALESCE(MAX(number), 0) FROM rule_changes) FROM nodes WHERE id = $1", node)
}

// AwaitRules returns once every node that lives obeys all changes of rules that are
// durable now, this one among them, or its lease has run out. Where the server has the
// database to itself that is at once. Its error is that nobody can tell: of ctx, or
// [ErrUnavailable].
func (db *DB) AwaitRules(ctx context.Context) error {
	if !db.on.shared {
		return nil
	}
	number, _, err := db.queries.ruleNumbers(ctx)
	if err != nil {
		return err
	}
	again := time.NewTicker(lookAgain)
	defer again.Stop()
	for {
		heard := db.feed.heardNext()
		behind, err := db.queries.nodesBehind(ctx, number)
		if err != nil {
			return err
		}
		if behind == 0 {
			return nil
		}
		select {
		case <-heard:
		case <-again.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
