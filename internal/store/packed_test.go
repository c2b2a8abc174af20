package store

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

// TestAListedFileIsTheOneThatIsRead: a listing takes packed rows apart, and a reading
// of one file does not, whatever its columns hold.
func TestAListedFileIsTheOneThatIsRead(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		db, _ := e.openTest(t)
		texts := []string{
			"", "plain", "ü€𝄞", "with 'quotes', \"more\" and \\", packing, "a" + packing + "b",
			packing + packing, betweenRows, "a" + betweenRows + "b", escape, escape + "YQ", "a\x00b", "caf\xe9", "line\nline",
		}
		ctx, all := t.Context(), PathRange{Limit: 100}
		for i, text := range texts {
			o := Object{
				ID:          fmt.Sprint("id", i),
				Namespace:   "n",
				Path:        fmt.Sprintf("folder/%02d", i),
				BlobID:      fmt.Sprint("blob", i),
				SHA256:      "sum",
				SizeBytes:   int64(i) - 1,
				ContentType: text,
				Filename:    text,
				Source:      bctrl.SourceUpload,
				Target:      text,
				CreatedAt:   fromMillis(int64(i)),
			}
			require.NoError(t, db.Write(ctx, func(tx *Tx) error {
				if _, err := tx.PutObject(ctx, "org", o, nil); err != nil { // none is replaced
					return err
				}
				return logged(tx)
			}))
			read, err := db.Read().Object(ctx, "org", "n", o.Path)
			require.NoError(t, err)
			require.Equal(t, o, read)
			for why, list := range map[string]func() ([]Object, error){
				"all files":   func() ([]Object, error) { return db.Read().Files(ctx, "org", "n", all) },
				"of a folder": func() ([]Object, error) { all.Prefix = "folder/"; return db.Read().FilesIn(ctx, "org", "n", all) },
				"the catalog": func() ([]Object, error) { return db.Read().Objects(ctx, "org", ObjectFilter{Limit: 100}) },
			} {
				listed, err := list()
				require.NoError(t, err, why)
				require.Len(t, listed, i+1, why)
				require.Equal(t, read, listed[i], "%s: %q", why, text)
			}
		}
	})
}

// TestAFileIsNotTakenApartIntoTwo: what stands in a name is no file, though it be written as the rest
// of one and the begin of another.
func TestAFileIsNotTakenApartIntoTwo(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		db, _ := e.openTest(t)
		rest := []string{"name", "upload", "", "", "", "0", "00"}
		begin := []string{"other", "id2", "n", "b", "", "blob2", "sum", "1", "text/plain", "name"}
		o := Object{
			ID:        "id",
			Namespace: "n",
			Path:      "a",
			BlobID:    "blob",
			Filename:  strings.Join(rest, packing) + betweenRows + strings.Join(begin, packing),
			CreatedAt: fromMillis(1),
		}
		require.NoError(t, db.Write(t.Context(), func(tx *Tx) error {
			if _, err := tx.PutObject(t.Context(), "org", o, nil); err != nil { // none is replaced
				return err
			}
			return logged(tx)
		}))
		for why, q := range map[string]Queries{"proven": db.Read(), "whatever rows hold": db.Read().Unproven()} {
			listed, err := q.Files(t.Context(), "org", "n", PathRange{Limit: 10})
			require.NoError(t, err, why)
			require.Equal(t, []Object{o}, listed, why)
		}
	})
}
