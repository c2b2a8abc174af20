package store

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestEveryListingOfFilesEntersAnIndexWhereItsPageBegins reads SQLite's plans:
// a listing that scans or sorts would cost what it does not show.
func TestEveryListingOfFilesEntersAnIndexWhereItsPageBegins(t *testing.T) {
	db, err := Open(t.Context(), filepath.Join(t.TempDir(), "bctrl.db"), testProver{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	var text string
	q := Queries{prepare: func(ctx context.Context, query string) (*sql.Stmt, error) {
		text = query
		return db.queries.prepare(ctx, query)
	}}
	ctx, page := t.Context(), PathRange{Prefix: "a/b", After: "a/bc", Limit: 10}
	for _, tc := range []struct {
		why  string
		run  func() error
		want string
	}{
		{"all files", func() error { _, err := q.Files(ctx, "o", "n", page); return err },
			"objects USING INDEX objects_path (org_id=? AND namespace=? AND path>? AND path<?)"},
		{"the files of a folder", func() error { _, err := q.FilesIn(ctx, "o", "n", page); return err },
			"objects USING INDEX objects_folder (org_id=? AND namespace=? AND folder=? AND path>? AND path<?)"},
		{"the folders of a folder", func() error { _, err := q.FoldersIn(ctx, "o", "n", page); return err },
			"folders USING INDEX folders_parent (org_id=? AND namespace=? AND parent=? AND path>? AND path<?)"},
		{"the sum of a namespace", func() error { _, err := q.StorageUsage(ctx, "o", "n"); return err },
			"folders USING INDEX folders_path (org_id=? AND namespace=? AND path=?)"},
		{"the catalog of a namespace",
			func() error { _, err := q.Objects(ctx, "o", ObjectFilter{Namespace: "n", Limit: 1}); return err },
			"objects USING INDEX objects_path (org_id=? AND namespace=? AND path>? AND path<?)"},
		{"the catalog of all", func() error { _, err := q.Objects(ctx, "o", ObjectFilter{Limit: 1}); return err },
			"objects USING INDEX objects_path (org_id=? AND (namespace,path)>(?,?))"},
		{"the catalog of a runtime", func() error {
			_, err := q.Objects(ctx, "o", ObjectFilter{Namespace: "n", RuntimeID: "r", Limit: 1})
			return err
		},
			"objects USING INDEX objects_runtime (org_id=? AND runtime_id=? AND namespace=? AND path>? AND path<?)"},
		{"a runtime's files anywhere",
			func() error { _, err := q.Objects(ctx, "o", ObjectFilter{RuntimeID: "r", Limit: 1}); return err },
			"objects USING INDEX objects_runtime (org_id=? AND runtime_id=? AND (namespace,path)>(?,?))"},
		{"a file", func() error { _, err := q.Object(ctx, "o", "n", "p"); return err },
			"objects USING INDEX objects_path (org_id=? AND namespace=? AND path=?); CORRELATED SCALAR SUBQUERY 1; " +
				"SEARCH audit_events USING INDEX audit_events_record (record=?)"}, // and the newest event that wrote it
		{"a blob's file", func() error { _, err := q.UnknownBlobs(ctx, []string{"b"}); return err },
			"objects USING COVERING INDEX sqlite_autoindex_objects_2 (blob_id=?)"},
	} {
		if err := tc.run(); err != nil {
			require.ErrorIs(t, err, ErrNotFound, tc.why)
		}
		plan := strings.Join(queryPlan(t, db, text), "; ")
		plan, packed := strings.CutPrefix(plan, "CO-ROUTINE page; ")
		if packed {
			plan = strings.TrimSuffix(plan, "; SCAN page")
		}
		require.Equal(t, "SEARCH "+tc.want, plan, tc.why)
	}
}

// BenchmarkPutObject is one catalog row with the sums of its folders, at the
// usual depth and at the deepest that a path can have.
func BenchmarkPutObject(b *testing.B) {
	for _, folders := range []int{1, 8, 511} {
		b.Run(fmt.Sprint(folders), func(b *testing.B) {
			db, err := Open(b.Context(), filepath.Join(b.TempDir(), "bctrl.db"), testProver{})
			require.NoError(b, err)
			defer db.Close()
			n := 0
			require.NoError(b, db.Write(b.Context(), func(tx *Tx) error {
				if err := insertOrganization(b.Context(), tx, "o"); err != nil {
					return err
				}
				for b.Loop() {
					n++
					id := fmt.Sprint(n)
					o := Object{
						ID:        id,
						BlobID:    id,
						Namespace: "n",
						Path:      strings.Repeat("a/", folders) + id,
					}
					if _, err := tx.PutObject(b.Context(), "o", o, nil); err != nil { // none is replaced
						return err
					}
					tx.written = nil
				}
				return nil
			}))
		})
	}
}
