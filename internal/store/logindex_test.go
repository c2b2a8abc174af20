package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/sample"
)

// writtenLog is a log of which a test knows what is found in it.
type writtenLog struct{ rows []IndexRow }

// next makes the entry with the next number. Every fifth is the outcome of the one before it.
func (w *writtenLog) next() *Entry {
	i := len(w.rows)
	r := IndexRow{Seq: int64(i + 1), Org: "org"}
	e := &Entry{}
	if i%5 == 4 {
		before := w.rows[i-1]
		r.Org, r.Intent, r.Outcome = before.Org, before.Seq, []string{"", "later.failed"}[i%2]
		e.Body = fmt.Appendf(nil, `{"kind":"outcome","intent":%d,"action":"a1","outcome":%q}`, r.Intent, orOK(r.Outcome))
	} else {
		if i%11 == 0 {
			r.Org = "other"
		}
		r.Terms = Terms{
			Workspace: fmt.Sprint("w", i%2),
			Runtime:   fmt.Sprint("r", i%4),
			Action:    fmt.Sprint("a", i%3),
			Object:    fmt.Sprint("o", i%700),
			Denied:    i%6 == 0,
			Outcome:   []string{"", "", "", "at.once"}[i%4],
		}
		decision := map[bool]string{true: "deny", false: "allow"}[r.Denied]
		e.Body = fmt.Appendf(nil,
			`{"kind":"event","workspace":%q,"runtime":%q,"action":%q,"object":%q,"decision":%q,"outcome":%q}`,
			r.Workspace, r.Runtime, r.Action, r.Object, decision, orOK(r.Outcome))
	}
	e.Org, e.Intent, e.Terms = r.Org, r.Intent, r.Terms
	w.rows = append(w.rows, r)
	return e
}

func orOK(outcome string) string {
	if outcome == "" {
		return "ok"
	}
	return outcome
}

func (w *writtenLog) write(t *testing.T, db *DB, entries int) {
	t.Helper()
	for entries > 0 {
		require.NoError(t, db.Write(t.Context(), func(tx *Tx) error {
			for range min(entries, 700) {
				tx.Append(w.next())
			}
			return nil
		}))
		entries -= 700
	}
}

// requireFound requires that every search finds what was written, in pages.
func (w *writtenLog) requireFound(t *testing.T, db *DB) {
	t.Helper()
	values := map[EventIndex]string{
		ByNumber: "", ByWorkspace: "w1", ByRuntime: "r2", ByAction: "a2", ByObject: "o33", ByOutcome: "later.failed",
		ByDenial: "",
	}
	for by, value := range values {
		for _, ascending := range []bool{true, false} {
			r := EventRange{
				Org:       "org",
				By:        by,
				Value:     value,
				After:     int64(len(w.rows))/2 - 300,
				Before:    int64(len(w.rows))/2 + 300,
				Ascending: ascending,
				Limit:     400,
			}
			if by == ByObject || by == ByOutcome { // of which there are few
				r.After, r.Before = 17, int64(len(w.rows))-5
			}
			want := w.numbers(r)
			var found []int64
			for {
				page, err := db.Read().Events(t.Context(), r)
				require.NoError(t, err)
				for _, e := range page {
					found = append(found, e.Seq)
				}
				if len(page) < r.Limit {
					break
				}
				if last := page[len(page)-1].Seq; ascending {
					r.After = last
				} else {
					r.Before = last
				}
			}
			require.Equal(t, want, found, "by %d, ascending %v", by, ascending)
		}
	}
}

// numbers are those that a search for a range finds when it reads everything.
func (w *writtenLog) numbers(r EventRange) (numbers []int64) {
	for _, row := range w.rows {
		if number, is := r.picks(row); is {
			numbers = append(numbers, number)
		}
	}
	slices.Sort(numbers)
	numbers = slices.Compact(numbers)
	if !r.Ascending {
		slices.Reverse(numbers)
	}
	return numbers
}

// waitIndexed waits until the index has so many entries.
func waitIndexed(tb testing.TB, db *DB, entries int64) {
	tb.Helper()
	require.Eventually(tb, func() bool { return db.Indexed() >= entries }, time.Minute, time.Millisecond)
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(to, text, 0o600))
}

// TestASearchFindsTheSameWhateverBecameOfTheIndex does to the index of a store, between two
// servers, what a crash, a copy or somebody can do to it.
func TestASearchFindsTheSameWhateverBecameOfTheIndex(t *testing.T) {
	dir := t.TempDir()
	log := &writtenLog{}
	at := filepath.Join(dir, "bctrl.db")
	db := onSQLite().reopen(t, at)
	log.write(t, db, indexAfter-1)
	log.requireFound(t, db)
	require.NoFileExists(t, indexFile(at), "a short log needs none")
	log.write(t, db, indexAfter)
	waitIndexed(t, db, indexAfter)
	log.requireFound(t, db)
	require.NoError(t, db.Close())
	copyFile(t, at, filepath.Join(dir, "older.db"))
	copyFile(t, indexFile(at), filepath.Join(dir, "behind"))
	older := len(log.rows)

	db = onSQLite().reopen(t, at)
	require.EqualValues(t, older, db.Indexed(), "it goes on from where it was")
	log.write(t, db, indexAfter+300)
	waitIndexed(t, db, int64(len(log.rows))-indexAfter+1) // and the index waits for more
	log.requireFound(t, db)
	_, err := db.index.opened.Load().conn.ExecContext(t.Context(), "SELECT 1") // after what it was doing
	require.NoError(t, err)
	// As a kill leaves it: the database has more than the index, and both have a log of their own.
	killed := t.TempDir()
	for _, beside := range []string{"", "-wal", ".index", ".index-wal"} {
		copyFile(t, at+beside, filepath.Join(killed, "bctrl.db"+beside))
	}
	require.NoError(t, db.Close())
	copyFile(t, indexFile(at), filepath.Join(dir, "whole"))

	for _, tc := range sample.Of(t, 3, []struct {
		why string
		do  func(t *testing.T, at string)
		log *writtenLog
	}{
		{"nothing", func(*testing.T, string) {}, log},
		{"it was deleted", func(t *testing.T, at string) {
			t.Helper()
			require.NoError(t, os.Remove(indexFile(at)))
		}, log},
		{"it was deleted but for what SQLite keeps beside it", func(t *testing.T, at string) {
			t.Helper()
			require.NoError(t, os.Remove(indexFile(at)))
			copyFile(t, filepath.Join(killed, "bctrl.db.index-wal"), indexFile(at)+"-wal")
		}, log},
		{"it is behind", func(t *testing.T, at string) {
			t.Helper()
			copyFile(t, filepath.Join(dir, "behind"), indexFile(at))
		}, log},
		{"it is ahead of a database that was put back", func(t *testing.T, at string) {
			t.Helper()
			copyFile(t, filepath.Join(dir, "older.db"), at)
		}, &writtenLog{log.rows[:older]}},
		{"it is torn", func(t *testing.T, at string) {
			t.Helper()
			require.NoError(t, os.Truncate(indexFile(at), 3*4096+100))
		}, log},
		{"it is no database", func(t *testing.T, at string) {
			t.Helper()
			require.NoError(t, os.WriteFile(indexFile(at), []byte("no database at all, but some text"), 0o600))
		}, log},
		{"it has another schema", func(t *testing.T, at string) {
			t.Helper()
			execIn(t, indexFile(at), "CREATE TRIGGER evil AFTER INSERT ON audit_index BEGIN DELETE FROM audit_index; END")
		}, log},
		{"its place was changed", func(t *testing.T, at string) {
			t.Helper()
			execIn(t, indexFile(at), "UPDATE audit_index_place SET seq = seq - 100")
		}, log},
		{"it has no place", func(t *testing.T, at string) {
			t.Helper()
			execIn(t, indexFile(at), "DELETE FROM audit_index_place")
		}, log},
		{"it cannot be made", func(t *testing.T, at string) {
			t.Helper()
			require.NoError(t, os.Remove(indexFile(at)))
			require.NoError(t, os.MkdirAll(filepath.Join(indexFile(at), "in the way"), 0o700))
		}, log},
	}) {
		t.Run(tc.why, func(t *testing.T) {
			to := filepath.Join(t.TempDir(), "bctrl.db")
			copyFile(t, at, to)
			copyFile(t, filepath.Join(dir, "whole"), indexFile(to))
			tc.do(t, to)
			db := onSQLite().reopen(t, to)
			tc.log.requireFound(t, db)
			if tc.why != "it cannot be made" {
				waitIndexed(t, db, int64(len(tc.log.rows))-indexAfter)
				tc.log.requireFound(t, db)
			}
		})
	}
	t.Run("its server was killed", func(t *testing.T) {
		db := onSQLite().reopen(t, filepath.Join(killed, "bctrl.db"))
		log.requireFound(t, db)
	})
}

func execIn(t *testing.T, path, statement string) {
	t.Helper()
	_, err := onSQLite().raw(t, path).ExecContext(t.Context(), statement)
	require.NoError(t, err)
}

// TestAnIndexThatIsLostWhileAServerRunsIsMadeAnew deletes the file, and fills it with something else.
func TestAnIndexThatIsLostWhileAServerRunsIsMadeAnew(t *testing.T) {
	db, at := openEmpty(t)
	log := &writtenLog{}
	log.write(t, db, indexAfter+50)
	waitIndexed(t, db, indexAfter)
	for _, tc := range []struct {
		why string
		do  func()
	}{
		{"deleted", func() { require.NoError(t, removeIndex(indexFile(at))) }},
		{"overwritten", func() {
			for _, file := range []string{indexFile(at), indexFile(at) + "-wal"} {
				was, err := os.Stat(file)
				require.NoError(t, err)
				f, err := os.OpenFile(file, os.O_RDWR, 0)
				require.NoError(t, err)
				_, err = f.Write(bytes.Repeat([]byte("no page "), int(was.Size()/8)))
				require.NoError(t, err)
				require.NoError(t, f.Close())
			}
		}},
	} {
		tc.do()
		log.requireFound(t, db)
		log.write(t, db, 2*indexAfter)
		require.Eventually(t, func() bool {
			_, err := os.Stat(indexFile(at))
			return err == nil && db.Indexed() > int64(len(log.rows))-indexAfter
		}, time.Minute, time.Millisecond, tc.why)
		log.requireFound(t, db)
	}
}

// TestASearchThatIsCancelledTakesTheIndexFromNobody, and one that meets damage has it made anew
// before anything is appended.
func TestASearchThatIsCancelledTakesTheIndexFromNobody(t *testing.T) {
	db, at := openEmpty(t)
	log := &writtenLog{}
	log.write(t, db, indexAfter+50)
	waitIndexed(t, db, indexAfter)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	db.Read().searched().failed(ctx, context.Canceled)
	require.GreaterOrEqual(t, db.Indexed(), int64(indexAfter))

	was := db.batch.index.opened.Load()
	execIn(t, indexFile(at), "PRAGMA user_version = 7")
	db.Read().searched().failed(t.Context(), &indexDamageError{errors.New("a page is none")})
	require.Eventually(t, func() bool {
		now := db.batch.index.opened.Load()
		return now != nil && now != was && db.Indexed() >= indexAfter
	}, time.Minute, time.Millisecond)
	var version int
	require.NoError(t, onSQLite().raw(t, indexFile(at)).QueryRowContext(t.Context(), "PRAGMA user_version").Scan(&version))
	require.Zero(t, version, "it is another file")
	log.requireFound(t, db)
}

// TestALogOfBeforeIsBroughtOver puts a store back to where its log had its indexes with it.
func TestALogOfBeforeIsBroughtOver(t *testing.T) {
	db, at := openEmpty(t)
	log := &writtenLog{}
	log.write(t, db, indexAfter+50)
	head := db.Head()
	require.NoError(t, db.Close())
	onSQLite().takeBack(t, at, 14)
	raw := onSQLite().raw(t, at)
	var terms int
	require.NoError(t, raw.QueryRowContext(t.Context(),
		"SELECT COUNT(*) FROM audit_events WHERE object = 'o33'").Scan(&terms))
	require.NotZero(t, terms)
	require.NoError(t, removeIndex(indexFile(at)))
	db = onSQLite().reopen(t, at)
	require.Equal(t, head.Hash, db.Head().Hash)
	requireWholeChain(t, db, len(log.rows))
	log.requireFound(t, db)
}

// TestAnIndexOnAFullDiskIsBroughtOnLater gives the index no room for a while: the store goes
// on, and every search finds what it did.
func TestAnIndexOnAFullDiskIsBroughtOnLater(t *testing.T) {
	db, _ := openEmpty(t)
	log := &writtenLog{}
	log.write(t, db, indexAfter)
	waitIndexed(t, db, indexAfter)
	f := db.index.opened.Load()
	_, err := f.conn.ExecContext(t.Context(), "PRAGMA max_page_count = 1") // no more than there are
	require.NoError(t, err)
	db.index.newest.mu.Lock()
	db.index.newest.most = 100 // so that what follows is not in memory either
	db.index.newest.mu.Unlock()
	log.write(t, db, 2*indexAfter)
	log.requireFound(t, db)
	require.Less(t, db.Indexed(), int64(len(log.rows)))
	_, err = f.conn.ExecContext(t.Context(), "PRAGMA max_page_count = 1000000")
	require.NoError(t, err)
	waitIndexed(t, db, int64(len(log.rows))-indexAfter)
	log.requireFound(t, db)
}

// TestAServerThatEndsMergesNothing leaves the runs, with the last of what was written, to the next one.
func TestAServerThatEndsMergesNothing(t *testing.T) {
	db, at := openEmpty(t)
	log := &writtenLog{}
	for range mergedRuns - 1 {
		log.write(t, db, indexAfter+52) // in three writes, of which the last has it brought on
		waitIndexed(t, db, int64(len(log.rows)))
	}
	log.write(t, db, 100)
	require.NoError(t, db.Close())
	var runs, last int
	require.NoError(t, onSQLite().raw(t, indexFile(at)).QueryRowContext(t.Context(),
		"SELECT COUNT(*), MAX(last) FROM audit_index_runs").Scan(&runs, &last))
	require.Equal(t, mergedRuns, runs)
	require.Equal(t, len(log.rows), last)
	onSQLite().reopen(t, at)
}
