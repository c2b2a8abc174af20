package audit

import (
	"database/sql"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/store/storetest"
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
	var columns []string
	p.rawOf(file, func(db *sql.DB) {
		columns = p.column(db, "SELECT name FROM pragma_table_info('audit_index') ORDER BY cid")
	})
	type change struct {
		why, statement string
		healed         bool
	}
	changes := []change{
		{"a row deleted", "DELETE FROM audit_index WHERE seq = 100", false},
		{"the last rows deleted", "DELETE FROM audit_index WHERE seq > 2000", false},
		{"all rows deleted", "DELETE FROM audit_index", false},
		{"a row of no event", "INSERT INTO audit_index (seq, org_id, action, denied) " +
			"VALUES (900000, 'org', 'vault.use', 0)", false},
		{"an outcome that is none", "INSERT INTO audit_index (seq, org_id, intent, denied, outcome) " +
			"SELECT seq + 1, 'org', seq, 0, 'vault.forged' FROM audit_index WHERE object = 'k1' " +
			"ORDER BY seq DESC LIMIT 1", false},
		{"a place of before", "UPDATE audit_index_place SET seq = 50, hash = zeroblob(32)", true},
		{"a place that is not there", "UPDATE audit_index_place SET seq = 1000000", true},
		{"no place", "DELETE FROM audit_index_place", true},
		{"a trigger", "CREATE TRIGGER evil AFTER INSERT ON audit_index BEGIN DELETE FROM audit_index; END", true},
		{"an index gone", "DROP INDEX audit_index_object", true},
	}
	for _, column := range columns {
		changes = append(changes, change{"an edit of " + column,
			fmt.Sprintf("UPDATE audit_index SET %s = %s WHERE seq = 100", column, another(column)), false})
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
	p.rawOf(file, func(db *sql.DB) { // one that a start must not believe
		_, err := db.ExecContext(t.Context(), "UPDATE audit_index SET org_id = '', action = 'server.start' WHERE seq > 2000")
		require.NoError(t, err)
	})
	p.open()
	_, err = p.log.Begin(t.Context(), Event{Org: "org", Caller: "key:k", Action: "test.crash"})
	require.NoError(t, err)
	require.NoError(t, p.log.Start(t.Context()))
	page, err := List(t.Context(), p.store.Read(), "org", bctrl.AuditFilter{Outcome: Unknown}, false, 0, 9)
	require.NoError(t, err)
	require.Len(t, page.Events, 1)
}

// rawOf changes a database beside the store's.
func (p *place) rawOf(file string, fn func(*sql.DB)) {
	p.Helper()
	db, err := sql.Open("sqlite", file)
	require.NoError(p, err)
	defer func() { require.NoError(p, db.Close()) }()
	fn(db)
}
