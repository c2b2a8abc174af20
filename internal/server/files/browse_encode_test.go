package files

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bctrl-go/bctrl"
)

// TestABrowsedPageIsEncodedAsEncodingJSONDoes, whatever its texts hold, and with every
// field that a file has.
func TestABrowsedPageIsEncodedAsEncodingJSONDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.Just(""), rapid.StringMatching(`[ -~]{0,20}`), rapid.String(),
			rapid.Just("caf\xe9 </a>&\u2028"))
		page := bctrl.BrowsePage{
			Files:      []bctrl.StorageObject{},
			Folders:    []bctrl.StorageFolder{},
			NextCursor: bctrl.Cursor(text.Draw(t, "cursor")),
		}
		for range rapid.IntRange(0, 3).Draw(t, "files") {
			var o bctrl.StorageObject
			v := reflect.ValueOf(&o).Elem()
			for i := range v.NumField() {
				switch f, name := v.Field(i), v.Type().Field(i).Name; f.Interface().(type) {
				case time.Time:
					at := time.UnixMilli(rapid.Int64Range(0, 1<<42).Draw(t, name)).UTC()
					if name != "ExpiresAt" || rapid.Bool().Draw(t, "expires") {
						f.Set(reflect.ValueOf(at))
					}
				case int64:
					f.SetInt(rapid.Int64().Draw(t, name))
				default:
					f.SetString(text.Draw(t, name))
				}
			}
			page.Files = append(page.Files, o)
		}
		if rapid.Bool().Draw(t, "folder") {
			page.Folders = append(page.Folders, bctrl.StorageFolder{Path: text.Draw(t, "path"), FileCount: 1})
		}
		want, err := json.Marshal(page)
		require.NoError(t, err)
		got, err := browsed{page}.Encode()
		require.NoError(t, err)
		require.JSONEq(t, string(want), string(got))
		require.Len(t, got, len(want), "escapes are the same")
	})
}

func BenchmarkEncodeBrowsedPage(b *testing.B) {
	page := bctrl.BrowsePage{Folders: []bctrl.StorageFolder{}, Files: make([]bctrl.StorageObject, 1000)}
	for i := range page.Files {
		const (
			id  = "018f4e8a-7c1b-7d3a-9f00-000000000000"
			sum = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
		)
		page.Files[i] = bctrl.StorageObject{
			ID:          id,
			Workspace:   "bench",
			LogicalPath: "bulk/report-000001.csv",
			ObjectKey:   "bench/bulk/report-000001.csv",
			Filename:    "report-000001.csv",
			SizeBytes:   4096,
			ContentType: "text/csv",
			SHA256:      sum,
			Source:      bctrl.SourceUpload,
			ETag:        `"` + id + `"`,
			CreatedAt:   time.UnixMilli(1_700_000_000_123).UTC(),
		}
	}
	for name, encode := range map[string]func() ([]byte, error){
		"ours":          browsed{page}.Encode,
		"encoding/json": func() ([]byte, error) { return json.Marshal(page) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, err := encode()
				require.NoError(b, err)
			}
		})
	}
}
