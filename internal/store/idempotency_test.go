package store

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAnAnswerIsFoundByItsKey in order and without, as it is written and as it may be stored otherwise.
func TestAnAnswerIsFoundByItsKey(t *testing.T) { eachEngine(t, testAnAnswerIsFoundByItsKey) }

func testAnAnswerIsFoundByItsKey(t *testing.T, e engine) {
	db, at := e.openTest(t)
	insert := func(org string, key AnswerKey) error {
		return db.Write(t.Context(), func(tx *Tx) error {
			return tx.InsertAnswer(t.Context(), org, key, Answer{Status: 200, Sealed: []byte(org + key.Own), CreatedAt: Now()})
		})
	}
	finds := func(org string, key AnswerKey) {
		t.Helper()
		a, err := db.Read().Answer(t.Context(), org, key)
		require.NoError(t, err)
		require.Equal(t, org+key.Own, string(a.Sealed))
	}
	hasOtherwise := func(org string) bool {
		has, err := db.Read().HasAnswersOtherwise(t.Context(), org)
		require.NoError(t, err)
		return has
	}
	ordered, plain := AnswerKey{Own: "zzz", Order: "0193a5f27c1b"}, AnswerKey{Own: "abc"}
	require.NoError(t, insert("a", ordered))
	finds("a", ordered)
	require.ErrorIs(t, insert("a", ordered), ErrExists)
	require.NoError(t, insert("b", plain))
	finds("b", plain)
	require.ErrorIs(t, insert("b", plain), ErrExists)
	require.False(t, hasOtherwise("a"))
	_, err := db.Read().Answer(t.Context(), "b", ordered)
	require.ErrorIs(t, err, ErrNotFound, "another organization's")

	_, otherwise := db.on.stored(ordered)
	_, err = e.raw(t, at).ExecContext(t.Context(), "UPDATE idempotency SET key = $1 WHERE org_id = 'a'", otherwise)
	require.NoError(t, err)
	require.True(t, hasOtherwise("a"))
	finds("a", ordered)
}

// TestKeysInOrderLieTogether holds what an order is for: keys of one time are beside each other, whatever
// their hashes are, and apart from those that have none.
func TestKeysInOrderLieTogether(t *testing.T) {
	var file dialect
	first, _ := file.stored(AnswerKey{Own: "z", Order: "0193a5f27c1a"})
	next, _ := file.stored(AnswerKey{Own: "a", Order: "0193a5f27c1b"})
	plain, _ := file.stored(AnswerKey{Own: "z"})
	require.IsIncreasing(t, []string{plain, first, next})
}
