package audit

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/seal"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/store/storetest"
)

// BenchmarkLog measures verifying, and listing what is rare, in logs of
// several sizes.
func BenchmarkLog(b *testing.B) {
	for _, size := range []int{1_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			dir := b.TempDir()
			db, err := store.Open(b.Context(), dir+"/bctrl.db", storetest.Rows(b))
			require.NoError(b, err)
			defer func() { require.NoError(b, db.Close()) }()
			key, err := seal.CreateFile(dir + "/key")
			require.NoError(b, err)
			notary, err := OpenNotary(b.Context(), NotaryConfig{DB: db, Key: key, Head: HeadFile(dir + "/head")})
			require.NoError(b, err)
			defer func() { require.NoError(b, notary.Close()) }()
			for from := 0; from < size; from += 1000 {
				require.NoError(b, db.Write(b.Context(), func(tx *store.Tx) error {
					for i := from; i < from+1000; i++ {
						e := Event{
							Org:       "org",
							Caller:    "key:01980a4e-6a3c-7f1e-8c1d-3b2a5d9e4f60",
							Action:    "vault.readRaw",
							Object:    fmt.Sprintf("prod/k%d", i%5000),
							Decision:  Allowed,
							Outcome:   OK,
							RequestID: "01980a4e-6a3c-7f1e-8c1d-3b2a5d9e4f60",
						}
						if i == 7 {
							e.Object, e.Outcome, e.Decision = "rare", "vault.outside_mount", Denied
						}
						if err := Append(tx, e); err != nil {
							return err
						}
					}
					return nil
				}))
			}
			b.Run("verify", func(b *testing.B) {
				for b.Loop() {
					report, err := Verify(b.Context(), VerifyConfig{DB: db, Key: key, Head: HeadFile(dir + "/head")})
					require.NoError(b, err)
					require.Empty(b, report.All().Problems)
				}
				b.ReportMetric(float64(size)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
			})
			for name, f := range map[string]bctrl.AuditFilter{
				"newest":  {},
				"object":  {Object: "rare"},
				"denied":  {Decision: bctrl.AuditDenied},
				"outcome": {Outcome: "vault.outside_mount"},
				"until":   {Until: time.Now().Add(-time.Hour)},
			} {
				b.Run(name, func(b *testing.B) {
					for b.Loop() {
						page, err := List(b.Context(), db.Read(), "org", f, false, 0, 50)
						require.NoError(b, err)
						require.LessOrEqual(b, len(page.Events), 50)
					}
				})
			}
		})
	}
}
