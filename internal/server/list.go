package server

import "github.com/bctrl-go/bctrl/internal/wire"

// listing is a list that administrators read page by page.
type listing[Row, Item any] struct {
	plural string
	// rows reads at most limit of them, those after a cursor.
	rows func(after string, limit int) ([]Row, error)
	// cursor is what the rows are ordered by.
	cursor func(Row) string
	// describe is a row as it is listed.
	describe func(Row) (Item, error)
}

// page authorises and reads the page that the request asks for.
func (l listing[Row, Item]) page(s *Server, rq *request) (list wire.List[Item], err error) {
	limit, after, err := rq.page()
	if err != nil {
		return list, err
	}
	if err := s.authorize(rq, ""); err != nil {
		return list, err
	}
	rows, err := l.rows(after, limit+1)
	if err != nil {
		return list, err
	}
	list.Plural = l.plural
	rows, list.NextCursor = pageOf(rows, limit, l.cursor)
	for _, row := range rows {
		item, err := l.describe(row)
		if err != nil {
			return list, err
		}
		list.Items = append(list.Items, item)
	}
	return list, nil
}

// infallible makes of a description that cannot fail one that says so.
func infallible[Row, Item any](describe func(Row) Item) func(Row) (Item, error) {
	return func(row Row) (Item, error) { return describe(row), nil }
}
