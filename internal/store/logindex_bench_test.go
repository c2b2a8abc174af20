package store

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// BenchmarkIndexingTheLog is what the index costs an event, of which every second is an outcome
// that has no row in it.
func BenchmarkIndexingTheLog(b *testing.B) {
	db, path := openTest(b)
	const events = 100_000
	for from := 0; from < events; from += 1000 {
		require.NoError(b, db.Write(b.Context(), func(tx *Tx) error {
			for i := from; i < from+1000; i += 2 {
				intent := &Entry{Org: "01980a4e-6a3c-7f1e-8c1d-3b2a5d9e4f60", Body: fmt.Appendf(nil, `{"id":"01980a4e-6a3c-7f1e-8c1d-%012d",`+
					`"kind":"intent","org":"01980a4e-6a3c-7f1e-8c1d-3b2a5d9e4f60","caller":"key:01980a4e-6a3c-7f1e-8c1d-3b2a5d9e4f60",`+
					`"action":"vault.readRaw","object":"bench/%04d","uid":"01980a4e-6a3c-7f1e-8c1d-3b2a5d9e4f60","version":1,"decision":"allow",`+
					`"requestId":"01980a4e-6a3c-7f1e-8c1d-3b2a5d9e4f60"}`, i, i%5000)}
				tx.Append(intent)
				tx.Append(&Entry{Org: intent.Org, Intent: int64(i + 1), Body: fmt.Appendf(nil, `{"id":"01980a4e-6a3c-7f1e-8c1d-%012d",`+
					`"kind":"outcome","intent":%d,"org":"01980a4e-6a3c-7f1e-8c1d-3b2a5d9e4f60","caller":"key:01980a4e-6a3c-7f1e-8c1d-3b2a5d9e4f60",`+
					`"action":"vault.readRaw","outcome":"ok","requestId":"01980a4e-6a3c-7f1e-8c1d-3b2a5d9e4f60"}`, i, i+1)})
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
		for db.Indexed() < events-indexAfter {
			time.Sleep(20 * time.Millisecond)
		}
		require.NoError(b, db.Close())
	}
	b.ReportMetric(float64((cpuTime(b)-before).Nanoseconds())/float64(b.N)/events, "cpu-ns/event")
}
