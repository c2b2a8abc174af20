package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAFailedWriteUndoesNothingElse(t *testing.T) {
	eachEngine(t, testAFailedWriteUndoesNothingElse)
}

func testAFailedWriteUndoesNothingElse(t *testing.T, e engine) {
	db, _ := e.openTest(t)
	ctx := t.Context()
	refused := errors.New("refused")
	var runs [200]int
	var wg sync.WaitGroup
	for i := range runs {
		wg.Go(func() {
			key := fmt.Sprintf("k%03d", i)
			err := db.Write(ctx, func(tx *Tx) error {
				runs[i]++
				if err := insert(ctx, tx, key, entry(key)); err != nil {
					return err
				}
				switch {
				case i%3 == 1:
					return refused
				case i%3 == 2:
					panic("a bug in one write")
				}
				return nil
			})
			if i%3 == 0 {
				assert.NoError(t, err)
			} else {
				assert.Error(t, err)
			}
		})
	}
	wg.Wait()
	for i, n := range runs {
		require.LessOrEqual(t, n, 2, "however many fail, all are run twice at most: %d", i)
	}
	keys, err := db.Read().VaultKeys(ctx, "org", VaultRange{Limit: 1000})
	require.NoError(t, err)
	require.Len(t, keys, 67)
	events, err := db.Read().auditEvents(ctx)
	require.NoError(t, err)
	require.Len(t, events, 67, "an undone write must leave no event")
}

func TestWhoCatchesUpFindsWhatWasLeftForLater(t *testing.T) {
	eachEngine(t, testWhoCatchesUpFindsWhatWasLeftForLater)
}

func testWhoCatchesUpFindsWhatWasLeftForLater(t *testing.T, e engine) {
	db, _ := e.openTest(t)
	ctx := t.Context()
	for i := range 200 {
		require.NoError(t, db.AppendLater(&Entry{Org: "org", Body: fmt.Appendf(nil, `{"n":%d}`, i)}))
		require.NoError(t, db.CatchUp(ctx))
		events, err := db.Read().auditEvents(ctx)
		require.NoError(t, err)
		require.Len(t, events, i+1)
	}
	head := db.Head().Seq
	require.NoError(t, db.CatchUp(ctx))
	require.Equal(t, head, db.Head().Seq, "nothing waits, nothing is written")
}

func TestTheChainCoversEveryEventInOrder(t *testing.T) {
	eachEngine(t, testTheChainCoversEveryEventInOrder)
}

func testTheChainCoversEveryEventInOrder(t *testing.T, e engine) {
	db, path := e.openTest(t)
	ctx := t.Context()
	for i := range 20 {
		require.NoError(t, db.Write(ctx, func(tx *Tx) error {
			tx.Append(&Entry{Org: "org", Body: fmt.Appendf(nil, `{"n":%d}`, i)})
			return nil
		}))
		if i == 10 { // the head is found again after a restart
			require.NoError(t, db.Close())
			var err error
			db, err = e.open(ctx, path, testProver{})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, db.Close()) })
		}
	}
	events, err := db.Read().auditEvents(ctx)
	require.NoError(t, err)
	require.Len(t, events, 20)
	head := make([]byte, 32)
	for i, e := range events {
		require.EqualValues(t, i+1, e.seq)
		head = NextHash(head, Entry{
			Seq:  e.seq,
			At:   e.at,
			Org:  "org",
			Body: e.body,
		})
		require.Equal(t, head, e.hash)
	}
}

type auditEvent struct {
	seq        int64
	at         time.Time
	body, hash []byte
}

func (q Queries) auditEvents(ctx context.Context) ([]auditEvent, error) {
	return many(ctx, q, func(row scanner) (e auditEvent, err error) {
		var at int64
		err = row(&e.seq, &at, &e.body, &e.hash)
		e.at = fromMillis(at)
		return e, err
	}, "SELECT seq, at, body, hash FROM audit_events ORDER BY seq")
}

func TestARecordIsNotWrittenWithoutItsEvent(t *testing.T) {
	eachEngine(t, testARecordIsNotWrittenWithoutItsEvent)
}

func testARecordIsNotWrittenWithoutItsEvent(t *testing.T, e engine) {
	db, _ := e.openTest(t)
	ctx := t.Context()
	err := db.Write(ctx, func(tx *Tx) error { return tx.InsertVaultEntry(ctx, "org", "k", entry("k")) })
	require.ErrorIs(t, err, errUnrecorded)
	err = db.Write(ctx, func(tx *Tx) error {
		tx.Append(&Entry{Org: "org", Body: []byte("{}")}) // too early: it cannot know
		return tx.InsertVaultEntry(ctx, "org", "k", entry("k"))
	})
	require.ErrorIs(t, err, errUnrecorded)
	_, err = db.Read().VaultEntry(ctx, "org", "k")
	require.ErrorIs(t, err, ErrNotFound)
}

func TestACallerWhoLeftIsNotWrittenFor(t *testing.T) {
	eachEngine(t, testACallerWhoLeftIsNotWrittenFor)
}

func testACallerWhoLeftIsNotWrittenFor(t *testing.T, e engine) {
	db, _ := e.openTest(t)
	ctx, cancel := context.WithCancel(t.Context())
	hold, held := make(chan struct{}), make(chan struct{})
	go func() { // keeps the writer busy, so that the next write waits
		_ = db.Write(t.Context(), func(*Tx) error { close(held); <-hold; return nil })
	}()
	<-held
	done := make(chan error, 1)
	go func() {
		done <- db.Write(ctx, func(tx *Tx) error { return insert(ctx, tx, "k", entry("k")) })
	}()
	for len(db.jobs) == 0 { // until it is queued
	}
	cancel()
	close(hold)
	require.ErrorIs(t, <-done, context.Canceled)
	_, err := db.Read().VaultEntry(t.Context(), "org", "k")
	require.ErrorIs(t, err, ErrNotFound)
}

func TestKeysThatDifferInCaseAloneExist(t *testing.T) {
	eachEngine(t, testKeysThatDifferInCaseAloneExist)
}

func testKeysThatDifferInCaseAloneExist(t *testing.T, e engine) {
	db, _ := e.openTest(t)
	ctx := t.Context()
	write := func(key, folded string) error {
		return db.Write(ctx, func(tx *Tx) error { return insert(ctx, tx, folded, entry(key)) })
	}
	require.NoError(t, write("prod/CRM", "prod/crm"))
	require.ErrorIs(t, write("prod/crm", "prod/crm"), ErrExists)
	got, err := db.Read().VaultEntryFolded(ctx, "org", "prod/crm")
	require.NoError(t, err)
	require.Equal(t, entry("prod/CRM"), got)
}

func TestAnEntryIsReplacedByTheVersionAfterItAlone(t *testing.T) {
	eachEngine(t, testAnEntryIsReplacedByTheVersionAfterItAlone)
}

func testAnEntryIsReplacedByTheVersionAfterItAlone(t *testing.T, e engine) {
	db, _ := e.openTest(t)
	ctx := t.Context()
	require.NoError(t, db.Write(ctx, func(tx *Tx) error { return insert(ctx, tx, "k", entry("k")) }))
	second := entry("k")
	second.Version++
	second.Sealed = []byte("second")
	replace := func(change func(*VaultEntry)) (replaced bool) {
		e := second
		change(&e)
		require.NoError(t, db.Write(ctx, func(tx *Tx) (err error) {
			if replaced, err = tx.ReplaceVaultEntry(ctx, "org", e); replaced {
				return errors.Join(err, logged(tx))
			}
			return err
		}))
		return replaced
	}
	for why, change := range map[string]func(*VaultEntry){
		"an older version":  func(e *VaultEntry) { e.Version-- },
		"a version too far": func(e *VaultEntry) { e.Version++ },
		"another entry":     func(e *VaultEntry) { e.UID = "other" },
		"another key":       func(e *VaultEntry) { e.Key = "other" },
		"made another time": func(e *VaultEntry) { e.CreatedAt = e.CreatedAt.Add(time.Second) },
		"a key in capitals": func(e *VaultEntry) { e.Key = "K" },
	} {
		require.False(t, replace(change), why)
		got, err := db.Read().VaultEntry(ctx, "org", "k")
		require.NoError(t, err)
		require.Equal(t, entry("k"), got, why)
	}
	require.True(t, replace(func(*VaultEntry) {}))
	got, err := db.Read().VaultEntry(ctx, "org", "k")
	require.NoError(t, err)
	require.Equal(t, second, got)
	require.False(t, replace(func(*VaultEntry) {}), "once")
}

func TestPagesOfKeysMeetWithoutGapOrRepeat(t *testing.T) {
	eachEngine(t, testPagesOfKeysMeetWithoutGapOrRepeat)
}

func testPagesOfKeysMeetWithoutGapOrRepeat(t *testing.T, e engine) {
	db, _ := e.openTest(t)
	ctx := t.Context()
	require.NoError(t, db.Write(ctx, func(tx *Tx) error {
		for i := range 250 {
			key := fmt.Sprintf("p/%03d", i)
			if err := insert(ctx, tx, key, entry(key)); err != nil {
				return err
			}
		}
		return insert(ctx, tx, "q", entry("q"))
	}))
	var all []string
	for r := (VaultRange{From: "p/", To: "p0", Limit: 100}); ; r.After = all[len(all)-1] {
		page, err := db.Read().VaultKeys(ctx, "org", r)
		require.NoError(t, err)
		all = append(all, page...)
		if len(page) < r.Limit {
			break
		}
	}
	require.Len(t, all, 250)
	require.IsIncreasing(t, all)
}

func TestClosedMeansClosed(t *testing.T) { eachEngine(t, testClosedMeansClosed) }

func testClosedMeansClosed(t *testing.T, e engine) {
	db, _ := e.openTest(t)
	require.NoError(t, db.Close())
	require.ErrorIs(t, db.Write(t.Context(), func(*Tx) error { return nil }), ErrClosed)
	require.NoError(t, db.Close(), "closing twice")
}

func BenchmarkGroupedWrites(b *testing.B) {
	db, err := Open(b.Context(), filepath.Join(b.TempDir(), "bench.db"), testProver{})
	require.NoError(b, err)
	defer db.Close()
	ctx := b.Context()
	require.NoError(b, db.Write(ctx, func(tx *Tx) error {
		return insertOrganization(ctx, tx, "org")
	}))
	b.ReportAllocs()
	b.SetParallelism(32) // 64 callers on 2 cores
	var n int64
	var mu sync.Mutex
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			mu.Lock()
			n++
			key := fmt.Sprintf("k%09d", n)
			mu.Unlock()
			if err := db.Write(ctx, func(tx *Tx) error { return insert(ctx, tx, key, entry(key)) }); err != nil {
				b.Error(err)
			}
		}
	})
}

func TestACallerWhoLeavesUndoesNothing(t *testing.T) {
	eachEngine(t, testACallerWhoLeavesUndoesNothing)
}

func testACallerWhoLeavesUndoesNothing(t *testing.T, e engine) {
	db, _ := e.openTest(t)
	ctx, leave := context.WithCancel(t.Context())
	err := db.Write(ctx, func(tx *Tx) error {
		leave()
		return insert(ctx, tx, "k", entry("k"))
	})
	require.NoError(t, err, "a write that has begun is not interrupted")
	_, err = db.Read().VaultEntry(t.Context(), "org", "k")
	require.NoError(t, err)
}

func TestWhatMayBeLostStillArrives(t *testing.T) { eachEngine(t, testWhatMayBeLostStillArrives) }

func testWhatMayBeLostStillArrives(t *testing.T, e engine) {
	t.Run("when nobody else writes", func(t *testing.T) {
		db, _ := e.openTest(t)
		require.NoError(t, db.AppendLater(&Entry{Org: "org", Body: []byte(`{"n":1}`)}))
		require.Eventually(t, func() bool {
			events, err := db.Read().auditEvents(t.Context())
			return err == nil && len(events) == 1
		}, 10*time.Second, time.Millisecond)
	})
	t.Run("when the store is closed", func(t *testing.T) {
		db, path := e.openTest(t)
		for i := range 3 {
			require.NoError(t, db.AppendLater(&Entry{Org: "org", Body: fmt.Appendf(nil, `{"n":%d}`, i)}))
		}
		require.NoError(t, db.Close())
		require.ErrorIs(t, db.AppendLater(&Entry{}), ErrClosed)
		db, err := e.open(t.Context(), path, testProver{})
		require.NoError(t, err)
		defer func() { require.NoError(t, db.Close()) }()
		events, err := db.Read().auditEvents(t.Context())
		require.NoError(t, err)
		require.Len(t, events, 3)
	})
	t.Run("before what is written after it", func(t *testing.T) {
		db, _ := e.openTest(t)
		require.NoError(t, db.AppendLater(&Entry{Org: "org", Body: []byte(`"first"`)}))
		require.NoError(t, db.Write(t.Context(), func(tx *Tx) error {
			tx.Append(&Entry{Org: "org", Body: []byte(`"second"`)})
			return nil
		}))
		events, err := db.Read().auditEvents(t.Context())
		require.NoError(t, err)
		require.Len(t, events, 2)
		require.Equal(t, `"first"`, string(events[0].body))
	})
}
