package files

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/store"
)

// TestABrowsedPageIsEncodedAsEncodingJSONDoes, whatever its texts hold, and with every
// field that a file has.
func TestABrowsedPageIsEncodedAsEncodingJSONDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.Just(""), rapid.StringMatching(`[ -~]{0,20}`), rapid.String(),
			rapid.Just("caf\xe9 </a>&\u2028"))
		page := browsed{next: text.Draw(t, "cursor")}
		want := bctrl.BrowsePage{
			Files:      []bctrl.StorageObject{},
			Folders:    []bctrl.StorageFolder{},
			NextCursor: bctrl.Cursor(page.next),
		}
		for range rapid.IntRange(0, 3).Draw(t, "files") {
			var o store.Object
			v := reflect.ValueOf(&o).Elem()
			for i := range v.NumField() {
				switch f, name := v.Field(i), v.Type().Field(i).Name; f.Interface().(type) {
				case time.Time:
					f.Set(reflect.ValueOf(time.UnixMilli(rapid.Int64Range(0, 1<<42).Draw(t, name)).UTC()))
				case int64:
					f.SetInt(rapid.Int64().Draw(t, name))
				default:
					f.SetString(text.Draw(t, name))
				}
			}
			page.files = append(page.files, o)
			want.Files = append(want.Files, describeObject(o))
		}
		for range rapid.IntRange(0, 2).Draw(t, "folders") {
			f := store.Folder{Path: text.Draw(t, "path"), FileCount: rapid.Int64().Draw(t, "count")}
			page.folders = append(page.folders, f)
			want.Folders = append(want.Folders, bctrl.StorageFolder(f))
		}
		plain, err := json.Marshal(want)
		require.NoError(t, err)
		got, err := page.Encode()
		require.NoError(t, err)
		require.JSONEq(t, string(plain), string(got))
		require.Len(t, got, len(plain), "escapes are the same")
	})
}

func BenchmarkEncodeBrowsedPage(b *testing.B) {
	page := browsed{files: make([]store.Object, 1000)}
	for i := range page.files {
		page.files[i] = store.Object{
			ID:          "018f4e8a-7c1b-7d3a-9f00-000000000000",
			Namespace:   "bench",
			Path:        "bulk/report-000001.csv",
			Filename:    "report-000001.csv",
			SizeBytes:   4096,
			ContentType: "text/csv",
			SHA256:      "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
			Source:      bctrl.SourceUpload,
			CreatedAt:   time.UnixMilli(1_700_000_000_123).UTC(),
		}
	}
	for name, encode := range map[string]func() ([]byte, error){
		"ours": page.Encode,
		"encoding/json": func() ([]byte, error) {
			described := bctrl.BrowsePage{Files: make([]bctrl.StorageObject, 0, len(page.files))}
			for _, o := range page.files {
				described.Files = append(described.Files, describeObject(o))
			}
			return json.Marshal(described)
		},
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
