package store

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkIndexingTheLog is what the index costs an event, of which every second is an outcome
// that has no row in it.
func BenchmarkIndexingTheLog(b *testing.B) {
	db, path := openTest(b)
	const events = 100_000
	const org = "01980a4e-6a3c-7f1e-8c1d-3b2a5d9e4f60"
	for from := 0; from < events; from += 1000 {
		require.NoError(b, db.Write(b.Context(), func(tx *Tx) error {
			for i := from; i < from+1000; i += 2 {
				said := fmt.Sprintf(`"id":"01980a4e-6a3c-7f1e-8c1d-%012d","org":%q,"caller":"key:%[2]s","action":"vault.readRaw",`+
					`"requestId":%[2]q`, i, org)
				tx.Append(&Entry{Org: org, Body: fmt.Appendf(nil, `{"kind":"intent","object":"bench/%04d","uid":%q,"version":1,`+
					`"decision":"allow",%s}`, i%5000, org, said)})
				tx.Append(&Entry{
					Org:    org,
					Intent: int64(i + 1),
					Body:   fmt.Appendf(nil, `{"kind":"outcome","intent":%d,"outcome":"ok",%s}`, i+1, said),
				})
			}
			return nil
		}))
	}
	require.NoError(b, db.Close())
	before := cpuTime(b)
	b.ResetTimer()
	for b.Loop() {
		b.StopTimer()
		require.NoError(b, removeIndex(indexFile(path)))
		b.StartTimer()
		db, err := Open(b.Context(), path, testProver{})
		require.NoError(b, err)
		waitIndexed(b, db, events-indexAfter+1)
		require.NoError(b, db.Close())
	}
	b.ReportMetric(float64((cpuTime(b)-before).Nanoseconds())/float64(b.N)/events, "cpu-ns/event")
}

// BenchmarkBringingTheIndexOn is what it costs an event that is at hand, as under load, where uses of so
// many secrets are recorded: every second event is an outcome.
func BenchmarkBringingTheIndexOn(b *testing.B) {
	for _, secrets := range []int{1000, 100_000} {
		b.Run(fmt.Sprint(secrets, " secrets"), func(b *testing.B) {
			const events = 400_000
			objects := make([]string, secrets)
			for i := range objects {
				objects[i] = fmt.Sprintf("bench/%06d", i)
			}
			random := rand.New(rand.NewPCG(1, 2))
			var size int64
			before := cpuTime(b)
			for b.Loop() {
				path := filepath.Join(b.TempDir(), "index")
				f, err := openIndexFile(b.Context(), path, Queries{})
				require.NoError(b, err)
				for seq := int64(0); seq < events; {
					rows := make([]IndexRow, 0, indexAfter/2)
					for range indexAfter / 2 {
						rows = append(rows, IndexRow{Seq: seq + 1, Org: "01980a4e-6a3c-7f1e-8c1d-3b2a5d9e4f60", Terms: Terms{
							Action: "vault.readRaw",
							Object: objects[random.IntN(secrets)],
						}})
						seq += 2
					}
					require.NoError(b, f.add(b.Context(), rows, indexPlace{seq, ZeroHash()}))
					require.NoError(b, f.merge(b.Context()))
				}
				require.NoError(b, f.close())
				s, err := os.Stat(path)
				require.NoError(b, err)
				size = s.Size()
			}
			b.ReportMetric(float64((cpuTime(b)-before).Nanoseconds())/float64(b.N)/events, "cpu-ns/event")
			b.ReportMetric(float64(size)/events, "bytes/event")
		})
	}
}
