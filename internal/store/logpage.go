package store

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"slices"

	"github.com/bctrl-go/bctrl/internal/tuple"
)

const (
	// indexPage is about how long a page of the index is: a search reads one, or more, of each run.
	indexPage = 8 << 10
	// pageColumns leave out what the server does not write, so that nobody has it read whatever they put there:
	// a page that is eight times as long, a first posting of another length, and texts, of which SQLite counts
	// what is before the first NUL alone.
	pageColumns = "CASE WHEN typeof(first) = 'blob' AND length(first) = 24 THEN first END, " +
		"CASE WHEN typeof(page) = 'blob' AND length(page) <= 65536 THEN page END"

	termBytes    = 16
	postingBytes = termBytes + 8 // as in pageColumns
)

var errPage = errors.New("a page is not one that this server writes")

// term is what events are found by: an [EventIndex], an organization and a value. Its first byte is
// the first of these, the others are of a digest of the rest: all terms are equally long. Two that are the
// same would cost a search time alone: who reads an event sees whether it is what was looked for.
type term struct{ high, low uint64 }

func termOf(by EventIndex, org, value string) term {
	sum := sha256.Sum256(tuple.New(2*8+len(org)+len(value)).Text(org, value))
	return term{
		high: uint64(by)<<56 | binary.BigEndian.Uint64(sum[:])>>8,
		low:  binary.BigEndian.Uint64(sum[8:]),
	}
}

func (t term) by() EventIndex { return EventIndex(t.high >> 56) }

func (t term) compare(o term) int {
	if t.high != o.high {
		return cmp.Compare(t.high, o.high)
	}
	return cmp.Compare(t.low, o.low)
}

// posting says that the event with a number is found by a term.
type posting struct {
	term
	number int64
}

func (p posting) compare(o posting) int {
	if p.term != o.term {
		return p.term.compare(o.term)
	}
	return cmp.Compare(p.number, o.number)
}

// bytes are in the order of [posting.compare].
func (p posting) bytes() []byte {
	b := make([]byte, 0, postingBytes)
	b = binary.BigEndian.AppendUint64(b, p.high)
	b = binary.BigEndian.AppendUint64(b, p.low)
	return binary.BigEndian.AppendUint64(b, uint64(p.number))
}

// pageWriter makes pages of postings that come in their order. A page is the terms in it, each
// followed by the length of its numbers and these: the first, and of each other how much it is
// more than the one before.
type pageWriter struct {
	// put is given each page, with the first posting of it.
	put func(first, page []byte) error

	first, last posting
	page        []byte
	numbers     []byte // those of the last term, which is not in the page yet
}

func (w *pageWriter) add(p posting) error {
	if len(w.page)+len(w.numbers) >= indexPage && p != w.last { // no two pages begin with the same
		if err := w.flush(); err != nil {
			return err
		}
	}
	before := w.last.number
	switch {
	case len(w.numbers) == 0:
		w.first, before = p, 0
	case p.term != w.last.term:
		w.endTerm()
		before = 0
	}
	w.numbers = binary.AppendUvarint(w.numbers, uint64(p.number-before))
	w.last = p
	return nil
}

func (w *pageWriter) endTerm() {
	w.page = binary.BigEndian.AppendUint64(w.page, w.last.high)
	w.page = binary.BigEndian.AppendUint64(w.page, w.last.low)
	w.page = binary.AppendUvarint(w.page, uint64(len(w.numbers)))
	w.page = append(w.page, w.numbers...)
	w.numbers = w.numbers[:0]
}

// flush hands over the last page.
func (w *pageWriter) flush() error {
	if len(w.numbers) == 0 {
		return nil
	}
	w.endTerm()
	err := w.put(w.first.bytes(), w.page)
	w.page = w.page[:0]
	return err
}

// pageReader reads the postings of a page, which may be any bytes.
type pageReader struct {
	rest    []byte
	numbers []byte // of the term of at, those after it
	at      posting
}

// next is the next posting, or [io.EOF]. None is less than the one before.
func (r *pageReader) next() (posting, error) {
	if len(r.numbers) == 0 {
		if err := r.nextTerm(); err != nil {
			return posting{}, err
		}
	}
	more, n := binary.Uvarint(r.numbers)
	if n <= 0 || more > uint64(math.MaxInt64-r.at.number) {
		return posting{}, errPage
	}
	r.numbers = r.numbers[n:]
	r.at.number += int64(more)
	return r.at, nil
}

func (r *pageReader) nextTerm() error {
	if len(r.rest) == 0 {
		return io.EOF
	}
	if len(r.rest) < termBytes {
		return errPage
	}
	t := term{binary.BigEndian.Uint64(r.rest), binary.BigEndian.Uint64(r.rest[8:])}
	length, n := binary.Uvarint(r.rest[termBytes:])
	if n <= 0 || length == 0 || length > uint64(len(r.rest)-termBytes-n) || t.compare(r.at.term) <= 0 {
		return errPage
	}
	r.rest = r.rest[termBytes+n:]
	r.numbers, r.rest = r.rest[:length], r.rest[length:]
	r.at = posting{term: t}
	return nil
}

// eachPosting calls fn with what an entry is found by, as [EventRange.picks] has it.
func (r IndexRow) eachPosting(fn func(by EventIndex, value string, number int64)) {
	if r.Intent != 0 {
		fn(ByOutcome, r.Outcome, r.Intent)
		return
	}
	fn(ByNumber, "", r.Seq)
	for _, of := range []struct {
		by    EventIndex
		value string
	}{
		{ByWorkspace, r.Workspace}, {ByRuntime, r.Runtime}, {ByAction, r.Action}, {ByObject, r.Object},
		{ByOutcome, r.Outcome},
	} {
		if of.value != "" {
			fn(of.by, of.value, r.Seq)
		}
	}
	if r.Denied {
		fn(ByDenial, "", r.Seq)
	}
}

// sortedPostings are those of rows, in their order.
func sortedPostings(rows []IndexRow) []posting {
	type text struct {
		by         EventIndex
		org, value string
	}
	known := map[text]term{} // most are of many rows
	postings := make([]posting, 0, 4*len(rows))
	for _, r := range rows {
		r.eachPosting(func(by EventIndex, value string, number int64) {
			of := text{by, r.Org, value}
			t, is := known[of]
			if !is {
				t = termOf(by, r.Org, value)
				known[of] = t
			}
			postings = append(postings, posting{t, number})
		})
	}
	slices.SortFunc(postings, posting.compare)
	return postings
}

// storedPage is a page with its first posting.
type storedPage struct{ first, page []byte }

func scanIndexPage(row scanner) (p storedPage, err error) { return p, row(&p.first, &p.page) }

// read begins to read the page.
func (p storedPage) read() (pageReader, error) {
	r := pageReader{rest: p.page}
	begin := r
	first, err := begin.next()
	if err != nil || !bytes.Equal(first.bytes(), p.first) { // as of an empty one
		return r, errPage
	}
	return r, nil
}

// numbers are those of a term that are no less than low and no more than high.
func (p storedPage) numbers(low, high posting) (numbers []int64, err error) {
	r, err := p.read()
	for err == nil {
		var at posting
		switch at, err = r.next(); {
		case err != nil:
		case at.term.compare(low.term) < 0:
			r.numbers = nil // on to the next term
		case at.compare(high) > 0:
			return numbers, nil
		case at.number >= low.number:
			numbers = append(numbers, at.number)
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return numbers, err
}
