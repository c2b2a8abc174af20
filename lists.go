package bctrl

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"

	"github.com/bctrl-go/bctrl/internal/wire"
)

// Page is one page of a list, for callers who page themselves. The lazy
// iterators beside every Page method fetch pages as they are ranged over.
type Page[T any] struct {
	// Items are in the list's own order; never nil in a page that was fetched.
	Items []T
	// NextCursor asks for the page after this one; empty on the last page.
	NextCursor Cursor
}

// PageOptions selects one page of a list.
type PageOptions struct {
	// Limit is how many items a page holds, 1 to 1000; zero is the server's
	// default, 50.
	Limit int
	// Cursor is the NextCursor of the page before; empty for the first page.
	Cursor Cursor
}

// Cursor is an opaque position in a list. The empty Cursor is null in JSON.
type Cursor string

// MarshalJSON writes null for the empty cursor.
func (c Cursor) MarshalJSON() ([]byte, error) {
	if c == "" {
		return []byte("null"), nil
	}
	return json.Marshal(string(c))
}

// iteratorLimit is how many items the lazy iterators ask for at a time.
const iteratorLimit = 500

// listing is a list as the server offers it.
type listing[T any] struct {
	via    via
	as     *limits
	path   string
	params []string
	query  []string // names and values; empty values are left out
	plural string
}

// page fetches one page.
func (l listing[T]) page(ctx context.Context, p PageOptions, opts []CallOption) (*Page[T], error) {
	answer := wire.List[T]{Plural: l.plural}
	err := l.via().call(ctx, &request{
		method: http.MethodGet,
		path:   l.path,
		params: l.params,
		query:  listQuery(queryOf(l.query...), p),
		as:     l.as,
		out:    &answer,
		opts:   opts,
	})
	if err != nil {
		return nil, err
	}
	return &Page[T]{Items: answer.Items, NextCursor: Cursor(answer.NextCursor)}, nil
}

// all ranges over every page, fetching each when it is reached. Each range
// over it starts from the beginning.
func (l listing[T]) all(ctx context.Context, opts []CallOption) iter.Seq2[T, error] {
	return paged(func(p PageOptions) ([]T, Cursor, error) {
		page, err := l.page(ctx, p, opts)
		if err != nil {
			return nil, "", err
		}
		return page.Items, page.NextCursor, nil
	})
}

// paged turns a way to fetch one page into a lazy, restartable iterator.
func paged[T any](fetch func(PageOptions) ([]T, Cursor, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		for cursor := Cursor(""); ; {
			items, next, err := fetch(PageOptions{Limit: iteratorLimit, Cursor: cursor})
			if err != nil {
				yield(none, err)
				return
			}
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			if next == "" {
				return
			}
			if next == cursor {
				yield(none, &Error{Status: http.StatusBadGateway, Code: "transport.bad_answer",
					Message: "the list does not advance"})
				return
			}
			cursor = next
		}
	}
}

// mapped applies f to each item of a list.
func mapped[T, U any](seq iter.Seq2[T, error], f func(T) (U, error)) iter.Seq2[U, error] {
	return func(yield func(U, error) bool) {
		for item, err := range seq {
			var u U
			if err == nil {
				u, err = f(item)
			}
			if !yield(u, err) || err != nil {
				return
			}
		}
	}
}

// mappedPage applies f to each item of a page.
func mappedPage[T, U any](page *Page[T], err error, f func(T) (U, error)) (*Page[U], error) {
	if err != nil {
		return nil, err
	}
	out := &Page[U]{Items: make([]U, 0, len(page.Items)), NextCursor: page.NextCursor}
	for _, item := range page.Items {
		u, err := f(item)
		if err != nil {
			return nil, err
		}
		out.Items = append(out.Items, u)
	}
	return out, nil
}

// refusedSeq is a list that was refused before it was asked for.
func refusedSeq[T any](err error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		yield(none, err)
	}
}
