package audit

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"strconv"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/store"
)

// checkRecords compares every record with the newest event that wrote it, and finds
// the rows that this server did not write.
func (v *verification) checkRecords() error {
	return errors.Join(v.compareRecords(), v.findForged(), v.checkKeys())
}

// checkKeys requires that each key signed its own row.
func (v *verification) checkKeys() error {
	rows, err := v.q.SealKeys(v.ctx)
	public := v.cfg.Key.Public()
	for i, row := range rows {
		var before ed25519.PublicKey
		if i+1 < len(rows) {
			before = rows[i+1].Public
		}
		if !bytes.Equal(row.Public, public) || len(public) != ed25519.PublicKeySize ||
			!ed25519.Verify(public, takeover(row, before), row.Signature) {
			v.add("", bctrl.AuditProblem{
				Kind:    bctrl.AuditRecordChanged,
				Record:  "seal_key:" + strconv.FormatInt(row.N, 10),
				Message: "what is told of the key is not what the key signed",
			})
		}
		public = before
	}
	return err
}

// findForged finds the rows whose proof is not that of what they hold, and what
// indexes have too much or too little, unless they are in the report already.
func (v *verification) findForged() error {
	return v.q.EachFinding(v.ctx, func(f store.Finding) {
		name := store.Record{Kind: f.Kind, UID: f.UID}.Name()
		if v.named[name] {
			return
		}
		v.rememberRecord(name)
		p := bctrl.AuditProblem{Record: name}
		switch f.Fault {
		case store.Missing:
			p.Kind, p.Message = bctrl.AuditRecordMissing, "the row was deleted behind the server's back"
		case store.Added:
			p.Kind, p.Message = bctrl.AuditRecordAdded, "the row follows from nothing that the server wrote"
		case store.Foreign:
			p.Kind, p.Message = bctrl.AuditRecordChanged, "the schema of the database is not the one that this server made"
		default:
			p.Kind, p.Message = bctrl.AuditRecordChanged,
				"the row was made, moved or changed behind the server's back: it has no proof for what it holds"
		}
		v.add(f.Org, p)
	})
}

// compareRecords compares every record with the newest event that wrote it.
func (v *verification) compareRecords() error {
	err := v.q.EachNewestRecord(v.ctx, func(e store.StoredEntry) error {
		var written Event
		if json.Unmarshal(e.Body, &written) != nil || written.Record == "" {
			return nil //nolint:nilerr // said already, when the chain was read
		}
		v.report.Records++
		now, err := v.q.Record(v.ctx, written.Record, written.UID)
		_, forged := errors.AsType[*store.ForgedError](err)
		switch {
		case errors.Is(err, store.ErrNotFound):
			if written.Digest != "" && !v.mayBeGone(written) {
				v.addOfRecord(e, bctrl.AuditRecordMissing, "the record was deleted behind the server's back")
			}
			return nil
		case forged:
			v.addOfRecord(e, bctrl.AuditRecordChanged, "the record was changed behind the server's back, and cannot be read")
			return nil
		case err != nil:
			return err
		case written.Digest == "":
			v.addOfRecord(e, bctrl.AuditRecordAdded, "the record was deleted, and is there again")
		case now.Version < written.Version:
			v.addOfRecord(e, bctrl.AuditRecordOlder, "the record was put back to an older state")
		case now.Version > written.Version || now.Digest != written.Digest:
			v.addOfRecord(e, bctrl.AuditRecordChanged, "the record was changed behind the server's back")
		}
		return nil
	})
	if err != nil {
		return err
	}
	return v.q.EachUnrecorded(v.ctx, func(r store.Record) error {
		v.report.Records++
		v.rememberRecord(r.Name())
		v.add(r.Org, bctrl.AuditProblem{
			Kind:    bctrl.AuditRecordAdded,
			Record:  r.Name(),
			Message: "no event says who wrote the record",
		})
		return nil
	})
}

// mayBeGone reports whether a record may go without an event: a token, and a
// runtime with its workspace, whose own event says so.
func (v *verification) mayBeGone(written Event) bool {
	if written.Record != store.KindRuntime {
		return written.Record == store.KindRuntimeToken
	}
	_, err := v.q.Record(v.ctx, store.KindWorkspace, written.Workspace)
	return errors.Is(err, store.ErrNotFound)
}

func (v *verification) addOfRecord(e store.StoredEntry, kind bctrl.AuditProblemKind, message string) {
	v.rememberRecord(e.Record)
	v.add(e.Org, bctrl.AuditProblem{
		Kind:    kind,
		Seq:     e.Seq,
		Record:  e.Record,
		Message: message,
	})
}

// rememberRecord remembers that a record is in the report, as long as that has room.
func (v *verification) rememberRecord(record string) {
	if len(v.found) < maxProblems {
		v.named[record] = true
	}
}
