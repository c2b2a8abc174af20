package store

import "github.com/jackc/pgx/v5"

// entryRows are rows of the log by their columns, as PostgreSQL takes many at once: a
// statement for each would be a way to it and back for each.
type entryRows struct {
	seq, at                                             []int64
	org                                                 []string
	body, hash                                          [][]byte
	intent                                              []*int64
	workspace, runtime, action, object, outcome, record []*string
	denied                                              []*bool
	lane                                                []int64
	previous                                            []*int64
}

// add adds the row that [Queries.insertEntry] would, with its lane and the number before it there.
func (r *entryRows) add(e *Entry, head []byte, lane, previous int64) {
	r.lane = append(r.lane, lane)
	if previous == e.Seq-1 {
		r.previous = append(r.previous, nil)
	} else {
		r.previous = append(r.previous, &previous)
	}
	r.seq, r.at = append(r.seq, e.Seq), append(r.at, millis(e.At))
	r.org = append(r.org, escaped(e.Org))
	r.body, r.hash = append(r.body, append([]byte{}, e.Body...)), append(r.hash, head)
	r.outcome = append(r.outcome, textOrNull(e.Outcome))
	if e.Intent != 0 {
		r.intent, r.denied = append(r.intent, &e.Intent), append(r.denied, nil)
		r.workspace, r.runtime = append(r.workspace, nil), append(r.runtime, nil)
		r.action, r.object = append(r.action, nil), append(r.object, nil)
		r.record = append(r.record, nil)
		return
	}
	r.intent, r.denied = append(r.intent, nil), append(r.denied, &e.Denied)
	r.workspace, r.runtime = append(r.workspace, textOrNull(e.Workspace)), append(r.runtime, textOrNull(e.Runtime))
	r.action, r.object = append(r.action, textOrNull(e.Action)), append(r.object, textOrNull(e.Object))
	r.record = append(r.record, textOrNull(e.Record))
}

// insert adds all rows to the log, with what else is sent.
func (r *entryRows) insert(with *pgx.Batch) {
	with.Queue(`INSERT INTO audit_events (seq, at, org_id, body, hash, intent, workspace_id, runtime_id, action,
			object, denied, outcome, record, lane, previous)
		SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::bytea[], $5::bytea[], $6::bigint[], $7::text[],
			$8::text[], $9::text[], $10::text[], $11::boolean[], $12::text[], $13::text[], $14::bigint[], $15::bigint[])`,
		r.seq, r.at, r.org, r.body, r.hash, r.intent, r.workspace, r.runtime, r.action, r.object, r.denied, r.outcome,
		r.record, r.lane, r.previous)
}

// textOrNull is [orNull] for a list of texts.
func textOrNull(s string) *string {
	if s == "" {
		return nil
	}
	s = escaped(s)
	return &s
}
