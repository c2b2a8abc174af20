package store

import (
	"context"
	"database/sql"
	"strconv"

	"github.com/jackc/pgx/v5"
)

// fetchRows is how many rows of a cursor are held in memory.
const fetchRows = 500

// cursors are those of one transaction on PostgreSQL, where a connection runs one
// statement at a time: what reads row by row, and asks something else for each row,
// takes the rows by the hundreds from a cursor.
type cursors struct {
	conn *sql.Conn
	made int
}

// eachFetched is [each] through a cursor.
func eachFetched[T any](
	ctx context.Context, q Queries, scan func(scanner) (T, error), fn func(T) error, query string, args ...any,
) error {
	q.on.fit(args)
	c := q.cursors
	c.made++
	name := "c" + strconv.Itoa(c.made)
	// Cursors have names of their own, and nothing is prepared for one.
	unprepared := []any{pgx.QueryExecModeDescribeExec}
	if _, err := c.conn.ExecContext(ctx, "DECLARE "+name+" NO SCROLL CURSOR FOR "+query,
		append(unprepared, args...)...); err != nil {
		return translate(err)
	}
	fetch := "FETCH " + strconv.Itoa(fetchRows) + " FROM " + name
	for {
		page, err := fetchPage(ctx, q, scan, fetch)
		if err != nil {
			return err
		}
		for _, v := range page {
			if err := fn(v); err != nil {
				return err
			}
		}
		if len(page) < fetchRows {
			_, err := c.conn.ExecContext(ctx, "CLOSE "+name)
			return translate(err)
		}
	}
}

func fetchPage[T any](
	ctx context.Context, q Queries, scan func(scanner) (T, error), fetch string,
) ([]T, error) {
	rows, err := q.cursors.conn.QueryContext(ctx, fetch, pgx.QueryExecModeDescribeExec)
	if err != nil {
		return nil, translate(err)
	}
	defer rows.Close()
	page := make([]T, 0, fetchRows)
	columns := q.on.columnsOf(rows)
	for rows.Next() {
		v, err := scan(columns)
		if err != nil {
			return nil, translate(err)
		}
		page = append(page, v)
	}
	return page, translate(rows.Err())
}
