package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bctrl-go/bctrl/internal/tuple"
)

// The log of servers that share a database is made of lanes: a chain for each node, so that
// none waits for another to append. Numbers give all events one order. A node takes one that
// is greater than all that was committed when its transaction began, and of its own residue, so
// that no two nodes take the same. Since changes run alone and decisions beside each other,
// whatever an event rests on has a smaller number, and so has whatever its caller was answered.
//
// Lane 0 is that of a server which has the log to itself, whose numbers have no gaps. A node
// without a lane of its own, as beside one of a version that knows none, writes there, and
// alone.

// Lanes is how many there are at most, lane 0 counted.
const Lanes = 64

// Lane is where one of the chains stands that the log is made of.
type Lane struct {
	Number int64
	// Seq and Hash are those of its newest event.
	Seq  int64
	Hash []byte
}

// HeadOf is the hash that stands for lanes, which are in the order of their numbers and have
// an event each: of lane 0 alone the hash of its newest event, else SHA-256 over the number,
// the newest event's number and its hash of each.
func HeadOf(lanes []Lane) []byte {
	switch {
	case len(lanes) == 0:
		return ZeroHash()
	case len(lanes) == 1 && lanes[0].Number == 0:
		return lanes[0].Hash
	}
	covered := tuple.Encoding("bctrl audit 1 lanes\x00")
	for _, l := range lanes {
		covered = covered.Fixed(l.Number, l.Seq).Bytes(l.Hash)
	}
	hash := sha256.Sum256(covered)
	return hash[:]
}

// LanesAt lists where the lanes stood with the event of a number, in the order of theirs.
// It is told of what is settled: see [DB.Settled].
func (q Queries) LanesAt(ctx context.Context, seq int64) ([]Lane, error) {
	scan := func(row scanner) (l Lane, err error) { return l, row(&l.Number, &l.Seq, &l.Hash) }
	if !q.on.remote() {
		return many(ctx, q, scan, "SELECT 0, seq, hash FROM audit_events WHERE seq <= $1 ORDER BY seq DESC LIMIT 1", seq)
	}
	return many(ctx, q, scan, `WITH RECURSIVE lanes (lane) AS (
			SELECT MIN(lane) FROM audit_events
			UNION ALL
			SELECT (SELECT MIN(a.lane) FROM audit_events a WHERE a.lane > lanes.lane) FROM lanes WHERE lane IS NOT NULL)
		SELECT n.lane, n.seq, n.hash FROM lanes CROSS JOIN LATERAL (SELECT a.lane, a.seq, a.hash FROM audit_events a
			WHERE a.lane = lanes.lane AND a.seq <= $1 ORDER BY a.seq DESC LIMIT 1) n
		ORDER BY n.lane`, seq)
}

// HeadAt returns the hash that stands for all events up to one, which is [ErrNotFound] where it is
// not there. It is told of what is settled.
func (q Queries) HeadAt(ctx context.Context, seq int64) ([]byte, error) {
	hash, err := q.HashAt(ctx, seq)
	if err != nil || seq == 0 || !q.on.remote() {
		return hash, err
	}
	lanes, err := q.LanesAt(ctx, seq)
	return HeadOf(lanes), err
}

// laneEnd is where a lane ends in the database, and the newest event of all lanes.
func (q Queries) laneEnd(ctx context.Context, lane int64) (p place, err error) {
	if p, err = q.newestEntry(ctx); err != nil {
		return p, err
	}
	where, args := "", []any(nil)
	if q.on.remote() {
		where, args = "WHERE lane = $1 ", []any{lane}
	}
	end, err := one(ctx, q, func(row scanner) (l Lane, err error) { return l, row(&l.Seq, &l.Hash) },
		"SELECT seq, hash FROM audit_events "+where+"ORDER BY seq DESC LIMIT 1", args...)
	switch {
	case errors.Is(err, ErrNotFound):
		return p, nil
	case err != nil:
		return p, fmt.Errorf("reading the head of the audit log: %w", err)
	}
	p.seq, p.head = end.Seq, end.Hash
	return p, nil
}

const newestQuery = "SELECT seq, at, hash FROM audit_events ORDER BY seq DESC LIMIT 1"

// newestEntry is a place of no lane, and of the newest entry in the database; 0 where there is none.
func (q Queries) newestEntry(ctx context.Context) (place, error) {
	p, err := one(ctx, q, func(row scanner) (p place, err error) {
		var at int64
		err = row(&p.newest, &at, &p.newestHash)
		p.at = fromMillis(at)
		return p, err
	}, newestQuery)
	p.head = ZeroHash()
	if err != nil && !errors.Is(err, ErrNotFound) {
		return p, fmt.Errorf("reading the head of the audit log: %w", err)
	}
	return p, nil
}

// takeLane gives the node whose transaction it is a lane that no other has: the least one, so that
// there are no more of them than nodes at once. It keeps it for as long as it lives. While a node lives
// that is of a version which knows no lanes, or all are taken, it has none, which is lane 0. The
// transaction runs alone.
func (b *batch) takeLane(ctx context.Context) (lane int64, err error) {
	has, err := one(ctx, b.q, func(row scanner) (n [2]int64, err error) { return n, row(&n[0], &n[1]) },
		`SELECT lane, CASE
			WHEN lane > 0 THEN lane
			WHEN EXISTS (SELECT 1 FROM nodes o WHERE o.state <> 'ended' AND o.lane IS NULL) THEN 0
			ELSE COALESCE((SELECT MIN(n) FROM generate_series(1, $2::bigint) n WHERE NOT EXISTS
				(SELECT 1 FROM nodes o WHERE o.state <> 'ended' AND o.lane = n)), 0) END
		FROM nodes WHERE id = $1`, b.node, int64(Lanes-1))
	before, lane := has[0], has[1]
	if err == nil && lane != before {
		_, err = b.q.exec(ctx, "UPDATE nodes SET lane = $1 WHERE id = $2", lane, b.node)
	}
	return lane, err
}

// nextNumber is the number of the next event of a lane.
func (p place) nextNumber(lane int64) int64 {
	if lane == 0 {
		return p.newest + 1
	}
	n := p.newest - p.newest%Lanes + lane
	if n <= p.newest {
		n += Lanes
	}
	return n
}

// standing is what the database has of the log as a transaction begins that may have others beside it.
type standing struct {
	// place is that of the last event of this server, and of the newest.
	place
	// whole is set while what this server knows of the log is there still.
	whole bool
	// lane is the one that the node has.
	lane int64
}

// askWhereItStands reads where the log stands, once what is sent has been answered.
func (b *batch) askWhereItStands(with *pgx.Batch) *standing {
	is := &standing{place: b.base, whole: true}
	if b.node != "" {
		with.Queue("SELECT COALESCE(lane, 0) FROM nodes WHERE id = $1", b.node).QueryRow(func(row pgx.Row) error {
			return row.Scan(&is.lane)
		})
	}
	known := map[int64][]byte{b.base.seq: b.base.head, b.base.newest: b.base.newestHash}
	for seq, want := range known {
		if seq == 0 {
			continue
		}
		with.Queue("SELECT COALESCE((SELECT hash FROM audit_events WHERE seq = $1), '')", seq).QueryRow(
			func(row pgx.Row) error {
				var hash []byte
				err := row.Scan(&hash)
				is.whole = is.whole && bytes.Equal(hash, want)
				return err
			})
	}
	with.Queue(newestQuery).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var at int64
			if err := rows.Scan(&is.newest, &at, &is.newestHash); err != nil {
				return err
			}
			is.at = fromMillis(at)
		}
		return rows.Err()
	})
	return is
}

const (
	// settleAgain is how soon it is looked whether transactions have ended, and settleMost how long
	// that is put off where they last.
	settleAgain = 2 * time.Millisecond
	settleMost  = 50 * time.Millisecond
)

// Settled is up to which number nothing is added to the log any more, so that whoever reads it up to
// there has read the same as everybody. Where servers share the log it waits for the decisions that are
// underway on any of them, and tells of all that was acknowledged before.
func (db *DB) Settled(ctx context.Context) (seq int64, err error) {
	if !db.on.shared {
		return db.Head().Seq, nil
	}
	if seq, err = db.queries.LastEvent(ctx); err != nil {
		return 0, err
	}
	// Whoever begins to decide after this has seen that event, and takes greater numbers.
	underway, err := db.queries.deciding(ctx)
	for pause := settleAgain; err == nil && len(underway) > 0; pause = min(2*pause, settleMost) {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return 0, ctx.Err()
		}
		var now map[string]bool
		now, err = db.queries.deciding(ctx)
		maps.DeleteFunc(underway, func(transaction string, _ bool) bool { return !now[transaction] })
	}
	return seq, err
}

// FollowSettled is Settled for who reads again and again: moved is closed once it is worth to ask for
// more. Where servers share the log those who ask at the same server share an answer, which may be
// [lookAgain] old.
func (db *DB) FollowSettled(ctx context.Context) (seq int64, moved <-chan struct{}, err error) {
	if !db.on.shared {
		head := db.Head()
		return head.Seq, head.Moved, nil
	}
	return db.settled.get(ctx, db.Settled)
}

// settled is an answer that those who follow the log share.
type settled struct {
	asking chan struct{} // has an element while somebody asks
	seq    int64
	// moved is closed when the answer is of no more use; nil before the first.
	moved chan struct{}
}

func newSettled() *settled { return &settled{asking: make(chan struct{}, 1)} }

func (s *settled) get(
	ctx context.Context, ask func(context.Context) (int64, error),
) (seq int64, moved <-chan struct{}, err error) {
	select {
	case s.asking <- struct{}{}:
		defer func() { <-s.asking }()
	case <-ctx.Done():
		return 0, nil, ctx.Err()
	}
	select {
	case <-s.moved:
	default:
		if s.moved != nil {
			return s.seq, s.moved, nil
		}
	}
	if seq, err = ask(ctx); err != nil {
		return 0, nil, err
	}
	again := make(chan struct{})
	time.AfterFunc(lookAgain, func() { close(again) })
	s.seq, s.moved = seq, again
	return seq, again, nil
}

// deciding names the transactions that only decide and have not ended.
func (q Queries) deciding(ctx context.Context) (map[string]bool, error) {
	names, err := many(ctx, q, func(row scanner) (name string, err error) { return name, row(&name) },
		"SELECT virtualtransaction FROM pg_locks WHERE locktype = 'relation' AND relation = '"+versionTable+
			"'::regclass AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "+
			"AND mode = 'ShareLock' AND granted")
	deciding := make(map[string]bool, len(names))
	for _, name := range names {
		deciding[name] = true
	}
	return deciding, err
}

// ClockSlack is by how much the times of events may go back along the log: clocks of nodes
// may differ by a minute, and transactions last for less than another. On one server they never do.
func (q Queries) ClockSlack() time.Duration {
	if q.on.remote() {
		return 2 * time.Minute
	}
	return 0
}
