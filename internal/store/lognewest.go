package store

import (
	"context"
	"slices"
	"sync"
)

// maxNewest bounds the rows in memory that the index could not take. Beyond it they are read
// in the log again.
const maxNewest = 8 * indexAfter

// newestRows are what the newest entries of the log are found by, without a gap up to the
// newest that is durable. The writer adds to them, and the index takes them over.
type newestRows struct {
	mu sync.Mutex
	// rows are of the entries after the first of these places, up to the second. Entries
	// by which nothing is found have none.
	rows  []IndexRow
	first int64
	last  indexPlace
	// most bounds the rows: see maxNewest.
	most int
}

// startAt has entries after a place added from now on.
func (n *newestRows) startAt(p place) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.first, n.last = p.seq, indexPlace{p.seq, p.head}
}

// add adds entries that are durable, up to a place.
func (n *newestRows) add(entries []*Entry, to place) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.rows) > n.most {
		n.rows, n.first = nil, n.last.seq
	}
	for _, e := range entries {
		if r, is := termRow(*e); is {
			n.rows = append(n.rows, r)
		}
	}
	n.last = indexPlace{to.seq, to.head}
}

// from is after which entry they begin.
func (n *newestRows) from() int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.first
}

// prepend adds the rows of the entries after one up to another, where these begin.
func (n *newestRows) prepend(after, to int64, rows []IndexRow) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.first == to {
		n.first, n.rows = after, append(rows, n.rows...)
	}
}

// after returns the rows after an entry, and up to where they are; known is false where they
// begin later. Nobody changes what is returned.
func (n *newestRows) after(seq int64) (rows []IndexRow, to indexPlace, known bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.first > seq {
		return n.rows, n.last, false
	}
	i, _ := slices.BinarySearchFunc(n.rows, seq+1, func(r IndexRow, seq int64) int { return int(r.Seq - seq) })
	return n.rows[i:len(n.rows):len(n.rows)], n.last, true
}

// forget lets go of the rows up to an entry, which the index has.
func (n *newestRows) forget(seq int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if seq < n.first {
		return
	}
	i, _ := slices.BinarySearchFunc(n.rows, seq+1, func(r IndexRow, seq int64) int { return int(r.Seq - seq) })
	n.rows, n.first = slices.Clone(n.rows[i:]), seq
}

// termRow is what an entry is found by. An outcome by which nothing is found has no row.
func termRow(e Entry) (r IndexRow, is bool) {
	if e.Intent != 0 {
		e.Terms = Terms{Outcome: e.Outcome}
		if e.Outcome == "" {
			return r, false
		}
	}
	return IndexRow{Seq: e.Seq, Org: e.Org, Intent: e.Intent, Terms: e.Terms}, true
}

// termRows are those of entries as the log has them.
func termRows(entries []StoredEntry) (rows []IndexRow) {
	for _, e := range entries {
		e.Terms = TermsOf(e.Body)
		if r, is := termRow(e.Entry); is {
			rows = append(rows, r)
		}
	}
	return rows
}

// entriesAfter lists the next entries of the log.
func (q Queries) entriesAfter(ctx context.Context, seq int64, limit int) ([]StoredEntry, error) {
	return many(ctx, q, scanStoredEntry, "SELECT "+entryColumns+
		" FROM audit_events a WHERE a.seq > $1 ORDER BY a.seq LIMIT $2", seq, limit)
}
