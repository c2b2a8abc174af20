package audit

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/store"
)

// maxScan bounds how many events one page looks at.
const maxScan = 5000

// Page is one page of a list of events.
type Page struct {
	Events []bctrl.AuditEvent
	// Next is the number after which the list goes on; 0 at its end.
	Next int64
}

// List returns events of an organization, newest first or, when ascending is
// set, oldest first, that follow the number from; 0 starts at the beginning. It
// finds them by the narrowest thing that the filter names, so that its cost does
// not grow with what is unrelated to that. A page may be short, even empty, and
// not be the last.
func List(
	ctx context.Context, q store.Queries, org string, f bctrl.AuditFilter, ascending bool, from int64, limit int,
) (p Page, err error) {
	r := store.EventRange{
		Org:       org,
		Ascending: ascending,
		After:     f.After,
		Before:    math.MaxInt64,
		Limit:     limit,
	}
	r.By, r.Value = index(f)
	if f.Before > 0 {
		r.Before = f.Before
	}
	if err := within(ctx, q, f, &r); err != nil {
		return p, err
	}
	for scanned := 0; ; {
		switch {
		case from != 0 && ascending:
			r.After = max(r.After, from)
		case from != 0:
			r.Before = min(r.Before, from)
		}
		rows, err := q.Events(ctx, r)
		if err != nil {
			return p, err
		}
		for _, row := range rows {
			e, err := describe(row)
			if err != nil {
				return p, err
			}
			from = e.Seq
			if Matches(f, e) {
				p.Events = append(p.Events, e)
			}
			if len(p.Events) == limit {
				p.Next = from
				return p, nil
			}
		}
		if len(rows) < r.Limit {
			return p, nil
		}
		if scanned += len(rows); scanned >= maxScan {
			p.Next = from
			return p, nil
		}
		r.Limit = 500
	}
}

// index chooses what to find events by: the earlier, the fewer it usually
// leaves.
func index(f bctrl.AuditFilter) (store.EventIndex, string) {
	switch {
	case f.Outcome != "" && f.Outcome != OK:
		return store.ByOutcome, f.Outcome
	case f.Decision == bctrl.AuditDenied:
		return store.ByDenial, ""
	case f.Object != "":
		return store.ByObject, f.Object
	case f.RuntimeID != "":
		return store.ByRuntime, f.RuntimeID
	case f.WorkspaceID != "":
		return store.ByWorkspace, f.WorkspaceID
	case f.Action != "":
		return store.ByAction, f.Action
	}
	return store.ByNumber, ""
}

// within turns times into numbers, between which lie at least the events of those times.
func within(ctx context.Context, q store.Queries, f bctrl.AuditFilter, r *store.EventRange) error {
	if !f.Since.IsZero() {
		first, err := q.FirstEventAt(ctx, ceil(f.Since).Add(-q.ClockSlack()))
		if err != nil {
			return err
		}
		r.After = max(r.After, first-1)
	}
	if !f.Until.IsZero() {
		first, err := q.FirstEventAt(ctx, ceil(f.Until).Add(q.ClockSlack()))
		if err != nil {
			return err
		}
		r.Before = min(r.Before, first)
	}
	return nil
}

// ceil is the first millisecond that is not before t.
func ceil(t time.Time) time.Time { return t.Add(time.Millisecond - 1).Truncate(time.Millisecond) }

// Matches reports whether the filter selects e.
func Matches(f bctrl.AuditFilter, e bctrl.AuditEvent) bool {
	is := func(want, got string) bool { return want == "" || want == got }
	return is(f.WorkspaceID, e.WorkspaceID) && is(f.RuntimeID, e.RuntimeID) && is(f.Action, e.Action) &&
		is(f.Object, e.Object) &&
		is(f.Outcome, e.Outcome) && is(string(f.Decision), string(e.Decision)) &&
		is(f.Capability, e.Capability) && is(f.Credential, e.Credential) &&
		(f.Since.IsZero() || !e.Time.Before(f.Since)) && (f.Until.IsZero() || e.Time.Before(f.Until)) &&
		(f.After == 0 || e.Seq > f.After) && (f.Before == 0 || e.Seq < f.Before)
}

// Export writes events to w, oldest first, a line of JSON each.
func Export(ctx context.Context, q store.Queries, org string, f bctrl.AuditFilter, w io.Writer) error {
	out := bufio.NewWriterSize(w, 64<<10)
	for from := int64(0); ; {
		page, err := List(ctx, q, org, f, true, from, 1000)
		if err != nil {
			return err
		}
		for _, e := range page.Events {
			line, err := Encode(e)
			if err != nil {
				return err
			}
			if _, err := out.Write(append(line, '\n')); err != nil {
				return err
			}
		}
		if from = page.Next; from == 0 {
			return out.Flush()
		}
	}
}

// Entry is an event as somebody who follows the log meets it.
type Entry struct {
	bctrl.AuditEvent
	// Position is where the log is to be followed from next.
	Position int64
}

// Since returns what was appended to an organization's log after a position, up to another:
// an event, and once more when its outcome comes.
func Since(ctx context.Context, q store.Queries, org string, position, upTo int64, limit int) ([]Entry, error) {
	rows, err := q.EventsSince(ctx, org, position, upTo, limit)
	if err != nil {
		return nil, err
	}
	entries := make([]Entry, 0, len(rows))
	for _, row := range rows {
		e, err := describe(row)
		if err != nil {
			return nil, err
		}
		entries = append(entries, Entry{e, max(row.Seq, row.OutcomeSeq)})
	}
	return entries, nil
}

var errUnreadable = errors.New("audit: an event cannot be read: verify the log")

// describe joins an event and its outcome.
func describe(row store.StoredEvent) (out bctrl.AuditEvent, err error) {
	var e, end Event
	if json.Unmarshal(row.Body, &e) != nil {
		return out, errUnreadable
	}
	out = bctrl.AuditEvent{
		Seq:           row.Seq,
		ID:            e.ID,
		Time:          row.At,
		Caller:        e.Caller,
		WorkspaceID:   e.Workspace,
		Group:         e.Group,
		RuntimeID:     e.Runtime,
		Execution:     e.Execution,
		Action:        e.Action,
		Object:        e.Object,
		UID:           e.UID,
		Version:       e.Version,
		Tier:          e.Tier,
		Secrets:       e.Secrets,
		Decision:      bctrl.AuditDecision(e.Decision),
		Outcome:       e.Outcome,
		Capability:    e.Capability,
		Credential:    e.Credential,
		Consumer:      e.Consumer,
		Method:        e.Method,
		Host:          e.Host,
		Path:          e.Path,
		Status:        e.Status,
		RequestBytes:  e.RequestBytes,
		ResponseBytes: e.ResponseBytes,
		DurationMs:    e.DurationMs,
		RequestID:     e.RequestID,
		TraceID:       e.TraceID,
		Address:       e.Address,
		Count:         e.Count,
	}
	if row.OutcomeSeq == 0 {
		return out, nil
	}
	if json.Unmarshal(row.OutcomeBody, &end) != nil {
		return out, errUnreadable
	}
	out.Outcome, out.Status, out.EndedSeq, out.EndedAt = end.Outcome, end.Status, row.OutcomeSeq, row.OutcomeAt
	out.RequestBytes, out.ResponseBytes, out.DurationMs = end.RequestBytes, end.ResponseBytes, end.DurationMs
	if end.Host != "" {
		out.Host = end.Host
	}
	return out, nil
}
