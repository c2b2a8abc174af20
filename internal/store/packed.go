package store

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// packing stands between the columns of a packed row. What the server writes holds
// it in no path, and a row that does is read by its columns.
const packing = "\x1f"

// errPacked says that a row cannot be taken apart: a column holds what stands
// between columns, or NULL.
var errPacked = errors.New("store: a row cannot be taken apart")

// manyPacked reads all rows of a query as [many] does, with their proofs checked.
// All columns but the proof, which is the last, come as one text: an engine hands
// over a wide row by a call, two conversions and an allocation a column, which for
// sixteen of them takes longer than finding the row. A forger gains nothing by
// values that hold what stands between them: the proof is of what was taken apart.
func manyPacked[T any](
	ctx context.Context, q Queries, scan provenScan[T], columns, from string, args ...any,
) ([]T, error) {
	cells, hasProof := strings.CutSuffix(columns, ", proof")
	if !hasProof {
		return nil, fmt.Errorf("store: the last column of %q is no proof", columns)
	}
	read := checked(q, scan)
	packed := make([]string, 0, strings.Count(columns, ",")+1)
	list, err := many(ctx, q, func(row scanner) (T, error) {
		return read(func(dest ...any) error { return scanPacked(row, packed, q.on.remote(), dest) })
	}, "SELECT concat_ws('"+packing+"', "+cells+"), proof"+from, args...)
	if errors.Is(err, errPacked) {
		return many(ctx, q, read, "SELECT "+columns+from, args...)
	}
	return list, err
}

// packedText is no plain string, of which the whole would be unescaped.
type packedText string

// scanPacked reads a row to where its columns and its proof go. The texts share the
// memory of the row. Parts has room for them.
func scanPacked(row scanner, parts []string, escaped bool, dest []any) error {
	var text packedText
	last := len(dest) - 1
	if err := row(&text, dest[last]); err != nil {
		return err
	}
	for part := range strings.SplitSeq(string(text), packing) {
		parts = append(parts, part)
	}
	if len(parts) != last {
		return errPacked
	}
	for i, part := range parts {
		if err := setCell(dest[i], part, escaped); err != nil {
			return &unreadableError{err}
		}
	}
	return nil
}

func setCell(dest any, text string, escaped bool) error {
	switch d := dest.(type) {
	case *string:
		*d = text
		if escaped {
			return unescape(d)
		}
		return nil
	case *int64:
		n, err := strconv.ParseInt(text, 10, 64)
		*d = n
		return err
	}
	v := reflect.ValueOf(dest).Elem()
	if v.Kind() != reflect.String {
		return fmt.Errorf("store: a %s is not read from a packed row", v.Type())
	}
	v.SetString(text)
	return nil
}
