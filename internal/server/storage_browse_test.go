package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
)

// browsed lists all pages of a browse, in the order in which the SDK merges
// files and folders, and fails when a page is longer than its limit.
func (h *harness) browsed(namespace, prefix, delimiter string, limit int) (items []string) {
	h.Helper()
	q := url.Values{"prefix": {prefix}, "delimiter": {delimiter}, "limit": {strconv.Itoa(limit)}}
	for {
		req := httptest.NewRequestWithContext(h.Context(), "GET",
			target([]string{"storage", "namespaces", namespace, "browse"}, q), nil)
		req.Header.Set("Authorization", "Bearer "+h.key)
		rec := httptest.NewRecorder()
		h.server.ServeHTTP(rec, req) // past openapi.yaml, which takes longer than all the rest
		require.Equal(h, http.StatusOK, rec.Code, "%s", rec.Body)
		var page bctrl.BrowsePage
		require.NoError(h, json.Unmarshal(rec.Body.Bytes(), &page))
		require.LessOrEqual(h, len(page.Files)+len(page.Folders), limit)
		var these []string
		for _, f := range page.Files {
			these = append(these, fmt.Sprint(f.LogicalPath, " ", f.SizeBytes))
		}
		for _, f := range page.Folders {
			these = append(these, fmt.Sprint(f.Path, " ", f.FileCount, " ", f.TotalBytes))
		}
		slices.SortFunc(these, byPath)
		items = append(items, these...)
		if page.NextCursor == "" {
			return items
		}
		q.Set("cursor", string(page.NextCursor))
	}
}

func byPath(a, b string) int {
	path := func(s string) string { p, _, _ := strings.Cut(s, " "); return p }
	return strings.Compare(path(a), path(b))
}

// naive is what browsing a map of sizes by path should give.
func naive(files map[string]int64, prefix, delimiter string) (items []string) {
	counts, sums := map[string]int64{}, map[string]int64{}
	for path, size := range files {
		rest, ok := strings.CutPrefix(path, prefix)
		if !ok {
			continue
		}
		if i := strings.Index(rest, "/"); delimiter != "" && i >= 0 {
			folder := prefix + rest[:i+1]
			counts[folder]++
			sums[folder] += size
			continue
		}
		items = append(items, fmt.Sprint(path, " ", size))
	}
	for folder := range counts {
		items = append(items, fmt.Sprint(folder, " ", counts[folder], " ", sums[folder]))
	}
	slices.SortFunc(items, byPath)
	return items
}

// TestBrowsingEqualsANaiveModel writes, overwrites and deletes at random and
// compares every listing, its paging and its sums with those of a map.
func TestBrowsingEqualsANaiveModel(t *testing.T) {
	h := newHarness(t)
	org := h.org()
	segment := rapid.SampledFrom([]string{"a", "b", "a.b", "a-", "A", "a0", "é", "x", "\U0010FFFD", "~"})
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		namespace := fmt.Sprint("n", round) // its own: rapid repeats what it has drawn
		files := map[string]int64{}
		paths := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) string {
			return strings.Join(rapid.SliceOfN(segment, 1, 4).Draw(rt, "segments"), "/")
		}), 1, 12).Draw(rt, "paths")
		require.NoError(rt, h.db.Write(t.Context(), func(tx *store.Tx) error {
			for range rapid.IntRange(1, 30).Draw(rt, "steps") {
				path := rapid.SampledFrom(paths).Draw(rt, "path")
				if _, there := files[path]; there && rapid.Bool().Draw(rt, "delete") {
					o, err := tx.Object(t.Context(), org, namespace, path)
					if err == nil {
						err = tx.DeleteObject(t.Context(), org, o)
					}
					if err == nil {
						err = audit.Append(tx, audit.Event{Org: org, Caller: "test"})
					}
					if err != nil {
						return err
					}
					delete(files, path)
					continue
				}
				files[path] = int64(rapid.IntRange(0, 9).Draw(rt, "size"))
				if err := insert(t, tx, org, namespace, path, files[path]); err != nil {
					return err
				}
			}
			return nil
		}))
		total := int64(0)
		for _, size := range files {
			total += size
		}
		usage, err := h.db.Read().StorageUsage(t.Context(), org, namespace)
		require.NoError(rt, err)
		require.Equal(rt, bctrl.StorageUsage{Namespace: namespace, FileCount: int64(len(files)), TotalBytes: total}, usage)
		for range 4 {
			prefix := rapid.SampledFrom(paths).Draw(rt, "prefix of")
			prefix = strings.ToValidUTF8(prefix[:rapid.IntRange(0, len(prefix)).Draw(rt, "cut")], "")
			delimiter := rapid.SampledFrom([]string{"", "/"}).Draw(rt, "delimiter")
			limit := rapid.IntRange(1, 5).Draw(rt, "limit")
			require.Equal(rt, naive(files, prefix, delimiter), h.browsed(namespace, prefix, delimiter, limit))
		}
	})
}

// insert adds a catalog row without bytes.
func insert(t testing.TB, tx *store.Tx, org, namespace, path string, size int64) error {
	t.Helper()
	written := func(store.Object) error { return audit.Append(tx, audit.Event{Org: org, Caller: "test"}) }
	_, err := tx.PutObject(t.Context(), org, store.Object{
		ID:          web.NewID(),
		Namespace:   namespace,
		Path:        path,
		BlobID:      web.NewID(),
		SizeBytes:   size,
		ContentType: "text/csv",
		Filename:    "f",
		SHA256:      strings.Repeat("0", 64),
		Source:      bctrl.SourceUpload,
		CreatedAt:   time.Unix(0, 0),
	}, written)
	if err != nil {
		return err
	}
	return written(store.Object{})
}

func TestBrowsingShowsALevelOrAll(t *testing.T) {
	h := newHarness(t)
	for _, path := range []string{"a.txt", "a/1", "a/b/2", "c"} {
		h.stored("s", path, path)
	}
	list := func(q url.Values) (names []string) {
		got := h.do("GET", []string{"storage", "namespaces", "s", "browse"}, q, nil)
		require.Equal(t, 200, got.Status)
		var page bctrl.BrowsePage
		require.NoError(t, json.Unmarshal(got.Body, &page))
		for _, f := range page.Files {
			names = append(names, f.LogicalPath)
		}
		for _, f := range page.Folders {
			names = append(names, fmt.Sprint(f.Path, f.FileCount, "x", f.TotalBytes))
		}
		return names
	}
	require.Equal(t, []string{"a.txt", "c", "a/2x8"}, list(url.Values{"delimiter": {"/"}}))
	require.Equal(t, []string{"a/1", "a/b/1x5"}, list(url.Values{"delimiter": {"/"}, "prefix": {"a/"}}))
	require.Equal(t, []string{"a.txt", "a/1", "a/b/2", "c"}, list(nil))
	require.Empty(t, list(url.Values{"prefix": {"b"}}))
}

func TestBrowseRefusesWhatCannotBeMeant(t *testing.T) {
	h := newHarness(t)
	for _, q := range []url.Values{{"delimiter": {"-"}}, {"prefix": {"/a"}}, {"prefix": {"a//"}}, {"prefix": {"a/../"}},
		{"prefix": {"\u202e"}}, {"offset": {"1"}}} {
		require.Equal(t, 400, h.do("GET", []string{"storage", "namespaces", "s", "browse"}, q, nil).Status, "%v", q)
	}
	require.Equal(t, 200, h.do("GET", []string{"storage", "namespaces", "s", "browse"}, url.Values{"prefix": {"a/.."}},
		nil).Status, "a/..b begins so")
}
