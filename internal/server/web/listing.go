package web

import (
	"encoding/base64"

	"github.com/bctrl-go/bctrl/internal/wire"
)

// Listing is a list that administrators read page by page.
type Listing[Row, Item any] struct {
	// Plural is the name of the items in the answer.
	Plural string
	// Rows reads at most limit of them, those after a cursor.
	Rows func(after string, limit int) ([]Row, error)
	// Cursor is what the rows are ordered by, in a row.
	Cursor func(Row) string
	// Describe returns a row as it is listed.
	Describe func(Row) (Item, error)
}

// Page decides about the route's right, and reads the page that the request asks
// for.
func (l Listing[Row, Item]) Page(rq *Request) (list wire.List[Item], err error) {
	limit, after, err := rq.Page()
	if err != nil {
		return list, err
	}
	if err := rq.Authorize(""); err != nil {
		return list, err
	}
	rows, err := l.Rows(after, limit+1)
	if err != nil {
		return list, err
	}
	list.Plural = l.Plural
	rows, list.NextCursor = PageOf(rows, limit, l.Cursor)
	for _, row := range rows {
		item, err := l.Describe(row)
		if err != nil {
			return list, err
		}
		list.Items = append(list.Items, item)
	}
	return list, nil
}

// WithoutError makes a function that cannot fail one for [Listing.Describe].
func WithoutError[Row, Item any](describe func(Row) Item) func(Row) (Item, error) {
	return func(row Row) (Item, error) { return describe(row), nil }
}

// Page reads the parameters limit, 50 where it is absent and at most 1000, and
// cursor, which is opaque to callers: after is the last key of the page before,
// empty for the first page.
func (rq *Request) Page() (limit int, after string, err error) {
	n, err := rq.Integer("limit", 50, 1, 1000)
	if err != nil {
		return 0, "", err
	}
	raw, err := base64.RawURLEncoding.DecodeString(rq.Query.Get("cursor"))
	if err != nil {
		return 0, "", Invalid("request.cursor", "cursor", "the cursor is not one that this server gave")
	}
	return int(n), string(raw), nil
}

// PageOf makes a page of rows that were read one past the limit, and returns the
// cursor of the next; empty where there is none. key is what the rows are ordered
// by.
func PageOf[T any](rows []T, limit int, key func(T) string) ([]T, string) {
	if len(rows) <= limit {
		return rows, ""
	}
	rows = rows[:limit]
	return rows, CursorOf(key(rows[limit-1]))
}

// CursorOf is the cursor of the page behind a key.
func CursorOf(key string) string { return base64.RawURLEncoding.EncodeToString([]byte(key)) }
