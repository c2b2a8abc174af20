package store

import (
	"context"
	"crypto/rand"
	"time"
)

// Held is a name that a node holds, once: who holds it next has another Held.
type Held struct{ name, nonce string }

// Hold takes a name for this node until [DB.Release], where no node that lives has it, and
// reports whether it did. A server that has its database to itself has every name. Within
// a node the callers see to it that one asks.
func (db *DB) Hold(ctx context.Context, name string) (h Held, held bool, err error) {
	node := db.node.Load()
	if node == nil || *node == "" {
		return h, true, nil
	}
	h = Held{name, rand.Text()}
	n, err := db.queries.exec(ctx, "INSERT INTO holds (name, node_id, nonce) VALUES ($1, $2, $3) "+
		"ON CONFLICT (name) DO UPDATE SET node_id = excluded.node_id, nonce = excluded.nonce "+
		"WHERE holds.node_id = excluded.node_id "+
		"OR NOT EXISTS (SELECT 1 FROM nodes WHERE id = holds.node_id AND "+db.on.holdsLease()+")", name, *node, h.nonce)
	if err != nil {
		db.Release(context.WithoutCancel(ctx), h) // it may be held all the same
	}
	return h, n > 0, err
}

// releaseAgain is between two attempts to release a name.
const releaseAgain = time.Second

// Release gives a name back, unless somebody else has it since. Where the database does not
// answer, it goes on to try.
func (db *DB) Release(ctx context.Context, h Held) {
	if h.name == "" || db.release(ctx, h) == nil {
		return
	}
	db.mu.RLock()
	defer db.mu.RUnlock()
	if db.closed {
		return
	}
	db.releasing.Go(func() {
		again := time.NewTicker(releaseAgain)
		defer again.Stop()
		for {
			select {
			case <-again.C:
			case <-db.done:
				return
			}
			if db.release(context.Background(), h) == nil {
				return
			}
		}
	})
}

func (db *DB) release(ctx context.Context, h Held) error {
	_, err := db.queries.exec(ctx, "DELETE FROM holds WHERE name = $1 AND nonce = $2", h.name, h.nonce)
	return err
}

// ReleaseDead removes what nodes hold that do not live any more.
func (db *DB) ReleaseDead(ctx context.Context) error {
	if !db.on.shared {
		return nil
	}
	_, err := db.queries.exec(ctx, "DELETE FROM holds WHERE NOT EXISTS (SELECT 1 FROM nodes WHERE id = holds.node_id AND "+
		db.on.holdsLease()+")")
	return err
}
