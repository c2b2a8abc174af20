package bctrl

import "encoding/json"

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
