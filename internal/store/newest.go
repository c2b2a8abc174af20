package store

import (
	"context"
	"encoding/json"
	"errors"
)

// The two parts of [Queries.unlogged].
const (
	ofBatch = iota
	ofJob
)

// newestEvent is a column: the newest event in the log that wrote the record of a
// row, read in the row's own moment. Another statement might see the log after
// one more write, and take the row for one of before.
func newestEvent(kind, table string) string {
	return ", (" + newestEventOf(kind, "'"+kind+":' || "+table+".id") + ")"
}

// newestEventOf is the query of the newest event that wrote the record of a kind with a name.
func newestEventOf(kind, name string) string {
	if kind == KindVault {
		panic("store: no index has the events of logins")
	}
	return "SELECT body FROM audit_events WHERE record = " + name + " AND " + hasRecordIndex + " ORDER BY seq DESC LIMIT 1"
}

// hasRecordIndex is true of the events of all records but logins. In a file the index by records has these alone, and
// is used by queries that have the same words: no decision rests on the newest event of a login, and a set
// would write a page of the index for it.
const hasRecordIndex = "substr(record, 1, 6) <> '" + KindVault + ":'"

// newest is [checked] for a row before its [newestEvent]. It refuses, with a
// [ForgedError], one that is not as that event has it: a row that was put back
// to what it was has the proof of before.
func newest[T any](q Queries, scan provenScan[T]) func(scanner) (T, error) {
	return func(row scanner) (T, error) {
		var is provenRow
		var event []byte
		v, err := checked(q, func(row scanner) (v T, p provenRow, err error) {
			v, is, err = scan(func(dest ...any) error { return row(append(dest, &event)...) })
			return v, is, err
		})(row)
		if err == nil {
			err = q.isNewest(is, event)
		}
		if err != nil {
			var none T
			return none, err
		}
		return v, nil
	}
}

// isNewest requires that a row is what the newest event that wrote it says.
// Where no event wrote it, only the verification of the log can say so.
func (q Queries) isNewest(p provenRow, event []byte) error {
	if _, all := q.prover.(anyRow); all {
		return nil
	}
	name := Record{Kind: p.kind, UID: p.uid}.Name()
	written, known := q.digestUnlogged(name)
	if !known && event != nil {
		var err error
		if written, err = digestIn(event); err != nil {
			return &ForgedError{p.kind, p.uid}
		}
		known = true
	}
	if known && written != digest(p.cells) {
		return &ForgedError{p.kind, p.uid}
	}
	return nil
}

// digestUnlogged is what this transaction has written of a record.
func (q Queries) digestUnlogged(name string) (written string, known bool) {
	for _, part := range []int{ofJob, ofBatch} {
		if written, known = q.unlogged[part][name]; known {
			return written, true
		}
	}
	return "", false
}

func digestIn(event []byte) (string, error) {
	var written struct{ Digest string }
	err := json.Unmarshal(event, &written)
	return written.Digest, err
}

// isGone requires that the newest event of a record that is not there says that
// it was deleted, if there is one.
func (q Queries) isGone(ctx context.Context, r Record) error {
	written, known := q.digestUnlogged(r.Name())
	if !known {
		var err error
		written, err = one(ctx, q, func(row scanner) (string, error) {
			var event []byte
			if err := row(&event); err != nil {
				return "", err
			}
			return digestIn(event)
		}, newestEventOf(r.Kind, "$1"), r.Name())
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
	}
	if written != "" {
		return &ForgedError{r.Kind, r.UID}
	}
	return nil
}
