package store

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"iter"
)

// comparedBlocks is into how many parts a log is divided to tell where its index differs.
const comparedBlocks = 1024

// IndexComparison compares the index of the log on SQLite with the log, by sums of digests of what
// events are found by: of the index in its order, and of the log in its own, without memory for
// either. The digests have a key that nobody knows before, so that nobody can change an index and
// have the sums be the same.
type IndexComparison struct {
	// To is up to which entry the log is indexed.
	To  int64
	key [16]byte
	// blocks are the sums of the index less those of the log, for as many events each.
	blocks [comparedBlocks]postingSum
}

type postingSum struct{ high, low uint64 }

// CompareIndex begins a comparison with what the index has. It is nil on PostgreSQL. The queries are those of a
// [DB.Snapshot], whose index is not ahead of its log.
func (q Queries) CompareIndex(ctx context.Context) (*IndexComparison, error) {
	if q.on.remote() {
		return nil, nil
	}
	c := &IndexComparison{}
	_, _ = rand.Read(c.key[:]) // which does not fail
	s := q.searched()
	if !s.has() {
		return c, nil
	}
	newest, err := q.newestEntry(ctx)
	if err != nil {
		return nil, err
	}
	err = s.inOneState(ctx, func(q Queries) error { return c.addIndex(ctx, q, newest.newest) })
	if err != nil {
		s.failed(ctx, err)
	}
	return c, err
}

// addIndex adds what the runs of an index have, and requires that there is no page of none, and that the log goes
// as far.
func (c *IndexComparison) addIndex(ctx context.Context, q Queries, newest int64) error {
	runs, at, err := readRuns(ctx, q)
	if err != nil {
		return err
	}
	if at.seq > newest {
		return errOtherLog
	}
	c.To = at.seq
	pages := 0
	for _, r := range runs {
		read := newRunReader(q, r)
		for err = read.next(ctx); err == nil; err = read.next(ctx) {
			c.add(read.at, 1)
		}
		if !errors.Is(err, io.EOF) {
			return err
		}
		pages += read.pages
	}
	all, err := one(ctx, q, func(row scanner) (n int, err error) { return n, row(&n) }, "SELECT COUNT(*) FROM audit_index")
	if err == nil && all != pages {
		err = errRuns
	}
	return err
}

// Take takes an entry of the log off, with its terms.
func (c *IndexComparison) Take(e Entry) {
	row, is := termRow(e)
	if !is || e.Seq > c.To || c.To == 0 { // of no index there is nothing to take off, whatever numbers somebody wrote
		return
	}
	row.eachPosting(func(by EventIndex, value string, number int64) {
		c.add(posting{termOf(by, row.Org, value), number}, -1)
	})
}

// add adds a posting to the sum of its block, or takes it off.
func (c *IndexComparison) add(p posting, times int64) {
	sum := sha256.Sum256(append(c.key[:], p.bytes()...))
	b := &c.blocks[c.block(p.number)]
	b.high += uint64(times) * binary.BigEndian.Uint64(sum[:])
	b.low += uint64(times) * binary.BigEndian.Uint64(sum[8:])
}

// block is the one of an event. An outcome may say that it is of an event that cannot be.
func (c *IndexComparison) block(number int64) int64 {
	return (min(max(number, 1), c.To) - 1) / c.each()
}

// each is how many events a block is of.
func (c *IndexComparison) each() int64 { return (c.To-1)/comparedBlocks + 1 }

// Different are the first and the last of events among which there are some that are not found by
// what they say, or others that are: of blocks that follow each other, those of all. The whole log has
// been taken off before.
func (c *IndexComparison) Different() iter.Seq2[int64, int64] {
	return func(yield func(first, last int64) bool) {
		for i := 0; i < comparedBlocks; i++ {
			from := i
			for i < comparedBlocks && c.blocks[i] != (postingSum{}) {
				i++
			}
			if i > from && !yield(int64(from)*c.each()+1, min(int64(i)*c.each(), c.To)) {
				return
			}
		}
	}
}
