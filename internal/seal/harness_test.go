package seal

import (
	"bytes"
	"context"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// memory is a DEKStore that counts, and can be made to wait or fail.
type memory struct {
	mu      sync.Mutex
	rows    map[string]WrappedDEK
	reads   int
	creates int
	err     error
	gate    chan struct{} // when set, DEK waits until it is closed
}

func newMemory() *memory { return &memory{rows: map[string]WrappedDEK{}} }

func (m *memory) DEK(ctx context.Context, scope string) (WrappedDEK, bool, error) {
	if m.gate != nil {
		select {
		case <-m.gate:
		case <-ctx.Done():
			return WrappedDEK{}, false, ctx.Err()
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reads++
	dek, ok := m.rows[scope]
	return dek, ok, m.err
}

func (m *memory) CreateDEK(_ context.Context, dek WrappedDEK) (WrappedDEK, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.creates++
	if old, ok := m.rows[dek.Scope]; ok {
		return old, nil
	}
	m.rows[dek.Scope] = dek
	return dek, m.err
}

func testKey(t testing.TB, fill byte) Key {
	t.Helper()
	key, err := newKey(bytes.Repeat([]byte{fill}, keySize))
	require.NoError(t, err)
	return key
}

var sample = Record{
	Kind:    "vault",
	UID:     "u",
	Scope:   "org",
	Version: 1,
}

// oneKey keeps one data key.
type oneKey struct{ WrappedDEK }

func (d *oneKey) DEK(context.Context, string) (WrappedDEK, bool, error) {
	return d.WrappedDEK, d.ID != "", nil
}

func (d *oneKey) CreateDEK(_ context.Context, dek WrappedDEK) (WrappedDEK, error) {
	d.WrappedDEK = dek
	return dek, nil
}

func unlockedRows(t testing.TB) (*Rows, Key, WrappedDEK) {
	t.Helper()
	key, err := FromText(Generate())
	require.NoError(t, err)
	kept := &oneKey{}
	require.NoError(t, NewKeyring(key, kept).Ensure(t.Context(), "server"))
	rows := &Rows{}
	require.NoError(t, rows.Unlock(key, kept.WrappedDEK))
	return rows, key, kept.WrappedDEK
}

// testDEK returns a data key of fixed bytes.
func testDEK(t testing.TB, fill byte) *dataKey {
	t.Helper()
	dek, err := newDataKey(uuid.UUID(bytes.Repeat([]byte{fill}, idSize)), bytes.Repeat([]byte{fill + 1}, keySize))
	require.NoError(t, err)
	return dek
}

func drawRecord(t *rapid.T) Record {
	name := rapid.StringN(1, 40, 160)
	return Record{
		Kind:    name.Draw(t, "kind"),
		UID:     name.Draw(t, "uid"),
		Scope:   name.Draw(t, "scope"),
		Version: rapid.Int64().Draw(t, "version"),
		Meta:    rapid.SliceOfN(rapid.Byte(), 0, 64).Draw(t, "meta"),
	}
}
