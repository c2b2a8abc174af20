package store

import (
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestAColumnThatCannotBeReadIsARowThatSomebodyChanged: SQLite keeps a text where
// a number belongs. The row is refused by its name, and the others are read.
func TestAColumnThatCannotBeReadIsARowThatSomebodyChanged(t *testing.T) {
	db, path := openTest(t)
	ctx, at := t.Context(), time.UnixMilli(1_700_000_000_000)
	for _, id := range []string{"good", "bad"} {
		require.NoError(t, db.Write(ctx, func(tx *Tx) error {
			if err := tx.InsertWorkspace(ctx, "org", Workspace{
				ID:        id,
				Name:      id,
				Version:   1,
				CreatedAt: at,
				UpdatedAt: at,
			}); err != nil {
				return err
			}
			return logged(tx)
		}))
	}
	raw, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	defer raw.Close()
	_, err = raw.ExecContext(ctx, "UPDATE workspaces SET version = 'soon' WHERE id = 'bad'")
	require.NoError(t, err)

	_, byID := db.Read().Workspace(ctx, "org", "bad")
	_, byRecord := db.Read().Record(ctx, KindWorkspace, "bad")
	for _, err := range []error{byID, byRecord} {
		forged, ok := errors.AsType[*ForgedError](err)
		require.True(t, ok, "%v", err)
		require.Equal(t, ForgedError{KindWorkspace, "bad"}, *forged)
	}
	_, err = db.Read().Record(ctx, KindWorkspace, "good")
	require.NoError(t, err)
	require.NoError(t, db.NoteRows(ctx), "the others are met")
}
