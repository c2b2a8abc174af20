package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/store/pgtest"
)

// BenchmarkWrite is what the server's commonest calls do to the store, from 64
// callers at once: a get records its intent and its outcome, a set replaces an
// entry, remembers its answer and records itself. Both engines sync each transaction.
func BenchmarkWrite(b *testing.B) { benchEngines(b, benchmarkWrite) }

// benchEngines runs a benchmark on SQLite and on a PostgreSQL that syncs.
func benchEngines(b *testing.B, fn func(b *testing.B, e engine)) {
	b.Helper()
	cluster, err := pgtest.New(true)
	require.NoError(b, err)
	defer func() { require.NoError(b, cluster.Close()) }()
	made := 0
	server := onPostgres()
	server.create = func(tb testing.TB) string {
		made++
		at, err := cluster.Create(fmt.Sprintf("bench%d", made))
		require.NoError(tb, err)
		return at
	}
	for _, e := range []engine{onSQLite(), server} {
		b.Run(e.name, func(b *testing.B) { fn(b, e) })
	}
}

func benchmarkWrite(b *testing.B, e engine) {
	body := make([]byte, 300)
	sealed := make([]byte, 200)
	for name, write := range map[string]func(ctx context.Context, db *DB, i int) error{
		"get": func(ctx context.Context, db *DB, i int) error {
			intent := &Entry{
				Org:   "org",
				Body:  body,
				Terms: Terms{Action: "vault.readRaw", Object: benchKey(i % 1000)},
			}
			if err := db.Write(ctx, func(tx *Tx) error {
				tx.Append(intent)
				return nil
			}); err != nil {
				return err
			}
			return db.AppendLater(&Entry{Org: "org", Body: body, Intent: intent.Seq})
		},
		"set": func(ctx context.Context, db *DB, i int) error {
			return db.Write(ctx, func(tx *Tx) error {
				e, err := tx.VaultEntry(ctx, "org", benchKey(i%1000))
				if err != nil {
					return err
				}
				e.Version++
				e.Sealed = sealed
				if err := tx.UpdateVaultEntry(ctx, "org", e); err != nil {
					return err
				}
				if err := tx.InsertAnswer(ctx, "org", AnswerKey{Own: fmt.Sprintf("018f4e8a-7c1b-7d3a-9f00-%012d", i)},
					Answer{Status: 200, Sealed: body, CreatedAt: time.Now()}); err != nil {
					return err
				}
				tx.Append(&Entry{
					Org:    "org",
					Body:   body,
					Terms:  Terms{Action: "vault.write", Object: e.Key},
					Record: KindVault + ":" + e.UID,
				})
				return nil
			})
		},
	} {
		b.Run(name, func(b *testing.B) {
			db, _ := e.openTest(b)
			for i := range 1000 {
				require.NoError(b, db.Write(b.Context(), func(tx *Tx) error {
					key := benchKey(i)
					return insert(b.Context(), tx, key, entry(key))
				}))
			}
			var n atomic.Int64
			b.SetParallelism(64)
			before := cpuTime(b)
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := write(b.Context(), db, int(n.Add(1))); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/float64(b.N), "cpu-µs/op")
		})
	}
}

func benchKey(i int) string { return fmt.Sprintf("bench/%04d", i) }

// cpuTime is what the process has spent, which other work on the machine
// disturbs less than it does the time that passes.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkRead is a page of keys and one entry, among 10,000.
func BenchmarkRead(b *testing.B) { benchEngines(b, benchmarkRead) }

func benchmarkRead(b *testing.B, e engine) {
	db, _ := e.openTest(b)
	ctx := b.Context()
	require.NoError(b, db.Write(ctx, func(tx *Tx) error {
		for i := range 10_000 {
			key := fmt.Sprintf("bulk/%06d", i)
			if err := tx.InsertVaultEntry(ctx, "org", key, entry(key)); err != nil {
				return err
			}
		}
		tx.Append(&Entry{Org: "org", Body: []byte("{}")})
		return nil
	}))
	for name, read := range map[string]func() error{
		"page":  func() error { _, err := db.Read().VaultKeys(ctx, "org", VaultRange{Limit: 1001}); return err },
		"entry": func() error { _, err := db.Read().VaultEntry(ctx, "org", "bulk/004711"); return err },
	} {
		b.Run(name, func(b *testing.B) {
			before := cpuTime(b)
			b.ReportAllocs()
			for b.Loop() {
				if err := read(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/float64(b.N), "cpu-µs/op")
		})
	}
}

// BenchmarkServersThatShare has servers that share a database decide, 64 callers each, as
// one after the other changes rows, and at once. The database syncs, and is half a
// millisecond away in each direction, so that what is measured is who waits for whom, and
// not how many processors there are.
func BenchmarkServersThatShare(b *testing.B) {
	cluster, err := pgtest.New(true)
	require.NoError(b, err)
	defer func() { require.NoError(b, cluster.Close()) }()
	at, err := cluster.Create("shared")
	require.NoError(b, err)
	cable := pgtest.NewCable(b, at)
	var dbs []*DB
	for i := range 3 {
		dbs = append(dbs, openShared(b, cable.URL(at)))
		joinAs(b, dbs[i], fmt.Sprint("node ", i))
	}
	ctx := b.Context()
	require.NoError(b, dbs[0].Write(ctx, func(tx *Tx) error {
		return errors.Join(insertOrganization(ctx, tx, "org"), insert(ctx, tx, "k", entry("k")))
	}))
	cable.Delay(500 * time.Microsecond)
	decides := func(reads int) func(*Tx) error {
		return func(tx *Tx) error {
			for range reads {
				if _, err := tx.VaultEntry(ctx, "org", "k"); err != nil {
					return err
				}
			}
			tx.Append(&Entry{Org: "org", Body: make([]byte, 300)})
			return nil
		}
	}
	const callers = 64
	for _, reads := range []int{0, 4} { // of 4: the caller, its workspace, the entry and what the log says of it
		for _, servers := range []int{1, 2, 3} {
			for how, submit := range map[string]func(*DB, func(*Tx) error) error{
				"in turns": func(db *DB, fn func(*Tx) error) error { return db.Write(ctx, fn) },
				"at once":  func(db *DB, fn func(*Tx) error) error { return db.Decide(ctx, fn) },
			} {
				b.Run(fmt.Sprintf("reads=%d/servers=%d/%s", reads, servers, how), func(b *testing.B) {
					fn := decides(reads)
					var next atomic.Int64
					var all sync.WaitGroup
					for i := range servers * callers {
						all.Go(func() {
							for next.Add(1) <= int64(b.N) {
								assert.NoError(b, submit(dbs[i%servers], fn))
							}
						})
					}
					all.Wait()
					b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "decisions/s")
				})
			}
		}
	}
}

// BenchmarkFiles is a page of 1,000 files, and one of a single file, among 10,000.
func BenchmarkFiles(b *testing.B) { benchEngines(b, benchmarkFiles) }

func benchmarkFiles(b *testing.B, e engine) {
	db, _ := e.openTest(b)
	ctx := b.Context()
	const sum = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	require.NoError(b, db.Write(ctx, func(tx *Tx) error {
		for i := range 10_000 {
			name := fmt.Sprintf("report-%06d.csv", i)
			o := Object{
				ID:          fmt.Sprintf("018f4e8a-7c1b-7d3a-9f00-%012d", i),
				Namespace:   "bench",
				Path:        "bulk/" + name,
				BlobID:      fmt.Sprintf("018f4e8a-7c1b-7d3a-9f01-%012d", i),
				SHA256:      sum,
				SizeBytes:   4096,
				ContentType: "text/csv",
				Filename:    name,
				Source:      bctrl.SourceUpload,
				CreatedAt:   fromMillis(1_700_000_000_123),
			}
			if _, err := tx.PutObject(ctx, "org", o, nil); err != nil {
				return err
			}
		}
		return logged(tx)
	}))
	for _, limit := range []int{1, 1001} {
		b.Run(fmt.Sprint(limit), func(b *testing.B) {
			before := cpuTime(b)
			b.ReportAllocs()
			for b.Loop() {
				found, err := db.Read().FilesIn(ctx, "org", "bench",
					PathRange{Prefix: "bulk/", After: "bulk/report-000999.csv", Limit: limit})
				if err != nil || len(found) != limit {
					b.Fatal(len(found), err)
				}
			}
			b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/float64(b.N), "cpu-µs/op")
		})
	}
}
