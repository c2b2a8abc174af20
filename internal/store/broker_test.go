package store

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

// brokerStore is a store of an organization "o" that holds n of everything that
// has nothing to do with the provider "p": credentials, secrets attached to the
// group of every test, bindings.
func brokerStore(tb testing.TB, n int) *DB {
	tb.Helper()
	db, path := openEmpty(tb)
	raw, err := sql.Open("sqlite", "file:"+path+
		"?_pragma=busy_timeout(10000)&_pragma=synchronous(OFF)&_pragma=cache_size(-65536)")
	require.NoError(tb, err)
	defer raw.Close()
	series := "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < " + strconv.Itoa(n) + ") "
	for _, statement := range []string{
		"INSERT INTO organizations (id, name, closed, created_at) VALUES ('o', 'o', FALSE, 0)",
		series + `INSERT INTO secrets SELECT 'o', 's' || i, 1, CASE i % 3 WHEN 0 THEN '' ELSE 'w' END, CASE i % 3
			WHEN 2 THEN 'g' ELSE '' END,
			'N' || i, '', FALSE, '{}', x'00', 0, 0 FROM n`,
		series + `INSERT INTO secret_attachments SELECT 'o', 'w', 'g', 's' || i FROM n`,
		series + `INSERT INTO credentials SELECT 'o', 'u' || i, 'c' || i, 1, 'q' || (i % 1000), CASE i % 3
			WHEN 0 THEN '' ELSE 'w' END,
			CASE i % 3 WHEN 2 THEN 'g' ELSE '' END, 0, '{"enabled":true,"secrets":{"key":"s' || i || '"}}', x'00', 0, 0 FROM n`,
		series + `INSERT INTO credentials SELECT 'o', 'e' || i, 'd' || i, 1, 'p', 'w' || i, '', 0, '{}', x'00', 0, 0 FROM n`,
		series + `INSERT INTO credential_secrets SELECT 'o', 'u' || i, 'key', 's' || i FROM n`,
		series + `INSERT INTO credential_reach SELECT 'o', 'q' || (i % 1000), 'w', 'g', 'u' || i FROM n`,
		series + `INSERT INTO bindings SELECT 'o', 'b' || i, 1, 'w', 'g', 'q/' || i, '', '', 's' || i, x'00', 0, 0 FROM n`,
		// What the tests look for: a credential in each tier, one attached, one bound.
		`INSERT INTO secrets VALUES ('o', 'mine', 1, '', '', 'MINE', '', FALSE, '{}', x'00', 0, 0)`,
		`INSERT INTO secret_attachments VALUES ('o', 'w', 'g', 'mine')`,
		`INSERT INTO credentials VALUES ('o', 'global', 'global', 1, 'p', '', '', 0, '{}', x'00', 0, 0),
			('o', 'workspace', 'workspace', 1, 'p', 'w', '', 0, '{}', x'00', 0, 0),
			('o', 'group', 'group', 1, 'p', 'w', 'g', 0, '{}', x'00', 0, 0)`,
		`INSERT INTO credential_secrets VALUES ('o', 'global', 'key', 'mine')`,
		`INSERT INTO credential_reach VALUES ('o', 'p', 'w', 'g', 'global')`,
		`INSERT INTO bindings VALUES ('o', 'bound', 1, 'w', 'g', 'p/one', '', 'key', 'mine', x'00', 0, 0)`,
		"ANALYZE",
	} {
		_, err := raw.ExecContext(tb.Context(), statement)
		require.NoError(tb, err, statement)
	}
	return db
}

// resolving reads what one resolution reads.
func resolving(ctx context.Context, q Queries, in bctrl.Scope) (found []string, err error) {
	credentials, err := q.CandidateCredentials(ctx, "o", "p", in)
	if err != nil {
		return nil, err
	}
	for _, c := range credentials {
		found = append(found, c.ID)
	}
	sight, err := q.SecretVisibility(ctx, "o", "mine", in)
	if err != nil {
		return nil, err
	}
	found = append(found, fmt.Sprint(sight.Attached))
	bindings, err := q.CandidateBindings(ctx, "o", "p/one", "global", "bot", in)
	for _, b := range bindings {
		found = append(found, b.UID)
	}
	return found, err
}

func TestResolvingReadsOnlyWhatMayTakePart(t *testing.T) {
	db := brokerStore(t, 3000)
	var asked []string
	watched := Queries{prepare: func(ctx context.Context, query string) (*sql.Stmt, error) {
		asked = append(asked, query)
		return db.Read().prepare(ctx, query)
	}}
	for _, test := range []struct {
		in   bctrl.Scope
		want string
	}{
		{bctrl.Scope{}, "[global false]"},
		{bctrl.InWorkspace("w"), "[workspace global false]"},
		{bctrl.InGroup("w", "g"), "[group workspace global global true bound]"},
		{bctrl.InGroup("w", "h"), "[workspace global false]"},
		{bctrl.InGroup("v", "g"), "[global false]"},
	} {
		found, err := resolving(t.Context(), watched, test.in)
		require.NoError(t, err)
		require.Equal(t, test.want, fmt.Sprint(found), test.in)
	}
	require.Len(t, asked, 15)
	for _, query := range asked {
		steps := queryPlan(t, db, query)
		plan := strings.Join(steps, "\n")
		require.Contains(t, plan, "SEARCH", query)
		require.NotContains(t, plan, "SCAN", query+"\n"+plan)
		for _, line := range steps {
			if _, by, found := strings.Cut(line, "credentials_tier"); found {
				require.Contains(t, by, "(org_id=? AND provider=? AND workspace_id=? AND group_id=?)", plan)
			}
			if _, by, found := strings.Cut(line, "bindings_target"); found {
				require.Contains(t, by, "(org_id=? AND target=? AND workspace_id=? AND group_id=? AND consumer=?)", plan)
			}
			if _, by, found := strings.Cut(line, "credential_reach_group"); found {
				require.Contains(t, by, "(org_id=? AND workspace_id=? AND group_id=? AND provider=?)", plan)
			}
			if _, by, found := strings.Cut(line, "secret_attachments"); found {
				require.Contains(t, by, "(org_id=? AND workspace_id=? AND group_id=? AND secret_id=?)", plan)
			}
		}
	}
}

func TestAttachmentsBringCredentialsAndTakeThemAway(t *testing.T) {
	db := brokerStore(t, 1)
	in := bctrl.InGroup("v", "h")
	found := func() string {
		list, err := resolving(t.Context(), db.Read(), in)
		require.NoError(t, err)
		return fmt.Sprint(list)
	}
	row, err := db.Read().Secret(t.Context(), "o", "mine")
	require.NoError(t, err)
	attach := func(to ...bctrl.Scope) {
		t.Helper()
		require.NoError(t, db.Write(t.Context(), func(tx *Tx) error {
			if err := tx.UpdateSecret(t.Context(), "o", row, SecretIndex{Names: []string{"MINE"}, Attachments: to}); err != nil {
				return err
			}
			tx.Append(&Entry{Org: "o", Body: []byte("{}"), Record: "secret:mine"})
			return nil
		}))
	}
	require.Equal(t, "[global false]", found())
	attach(in)
	require.Equal(t, "[global global true]", found(), "in its scope, and brought")
	attach(in, bctrl.InGroup("v", "other"))
	require.Equal(t, "[global global true]", found())
	attach(bctrl.InGroup("v", "other"))
	require.Equal(t, "[global false]", found())
}

// BenchmarkCandidates shows that what is unrelated costs nothing. A million
// takes a minute to build:
//
//	go test -run - -bench Candidates ./internal/store
func BenchmarkCandidates(b *testing.B) {
	for _, n := range []int{10, 10_000, 1_000_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			db := brokerStore(b, n)
			in := bctrl.InGroup("w", "g")
			b.ReportAllocs()
			for b.Loop() {
				if _, err := resolving(b.Context(), db.Read(), in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
