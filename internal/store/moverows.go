package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/bctrl-go/bctrl/internal/tuple"
)

// A transaction of a move has so many rows at most, and fewer where they have so many bytes.
const (
	moveRows  = 5000
	moveBytes = 8 << 20
)

// rowSum is how many rows a table has, and the sum of their digests: the same for the same
// rows, in whatever order they come.
type rowSum struct {
	rows int64
	sum  [4]uint64
}

func (s *rowSum) add(row tuple.Encoding) {
	s.rows++
	digest := sha256.Sum256(row)
	for i := range s.sum {
		s.sum[i] += binary.BigEndian.Uint64(digest[8*i:])
	}
}

// digestOf is of all tables, their columns and their rows.
func digestOf(tables []movedTable) string {
	all := tuple.New(1 << 10)
	for _, t := range tables {
		all = all.Text(t.name).Number(t.sum.rows)
		for _, c := range t.columns {
			all = all.Text(c.name, c.kind)
		}
		for _, lane := range t.sum.sum {
			all = binary.BigEndian.AppendUint64(all, lane)
		}
	}
	sum := sha256.Sum256(all)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// sourceTables are those of a file, each after the tables that its rows refer to.
func sourceTables(ctx context.Context, db *sql.DB) (ordered []movedTable, err error) {
	names, err := texts(ctx, db, "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' "+
		"ESCAPE '\\' AND name <> '"+versionTable+"' ORDER BY name")
	if err != nil {
		return nil, err
	}
	placed := map[string]bool{}
	for len(placed) < len(names) {
		before := len(placed)
		for _, name := range names {
			if placed[name] {
				continue
			}
			needs, err := texts(ctx, db, `SELECT DISTINCT "table" FROM pragma_foreign_key_list($1)`, name)
			if err != nil {
				return nil, err
			}
			if slices.ContainsFunc(needs, func(other string) bool { return other != name && !placed[other] }) {
				continue
			}
			t := movedTable{name: name}
			if t.columns, err = sourceColumns(ctx, db, name); err != nil {
				return nil, err
			}
			ordered, placed[name] = append(ordered, t), true
		}
		if len(placed) == before {
			return nil, errors.New("store: tables refer to each other in a circle")
		}
	}
	return ordered, nil
}

func sourceColumns(ctx context.Context, db *sql.DB, table string) (columns []movedColumn, err error) {
	names, err := texts(ctx, db, "SELECT name FROM pragma_table_info($1) ORDER BY cid", table)
	if err != nil {
		return nil, err
	}
	kinds, err := texts(ctx, db, "SELECT type FROM pragma_table_info($1) ORDER BY cid", table)
	if err != nil {
		return nil, err
	}
	for i, name := range names {
		columns = append(columns, movedColumn{name, strings.Replace(kinds[i], "INTEGER", "BIGINT", 1)})
	}
	return columns, nil
}

func texts(ctx context.Context, db *sql.DB, query string, args ...any) (all []string, err error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		all = append(all, text)
	}
	return all, rows.Err()
}

func (t *movedTable) names() (names []string) {
	for _, c := range t.columns {
		names = append(names, c.name)
	}
	return names
}

// quoted are the names as both engines take them, whatever words they are.
func (t *movedTable) quoted() string {
	var quoted []string
	for _, name := range t.names() {
		quoted = append(quoted, pgx.Identifier{name}.Sanitize())
	}
	return strings.Join(quoted, ", ")
}

// movedValue is a value in the type that its column has on PostgreSQL. SQLite keeps any kind of
// value in any column; one that the server never puts there is refused.
func movedValue(kind string, v any) (any, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil //nolint:nilnil // NULL
	case int64:
		switch kind {
		case "BIGINT":
			return v, nil
		case "BOOLEAN":
			return v != 0, nil
		}
	case bool:
		if kind == "BOOLEAN" {
			return v, nil
		}
	case string:
		switch kind {
		case "TEXT":
			return v, nil
		case "BLOB":
			return []byte(v), nil
		}
	case []byte:
		switch kind {
		case "TEXT":
			if text := string(v); escaped(text) == text { // the store reads these as they are
				return text, nil
			}
		case "BLOB":
			return append([]byte{}, v...), nil // one without a byte is not NULL
		}
	}
	return nil, errors.New("a row holds what the server never writes there: see 'bctrl audit verify'")
}

// encodeMoved adds a value to what a row is compared by.
func encodeMoved(row tuple.Encoding, v any) tuple.Encoding {
	switch v := v.(type) {
	case nil:
		return row.Text("-")
	case int64:
		return row.Text("n").Number(v)
	case bool:
		return row.Text("f").Flag(v)
	case string:
		return row.Text("t", v)
	case []byte:
		return row.Text("b").Bytes(v)
	}
	return row.Text("?")
}

// eachMoved calls fn with the rows of a query, each as its columns have it.
func eachMoved(
	ctx context.Context, db *sql.DB, t *movedTable, query string, fn func(id int64, values []any) error, args ...any,
) error {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return translate(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		values := make([]any, len(t.columns))
		dest := []any{&id}
		for i := range values {
			dest = append(dest, &values[i])
		}
		if err := rows.Scan(dest...); err != nil {
			return translate(err)
		}
		for i, c := range t.columns {
			if values[i], err = movedValue(c.kind, values[i]); err != nil {
				return fmt.Errorf("%s.%s: %w", t.name, c.name, err)
			}
		}
		if err := fn(id, values); err != nil {
			return err
		}
	}
	return translate(rows.Err())
}

// sumSource adds up the rows of a table of the file.
func (m *Move) sumSource(ctx context.Context, t *movedTable) error {
	return eachMoved(ctx, m.source, t, `SELECT rowid, `+t.quoted()+` FROM "`+t.name+`"`,
		func(_ int64, values []any) error {
			t.sum.add(rowOf(values))
			return nil
		})
}

func rowOf(values []any) tuple.Encoding {
	row := tuple.New(256)
	for _, v := range values {
		row = encodeMoved(row, v)
	}
	return row
}

// sumTarget adds up the rows of a table of the database.
func (m *Move) sumTarget(ctx context.Context, t movedTable) (sum rowSum, err error) {
	err = eachMoved(ctx, m.pool, &t, `SELECT 0, `+t.quoted()+` FROM "`+t.name+`"`,
		func(_ int64, values []any) error {
			for i := range values {
				if text, is := values[i].(string); is {
					if err := unescape(&text); err != nil {
						return ErrUnlike
					}
					values[i] = text
				}
			}
			sum.add(rowOf(values))
			return nil
		})
	return sum, err
}

// errBatchFull ends a batch.
var errBatchFull = errors.New("the batch is full")

// copyTable copies the rows of a table after the last that was copied, a transaction for each
// batch.
func (m *Move) copyTable(ctx context.Context, t *movedTable) error {
	for {
		rows, last, err := m.nextBatch(ctx, t)
		if err != nil || len(rows) == 0 {
			return err
		}
		if err := m.reached("read " + t.name); err != nil {
			return err
		}
		if err := m.insertBatch(ctx, t, rows, last); err != nil {
			return translate(err)
		}
		t.last = last
		if err := m.reached("copied " + t.name); err != nil {
			return err
		}
	}
}

func (m *Move) nextBatch(ctx context.Context, t *movedTable) (rows [][]any, last int64, err error) {
	size := 0
	after, limited := t.last, ` WHERE rowid > $1 ORDER BY rowid`
	err = eachMoved(ctx, m.source, t, `SELECT rowid, `+t.quoted()+` FROM "`+t.name+`"`+limited,
		func(id int64, values []any) error {
			for i, v := range values {
				switch v := v.(type) {
				case string:
					values[i] = escaped(v)
					size += len(v)
				case []byte:
					size += len(v)
				}
			}
			rows, last = append(rows, values), id
			if len(rows) == moveRows || size >= moveBytes {
				return errBatchFull
			}
			return nil
		}, after)
	if errors.Is(err, errBatchFull) {
		err = nil
	}
	return rows, last, err
}

// insertBatch copies rows and notes how far that is, in one transaction.
func (m *Move) insertBatch(ctx context.Context, t *movedTable, rows [][]any, last int64) (err error) {
	conn, err := m.pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	return conn.Raw(func(driver any) error {
		on := driver.(*stdlib.Conn).Conn() //nolint:forcetypeassert // the pool is pgx's
		return pgx.BeginFunc(ctx, on, func(tx pgx.Tx) error {
			names := t.names()
			switch t.name {
			case "audit_events":
				names, rows = withTerms(names, rows)
			case "nodes":
				names, rows = withLane(names, rows)
			}
			if _, err := tx.CopyFrom(ctx, pgx.Identifier{t.name}, names, pgx.CopyFromRows(rows)); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, "INSERT INTO "+moveTable+" (name, value) VALUES ($1, $2) "+
				"ON CONFLICT (name) DO UPDATE SET value = $2", "table "+t.name, strconv.FormatInt(last, 10))
			return err
		})
	})
}

// withLane adds to nodes that they have none, of which a file knows nothing.
func withLane(names []string, rows [][]any) ([]string, [][]any) {
	more := make([][]any, len(rows))
	for i, row := range rows {
		more[i] = append(slices.Clone(row), 0)
	}
	return append(names, "lane"), more
}

// withTerms adds to rows of the log what they are found by, which on PostgreSQL are columns of
// it, as [entryRows] writes them.
func withTerms(names []string, rows [][]any) ([]string, [][]any) {
	body, intent := slices.Index(names, "body"), slices.Index(names, "intent")
	more := make([][]any, len(rows))
	for i, row := range rows {
		text, _ := row[body].([]byte) // as all of its column
		t := TermsOf(text)
		denied := any(t.Denied)
		if row[intent] != nil {
			t, denied = Terms{Outcome: t.Outcome}, nil
		}
		more[i] = append(slices.Clone(row), textOrNull(t.Workspace), textOrNull(t.Runtime), textOrNull(t.Action),
			textOrNull(t.Object), denied, textOrNull(t.Outcome))
	}
	return append(names, "workspace_id", "runtime_id", "action", "object", "denied", "outcome"), more
}
