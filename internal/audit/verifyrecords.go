package audit

import (
	"encoding/json"
	"errors"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/store"
)

// records compares every record with the newest event that wrote it, and finds
// the rows that this server did not write.
func (v *verification) records() error {
	return errors.Join(v.written(), v.forged())
}

// forged names the rows whose proof is not that of what they hold, where the log
// did not name them already.
func (v *verification) forged() error {
	return v.q.EachForged(v.ctx, func(f store.Forged) {
		name := store.Record{Kind: f.Kind, UID: f.UID}.Name()
		if v.named[name] {
			return
		}
		v.note(f.Org, bctrl.AuditProblem{
			Kind: bctrl.AuditRecordChanged, Record: name, Message: "the row was made, moved or changed behind the server's back: it has no proof for what it holds",
		})
	})
}

// written compares every record with the newest event that wrote it.
func (v *verification) written() error {
	err := v.q.EachNewestRecord(v.ctx, func(e store.StoredEntry) error {
		var written Event
		if json.Unmarshal(e.Body, &written) != nil || written.Record == "" {
			return nil //nolint:nilerr // said already, when the chain was read
		}
		v.report.Records++
		now, err := v.q.Record(v.ctx, written.Record, written.UID)
		switch {
		case errors.Is(err, store.ErrNotFound):
			if written.Digest != "" {
				v.record(e, bctrl.AuditRecordMissing, "the record was deleted behind the server's back")
			}
			return nil
		case err != nil:
			return err
		case written.Digest == "":
			v.record(e, bctrl.AuditRecordAdded, "the record was deleted, and is there again")
		case now.Version < written.Version:
			v.record(e, bctrl.AuditRecordOlder, "the record was put back to an older state")
		case now.Version > written.Version || now.Digest != written.Digest:
			v.record(e, bctrl.AuditRecordChanged, "the record was changed behind the server's back")
		}
		return nil
	})
	if err != nil {
		return err
	}
	return v.q.EachUnrecorded(v.ctx, func(r store.Record) error {
		v.report.Records++
		v.name(r.Name())
		v.note(r.Org, bctrl.AuditProblem{Kind: bctrl.AuditRecordAdded, Record: r.Name(), Message: "no event says who wrote the record"})
		return nil
	})
}

func (v *verification) record(e store.StoredEntry, kind bctrl.AuditProblemKind, message string) {
	v.name(e.Record)
	v.note(e.Org, bctrl.AuditProblem{Kind: kind, Seq: e.Seq, Record: e.Record, Message: message})
}

// name remembers a record that has a problem, as long as the report has room.
func (v *verification) name(record string) {
	if len(v.found) < maxProblems {
		v.named[record] = true
	}
}
