package server

import (
	"context"
	"fmt"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/blob"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/seal"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
)

// BenchmarkBrowse is one page of 50 from the middle of a listing: the cost is
// the page's, at 1,000 files as at 100,000.
func BenchmarkBrowse(b *testing.B) {
	for _, n := range []int{1_000, 100_000} {
		s, db, key := benchServer(b)
		orgs, err := db.Read().Organizations(b.Context())
		require.NoError(b, err)
		fill := func(namespace string, path func(int) string) {
			for from := 0; from < n; from += 1000 {
				require.NoError(b, db.Write(b.Context(), func(tx *store.Tx) error {
					for i := from; i < from+1000; i++ {
						if err := insert(b, tx, orgs[0].ID, namespace, path(i), 1); err != nil {
							return err
						}
					}
					return nil
				}))
			}
		}
		fill("one", func(i int) string { return fmt.Sprintf("exports/%06d.csv", i) })
		fill("folders", func(i int) string { return fmt.Sprintf("exports/%06d/report.csv", i) })
		for _, bc := range []struct {
			name, namespace string
			query           url.Values
		}{
			{"files of one folder", "one", url.Values{"prefix": {"exports/"}, "delimiter": {"/"}}},
			{"every file", "one", url.Values{"prefix": {"exports/"}}},
			{"one folder that holds all", "one", url.Values{"delimiter": {"/"}}},
			{"folders of one folder", "folders", url.Values{"prefix": {"exports/"}, "delimiter": {"/"}}},
			{"a prefix inside a name", "folders", url.Values{"prefix": {fmt.Sprintf("exports/%06d", n/2)[:len("exports/0000")]},
				"delimiter": {"/"}}},
		} {
			middle := fmt.Sprintf("exports/%06d", n/2)
			if bc.query.Get("prefix") == "exports/" {
				bc.query.Set("cursor", cursorAfter(middle))
			}
			b.Run(fmt.Sprintf("%s/%d", bc.name, n), func(b *testing.B) {
				req := httptest.NewRequestWithContext(b.Context(), "GET",
					target([]string{"storage", "namespaces", bc.namespace, "browse"}, bc.query), nil)
				req.Header.Set("Authorization", "Bearer "+key)
				for b.Loop() {
					rec := httptest.NewRecorder()
					s.ServeHTTP(rec, req)
					if rec.Code != 200 {
						b.Fatal(rec.Body)
					}
				}
			})
		}
	}
}

// cursorAfter is the cursor of a page that ended at path.
func cursorAfter(path string) string {
	_, next := web.PageOf([]string{path, ""}, 1, func(s string) string { return s })
	return next
}

func benchServer(b *testing.B, change ...func(*Config)) (*Server, *store.DB, string) {
	b.Helper()
	dir := b.TempDir()
	rows := &seal.Rows{}
	db, err := store.Open(b.Context(), filepath.Join(dir, "bctrl.db"), rows)
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, db.Close()) })
	blobs, err := blob.OpenDisk(filepath.Join(dir, "blobs"))
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, blobs.Close()) })
	cfg := Config{
		Store:    db,
		Custody:  openCustody(b, db, rows, dir),
		Browsers: &browser.Fake{},
		Blobs:    blobs,
	}
	for _, f := range change {
		f(&cfg)
	}
	s, err := New(b.Context(), cfg)
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, s.Close(context.WithoutCancel(b.Context()))) })
	key, err := s.EnsureOrganization(b.Context())
	require.NoError(b, err)
	return s, db, key.Expose()
}
