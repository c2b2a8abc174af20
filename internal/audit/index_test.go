package audit

import (
	"bytes"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/store/storetest"
	"github.com/bctrl-go/bctrl/internal/tuple"
)

// indexed writes so much that the log has an index, which is whole.
func (p *place) indexed() *place {
	p.Helper()
	for range 5 {
		p.write(func(tx *store.Tx) error {
			for i := range 500 {
				e := Event{
					Org:       "org",
					Caller:    "key:k",
					Action:    "vault.readRaw",
					Object:    fmt.Sprint("k", i),
					Workspace: "ws",
					Runtime:   "rt",
					Decision:  []Decision{Allowed, Denied}[i%2],
					Outcome:   []string{OK, "vault.outside_mount"}[i%2],
				}
				if err := Append(tx, e); err != nil {
					return err
				}
			}
			return nil
		})
	}
	p.use("org", "k0", "vault.no_totp")
	p.use("org", "k1", OK)
	require.Eventually(p, func() bool { return p.store.Indexed() > 2000 }, time.Minute, time.Millisecond)
	p.close() // which has it indexed to the end
	return p
}

// TestWhatIsDoneToTheIndexOfTheLogIsFoundOrHealed walks the columns of the index, and does to each
// what somebody can do who has the file.
func TestWhatIsDoneToTheIndexOfTheLogIsFoundOrHealed(t *testing.T) {
	storetest.OnSQLite(t)
	p := newPlace(t).filled().indexed()
	require.True(t, p.verify().All().OK)
	file := p.db + ".index"
	whole, err := os.ReadFile(file)
	require.NoError(t, err)
	type change struct {
		why, statement string
		healed         bool
	}
	changes := []change{
		{"a page deleted", "DELETE FROM audit_index WHERE first = (SELECT MIN(first) FROM audit_index)", false},
		{"the last page deleted", "DELETE FROM audit_index WHERE first = (SELECT MAX(first) FROM audit_index)", false},
		{"all pages deleted", "DELETE FROM audit_index", false},
		{"all runs deleted", "DELETE FROM audit_index_runs", true},
		{"an event that is another", "UPDATE audit_index SET page = " +
			"CAST(substr(page, 1, length(page) - 1) || x'01' AS BLOB) WHERE run = 1", false},
		{"pages of no run", "INSERT INTO audit_index SELECT 99, first, page FROM audit_index WHERE run = 1", false},
		{"a place of before", "UPDATE audit_index_place SET seq = 50, hash = zeroblob(32)", true},
		{"a place that is not there", "UPDATE audit_index_place SET seq = 1000000", true},
		{"no place", "DELETE FROM audit_index_place", true},
		{"a trigger", "CREATE TRIGGER evil AFTER INSERT ON audit_index BEGIN DELETE FROM audit_index; END", true},
		{"a table gone", "DROP TABLE audit_index", true},
		{"a run with another id", "UPDATE audit_index_runs SET id = 50 WHERE id = 1", false},
	}
	for _, of := range []struct {
		table, column string
		healed        bool
	}{
		{"audit_index", "run", false},
		{"audit_index", "first", false},
		{"audit_index", "page", false},
		{"audit_index_runs", "after", true},
		{"audit_index_runs", "last", true},
		{"audit_index_place", "seq", true},
		{"audit_index_place", "hash", true},
	} {
		changes = append(changes, change{"an edit of " + of.column,
			fmt.Sprintf("UPDATE %s SET %s = %s", of.table, of.column, another(of.column)), of.healed})
	}
	for _, tc := range changes {
		require.NoError(t, os.WriteFile(file, whole, 0o600), tc.why)
		p.rawOf(file, func(db *sql.DB) {
			done, err := db.ExecContext(t.Context(), tc.statement)
			require.NoError(t, err, tc.why)
			n, err := done.RowsAffected()
			require.NoError(t, err)
			require.True(t, n > 0 || tc.healed, tc.why)
		})
		report := p.verify().All()
		if tc.healed {
			require.True(t, report.OK, "%s: %+v", tc.why, report.Problems)
			continue
		}
		require.Contains(t, kinds(report), bctrl.AuditIndexChanged, tc.why)
	}
	require.NoError(t, os.Remove(file))
	require.True(t, p.verify().All().OK, "an index that was deleted is made anew")
	require.NoError(t, os.WriteFile(file, whole, 0o600))
	p.rawOf(file, func(db *sql.DB) { sayAllAreStarts(t, db) })
	p.open()
	_, err = p.log.Begin(t.Context(), Event{Org: "org", Caller: "key:k", Action: "test.crash"})
	require.NoError(t, err)
	require.NoError(t, p.log.Start(t.Context()))
	page, err := List(t.Context(), p.store.Read(), "org", bctrl.AuditFilter{Outcome: Unknown}, false, 0, 9)
	require.NoError(t, err)
	require.Len(t, page.Events, 1)
}

// TestAnIndexThatIsWhollyAnotherLeavesRoomForWhatElseIsFound, and says where to an operator alone.
func TestAnIndexThatIsWhollyAnotherLeavesRoomForWhatElseIsFound(t *testing.T) {
	storetest.OnSQLite(t)
	p := newPlace(t).filled().indexed()
	p.rawOf(p.db+".index", func(db *sql.DB) { sayAllAreStarts(t, db) })
	p.behind("UPDATE vault_entries SET version = 1 WHERE key = 'theirs'")
	report := p.verify()
	all := report.All()
	require.Equal(t, []bctrl.AuditProblemKind{bctrl.AuditRecordOlder, bctrl.AuditIndexChanged}, kinds(all))
	require.EqualValues(t, 1, all.Problems[1].Seq)
	require.Contains(t, all.Problems[1].Message, fmt.Sprint("up to ", all.Head.Seq))

	mine := report.For("org")
	require.Equal(t, []bctrl.AuditProblemKind{bctrl.AuditIndexChanged, bctrl.AuditElsewhere}, kinds(mine))
	require.Zero(t, mine.Problems[0].Seq)
	require.NotRegexp(t, "[0-9]", mine.Problems[0].Message)
}

// sayAllAreStarts makes an index that a start must not believe.
func sayAllAreStarts(t *testing.T, db *sql.DB) {
	t.Helper()
	digest := sha256.Sum256(tuple.New(0).Text("", Started))
	term := append([]byte{byte(store.ByAction)}, digest[:7]...)
	term = append(term, digest[8:16]...)
	runs, err := db.QueryContext(t.Context(), "SELECT id, after, last FROM audit_index_runs")
	require.NoError(t, err)
	type run struct{ id, after, last int64 }
	var all []run
	for runs.Next() {
		var r run
		require.NoError(t, runs.Scan(&r.id, &r.after, &r.last))
		all = append(all, r)
	}
	require.NoError(t, errors.Join(runs.Err(), runs.Close()))
	require.NotEmpty(t, all)
	_, err = db.ExecContext(t.Context(), "DELETE FROM audit_index")
	require.NoError(t, err)
	for _, r := range all {
		numbers := binary.AppendUvarint(nil, uint64(r.after+1))
		numbers = append(numbers, bytes.Repeat([]byte{1}, int(r.last-r.after-1))...)
		page := slices.Concat(term, binary.AppendUvarint(nil, uint64(len(numbers))), numbers)
		_, err := db.ExecContext(t.Context(), "INSERT INTO audit_index (run, first, page) VALUES ($1, $2, $3)",
			r.id, binary.BigEndian.AppendUint64(slices.Clone(term), uint64(r.after+1)), page)
		require.NoError(t, err)
	}
}

// rawOf changes a database beside the store's.
func (p *place) rawOf(file string, fn func(*sql.DB)) {
	p.Helper()
	db, err := sql.Open("sqlite", file)
	require.NoError(p, err)
	defer func() { require.NoError(p, db.Close()) }()
	fn(db)
}
