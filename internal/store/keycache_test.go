package store

import (
	"crypto/sha256"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestARevokedKeyIsNeverGoodAgain asks for a key all the time while it is
// revoked: once that is acknowledged, no answer has it as good.
func TestARevokedKeyIsNeverGoodAgain(t *testing.T) { eachEngine(t, testARevokedKeyIsNeverGoodAgain) }

func testARevokedKeyIsNeverGoodAgain(t *testing.T, e engine) {
	db, _ := e.openTest(t)
	ctx := t.Context()
	rounds := 50
	if e.driver != "sqlite" {
		rounds = 10 // each takes many times as long
	}
	for i := range rounds {
		hash := sha256.Sum256([]byte{byte(i)})
		id := string(rune('a' + i))
		require.NoError(t, db.Write(ctx, func(tx *Tx) error {
			defer tx.Append(&Entry{Org: "org", Body: []byte("{}")})
			return tx.InsertAPIKey(ctx, APIKey{
				ID:        id,
				Org:       "org",
				Hash:      hash[:],
				CreatedAt: time.Now(),
			})
		}))
		stop := make(chan struct{})
		var askers sync.WaitGroup
		for range 4 {
			askers.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						_, err := db.APIKeyByHash(ctx, hash)
						assert.NoError(t, err)
					}
				}
			})
		}
		require.NoError(t, db.Write(ctx, func(tx *Tx) error {
			defer tx.Append(&Entry{Org: "org", Body: []byte("{}")})
			return tx.RevokeAPIKey(ctx, "org", id, time.Now())
		}))
		k, err := db.APIKeyByHash(ctx, hash)
		require.NoError(t, err)
		require.False(t, k.RevokedAt.IsZero())
		close(stop)
		askers.Wait()
		k, err = db.APIKeyByHash(ctx, hash)
		require.NoError(t, err)
		require.False(t, k.RevokedAt.IsZero(), "what was read before is not remembered after")
	}
}

func TestTheKeyCacheIsBounded(t *testing.T) {
	var c keyCache
	for i := range 3 * maxCachedKeys {
		c.put(sha256.Sum256([]byte{byte(i), byte(i >> 8)}), APIKey{}, 0)
		require.LessOrEqual(t, len(c.known), maxCachedKeys)
	}
}
