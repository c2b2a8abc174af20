package store

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bctrl-go/bctrl/internal/sample"
)

// openNewIndex opens an index of no log.
func openNewIndex(tb testing.TB) *openIndex {
	tb.Helper()
	f, err := openIndexFile(tb.Context(), filepath.Join(tb.TempDir(), "index"), Queries{})
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, f.close()) })
	return f
}

// addWritten indexes what was written since, and merges as the server does.
func (f *openIndex) addWritten(t require.TestingT, log *writtenLog) {
	f.addUnmerged(t, log)
	require.NoError(t, f.merge(context.Background()))
}

// addUnmerged indexes what was written since, as a run of its own.
func (f *openIndex) addUnmerged(t require.TestingT, log *writtenLog) {
	var rows []IndexRow
	for _, r := range log.rows[f.at.seq:] {
		if r.Intent == 0 || r.Outcome != "" {
			rows = append(rows, r)
		}
	}
	require.NoError(t, f.add(context.Background(), rows, indexPlace{int64(len(log.rows)), ZeroHash()}))
}

// requireFound requires that the runs are stored as they are known, and that what an object, an outcome and
// everything has is found in them.
func (f *openIndex) requireFound(t *testing.T, log *writtenLog) {
	t.Helper()
	runs, _, err := readRuns(t.Context(), f.read)
	require.NoError(t, err)
	require.Equal(t, f.runs, runs)
	for by, value := range map[EventIndex]string{ByObject: "o33", ByOutcome: "later.failed", ByNumber: ""} {
		r := everythingBy(by, value)
		_, found, err := (&searched{q: f.read, file: f}).numbers(t.Context(), r)
		require.NoError(t, err)
		slices.Sort(found) // those of an outcome are in no order
		require.Equal(t, log.numbers(r), slices.Compact(found))
	}
}

// everythingBy is the range of all events that have a value.
func everythingBy(by EventIndex, value string) EventRange {
	return EventRange{
		Org:       "org",
		By:        by,
		Value:     value,
		Before:    1 << 40,
		Ascending: true,
		Limit:     1 << 20,
	}
}

// TestAnIndexFindsWhatALogHas searches indexes of many runs for whatever can be searched for, and finds
// what reading everything finds.
func TestAnIndexFindsWhatALogHas(t *testing.T) {
	sample.Checks(t, 25)
	rapid.Check(t, func(rt *rapid.T) {
		f := openNewIndex(t)
		log := &writtenLog{}
		for _, n := range rapid.SliceOfN(rapid.OneOf(rapid.IntRange(1, 30), rapid.IntRange(1, 2500)), 1, 20).
			Draw(rt, "runs") {
			for range n {
				log.next()
			}
			if rapid.Bool().Draw(rt, "a late outcome") {
				log.rows = append(log.rows, IndexRow{
					Seq:    int64(len(log.rows)) + 1,
					Org:    "org",
					Intent: rapid.Int64Range(1, int64(len(log.rows))).Draw(rt, "of"),
					Terms:  Terms{Outcome: "at.once"},
				})
			}
			f.addWritten(rt, log)
		}
		runs, at, err := readRuns(t.Context(), f.read)
		require.NoError(rt, err)
		require.Equal(rt, f.runs, runs)
		require.Less(rt, len(runs), 2*mergedRuns)
		require.EqualValues(rt, len(log.rows), at.seq)

		bound := rapid.OneOf(rapid.Int64Range(-1, at.seq+2), rapid.SampledFrom([]int64{0, 1 << 62}))
		values := map[EventIndex][]string{
			ByNumber:    {""},
			ByWorkspace: {"w0", "w1", "w"},
			ByRuntime:   {"r0", "r3"},
			ByAction:    {"a0", "a1", "a2"},
			ByObject:    {"o33", "o0", "o699"},
			ByOutcome:   {"at.once", "later.failed", "never"},
			ByDenial:    {""},
		}
		for range 30 {
			by := EventIndex(rapid.IntRange(int(ByNumber), int(ByDenial)).Draw(rt, "by"))
			r := EventRange{
				Org:       rapid.SampledFrom([]string{"org", "other", "none"}).Draw(rt, "org"),
				By:        by,
				Value:     rapid.SampledFrom(values[by]).Draw(rt, "value"),
				After:     bound.Draw(rt, "after"),
				Before:    bound.Draw(rt, "before"),
				Ascending: rapid.Bool().Draw(rt, "ascending"),
				Limit:     rapid.OneOf(rapid.IntRange(1, 10), rapid.IntRange(1, 20000)).Draw(rt, "limit"),
			}
			indexed, found, err := (&searched{q: f.read, file: f}).numbers(t.Context(), r)
			require.NoError(rt, err)
			require.Equal(rt, at.seq, indexed)
			slices.Sort(found)
			found = slices.Compact(found)
			if !r.Ascending {
				slices.Reverse(found)
			}
			want := log.numbers(r)
			require.Equal(rt, want[:min(len(want), r.Limit)], found[:min(len(found), r.Limit)], "%+v", r)
		}
	})
}

// plannedRuns are the runs of an index that is brought on, without what is in them.
type plannedRuns struct {
	runs []indexRun
	// merged is how many events were merged, and most how many at once.
	merged, most int64
}

// add adds a run of so many events.
func (p *plannedRuns) add(events int64) {
	after := int64(0)
	if n := len(p.runs); n > 0 {
		after = p.runs[n-1].last
	}
	p.runs = append(p.runs, indexRun{after: after, last: after + events})
	for from, to := toMerge(p.runs); to > 0; from, to = toMerge(p.runs) {
		merged := indexRun{after: p.runs[from].after, last: p.runs[to-1].last}
		p.merged += merged.last - merged.after
		p.most = max(p.most, merged.last-merged.after)
		p.runs = slices.Replace(p.runs, from, to, merged)
	}
}

// TestFewRunsAreMadeOfManyEvents brings an index on some thousands of events at a time, up to runs of
// which none is merged again.
func TestFewRunsAreMadeOfManyEvents(t *testing.T) {
	var index plannedRuns
	for added := int64(indexAfter); added < 10*lastingRun; added += indexAfter {
		index.add(indexAfter)
		require.LessOrEqual(t, int64(len(index.runs)), added/lastingRun+3*(mergedRuns-1))
		require.LessOrEqual(t, index.merged, 3*added, "each event is written three times more at most")
	}
	require.EqualValues(t, lastingRun, index.runs[0].last)
}

// TestNoMoreThanAMillionEventsAreMergedAtOnce, however many are added at a time, and still the runs are few.
func TestNoMoreThanAMillionEventsAreMergedAtOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := rapid.SliceOfN(rapid.Int64Range(indexAfter, 5*maxNewest), 1, 30).Draw(t, "events")
		var index plannedRuns
		added := int64(0)
		for i := 0; added < 6*lastingRun; i++ {
			n := events[i%len(events)]
			index.add(n)
			added += n
			// Smaller ones may lie between those of each size.
			const perSize = mergedRuns - 1
			require.LessOrEqual(t, int64(len(index.runs)), 2*added/lastingRun+perSize+perSize+mergedRuns*perSize)
		}
		require.LessOrEqual(t, index.most, int64(lastingRun))
		require.LessOrEqual(t, index.merged, 3*added, "each event is written three times more at most")
	})
}

// TestRunsOfAFewEventsBecomeOne: a server that is often started and stopped leaves one each time.
func TestRunsOfAFewEventsBecomeOne(t *testing.T) {
	var index plannedRuns
	for range 50_000 {
		index.add(10)
		require.Less(t, len(index.runs), 3*mergedRuns)
	}
}

// endsAfter is a context that ends when it was looked at so many times.
type endsAfter struct {
	context.Context
	looks *int
}

func (c endsAfter) Err() error {
	if *c.looks--; *c.looks < 0 {
		return context.Canceled
	}
	return nil
}

// TestAMergeThatIsEndedChangesNothing, wherever it was.
func TestAMergeThatIsEndedChangesNothing(t *testing.T) {
	f := openNewIndex(t)
	log := &writtenLog{}
	for range mergedRuns {
		for range 300 {
			log.next()
		}
		f.addUnmerged(t, log)
	}
	before := slices.Clone(f.runs)
	require.Len(t, before, mergedRuns)
	for looks := 0; ; looks++ {
		left := looks
		err := f.merge(endsAfter{t.Context(), &left})
		if err == nil {
			require.Greater(t, looks, mergedRuns)
			break
		}
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, before, f.runs)
		f.requireFound(t, log)
	}
	require.Len(t, f.runs, 1)
	f.requireFound(t, log)
}

// TestRunsAreMergedOnceThereIsRoomForIt gives the index room for a run, and not for what eight become.
func TestRunsAreMergedOnceThereIsRoomForIt(t *testing.T) {
	f := openNewIndex(t)
	x := &logIndex{file: f, merging: t.Context()}
	log := &writtenLog{}
	add := func() {
		for range 1000 {
			log.next()
		}
		f.addUnmerged(t, log)
	}
	setMost := func(pages int) {
		_, err := f.conn.ExecContext(t.Context(), fmt.Sprint("PRAGMA max_page_count = ", pages))
		require.NoError(t, err)
	}
	for range mergedRuns {
		add()
	}
	var pages int
	require.NoError(t, f.conn.QueryRowContext(t.Context(), "PRAGMA page_count").Scan(&pages))
	setMost(pages + pages/4)
	require.ErrorIs(t, f.merge(t.Context()), ErrFull)
	require.NoError(t, x.merge(), "the index can be added to")
	require.NotZero(t, x.mergeAgain)
	require.Len(t, f.runs, mergedRuns)
	f.requireFound(t, log)
	add()
	f.requireFound(t, log)

	setMost(1_000_000)
	require.NoError(t, x.merge())
	require.Len(t, f.runs, mergedRuns+1, "it is left alone for a while")
	x.mergeAgain = time.Time{}
	require.NoError(t, x.merge())
	require.Len(t, f.runs, 1)
	f.requireFound(t, log)
}

// TestASearchReadsFewPages of an index, whatever it looks for, and how long the log is.
func TestASearchReadsFewPages(t *testing.T) {
	f := openNewIndex(t)
	log := &writtenLog{}
	for range 3 * mergedRuns {
		for range indexAfter {
			log.next()
		}
		f.addWritten(t, log)
	}
	low := posting{termOf(ByObject, "org", "o33"), 1}
	high := posting{low.term, int64(len(log.rows))}
	for _, order := range []string{"", " DESC"} {
		query := "SELECT " + pageColumns + pagesBetween + order
		plan, err := many(t.Context(), f.read, func(row scanner) (detail string, err error) {
			var a, b, c int
			return detail, row(&a, &b, &c, &detail)
		}, "EXPLAIN QUERY PLAN "+query, 1, low.bytes(), high.bytes())
		require.NoError(t, err)
		text := strings.Join(plan, "; ")
		require.Contains(t, text, "SEARCH audit_index USING PRIMARY KEY (run=? AND first>? AND first<?)")
		require.NotContains(t, text, "TEMP B-TREE", "nothing is sorted")
		require.NotContains(t, text, "SCAN audit_index", "nothing is scanned")
		for _, run := range f.runs {
			pages, err := many(t.Context(), f.read, scanIndexPage, query, run.id, low.bytes(), high.bytes())
			require.NoError(t, err)
			require.LessOrEqual(t, len(pages), 2)
		}
	}
}

// TestWhatAnIndexSaysOfItselfIsLookedAt changes what is stored: a search that comes by it finds it out,
// and a comparison always.
func TestWhatAnIndexSaysOfItselfIsLookedAt(t *testing.T) {
	for _, tc := range []struct {
		why, statement string
		unseen         bool
	}{
		{"a run is gone", "DELETE FROM audit_index_runs WHERE id = 2", false},
		{"the last run is gone", "DELETE FROM audit_index_runs WHERE id = 3", false},
		{"a run begins later", "UPDATE audit_index_runs SET after = after + 1 WHERE id = 1", false},
		{"a run ends before it begins", "UPDATE audit_index_runs SET last = after WHERE id = 3", false},
		{"a run ends later", "UPDATE audit_index_runs SET last = last + 1 WHERE id = 2", false},
		{"a run has an event of another",
			"UPDATE audit_index_runs SET last = last - 9 * (id = 1), after = after - 9 * (id = 2)", true},
		{"the place is another", "UPDATE audit_index_place SET seq = seq + 1", false},
		{"the place is beyond every log", "UPDATE audit_index_runs SET last = 9223372036854775807 WHERE id = 3; " +
			"UPDATE audit_index_place SET seq = 9223372036854775807", true},
		{"a page is empty", "UPDATE audit_index SET page = x''", false},
		{"a page is cut", "UPDATE audit_index SET page = substr(page, 1, 20)", false},
		{"a page is longer", "UPDATE audit_index SET page = CAST(page || x'00' AS BLOB)", true},
		{"a page is long", "UPDATE audit_index SET page = zeroblob(10000000)", false},
		{"a page is a text", "UPDATE audit_index SET page = 'text'", false},
		{"a page begins with a text", "UPDATE audit_index SET first = hex(first)", false},
		{"a page begins with another posting", "UPDATE audit_index SET first = CAST(first || x'00' AS BLOB)", false},
		{"a page is another run's", "UPDATE audit_index SET run = run + 1 WHERE run = 3", true},
		{"a page is of no run", "INSERT INTO audit_index SELECT 9, first, page FROM audit_index WHERE run = 1", true},
		{"runs have the pages of others", "UPDATE audit_index SET run = 7 - run", true},
	} {
		f := openNewIndex(t)
		log := &writtenLog{}
		for range 3 {
			for range 300 {
				log.next()
			}
			f.addWritten(t, log)
		}
		require.NoError(t, (&IndexComparison{}).addIndex(t.Context(), f.read, f.at.seq))
		_, err := f.conn.ExecContext(t.Context(), tc.statement)
		require.NoError(t, err, tc.why)
		require.Error(t, (&IndexComparison{}).addIndex(t.Context(), f.read, f.at.seq), tc.why)
		_, _, err = (&searched{q: f.read, file: f}).numbers(t.Context(), EventRange{
			Org:    "org",
			By:     ByNumber,
			Before: 1 << 40,
			Limit:  1 << 20,
		})
		require.Equal(t, tc.unseen, err == nil, tc.why)
	}
}

// TestOfAnIndexIsReadWhatAServerWritesAlone puts more into a column than a server writes to it: it is not read, and
// is damage.
func TestOfAnIndexIsReadWhatAServerWritesAlone(t *testing.T) {
	const page, place = "SELECT " + pageColumns + " FROM audit_index", "SELECT " + placeColumns + " FROM audit_index_place"
	for _, tc := range []struct {
		why, statement, read string
		column               int
	}{
		{"a long page", "UPDATE audit_index SET page = zeroblob(65537)", page, 1},
		{"a page that is a text, which seems short",
			"UPDATE audit_index SET page = CAST(zeroblob(65537) AS TEXT)", page, 1},
		{"a long first posting", "UPDATE audit_index SET first = CAST(first || zeroblob(65537) AS BLOB)", page, 0},
		{"a first posting that is a text, which seems short",
			"UPDATE audit_index SET first = CAST(x'003132333435363738393031323334353637383930313233' AS TEXT)", page, 0},
		{"a long hash", "UPDATE audit_index_place SET hash = zeroblob(65537)", place, 1},
		{"a hash that is a text, which seems short",
			"UPDATE audit_index_place SET hash = CAST(zeroblob(65537) AS TEXT)", place, 1},
		{"a number that is a text", "UPDATE audit_index_place SET seq = 'text'", place, 0},
		{"a number of a run that is a text", "UPDATE audit_index_runs SET last = 'text'",
			"SELECT " + runColumns + " FROM audit_index_runs", 2},
	} {
		f := openNewIndex(t)
		log := &writtenLog{}
		for range 10 {
			log.next()
		}
		f.addWritten(t, log)
		_, err := f.conn.ExecContext(t.Context(), tc.statement)
		require.NoError(t, err, tc.why)
		columns := make([]any, 3)
		_, err = one(t.Context(), f.read, func(row scanner) (struct{}, error) {
			into := []any{&columns[0], &columns[1], &columns[2]}
			if tc.column < 2 {
				into = into[:2]
			}
			return struct{}{}, row(into...)
		}, tc.read)
		require.NoError(t, err, tc.why)
		require.Nil(t, columns[tc.column], tc.why)
		_, _, err = (&searched{q: f.read, file: f}).numbers(t.Context(), EventRange{
			Org:    "org",
			By:     ByNumber,
			Before: 1 << 40,
			Limit:  1,
		})
		require.Error(t, err, tc.why)
	}
}

// TestASearchSeesAnIndexInOneState searches an index while it is brought on and merged: what is found is what the
// log has up to where the search says that it is indexed.
func TestASearchSeesAnIndexInOneState(t *testing.T) {
	const added, times = 100, 200
	log := &writtenLog{}
	for range added * times {
		log.next()
	}
	f := openNewIndex(t)
	done := make(chan struct{})
	var searches sync.WaitGroup
	for by, value := range map[EventIndex]string{ByObject: "o33", ByOutcome: "later.failed", ByNumber: ""} {
		r := everythingBy(by, value)
		searches.Go(func() {
			for ended := false; !ended; {
				select {
				case <-done:
					ended = true // after one more
				default:
				}
				indexed, found, err := (&searched{q: f.read, file: f}).numbers(t.Context(), r)
				if err != nil {
					t.Error(err)
					return
				}
				slices.Sort(found) // those of an outcome are in no order
				if !assert.Equal(t, (&writtenLog{log.rows[:indexed]}).numbers(r), slices.Compact(found), "up to %d", indexed) {
					return
				}
			}
		})
	}
	for n := range times {
		f.addWritten(t, &writtenLog{log.rows[:(n+1)*added]})
	}
	close(done)
	searches.Wait()
}

// TestAnIndexIsComparedWithItsLog has the log say something else of one event than the index, which is
// told with where that is.
func TestAnIndexIsComparedWithItsLog(t *testing.T) {
	const entries = 1500
	log := &writtenLog{}
	for range entries {
		log.next()
	}
	f := openNewIndex(t)
	f.addWritten(t, log)
	compare := func(t require.TestingT, rows []IndexRow) (different [][2]int64) {
		c := &IndexComparison{}
		require.NoError(t, c.addIndex(context.Background(), f.read, entries))
		require.EqualValues(t, entries, c.To)
		for _, r := range rows {
			c.Take(Entry{
				Seq:    r.Seq,
				Org:    r.Org,
				Intent: r.Intent,
				Terms:  r.Terms,
			})
		}
		for first, last := range c.Different() {
			different = append(different, [2]int64{first, last})
		}
		return different
	}
	require.Empty(t, compare(t, log.rows))
	require.Empty(t, compare(t, append(slices.Clone(log.rows), IndexRow{Seq: entries + 1})), "it is not indexed yet")
	rapid.Check(t, func(t *rapid.T) {
		rows := slices.Clone(log.rows)
		r := &rows[rapid.IntRange(0, entries-1).Draw(t, "event")]
		number := cmp.Or(r.Intent, r.Seq)
		switch rapid.IntRange(0, 3).Draw(t, "what") {
		case 0:
			r.Outcome += "x"
		case 1:
			r.Outcome, r.Org = "x", r.Org+"x"
		case 2:
			r.Intent, r.Action, r.Denied = 0, r.Action+"x", !r.Denied
			number = r.Seq
		default:
			r.Intent, r.Outcome = number, "x"
		}
		different := compare(t, rows)
		require.NotEmpty(t, different)
		for _, of := range different {
			require.LessOrEqual(t, of[1]-of[0], int64(3), "an event and its outcome, in two blocks of two")
		}
		require.True(t, slices.ContainsFunc(different, func(of [2]int64) bool { return of[0] <= number && number <= of[1] }))
	})
}

// TestDifferentBlocksThatFollowEachOtherAreToldOnce, from where they begin to where they end.
func TestDifferentBlocksThatFollowEachOtherAreToldOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := &IndexComparison{To: rapid.Int64Range(1, 10*comparedBlocks).Draw(t, "to")}
		want := make([]bool, c.To+2) // by the number of an event, with one before and one after
		for range rapid.IntRange(0, 10).Draw(t, "changes") {
			number := rapid.Int64Range(1, c.To).Draw(t, "from")
			last := min(number+rapid.Int64Range(0, c.To).Draw(t, "more"), c.To)
			for ; number <= last; number++ {
				c.blocks[c.block(number)] = postingSum{1, 0}
			}
		}
		for number := range want[1 : c.To+1] {
			want[number+1] = c.blocks[c.block(int64(number)+1)] != postingSum{}
		}
		told := make([]bool, len(want))
		for first, last := range c.Different() {
			require.False(t, told[first-1], "it would be one with the one before")
			for ; first <= last; first++ {
				told[first] = true
			}
		}
		require.Equal(t, want, told)
	})
}
