package bctrl

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// drawPage is a page with a value in each field that a server writes.
func drawPage(t *rapid.T) BrowsePage {
	text := rapid.OneOf(rapid.StringMatching(`[a-z0-9./ -]{0,20}`), rapid.String())
	page := BrowsePage{
		Files:      []StorageObject{},
		Folders:    []StorageFolder{},
		NextCursor: Cursor(text.Draw(t, "cursor")),
	}
	for range rapid.IntRange(0, 3).Draw(t, "files") {
		var o StorageObject
		v := reflect.ValueOf(&o).Elem()
		for i := range v.NumField() {
			switch f := v.Field(i); f.Kind() {
			case reflect.String:
				f.SetString(text.Draw(t, v.Type().Field(i).Name))
			case reflect.Int64:
				f.SetInt(rapid.Int64().Draw(t, "number"))
			}
		}
		o.CreatedAt = time.UnixMilli(rapid.Int64Range(0, 1<<42).Draw(t, "created")).UTC()
		page.Files = append(page.Files, o)
	}
	for range rapid.IntRange(0, 2).Draw(t, "folders") {
		page.Folders = append(page.Folders, StorageFolder{
			Path:       text.Draw(t, "path"),
			FileCount:  rapid.Int64().Draw(t, "count"),
			TotalBytes: rapid.Int64Range(0, 1<<50).Draw(t, "bytes"),
		})
	}
	return page
}

// decodesAsEncodingJSON holds the fast reader to the slow one.
func decodesAsEncodingJSON(t require.TestingT, answer []byte) {
	var want, got BrowsePage
	wrong := json.Unmarshal(answer, &want)
	err := browsed{&got}.Decode(answer)
	require.Equal(t, wrong == nil, err == nil, "%s", answer)
	if wrong == nil {
		require.Equal(t, want, got, "%s", answer)
	}
}

// TestABrowsedPageIsDecodedAsEncodingJSONDoes holds for what servers write and for
// what they do not.
func TestABrowsedPageIsDecodedAsEncodingJSONDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		answer, err := json.Marshal(drawPage(t))
		require.NoError(t, err)
		decodesAsEncodingJSON(t, answer)
		if len(answer) > 0 { // and after a byte of it has become another
			at := rapid.IntRange(0, len(answer)-1).Draw(t, "at")
			answer[at] = rapid.SampledFrom([]byte(`"\{}[],:0-19eN xé`+"\x00\n\xff")).Draw(t, "byte")
			decodesAsEncodingJSON(t, answer)
		}
	})
	for _, answer := range []string{
		``, `null`, `{}`, `[]`, `{"files":null}`, `{"files":[{}],"files":[{"id":"a"}]}`, `{"folders":[],"folders":[]}`,
		`{"files":[{"id":"a","id":"b"}]}`, `{"files":[{"id":"a","id":"\"b"}]}`, `{"files":[{"id":"\"a","id":"b"}]}`,
		`{"files":[{"ID":"a"}]}`, `{"files":[{"id":null}]}`, `{"files":[{"later":{}}]}`,
		`{"files":[{"sizeBytes":1.5}]}`, `{"files":[{"sizeBytes":-1}]}`, `{"files":[{"sizeBytes":01}]}`,
		`{"files":[{"sizeBytes":9223372036854775807}]}`, `{"files":[{"createdAt":"yesterday"}]}`,
		`{"files":[{"createdAt":null}]}`,
		`{"files":[{"expiresAt":"2026-01-02T03:04:05Z"}]}`, `{"files":[]} x`, ` { "files" : [ ] } `,
		`{"files":[]`, `{"files":[{}`,
		`{"nextCursor":"a\u0062"}`, `{"nextCursor":"a\""}`, `{"nextCursor":"\\"}`, `{"nextCursor":"\\\"x"}`,
		`{"nextCursor":"` + "\xff" + `"}`, `{"nextCursor":nul}`, `{"nextCursor":"a`, `{"files":[],}`,
		`{"files":[{"id":"` + strings.Repeat(`","id":"`, 20) + `"}]}`,
	} {
		decodesAsEncodingJSON(t, []byte(answer))
	}
}

// TestAPlainPageIsDecodedFast: the fast reader reads what servers write.
func TestAPlainPageIsDecodedFast(t *testing.T) {
	page := BrowsePage{
		Files: []StorageObject{{ID: "id", LogicalPath: "größe.csv", SizeBytes: 4096, Source: SourceUpload, ETag: `"id"`,
			CreatedAt: time.UnixMilli(1_700_000_000_123).UTC()}},
		Folders:    []StorageFolder{{Path: "a/", FileCount: 1}},
		NextCursor: "x",
	}
	answer, err := json.Marshal(page)
	require.NoError(t, err)
	var got BrowsePage
	require.True(t, browsed{&got}.decodePlain(answer))
	require.Equal(t, page, got)
}

func BenchmarkDecodeBrowsedPage(b *testing.B) {
	page := BrowsePage{Files: make([]StorageObject, 1000), Folders: []StorageFolder{}}
	for i := range page.Files {
		sum := strings.Repeat("e3b0c442", 8)
		page.Files[i] = StorageObject{ID: "018f4e8a-7c1b-7d3a-9f00-000000000000", Workspace: "bench",
			LogicalPath: "bulk/report-000001.csv", ObjectKey: "bench/bulk/report-000001.csv", Filename: "report-000001.csv",
			SizeBytes: 4096, ContentType: "text/csv", SHA256: sum, Source: SourceUpload,
			ETag:      `"018f4e8a-7c1b-7d3a-9f00-000000000000"`,
			CreatedAt: time.UnixMilli(1_700_000_000_123).UTC()}
	}
	answer, err := json.Marshal(page)
	require.NoError(b, err)
	for name, decode := range map[string]func(out *BrowsePage) error{
		"ours":          func(out *BrowsePage) error { return browsed{out}.Decode(answer) },
		"encoding/json": func(out *BrowsePage) error { return json.Unmarshal(answer, out) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				var out BrowsePage
				require.NoError(b, decode(&out))
			}
		})
	}
}
