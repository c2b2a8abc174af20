package storetest_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestACopyIsWhatOpeningMakes(t *testing.T) {
	copied, made := filepath.Join(t.TempDir(), "a.db"), filepath.Join(t.TempDir(), "b.db")
	storetest.Create(t, copied)
	before, err := os.ReadFile(copied)
	require.NoError(t, err)
	for _, path := range []string{copied, made} {
		db, err := store.Open(t.Context(), path, storetest.Rows(t))
		require.NoError(t, err)
		organizations, err := db.Read().Organizations(t.Context())
		require.NoError(t, err)
		require.Empty(t, organizations)
		require.NoError(t, db.Close())
	}
	after, err := os.ReadFile(copied)
	require.NoError(t, err)
	require.Len(t, after, len(before), "nothing was left to do")
	info, err := os.Stat(copied)
	require.NoError(t, err)
	require.EqualValues(t, 0o600, info.Mode().Perm())
}
