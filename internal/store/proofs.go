package store

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/bctrl-go/bctrl/internal/tuple"
)

// Prover authenticates rows with a key that is not in the database, so that one
// that was made, moved or changed by another is refused when it is read. See
// [seal.Rows], which this package knows only as this.
type Prover interface {
	// Prove makes the proof of a row. One that has ended, such as a revoked key,
	// is proven as such.
	Prove(row []byte, ended bool) (proof []byte, err error)
	// Check reports whether the proof is of that row. It is an error where
	// nobody can tell, because the key is away.
	Check(row, proof []byte, ended bool) (genuine bool, err error)
}

// ForgedError says that a row is not used: its proof is not that of what it
// holds, so it was made, moved or changed by another.
type ForgedError struct{ Kind, UID string }

func (e *ForgedError) Error() string {
	return fmt.Sprintf("store: the %s %.64q is not as this server wrote it", e.Kind, e.UID)
}

func isForged(err error) bool {
	_, forged := errors.AsType[*ForgedError](err)
	return forged
}

// uncheckedError says that nobody can tell whether a row is forged, and why.
type uncheckedError struct {
	kind string
	err  error
}

func (e *uncheckedError) Error() string { return fmt.Sprintf("reading a %s: %v", e.kind, e.err) }

func (e *uncheckedError) Unwrap() error { return e.err }

// Unproven returns queries that believe every row. They are for a caller who reads
// what was found once more, with its proof, before anything rests on it.
func (q Queries) Unproven() Queries {
	q.prover = anyRow{}
	return q
}

// anyRow is the prover of who uses rows for nothing.
type anyRow struct{}

func (anyRow) Prove([]byte, bool) ([]byte, error) {
	return nil, errors.New("store: nothing can be proven here")
}
func (anyRow) Check([]byte, []byte, bool) (bool, error) { return true, nil }

// cellsOf begins what is proven or hashed of a row: the kind of the row, which is
// followed by every column but the proof.
func cellsOf(kind string) tuple.Encoding { return tuple.New(640).Text(kind) }

// provenRow is a row with its proof, as it was read.
type provenRow struct {
	kind, uid, org string
	cells          tuple.Encoding
	ended          bool
	proof          []byte
}

// provenScan reads a row of a table whose rows are proven. It is no scan for
// [one] or [many]: only [checked] makes one of it, so that no query can leave
// the check out.
type provenScan[T any] func(scanner) (T, provenRow, error)

// checked is a scan of rows one after the other that refuses what is not proven, with a
// [ForgedError].
func checked[T any](q Queries, scan provenScan[T]) func(scanner) (T, error) {
	read := readProven(scan)
	return func(row scanner) (T, error) {
		v, p, unfit, err := read(row)
		if err == nil {
			err = q.checkProof(p)
		}
		if err == nil {
			err = unfit
		}
		if err != nil {
			var none T
			return none, err
		}
		return v, nil
	}
}

// readProven reads rows, one after the other, whose columns may hold anything: the proof comes
// first, and whether what it covers is understood after.
func readProven[T any](scan provenScan[T]) func(row scanner) (v T, p provenRow, unfit, err error) {
	var (
		columns scanner
		read    bool
		failed  error
	)
	noting := func(dest ...any) error {
		failed = columns(dest...)
		read = failed == nil
		return failed
	}
	return func(row scanner) (v T, p provenRow, unfit, err error) {
		columns, read, failed = row, false, nil
		v, p, unfit = scan(noting)
		switch {
		case read:
			return v, p, unfit, nil
		case isUnreadable(failed):
			return v, p, nil, &ForgedError{p.kind, p.uid}
		}
		return v, p, nil, failed
	}
}

// manyProven reads the rows of a query that are proven, for who goes on without
// the others, and without those of which nobody can tell. What reads a row is
// [checked] or [newest].
func manyProven[T any](
	ctx context.Context, q Queries, read func(scanner) (T, error), query string, args ...any,
) ([]T, error) {
	list := []T{}
	take := func(row scanner) (none struct{}, err error) {
		v, err := read(row)
		if err == nil {
			list = append(list, v)
		}
		if _, unchecked := errors.AsType[*uncheckedError](err); unchecked || isForged(err) {
			err = nil
		}
		return none, err
	}
	err := each(ctx, q, take, func(struct{}) error { return nil }, query, args...)
	return list, err
}

func (q Queries) checkProof(p provenRow) error {
	genuine, err := q.prover.Check(p.cells, p.proof, p.ended)
	if err != nil {
		return &uncheckedError{p.kind, err}
	}
	if !genuine {
		return &ForgedError{p.kind, p.uid}
	}
	return nil
}

// prove makes the proof of a row that is about to be written: of what the
// caller knows, never of what the database says.
func (tx *Tx) prove(kind string, row tuple.Encoding, ended bool) ([]byte, error) {
	proof, err := tx.prover.Prove(row, ended)
	if err != nil {
		return nil, fmt.Errorf("writing a %s: %w", kind, err)
	}
	return proof, nil
}

// columnsOfAlias writes the alias of a table before each column of a list.
func columnsOfAlias(alias, columns string) string {
	names := strings.Split(columns, ",")
	for i, name := range names {
		names[i] = alias + "." + strings.TrimSpace(name)
	}
	return strings.Join(names, ", ")
}
