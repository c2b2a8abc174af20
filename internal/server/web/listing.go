package web

import "github.com/bctrl-go/bctrl/internal/wire"

// Listing is a list that administrators read page by page.
type Listing[Row, Item any] struct {
	Plural string
	// Rows reads at most limit of them, those after a cursor.
	Rows func(after string, limit int) ([]Row, error)
	// Cursor is what the rows are ordered by.
	Cursor func(Row) string
	// Describe is a row as it is listed.
	Describe func(Row) (Item, error)
}

// Page authorises and reads the page that the request asks for.
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

// WithoutError makes of a description that cannot fail one that says so.
func WithoutError[Row, Item any](describe func(Row) Item) func(Row) (Item, error) {
	return func(row Row) (Item, error) { return describe(row), nil }
}
