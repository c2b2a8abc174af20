package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"strconv"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/seal"
	"github.com/bctrl-go/bctrl/internal/store"
)

// maxProblems bounds a report.
const maxProblems = 100

// Report is what [Verify] found.
type Report struct {
	report   bctrl.AuditReport
	found    []finding
	unlisted int64
}

// finding is a problem and whose it is; org is empty where it is everybody's.
type finding struct {
	org string
	// ofIndex is set where it is of the index of all: where that differs the operator alone learns.
	ofIndex bool
	bctrl.AuditProblem
}

// All is the report for an operator, who may see everything.
func (r *Report) All() bctrl.AuditReport { return r.seenBy(func(finding) bool { return true }) }

// For is the report for an organization: of the problems of others, and of the log's index, it learns
// that there are some.
func (r *Report) For(org string) bctrl.AuditReport {
	return r.seenBy(func(f finding) bool { return !f.ofIndex && (f.org == "" || f.org == org) })
}

func (r *Report) seenBy(by func(finding) bool) bctrl.AuditReport {
	out := r.report
	out.OK, out.More, out.Problems = len(r.found) == 0, r.unlisted, []bctrl.AuditProblem{}
	index, elsewhere := false, false
	for _, f := range r.found {
		switch {
		case by(f):
			out.Problems = append(out.Problems, f.AuditProblem)
		case f.ofIndex:
			index = true
		default:
			elsewhere = true
		}
	}
	if index {
		out.Problems = append(out.Problems, bctrl.AuditProblem{
			Kind:    bctrl.AuditIndexChanged,
			Message: "something is not found by its filters: an operator can see where, with bctrl audit verify",
		})
	}
	if elsewhere {
		out.Problems = append(out.Problems, bctrl.AuditProblem{
			Kind:    bctrl.AuditElsewhere,
			Message: "something of another organization was changed: an operator can see what, with bctrl audit verify",
		})
	}
	return out
}

// verification is the state of one [Verify].
type verification struct {
	Report
	ctx context.Context
	q   store.Queries
	cfg VerifyConfig
	by  signers
	// named are the records that have a problem already.
	named map[string]bool

	// lanes are where the chains stand with the event that was read last, and last is its number.
	lanes lanes
	last  int64
	// next is the checkpoint that the chain comes to next, signed the one before.
	next, signed *store.Checkpoint
	// index compares the index of the log on SQLite; on PostgreSQL rows are those beside the log
	// that are read and not yet compared.
	index *store.IndexComparison
	rows  []store.IndexRow

	// outside is the head outside the database, atOutside the hash that stands for
	// the events up to its number in the database.
	outside   *store.Checkpoint
	atOutside []byte
}

// VerifyConfig says what is verified.
type VerifyConfig struct {
	DB   *store.DB
	Key  seal.Key
	Head HeadStore
}

// Verify recomputes the chains and compares them with their checkpoints, the head
// outside and the records, and finds the rows that are not proven; the store's
// prover must be unlocked. It does so in one snapshot of the store and in constant memory.
// Its error says that something could not be read; what was changed is in the
// report.
func Verify(ctx context.Context, cfg VerifyConfig) (*Report, error) {
	v := &verification{
		ctx:   ctx,
		cfg:   cfg,
		named: map[string]bool{},
		lanes: lanes{},
	}
	v.report.PublicKey = cfg.Key.Public()
	var err error
	if v.by, err = signersOf(ctx, cfg.DB.Read(), cfg.Key); err != nil {
		return nil, fmt.Errorf("verifying the audit log: %w", err)
	}
	// Before the snapshot: a server that runs only moves forward.
	if err := v.readOutside(); err != nil {
		return nil, err
	}
	err = cfg.DB.Snapshot(ctx, func(q store.Queries) error {
		v.q = q
		// The index last: a report has room for so many problems, and those of what decides come first.
		return errors.Join(v.walkChain(), v.compareEnd(), v.checkTakeovers(), v.checkRecords(), v.endIndex())
	})
	if err != nil {
		return nil, fmt.Errorf("verifying the audit log: %w", err)
	}
	return &v.Report, nil
}

func (v *verification) add(org string, p bctrl.AuditProblem) {
	v.addFinding(finding{org: org, AuditProblem: p})
}

func (v *verification) addFinding(f finding) {
	if len(v.Report.found) >= maxProblems {
		v.unlisted++
		return
	}
	v.Report.found = append(v.Report.found, f)
}

// addForAll adds a problem that concerns every organization.
func (v *verification) addForAll(kind bctrl.AuditProblemKind, seq int64, message string) {
	v.add("", bctrl.AuditProblem{Kind: kind, Seq: seq, Message: message})
}

func (v *verification) readOutside() error {
	if v.cfg.Head == nil {
		return nil // compareEnd says so, where there is a log
	}
	c, _, err := readHead(v.ctx, v.cfg.Head, v.by)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil // as where none is kept
	case errors.Is(err, ErrHeadForged), errors.Is(err, seal.ErrWrongKey):
		v.addForAll(bctrl.AuditHeadForged, 0, "the head outside the database is not signed with this key")
		v.outside = &store.Checkpoint{Head: store.ZeroHash()}
		return nil
	}
	v.outside = &c
	return err
}

// walkChain reads all events once, in their order, and checks each hash.
func (v *verification) walkChain() error {
	if err := v.nextCheckpoint(math.MinInt64); err != nil {
		return err
	}
	if v.outside != nil && v.outside.Seq == 0 {
		v.atOutside = store.ZeroHash()
	}
	if err := v.openIndex(); err != nil {
		return err
	}
	return v.q.EachEntry(v.ctx, math.MinInt64, func(e store.StoredEntry) error {
		v.report.Events++
		step := v.lanes.next(e)
		if step.missing > 0 {
			v.addMissing(step)
		}
		if step.other {
			v.add(e.Org, bctrl.AuditProblem{
				Kind:    bctrl.AuditEventChanged,
				Seq:     e.Seq,
				Message: "the event was edited, inserted or moved: its hash does not follow from what is there",
			})
		}
		if err := v.compareIndex(e); err != nil {
			return err
		}
		v.last = e.Seq
		if v.outside != nil && v.outside.Seq == e.Seq {
			v.atOutside = v.lanes.head()
		}
		return v.compareCheckpoints(e)
	})
}

// addMissing adds that events of a lane are not there. How many they were can be told only where there
// is no other.
func (v *verification) addMissing(s step) {
	if only := v.lanes[0]; only != nil && len(v.lanes) == 1 {
		v.addForAll(bctrl.AuditEventMissing, s.after+1, counted(s.missing-s.after, "event")+" from here on were deleted")
		return
	}
	v.addForAll(bctrl.AuditEventMissing, s.missing, "this event of a node was deleted, and all of that node after "+
		strconv.FormatInt(s.after, 10))
}

// compareCheckpoints compares the log with the checkpoints up to e.
func (v *verification) compareCheckpoints(e store.StoredEntry) error {
	for v.next != nil && v.next.Seq <= e.Seq {
		c := v.next
		if c.Seq < e.Seq || !bytes.Equal(c.Head, v.lanes.head()) {
			v.addForAll(bctrl.AuditRewritten, c.Seq, "the events up to here are not those that were signed")
		}
		if err := v.nextCheckpoint(c.Seq); err != nil {
			return err
		}
	}
	return nil
}

// nextCheckpoint reads the next checkpoint and counts it.
func (v *verification) nextCheckpoint(after int64) error {
	v.signed = v.next
	c, err := v.q.NextCheckpoint(v.ctx, after)
	if errors.Is(err, store.ErrNotFound) {
		v.next = nil
		return nil
	}
	if err != nil {
		return err
	}
	v.report.Checkpoints++
	previous := int64(0)
	if v.signed != nil {
		previous = v.signed.Seq
	}
	switch {
	case !v.by.haveSigned(c):
		v.addForAll(bctrl.AuditCheckpointForged, c.Seq, "the checkpoint is not signed with this key")
	case c.Previous != previous:
		v.addForAll(bctrl.AuditCheckpointMissing, c.Seq, "a checkpoint before this one was deleted")
	default:
		v.report.Signed = c.Seq
	}
	v.next = &c
	return nil
}

// compareEnd compares where the chain ends with the checkpoints and the head outside,
// which may have been signed further on.
func (v *verification) compareEnd() error {
	v.report.Head = bctrl.AuditHead{Seq: v.last, Hash: v.lanes.head()}
	for v.next != nil {
		v.addForAll(bctrl.AuditTruncated, v.next.Seq, "the log ends at "+strconv.FormatInt(v.last, 10)+
			", and was signed up to here")
		if err := v.nextCheckpoint(v.next.Seq); err != nil {
			return err
		}
	}
	switch {
	case v.outside == nil && (v.last > 0 || v.report.Checkpoints > 0):
		v.addForAll(bctrl.AuditHeadMissing, 0,
			"the head that is kept outside the database is gone: nobody can tell whether the log was cut")
	case v.outside == nil:
	case v.outside.Seq > v.last:
		v.addForAll(bctrl.AuditDatabaseOlder, v.outside.Seq, "the log ends at "+strconv.FormatInt(v.last, 10)+
			", and its head outside is here: the database was put back to an older state, or the log was cut")
	case !bytes.Equal(v.atOutside, v.outside.Head):
		v.addForAll(bctrl.AuditDatabaseOlder, v.outside.Seq,
			"the events up to here are not those that the head outside was signed for")
	case v.outside.Seq > v.report.Signed:
		v.addForAll(bctrl.AuditCheckpointMissing, v.outside.Seq, "the checkpoint of the head outside was deleted")
	}
	return nil
}

// checkTakeovers requires that the log is the one that each key took over.
func (v *verification) checkTakeovers() error {
	seq, err := v.by.firstRewritten(v.ctx, v.q)
	if seq != 0 {
		v.addForAll(bctrl.AuditRewritten, seq,
			"the events up to here are not those with which the key took over from the one before it")
	}
	return err
}

// counted is a number of things.
func counted(n int64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return strconv.FormatInt(n, 10) + " " + thing + "s"
}
