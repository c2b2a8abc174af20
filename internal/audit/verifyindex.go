package audit

import (
	"encoding/json"
	"errors"
	"math"
	"strconv"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/store"
)

// indexWindow is how many rows of the index are read at a time.
const indexWindow = 1000

const indexAdvice = "; on SQLite it is made anew when a server starts without it"

// openIndex begins to read the index of the log beside the log. One that cannot be read is a
// problem like one that was changed.
func (v *verification) openIndex() (err error) {
	if v.index, err = v.q.CompareIndex(v.ctx); err == nil && v.index == nil {
		err = v.readRows(math.MinInt64)
	}
	return v.indexProblem(err)
}

func (v *verification) readRows(after int64) (err error) {
	v.rows, err = v.q.IndexRows(v.ctx, after, indexWindow)
	return err
}

// indexProblem takes an error of the index for a problem of it.
func (v *verification) indexProblem(err error) error {
	if err == nil {
		return nil
	}
	if v.ctx.Err() != nil || errors.Is(err, store.ErrUnavailable) {
		return err
	}
	v.index, v.rows = &store.IndexComparison{}, nil
	v.addForAll(bctrl.AuditIndexChanged, 0, "the index by which events are found cannot be read"+indexAdvice)
	return nil
}

// compareIndex requires that the event is found by what its body says. Of an index on SQLite that
// is known at the end: see endIndex.
func (v *verification) compareIndex(e store.StoredEntry) error {
	row, err := v.indexRow(e.Seq)
	if err != nil {
		return err
	}
	var body Event
	if json.Unmarshal(e.Body, &body) != nil {
		v.take(e, store.TermsOf(e.Body))
		v.add(e.Org, bctrl.AuditProblem{
			Kind:    bctrl.AuditEventChanged,
			Seq:     e.Seq,
			Message: "the event is not one that this server writes",
		})
		return nil //nolint:nilerr // it is in the report
	}
	want := body.index()
	v.take(e, want.Terms)
	switch {
	case body.Org != e.Org || want.Intent != e.Intent || want.Record != e.Record:
		v.add(e.Org, bctrl.AuditProblem{
			Kind:    bctrl.AuditIndexChanged,
			Seq:     e.Seq,
			Message: "the columns by which the event is found do not say what it says",
		})
	case v.index == nil && !isIndexed(row, e, want.Terms):
		v.add(e.Org, bctrl.AuditProblem{
			Kind:    bctrl.AuditIndexChanged,
			Seq:     e.Seq,
			Message: "the index by which the event is found does not say what it says",
		})
	}
	if body.Action == Accepted && len(v.report.Accepted) < maxProblems {
		v.report.Accepted = append(v.report.Accepted, e.Seq)
	}
	return nil
}

// take takes an event off what the index on SQLite has.
func (v *verification) take(e store.StoredEntry, terms store.Terms) {
	if v.index != nil {
		e.Terms = terms
		v.index.Take(e.Entry)
	}
}

// endIndex requires that the index has nothing that the log has not.
func (v *verification) endIndex() error {
	if v.index == nil {
		_, err := v.indexRow(math.MaxInt64)
		return err
	}
	for first, last := range v.index.Different() {
		v.addFinding(finding{ofIndex: true, AuditProblem: bctrl.AuditProblem{
			Kind: bctrl.AuditIndexChanged,
			Seq:  first,
			Message: "the index by which events are found does not have those up to " +
				strconv.FormatInt(last, 10) + " as they are" + indexAdvice,
		}})
	}
	return nil
}

// isIndexed reports whether the row of an entry, nil where there is none, is as it has to be.
func isIndexed(row *store.IndexRow, e store.StoredEntry, terms store.Terms) bool {
	if row == nil {
		return e.Intent != 0 && terms == store.Terms{}
	}
	return *row == store.IndexRow{Seq: e.Seq, Org: e.Org, Intent: e.Intent, Terms: terms}
}

// indexRow is the row of an entry, nil where there is none. Rows before it are of no entry.
func (v *verification) indexRow(seq int64) (*store.IndexRow, error) {
	for len(v.rows) > 0 && v.rows[0].Seq <= seq {
		row := v.rows[0]
		v.rows = v.rows[1:]
		if len(v.rows) == 0 {
			if err := v.indexProblem(v.readRows(row.Seq)); err != nil {
				return nil, err
			}
		}
		if row.Seq == seq {
			return &row, nil
		}
		v.add(row.Org, bctrl.AuditProblem{
			Kind:    bctrl.AuditIndexChanged,
			Seq:     row.Seq,
			Message: "the index has an event that is not in the log",
		})
	}
	return nil, nil
}
