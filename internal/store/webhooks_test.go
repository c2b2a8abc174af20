package store

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestVersionsOfWebhooksAreReadTogether reads some that are there, and one that is not.
func TestVersionsOfWebhooksAreReadTogether(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		db, _ := e.openTest(t)
		ctx := t.Context()
		for uid, version := range map[string]int64{"a": 1, "b": 7} {
			require.NoError(t, db.Write(ctx, func(tx *Tx) error {
				w := Webhook{UID: uid, Version: version, Meta: []byte("{}"), Sealed: []byte("s")}
				return errors.Join(tx.InsertWebhook(ctx, "org", w), logged(tx))
			}))
		}
		got, err := db.Read().WebhookVersions(ctx, []string{"a", "b", "gone"})
		require.NoError(t, err)
		require.Equal(t, map[string]int64{"a": 1, "b": 7}, got)
		got, err = db.Read().WebhookVersions(ctx, nil)
		require.NoError(t, err)
		require.Empty(t, got)
	})
}
