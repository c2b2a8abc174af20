package store

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// What stands between the columns of a packed row, and between packed rows. What the server
// writes holds them in no path, and rows that do are read by their columns.
const (
	packing     = "\x1f"
	betweenRows = "\x1e"
)

// errPacked says that a row cannot be taken apart: a column holds what stands
// between columns or rows, or NULL.
var errPacked = errors.New("store: a row cannot be taken apart")

// manyPacked reads all rows of a query as [many] does, with their proofs checked, but in no
// order that anybody promises. All come as one text: an engine hands over a row by a few calls,
// and a column by another, two conversions and an allocation, which for sixteen columns takes
// longer than finding the row. A forger gains nothing by values that hold what stands between
// them: the proof, which is the last column, is of what was taken apart. Scans makes scans of rows
// one after the other.
func manyPacked[T any](
	ctx context.Context, q Queries, scans func() provenScan[T], columns, from string, args ...any,
) ([]T, error) {
	cells, hasProof := strings.CutSuffix(columns, ", proof")
	if !hasProof {
		return nil, fmt.Errorf("store: the last column of %q is no proof", columns)
	}
	page, err := one(ctx, q, scanPacked, "SELECT COUNT(*), COALESCE(string_agg(cells, '"+betweenRows+"'), '') FROM "+
		"(SELECT concat_ws('"+packing+"', "+cells+", "+q.on.hex("proof")+") AS cells"+from+") AS page", slices.Clone(args)...)
	if err != nil || page.rows == 0 {
		return []T{}, err
	}
	byColumns := func() ([]T, error) { return many(ctx, q, checked(q, scans()), "SELECT "+columns+from, args...) }
	if strings.Count(string(page.text), betweenRows) != page.rows-1 {
		return byColumns() // a row would be taken for two, which it may say are another organization's
	}
	list := make([]T, 0, page.rows)
	packed := packedRow{escaped: q.on.remote()}
	read, row := checked(q, scans()), packed.scan
	for packed.text = range strings.SplitSeq(string(page.text), betweenRows) {
		v, err := read(row)
		if errors.Is(err, errPacked) {
			return byColumns()
		}
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

// packedText is no plain string, of which the whole would be unescaped.
type packedText string

type packedPage struct {
	rows int
	text packedText
}

func scanPacked(row scanner) (p packedPage, err error) { return p, row(&p.rows, &p.text) }

// packedRow is a row that is taken apart. Its texts share the memory of all rows.
type packedRow struct {
	text    string
	escaped bool
}

// scan is a [scanner].
func (p *packedRow) scan(dest ...any) error {
	if strings.Count(p.text, packing) != len(dest)-1 {
		return errPacked
	}
	text := p.text
	for _, d := range dest {
		var cell string
		cell, text, _ = strings.Cut(text, packing)
		if err := setCell(d, cell, p.escaped); err != nil {
			return &unreadableError{err}
		}
	}
	return nil
}

func setCell(dest any, text string, escaped bool) (err error) {
	switch d := dest.(type) {
	case *string:
		*d = text
		if escaped {
			return unescape(d)
		}
	case *int64:
		*d, err = strconv.ParseInt(text, 10, 64)
	case *[]byte:
		*d, err = hex.AppendDecode((*d)[:0], []byte(text))
	default:
		return fmt.Errorf("store: a %T is not read from a packed row", dest)
	}
	return err
}
