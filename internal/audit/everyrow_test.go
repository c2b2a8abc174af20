package audit

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/sample"
)

// unseen are the columns that verifying cannot find an edit in, and why that is.
// Every other column of every table is tried: a new one is found, or stands here.
func unseen(table, column string) string {
	switch table {
	case "goose_db_version":
		return "which migrations were applied: the schema itself is compared"
	case "idempotency":
		return "its seal binds the key, the status and the organization: an answer that was moved or edited does not open"
	case "nodes", "runtime_nodes", "rule_changes", "holds", "disks", "profile_disks":
		return "which nodes there are, and what each has: whoever is led astray finds nobody there who has the key"
	case "seal_keys":
		return "each key signs its row: TestARowOfAKeyIsItsOwn"
	}
	return ""
}

// unmissed are the tables of which nobody can tell that a row was deleted, and
// why that makes nothing good.
func unmissed(table string) string {
	switch table {
	case "runtime_tokens", "operations", "browser_profiles", "agent_cache", "events", "webhook_deliveries":
		return "what is gone is not found, and permits nothing"
	case "idempotency":
		return "the request runs again, as after 24 hours"
	case "nodes", "runtime_nodes", "rule_changes", "holds", "disks", "profile_disks":
		return "nodes end, or wait for each other in vain"
	case "goose_db_version", "seal_keys":
		return "the server does not start"
	}
	return ""
}

// table is a table with its columns.
type table struct {
	name    string
	columns []string
}

func (p *place) tables(db *sql.DB) (all []table) {
	p.Helper()
	if onPostgres() {
		for _, name := range p.column(db, "SELECT relname::text FROM pg_class WHERE relkind = 'r' AND "+
			"relnamespace = 'public'::regnamespace AND relname <> 'goose_db_version' ORDER BY relname") {
			all = append(all, table{name, p.column(db, "SELECT attname::text FROM pg_attribute WHERE attrelid = '"+name+
				"'::regclass AND attnum > 0 ORDER BY attnum")})
		}
		return all
	}
	for _, name := range p.column(db,
		"SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name") {
		all = append(all, table{name, p.column(db, "SELECT name FROM pragma_table_info('"+name+"') ORDER BY cid")})
	}
	return all
}

func (p *place) column(db *sql.DB, query string) (all []string) {
	p.Helper()
	rows, err := db.QueryContext(p.Context(), query)
	require.NoError(p, err)
	defer rows.Close()
	for rows.Next() {
		var v string
		require.NoError(p, rows.Scan(&v))
		all = append(all, v)
	}
	require.NoError(p, rows.Err())
	return all
}

// another is a value of the same type that a column does not have.
func another(column string) string {
	if onPostgres() {
		return "pg_temp.another(" + column + ")"
	}
	return fmt.Sprintf("CASE typeof(%s) WHEN 'integer' THEN 1 - %[1]s WHEN 'text' THEN %[1]s || 'x' "+
		"WHEN 'blob' THEN CAST(%[1]s || x'00' AS BLOB) ELSE 1 END", column)
}

// words are a statement in those of the engine.
func (p *place) words(format string, args ...any) string {
	s := fmt.Sprintf(format, args...)
	if onPostgres() {
		s = strings.NewReplacer("rowid", "ctid", " IS NOT (", " IS DISTINCT FROM (").Replace(s)
		s = regexp.MustCompile(`COALESCE\((\w+), 0\)`).ReplaceAllString(s, "COALESCE(NULLIF($1::text, 'false'), '0')")
	}
	return s
}

// teachAnother makes, on PostgreSQL, a function for each type that gives another value of it.
func (p *place) teachAnother(db *sql.DB) {
	if !onPostgres() {
		return
	}
	db.SetMaxOpenConns(1) // whose temporary functions they are
	for kind, value := range map[string]string{
		"bigint": "CASE WHEN v IS NULL THEN 1 ELSE 1 - v END", "text": "COALESCE(v, '') || 'x'",
		"bytea": `COALESCE(v, '') || '\x00'::bytea`, "boolean": "NOT COALESCE(v, FALSE)",
	} {
		p.run(db, "CREATE FUNCTION pg_temp.another(v "+kind+") RETURNS "+kind+" LANGUAGE sql AS $$ SELECT "+value+" $$")
	}
}

// TestWhatIsDoneToAnyRowIsFound walks all tables and all columns, and does to each
// what somebody can do who has the database and not the key.
func TestWhatIsDoneToAnyRowIsFound(t *testing.T) {
	p := furnished(t)
	p.close()
	whole := filepath.Join(t.TempDir(), "whole.db")
	p.copyTo(whole)
	var all []table
	p.raw(func(db *sql.DB) { all = p.tables(db); p.teachAnother(db) })
	tried, takes := 0, sample.Each(t, 3) // most of the time is the verification's
	// try does something, unless a constraint of the schema forbids it or there is
	// nothing to do it to.
	try := func(what, statement string) {
		p.Helper()
		p.restore(whole)
		done := false
		p.raw(func(db *sql.DB) {
			result, err := db.ExecContext(t.Context(), statement)
			if err != nil {
				require.ErrorContains(t, err, "constraint", "%s", what)
				return
			}
			n, err := result.RowsAffected()
			require.NoError(t, err)
			done = n > 0
		})
		if done {
			if takes(tried) {
				assert.False(t, p.verify().All().OK, "%s is not found", what)
			}
			tried++
		}
	}
	for _, tab := range all {
		edited := 0
		for _, column := range tab.columns {
			if unseen(tab.name, column) != "" {
				continue
			}
			before := tried
			try("an edit of "+tab.name+"."+column,
				p.words("UPDATE %s SET %s = %s WHERE rowid = (SELECT MAX(rowid) FROM %[1]s)",
					tab.name, column, another(column)))
			try("another row's "+tab.name+"."+column,
				p.words(`UPDATE %s SET %s = (SELECT %[2]s FROM %[1]s WHERE rowid = (SELECT MIN(rowid) FROM %[1]s))
				WHERE rowid = (SELECT MAX(rowid) FROM %[1]s
					WHERE COALESCE(%[2]s, 0) IS NOT (SELECT COALESCE(%[2]s, 0) FROM %[1]s
						WHERE rowid = (SELECT MIN(rowid) FROM %[1]s)))`,
					tab.name, column))
			edited += tried - before
		}
		if edited == 0 {
			require.NotEmpty(t, unmissed(tab.name), "there is no row of %s to try", tab.name)
			continue
		}
		if unmissed(tab.name) == "" {
			try("a row of "+tab.name+" deleted",
				p.words("DELETE FROM %s WHERE rowid = (SELECT MIN(rowid) FROM %[1]s)", tab.name))
		}
		for i, column := range tab.columns { // the first that tells a copy from its row
			others := slices.Concat(tab.columns[:i], []string{another(column)}, tab.columns[i+1:])
			try("a copy of a row of "+tab.name,
				p.words("INSERT INTO %s (%s) SELECT %s FROM %[1]s WHERE rowid = (SELECT MIN(rowid) FROM %[1]s)",
					tab.name, strings.Join(tab.columns, ", "), strings.Join(others, ", ")))
		}
	}
	require.Greater(t, tried, 250)
}
