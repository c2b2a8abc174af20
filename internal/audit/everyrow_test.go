package audit

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/store"
)

// unseen are the columns that verifying cannot find an edit in, and why that is.
// Every other column of every table is tried: a new one is found, or stands here.
func unseen(table, column string) string {
	switch table {
	case "goose_db_version":
		return "which migrations were applied: the schema itself is compared"
	case "idempotency":
		return "its seal binds the key, the status and the organization: an answer that was moved or edited does not open"
	case "seal_keys":
		return "each key signs its row: TestARowOfAKeyIsItsOwn"
	}
	return ""
}

// unmissed are the tables of which nobody can tell that a row was deleted, and
// why that makes nothing good.
func unmissed(table string) string {
	switch table {
	case "runtime_tokens", "operations", "browser_profiles":
		return "what is gone is not found, and permits nothing"
	case "idempotency":
		return "the request runs again, as after 24 hours"
	case "goose_db_version", "seal_keys":
		return "the server does not start"
	}
	return ""
}

// furnished has two rows of every table, in two organizations.
func furnished(t *testing.T) *place {
	t.Helper()
	p := newPlace(t).filled()
	ctx := t.Context()
	at := time.UnixMilli(1_700_000_000_000)
	record := func(org string, fn func(*store.Tx) error) {
		p.write(func(tx *store.Tx) error {
			if err := fn(tx); err != nil {
				return err
			}
			return Append(tx, Event{
				Org:       org,
				Workspace: org + "-ws",
				Caller:    "server",
				Action:    "test.furnish",
				Outcome:   OK,
			})
		})
	}
	for _, org := range []string{"org", "other"} {
		id := func(name string) string { return org + "-" + name }
		group := bctrl.InGroup(id("ws"), "g")
		record(org, func(tx *store.Tx) error {
			return tx.InsertOrganization(ctx, store.Organization{
				ID:        id("sub"),
				Name:      "sub",
				Parent:    org,
				CreatedAt: at,
			})
		})
		record(org, func(tx *store.Tx) error {
			return tx.InsertAPIKey(ctx, store.APIKey{
				ID:        id("key"),
				Org:       org,
				Label:     "l",
				Hash:      []byte(id("hash")),
				CreatedAt: at,
			})
		})
		record(org, func(tx *store.Tx) error {
			return tx.InsertDEK(ctx, store.DEK{
				Scope:     org,
				ID:        id("dek"),
				KEKID:     "k",
				Wrapped:   []byte("w"),
				CreatedAt: at,
			})
		})
		record(org, func(tx *store.Tx) error { return tx.InsertSealedValue(ctx, id("value"), []byte("s")) })
		record(org, func(tx *store.Tx) error {
			return tx.InsertAICredential(ctx, org, store.AICredential{
				UID:       id("ai"),
				ID:        "ai",
				Version:   1,
				Meta:      []byte("{}"),
				Sealed:    []byte("s"),
				CreatedAt: at,
				UpdatedAt: at,
			})
		})
		record(org, func(tx *store.Tx) error {
			return tx.InsertWorkspace(ctx, org, store.Workspace{
				ID:        id("ws"),
				Name:      "ws",
				Version:   1,
				Namespace: "ws",
				CreatedAt: at,
				UpdatedAt: at,
				Mounts:    bctrl.Mounts{AI: &bctrl.AIMount{Allow: []string{"ai"}}},
			})
		})
		record(org, func(tx *store.Tx) error {
			return tx.SetMountPins(ctx, org, id("ws"), []store.MountPin{{CredentialID: "ai", CredentialUID: id("ai")}})
		})
		record(org, func(tx *store.Tx) error {
			return tx.InsertProfile(ctx, org, store.Profile{
				ID:        "p",
				UID:       id("p"),
				Label:     "l",
				CreatedAt: at,
				UpdatedAt: at,
			})
		})
		record(org, func(tx *store.Tx) error {
			return tx.InsertRuntime(ctx, org, store.Runtime{
				ID:          id("rt"),
				WorkspaceID: id("ws"),
				Alias:       "r",
				Driver:      "stagehand",
				Status:      bctrl.RuntimeActive,
				Live:        true,
				ProfileUID:  id("p"),
				Group:       "g",
				CreatedAt:   at,
				UpdatedAt:   at,
			})
		})
		record(org, func(tx *store.Tx) error {
			return tx.InsertRuntimeToken(ctx, org, store.RuntimeToken{
				ID:        id("token"),
				RuntimeID: id("rt"),
				CreatedAt: at,
				ExpiresAt: at,
			})
		})
		record(org, func(tx *store.Tx) error {
			return tx.InsertOperation(ctx, org, bctrl.OperationInfo{
				ID:          id("op"),
				WorkspaceID: id("ws"),
				RuntimeID:   id("rt"),
				Status:      bctrl.OperationRunning,
				CreatedAt:   at,
				UpdatedAt:   at,
			})
		})
		for _, path := range []string{"a/b/f", "a/g"} {
			record(org, func(tx *store.Tx) error {
				o := store.Object{
					ID:        id(path),
					Namespace: "n",
					Path:      path,
					BlobID:    id("blob" + path),
					SHA256:    "s",
					SizeBytes: 3,
					CreatedAt: at,
				}
				_, err := tx.PutObject(ctx, org, o, nil) // there is none to replace
				return err
			})
		}
		record(org, func(tx *store.Tx) error {
			meta, err := json.Marshal(map[string]any{"name": "N", "aliases": []string{"A"}, "attachments": []bctrl.Scope{group}})
			if err != nil {
				return err
			}
			sec := store.Secret{
				ID:        id("secret"),
				Version:   1,
				Scope:     bctrl.Global(),
				Name:      "N",
				Provider:  "p",
				Meta:      meta,
				Sealed:    []byte("s"),
				CreatedAt: at,
				UpdatedAt: at,
			}
			return tx.InsertSecret(ctx, org, sec,
				store.SecretIndex{Names: []string{"N", "A"}, Attachments: []bctrl.Scope{group}})
		})
		record(org, func(tx *store.Tx) error {
			c := store.Credential{
				UID:       id("credential"),
				ID:        "c",
				Version:   1,
				Provider:  "p",
				Scope:     bctrl.InWorkspace(id("ws")),
				Meta:      []byte(`{"secrets":{"f":"` + id("secret") + `"}}`),
				Sealed:    []byte("s"),
				CreatedAt: at,
				UpdatedAt: at,
			}
			return tx.InsertCredential(ctx, org, c, map[string]string{"f": id("secret")})
		})
		record(org, func(tx *store.Tx) error {
			return tx.InsertCapability(ctx, org, store.Capability{
				UID:       id("capability"),
				ID:        "a/b",
				Version:   1,
				Meta:      []byte("{}"),
				Sealed:    []byte("s"),
				CreatedAt: at,
				UpdatedAt: at,
			})
		})
		record(org, func(tx *store.Tx) error {
			return tx.InsertCapabilityPolicy(ctx, org, store.CapabilityPolicy{
				UID:        id("policy"),
				Capability: "a/b",
				Version:    1,
				Meta:       []byte(`{"callsPerMinute":3}`),
				Sealed:     []byte("s"),
				UpdatedAt:  at,
			})
		})
		record(org, func(tx *store.Tx) error { return tx.CountCalls(ctx, org, "a/b") })
		record(org, func(tx *store.Tx) error {
			return tx.InsertBinding(ctx, org, store.Binding{
				UID:     id("binding"),
				Version: 1,
				BindingKey: store.BindingKey{
					Scope:    group,
					Target:   "a/b",
					Consumer: "x",
					Field:    "f",
				},
				Secret:    id("secret"),
				Sealed:    []byte("s"),
				CreatedAt: at,
				UpdatedAt: at,
			})
		})
	}
	require.True(t, p.verify().Whole().OK, "%+v", p.verify().Whole().Problems)
	return p
}

// table is a table with its columns.
type table struct {
	name    string
	columns []string
}

func (p *place) tables(db *sql.DB) (all []table) {
	p.Helper()
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
	return fmt.Sprintf("CASE typeof(%s) WHEN 'integer' THEN 1 - %[1]s WHEN 'text' THEN %[1]s || 'x' "+
		"WHEN 'blob' THEN CAST(%[1]s || x'00' AS BLOB) ELSE 1 END", column)
}

// TestWhatIsDoneToAnyRowIsFound walks all tables and all columns, and does to each
// what somebody can do who has the database and not the key.
func TestWhatIsDoneToAnyRowIsFound(t *testing.T) {
	p := furnished(t)
	p.close()
	whole := filepath.Join(t.TempDir(), "whole.db")
	p.copyTo(whole)
	var all []table
	p.raw(func(db *sql.DB) { all = p.tables(db) })
	tried := 0
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
			tried++
			assert.False(t, p.verify().Whole().OK, "%s is not found", what)
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
				fmt.Sprintf("UPDATE %s SET %s = %s WHERE rowid = (SELECT MAX(rowid) FROM %[1]s)",
					tab.name, column, another(column)))
			try("another row's "+tab.name+"."+column,
				fmt.Sprintf(`UPDATE %s SET %s = (SELECT %[2]s FROM %[1]s WHERE rowid = (SELECT MIN(rowid) FROM %[1]s))
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
			try("a row of "+tab.name+" deleted", "DELETE FROM "+tab.name+" WHERE rowid = (SELECT MIN(rowid) FROM "+tab.name+")")
		}
		for i, column := range tab.columns { // the first that tells a copy from its row
			others := slices.Concat(tab.columns[:i], []string{another(column)}, tab.columns[i+1:])
			try("a copy of a row of "+tab.name,
				fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM %[1]s WHERE rowid = (SELECT MIN(rowid) FROM %[1]s)",
					tab.name, strings.Join(tab.columns, ", "), strings.Join(others, ", ")))
		}
	}
	require.Greater(t, tried, 250)
}
