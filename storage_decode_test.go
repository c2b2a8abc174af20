package bctrl

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestABrowsedPageIsDecodedAsEncodingJSONDoes, whatever it holds and however it is written:
// also where it is cut off, not JSON at all, or not what was asked for.
func TestABrowsedPageIsDecodedAsEncodingJSONDoes(t *testing.T) {
	fragments := []string{"", "\xff", "ä", `"`, `\`, `\"`, `\n`, `\u00e4`, `\ud800`, "\n", " ",
		",", ":", "{", "}", "[", "]", "{}", "null", "true",
		`"x"`, `"x":[{}],`, `"ID":"x",`, `"id":"x",`, `"files":[],`, `"folders":[{}],`, `"nextCursor":null,`,
		"0", "1", "-", "1e3", "1.5", "9223372036854775807", "2026-01-02", "T25:00:00Z", "+02:00"}
	rapid.Check(t, func(t *rapid.T) {
		answer := browseJSON(t)
		for range rapid.IntRange(0, 3).Draw(t, "changes") {
			at := rapid.IntRange(0, len(answer)).Draw(t, "at")
			end := min(len(answer), at+rapid.IntRange(0, 4).Draw(t, "length"))
			answer = slices.Replace(answer, at, end, []byte(rapid.SampledFrom(fragments).Draw(t, "fragment"))...)
		}
		var want, got BrowsePage
		wrong := json.Unmarshal(answer, &want)
		err := browseAnswer{&got}.Decode(answer)
		require.Equal(t, wrong, err, "%s", answer)
		require.Equal(t, want, got, "%s", answer)
	})
}

// browseJSON is a page of files as a server writes it.
func browseJSON(t *rapid.T) []byte {
	text := rapid.OneOf(rapid.Just(""), rapid.StringMatching(`[ -~]{0,9}`), rapid.String(), rapid.Just("ü\"</a>&\u2028"))
	moment := rapid.Custom(func(t *rapid.T) time.Time {
		return time.UnixMilli(rapid.Int64Range(0, 1<<42).Draw(t, "milliseconds")).UTC()
	})
	page := BrowsePage{
		Files: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) StorageObject {
			draw := func(name string) string { return text.Draw(t, name) }
			return StorageObject{
				ID:          draw("id"),
				Workspace:   draw("workspace"),
				LogicalPath: draw("path"),
				ObjectKey:   draw("key"),
				Filename:    draw("filename"),
				SizeBytes:   rapid.Int64Min(0).Draw(t, "size"),
				ContentType: draw("type"),
				SHA256:      draw("sum"),
				Source:      StorageSource(draw("source")),
				RuntimeID:   draw("runtime"),
				Driver:      Driver(draw("driver")),
				Target:      draw("target"),
				ETag:        draw("tag"),
				CreatedAt:   moment.Draw(t, "created"),
				ExpiresAt:   rapid.OneOf(rapid.Just(time.Time{}), moment).Draw(t, "expires"),
			}
		}), -1, 3).Draw(t, "files"),
		Folders: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) StorageFolder {
			return StorageFolder{text.Draw(t, "folder"), rapid.Int64Min(0).Draw(t, "count"), rapid.Int64Max(9).Draw(t, "bytes")}
		}), -1, 3).Draw(t, "folders"),
		NextCursor: Cursor(text.Draw(t, "cursor")),
	}
	if rapid.Bool().Draw(t, "indented") {
		answer, err := json.MarshalIndent(page, "", " ")
		require.NoError(t, err)
		return answer
	}
	answer, err := json.Marshal(page)
	require.NoError(t, err)
	return answer
}

// TestABrowsedPageTakesAnAllocationAFile, and not one a field.
func TestABrowsedPageTakesAnAllocationAFile(t *testing.T) {
	answer := largePage(t, 1000)
	allocs := testing.AllocsPerRun(10, func() {
		var page BrowsePage
		require.NoError(t, browseAnswer{&page}.Decode(answer))
		require.Len(t, page.Files, 1000)
	})
	require.Less(t, allocs, 1050.0)
}

func BenchmarkDecodeBrowsedPage(b *testing.B) {
	answer := largePage(b, 1000)
	for name, decode := range map[string]func(page *BrowsePage) error{
		"ours":          func(page *BrowsePage) error { return browseAnswer{page}.Decode(answer) },
		"encoding/json": func(page *BrowsePage) error { return json.Unmarshal(answer, page) },
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(answer)))
			b.ReportAllocs()
			for b.Loop() {
				var page BrowsePage
				require.NoError(b, decode(&page))
			}
		})
	}
}

// largePage is a page as a server writes it.
func largePage(t testing.TB, files int) []byte {
	page := BrowsePage{Folders: []StorageFolder{}, NextCursor: "cmVwb3J0"}
	for i := range files {
		const sum = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
		id := fmt.Sprintf("018f4e8a-7c1b-7d3a-9f00-%012d", i)
		path := fmt.Sprintf("bulk/report-%06d.csv", i)
		page.Files = append(page.Files, StorageObject{
			ID:          id,
			Workspace:   "bench",
			LogicalPath: path,
			ObjectKey:   "bench/" + path,
			Filename:    path[len("bulk/"):],
			SizeBytes:   4096,
			ContentType: "text/csv",
			SHA256:      sum,
			Source:      SourceUpload,
			ETag:        `"` + id + `"`,
			CreatedAt:   time.UnixMilli(1_700_000_000_123).UTC(),
		})
	}
	answer, err := json.Marshal(page)
	require.NoError(t, err)
	return answer
}
