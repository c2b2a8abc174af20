package store

import (
	"bytes"
	"errors"
	"io"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bctrl-go/bctrl/internal/sample"
)

// pagesOf are the pages that the server makes of postings.
func pagesOf(t require.TestingT, postings []posting) (pages []storedPage) {
	w := pageWriter{put: func(first, page []byte) error {
		pages = append(pages, storedPage{first, bytes.Clone(page)})
		return nil
	}}
	for _, p := range postings {
		require.NoError(t, w.add(p))
	}
	require.NoError(t, w.flush())
	return pages
}

// postingsOf are those of a page.
func postingsOf(p storedPage) (postings []posting, err error) {
	r, err := p.read()
	for err == nil {
		var at posting
		if at, err = r.next(); err == nil {
			postings = append(postings, at)
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return postings, err
}

// TestPagesHoldWhatWasWritten in its order, and each begins where it says.
func TestPagesHoldWhatWasWritten(t *testing.T) {
	sample.Checks(t, 20)
	number := rapid.OneOf(rapid.Int64Range(1, 300), rapid.Int64Range(1, math.MaxInt64))
	rapid.Check(t, func(t *rapid.T) {
		var postings []posting
		for range rapid.IntRange(0, 20).Draw(t, "terms") {
			of := term{
				high: rapid.Uint64Range(1, 3).Draw(t, "high"),
				low:  rapid.Uint64Range(0, 3).Draw(t, "low"),
			}
			for _, n := range rapid.SliceOfN(number, 0, 30).Draw(t, "numbers") {
				postings = append(postings, posting{of, n})
			}
			if rapid.IntRange(0, 9).Draw(t, "many") == 0 {
				for n := range int64(3 * indexPage) {
					postings = append(postings, posting{of, 2*n + 1})
				}
			}
		}
		slices.SortFunc(postings, posting.compare)
		var read []posting
		var before []byte
		for _, page := range pagesOf(t, postings) {
			require.Negative(t, bytes.Compare(before, page.first), "no two pages begin with the same")
			require.LessOrEqual(t, len(page.page), 2*indexPage)
			before = page.first
			of, err := postingsOf(page)
			require.NoError(t, err)
			require.Equal(t, of[0].bytes(), page.first)
			read = append(read, of...)

			low := of[rapid.IntRange(0, len(of)-1).Draw(t, "from")]
			high := posting{low.term, rapid.Int64Min(low.number).Draw(t, "to")}
			found, err := page.numbers(low, high)
			require.NoError(t, err)
			var want []int64
			for _, p := range of {
				if p.compare(low) >= 0 && p.compare(high) <= 0 {
					want = append(want, p.number)
				}
			}
			require.Equal(t, want, found)
		}
		require.Equal(t, postings, read)
	})
}

// FuzzPage reads any bytes as a page: what it has is in order, and is no more than there are bytes.
func FuzzPage(f *testing.F) {
	action := termOf(ByAction, "org", "vault.use")
	object := termOf(ByObject, "org", "k")
	for _, postings := range [][]posting{
		{{action, 1}},
		{{action, 1}, {action, 200}, {object, 7}},
		{{action, 5}, {action, 5}, {object, math.MaxInt64}},
	} {
		for _, page := range pagesOf(f, postings) {
			f.Add(page.first, page.page)
			f.Add(page.first, page.page[:len(page.page)-1])
		}
	}
	f.Add([]byte{}, []byte{})
	f.Fuzz(func(t *testing.T, first, page []byte) {
		stored := storedPage{first, page}
		postings, err := postingsOf(stored)
		require.LessOrEqual(t, len(postings), len(page))
		require.True(t, slices.IsSortedFunc(postings, posting.compare))
		for _, p := range postings {
			require.GreaterOrEqual(t, p.number, int64(0))
		}
		all, e := stored.numbers(posting{term: action}, posting{action, math.MaxInt64})
		require.LessOrEqual(t, len(all), len(page))
		if err != nil {
			return
		}
		require.NoError(t, e, "it is read to where the term ends")
		require.NotEmpty(t, postings)
		var want []int64
		for _, p := range postings {
			if p.term == action {
				want = append(want, p.number)
			}
		}
		require.Equal(t, want, all)
	})
}

// TestAPageThatIsNoneIsRefused by what reads it.
func TestAPageThatIsNoneIsRefused(t *testing.T) {
	at := posting{termOf(ByAction, "org", "a"), 1}
	before := termOf(ByNumber, "org", "")
	whole := pagesOf(t, []posting{at, {at.term, 3}})[0].page
	header := at.bytes()[:termBytes]
	huge := bytes.Repeat([]byte{0xff}, 9)
	for _, tc := range []struct {
		why  string
		page []byte
	}{
		{"nothing", nil},
		{"half a term", whole[:termBytes-1]},
		{"no length", whole[:termBytes]},
		{"fewer numbers than it says", whole[:len(whole)-1]},
		{"a length of zero", append(slices.Clone(header), 0)},
		{"a length that is no number", append(slices.Clone(header), huge...)},
		{"more than can be", slices.Concat(header, huge, []byte{1, 1})},
		{"a number that ends in the middle", slices.Concat(header, []byte{2, 1, 0x80})},
		{"numbers past the last that there can be", slices.Concat(header, []byte{11, 1}, huge, []byte{1})},
		{"a term twice", slices.Concat(whole, whole)},
		{"a term before another", slices.Concat(whole, pagesOf(t, []posting{{before, 1}})[0].page)},
	} {
		_, err := postingsOf(storedPage{at.bytes(), tc.page})
		require.ErrorIs(t, err, errPage, tc.why)
	}
	_, err := postingsOf(storedPage{posting{at.term, 2}.bytes(), whole})
	require.ErrorIs(t, err, errPage, "it begins with another posting than it says")
}
