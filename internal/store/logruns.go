package store

import (
	"context"
	"errors"
	"io"
	"math"
	"slices"
)

const (
	// mergedRuns is how many runs of a size become one. The events of a log are written once more for
	// each size.
	mergedRuns = 8
	// lastingRun is how many events are merged to one run at most. It bounds the time in which the index
	// stands still, and how much is written at once, to some megabytes. A run of half as many is never
	// merged again, and a search looks into each of these.
	lastingRun = indexAfter * mergedRuns * mergedRuns * mergedRuns
	// largestSize is the [indexRun.size] of such runs.
	largestSize = 3
)

// placeColumns and runColumns leave out what the server does not write: see pageColumns.
const (
	placeColumns = "CASE WHEN typeof(seq) = 'integer' THEN seq END, " +
		"CASE WHEN typeof(hash) = 'blob' AND length(hash) = 32 THEN hash END"
	runColumns = "id, CASE WHEN typeof(after) = 'integer' THEN after END, " +
		"CASE WHEN typeof(last) = 'integer' THEN last END"
)

var errRuns = errors.New("its runs are not those of the log up to its place")

// indexRun is a part of the index: of the events after one up to another. Only what is found by an
// outcome may have the number of an event before these, whose outcome is one of these.
type indexRun struct{ id, after, last int64 }

func scanIndexRun(row scanner) (r indexRun, err error) { return r, row(&r.id, &r.after, &r.last) }

// size is how often runs would have to be merged to get so many events.
func (r indexRun) size() (size int) {
	if r.last-r.after >= lastingRun/2 {
		return largestSize
	}
	for most := int64(indexAfter * mergedRuns); r.last-r.after >= most; most *= mergedRuns {
		size++
	}
	return size
}

// holds reports whether a posting may be in the run.
func (r indexRun) holds(p posting) bool {
	return p.number > 0 && p.number <= r.last && (p.number > r.after || p.by() == ByOutcome)
}

// readRuns are the runs of an index in the order of their events, and up to where they are.
func readRuns(ctx context.Context, q Queries) (runs []indexRun, at indexPlace, err error) {
	if at, err = one(ctx, q, scanIndexPlace, "SELECT "+placeColumns+" FROM audit_index_place"); err != nil {
		return nil, at, err
	}
	end := int64(0)
	err = each(ctx, q, scanIndexRun, func(r indexRun) error {
		if r.after != end || r.last <= r.after {
			return errRuns
		}
		runs, end = append(runs, r), r.last
		return nil
	}, "SELECT "+runColumns+" FROM audit_index_runs ORDER BY last")
	if err == nil && (end != at.seq || at.hash == nil) {
		err = errRuns
	}
	return runs, at, err
}

// toMerge is from which run up to which, excluded, all are to become one; both are 0 where none are. Those of one
// size are merged with the smaller ones that follow them, but for the last of them where all would be too many: what
// the others become has half of lastingRun then, or more.
func toMerge(runs []indexRun) (from, to int) {
	for size := range largestSize {
		same := 0
		from, to = len(runs), len(runs)
		for from > 0 && runs[from-1].size() <= size {
			from--
			if runs[from].size() == size {
				same++
			}
		}
		if same < mergedRuns {
			continue
		}
		for runs[to-1].last-runs[from].after > lastingRun {
			to--
		}
		return from, to
	}
	return 0, 0
}

// addRun adds a run with the postings that write adds, in their order.
func addRun(ctx context.Context, q Queries, r indexRun, write func(add func(posting) error) error) error {
	if _, err := q.exec(ctx, "INSERT INTO audit_index_runs (id, after, last) VALUES ($1, $2, $3)",
		r.id, r.after, r.last); err != nil {
		return err
	}
	w := pageWriter{put: func(first, page []byte) error {
		_, err := q.exec(ctx, "INSERT INTO audit_index (run, first, page) VALUES ($1, $2, $3)", r.id, first, page)
		return err
	}}
	if err := write(w.add); err != nil {
		return err
	}
	return w.flush()
}

// mergeRuns makes one run of several that follow each other, and takes these away.
func mergeRuns(ctx context.Context, q Queries, runs []indexRun, id int64) (merged indexRun, err error) {
	merged = indexRun{id: id, after: runs[0].after, last: runs[len(runs)-1].last}
	err = addRun(ctx, q, merged, func(add func(posting) error) error { return eachMerged(ctx, q, runs, add) })
	if err != nil {
		return merged, err
	}
	for _, r := range runs {
		if _, err := q.exec(ctx, "DELETE FROM audit_index WHERE run = $1", r.id); err != nil {
			return merged, err
		}
		if _, err := q.exec(ctx, "DELETE FROM audit_index_runs WHERE id = $1", r.id); err != nil {
			return merged, err
		}
	}
	return merged, nil
}

// eachMerged calls fn with the postings of several runs in their order.
func eachMerged(ctx context.Context, q Queries, runs []indexRun, fn func(posting) error) error {
	var open []*runReader
	for _, r := range runs {
		read := newRunReader(q, r)
		if err := read.next(ctx); err == nil {
			open = append(open, read)
		} else if !errors.Is(err, io.EOF) {
			return err
		}
	}
	for len(open) > 0 {
		least, after := leastOf(open)
		// Usually its other numbers of the same term come next, too.
		for least.at.compare(after) <= 0 {
			if err := fn(least.at); err != nil {
				return err
			}
			err := least.next(ctx)
			if errors.Is(err, io.EOF) {
				open = slices.DeleteFunc(open, func(r *runReader) bool { return r == least })
				break
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// leastOf is the reader that is at the least posting, and at what the next one of the others is.
func leastOf(open []*runReader) (least *runReader, after posting) {
	least, after = open[0], posting{term{math.MaxUint64, math.MaxUint64}, math.MaxInt64}
	for _, r := range open[1:] {
		if r.at.compare(least.at) < 0 {
			least, after = r, least.at
		} else if r.at.compare(after) < 0 {
			after = r.at
		}
	}
	return least, after
}

// runReader reads the postings of a run in their order, a page at a time.
type runReader struct {
	q   Queries
	run indexRun
	// at is the posting that was read last.
	at    posting
	first []byte // that of the page, and empty before the first
	page  pageReader
	pages int // that were read
}

func newRunReader(q Queries, r indexRun) *runReader { return &runReader{q: q, run: r, first: []byte{}} }

// next goes on to the next posting, or gives [io.EOF].
func (r *runReader) next(ctx context.Context) error {
	p, err := r.page.next()
	if errors.Is(err, io.EOF) {
		if err := r.nextPage(ctx); err != nil {
			return err
		}
		p, err = r.page.next()
	}
	if err != nil || p.compare(r.at) < 0 || !r.run.holds(p) {
		return errPage
	}
	r.at = p
	return nil
}

func (r *runReader) nextPage(ctx context.Context) error {
	if err := ctx.Err(); err != nil { // which no statement looks at
		return err
	}
	p, err := one(ctx, r.q, scanIndexPage,
		"SELECT "+pageColumns+" FROM audit_index WHERE run = $1 AND first > $2 ORDER BY first LIMIT 1", r.run.id, r.first)
	if errors.Is(err, ErrNotFound) {
		return io.EOF
	}
	if err != nil {
		return err
	}
	r.first, r.pages = p.first, r.pages+1
	r.page, err = p.read()
	return err
}

// pagesBetween are the pages that may have postings from one up to another. The first of them may begin
// before both.
const pagesBetween = " FROM audit_index WHERE run = $1 AND first <= $3 AND first >= COALESCE(" +
	"(SELECT MAX(first) FROM audit_index WHERE run = $1 AND first <= $2), $2) ORDER BY first"

// errEnough ends a search that has found as many as it may.
var errEnough = errors.New("found as many")

// numbers are those of a range, in its order, each once and no more than its limit.
func (r indexRun) numbers(ctx context.Context, q Queries, of EventRange) (numbers []int64, err error) {
	t, after, before := termOf(of.By, of.Org, of.Value), max(of.After, 0), max(of.Before, 1)
	if after >= before-1 {
		return nil, nil
	}
	low, high := posting{t, after + 1}, posting{t, before - 1}
	query := "SELECT " + pageColumns + pagesBetween
	if !of.Ascending {
		query += " DESC"
	}
	err = each(ctx, q, scanIndexPage, func(p storedPage) error {
		found, err := p.numbers(low, high)
		if err != nil {
			return err
		}
		if !of.Ascending {
			slices.Reverse(found)
		}
		numbers = slices.Compact(append(numbers, found...))
		if len(numbers) >= of.Limit {
			numbers = numbers[:of.Limit]
			return errEnough
		}
		return nil
	}, query, r.id, low.bytes(), high.bytes())
	if errors.Is(err, errEnough) {
		err = nil
	}
	return numbers, err
}
