package storetest

import (
	"context"
	"testing"

	"github.com/bctrl-go/bctrl/internal/seal"
)

// Rows is a prover for a store that no custodian keeps the key of, unlocked
// under a key of its own.
func Rows(tb testing.TB) *seal.Rows {
	tb.Helper()
	key, err := seal.FromText(seal.Generate())
	if err != nil {
		tb.Fatalf("making a key: %v", err)
	}
	rows, kept := &seal.Rows{}, dataKey{}
	if err := seal.NewKeyring(key, &kept).Ensure(context.Background(), "rows"); err != nil {
		tb.Fatalf("making a data key: %v", err)
	}
	if err := rows.Unlock(key, kept.WrappedDEK); err != nil {
		tb.Fatalf("unlocking the rows: %v", err)
	}
	return rows
}

// dataKey keeps one data key in memory.
type dataKey struct{ seal.WrappedDEK }

func (d *dataKey) DEK(context.Context, string) (seal.WrappedDEK, bool, error) {
	return d.WrappedDEK, d.ID != "", nil
}

func (d *dataKey) CreateDEK(_ context.Context, dek seal.WrappedDEK) (seal.WrappedDEK, error) {
	d.WrappedDEK = dek
	return dek, nil
}
