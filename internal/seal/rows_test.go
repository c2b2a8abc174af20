package seal

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAProofIsOfOneRowAndOneKey(t *testing.T) {
	rows, _, _ := unlockedRows(t)
	others, _, _ := unlockedRows(t)
	live, err := rows.Prove([]byte("row"), false)
	require.NoError(t, err)
	ended, err := rows.Prove([]byte("row"), true)
	require.NoError(t, err)
	for _, tc := range []struct {
		why        string
		by         *Rows
		row        string
		proof      []byte
		ended, fit bool
	}{
		{"its own", rows, "row", live, false, true},
		{"its own, ended", rows, "row", ended, true, true},
		{"ended with the proof of a good one", rows, "row", live, true, false},
		{"good with the proof of an ended one", rows, "row", ended, false, false},
		{"another row", rows, "rov", live, false, false},
		{"none", rows, "row", nil, false, false},
		{"cut short", rows, "row", live[:16], false, false},
		{"of another key", others, "row", live, false, false},
	} {
		genuine, err := tc.by.Check([]byte(tc.row), tc.proof, tc.ended)
		require.NoError(t, err, tc.why)
		require.Equal(t, tc.fit, genuine, tc.why)
	}
}

func TestLockedRowsKnowWhatTheyMetAndProveWhatEnds(t *testing.T) {
	rows, key, dek := unlockedRows(t)
	proof := func(row string, ended bool) []byte {
		p, err := rows.Prove([]byte(row), ended)
		require.NoError(t, err)
		return p
	}
	before := proof("before", false)
	rows.Note()
	met := proof("met", false)
	genuine, err := rows.Check([]byte("before"), before, false)
	require.NoError(t, err)
	require.True(t, genuine)
	rows.Lock()
	for _, row := range []string{"before", "met"} {
		genuine, err := rows.Check([]byte(row), nil, false)
		require.NoError(t, err)
		require.True(t, genuine, "it was met before the lock, whatever the proof")
	}
	_, err = rows.Check([]byte("other"), met, false)
	require.ErrorIs(t, err, ErrLocked, "nobody can tell")
	_, err = rows.Prove([]byte("other"), false)
	require.ErrorIs(t, err, ErrLocked)
	ended := proof("ended", true)
	genuine, err = rows.Check([]byte("ended"), ended, true)
	require.NoError(t, err)
	require.True(t, genuine)
	genuine, err = rows.Check([]byte("other"), ended, true)
	require.NoError(t, err)
	require.False(t, genuine, "what has ended can be told")
	require.NoError(t, rows.Unlock(key, dek))
	genuine, err = rows.Check([]byte("ended"), ended, true)
	require.NoError(t, err)
	require.True(t, genuine, "and still can when unlocked")
}

// TestALockThatNotesNothingKnowsNothing has a row end between two locks: what was noted
// before the first is not good after the second.
func TestALockThatNotesNothingKnowsNothing(t *testing.T) {
	rows, key, dek := unlockedRows(t)
	knows := func(want bool, why string) {
		t.Helper()
		genuine, err := rows.Check([]byte("row"), nil, false)
		if !want {
			require.ErrorIs(t, err, ErrLocked, why)
			return
		}
		require.NoError(t, err, why)
		require.True(t, genuine, why)
	}
	rows.Note()
	_, err := rows.Prove([]byte("row"), false)
	require.NoError(t, err)
	rows.Lock()
	require.NoError(t, rows.Unlock(key, dek))
	rows.Relock()
	knows(true, "an unlock that came to nothing")
	require.NoError(t, rows.Unlock(key, dek))
	rows.Lock()
	knows(false, "it was unlocked, and not noted since")
	require.NoError(t, rows.Unlock(key, dek))
	rows.Note()
	_, err = rows.Prove([]byte("row"), false)
	require.NoError(t, err)
	rows.Lock()
	knows(true, "it was noted again")
}

// BenchmarkCheckRow is what authenticating a row of usual size costs.
func BenchmarkCheckRow(b *testing.B) {
	rows, _, _ := unlockedRows(b)
	row := make([]byte, 400)
	proof, err := rows.Prove(row, false)
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		if genuine, err := rows.Check(row, proof, false); !genuine || err != nil {
			b.Fatal(err)
		}
	}
}
