package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
)

// Held is a name that a node holds, once: who holds it next has another Held.
type Held struct {
	name string
	// nonce is a uuid of version 7, so that of two that this server has made the later one
	// is the greater.
	nonce string
}

// Hold takes a name for this node until [DB.Release], where no node that lives has it, and
// reports whether it did. A server that has its database to itself has every name. Within
// a node the callers see to it that one asks.
func (db *DB) Hold(ctx context.Context, name string) (h Held, held bool, err error) {
	node := db.node.Load()
	if node == nil || *node == "" {
		return h, true, nil
	}
	nonce, err := uuid.NewV7()
	if err != nil {
		return h, false, fmt.Errorf("making the nonce of a hold: %w", err)
	}
	h = Held{name, nonce.String()}
	held, err = db.takeHold(ctx, *node, h)
	if err != nil {
		db.giveBack(owedHold{nonce: h.nonce, inDoubt: true})
	}
	return h, held, err
}

// takeHold has the node hold a name, also where it has not given it back yet. A statement of which
// nobody knew may come late, when the node holds the name again: then it changes nothing.
func (db *DB) takeHold(ctx context.Context, node string, h Held) (bool, error) {
	n, err := db.queries.exec(ctx, "INSERT INTO holds (name, node_id, nonce) VALUES ($1, $2, $3) "+
		"ON CONFLICT (name) DO UPDATE SET node_id = excluded.node_id, nonce = excluded.nonce "+
		"WHERE (holds.node_id = excluded.node_id AND holds.nonce < excluded.nonce) "+
		"OR NOT EXISTS (SELECT 1 FROM nodes WHERE id = holds.node_id AND "+db.on.holdsLease()+")", h.name, node, h.nonce)
	return n > 0, err
}

// TakeHold has the node whose transaction it is hold a name that another one holds, until
// [DB.Release]; the zero Held where nobody does. Within the node nobody else has the name. It may
// be done again, where nobody knew of the transaction.
func (tx *Tx) TakeHold(ctx context.Context, name, from string) (Held, error) {
	nonce, err := uuid.NewV7()
	if err != nil {
		return Held{}, fmt.Errorf("making the nonce of a hold: %w", err)
	}
	n, err := tx.exec(ctx, "UPDATE holds SET node_id = $1, nonce = $2 WHERE name = $3 AND node_id IN ($1, $4)",
		tx.node, nonce.String(), name, from)
	if err != nil || n == 0 {
		return Held{}, err
	}
	return Held{name, nonce.String()}, nil
}

// Release gives a name back, unless somebody else has it since. Where the database does not
// answer, it is given back later.
func (db *DB) Release(ctx context.Context, h Held) {
	if h.name == "" {
		return
	}
	if _, err := db.queries.exec(ctx, "DELETE FROM holds WHERE name = $1 AND nonce = $2", h.name, h.nonce); err != nil {
		db.giveBack(owedHold{nonce: h.nonce})
	}
}

// owed are the holds that are to be given back for which the database did not answer.
type owed struct {
	mu     sync.Mutex
	holds  []owedHold
	runs   bool // whether somebody gives them back
	giving sync.WaitGroup
}

// owedHold is a hold that is to be given back.
type owedHold struct {
	nonce string
	// inDoubt is set of one of which nobody knows whether it was taken: the statement that
	// takes it may come to the database yet. It is looked for until a time by which it does
	// not any more, which is known once the database answers.
	inDoubt bool
	until   time.Time
}

// giveBackEvery is between two attempts to give holds back.
const giveBackEvery = time.Second

// giveBack gives a hold back beside the caller, as soon as the database answers.
func (db *DB) giveBack(h owedHold) {
	db.mu.RLock()
	defer db.mu.RUnlock()
	if db.closed {
		return // the node's lease ends, and all that it holds with it
	}
	o := &db.owed
	o.mu.Lock()
	defer o.mu.Unlock()
	o.holds = append(o.holds, h)
	if !o.runs {
		o.runs = true
		o.giving.Go(db.giveBackAll)
	}
}

// giveBackAll gives holds back until none is owed any more, or the store is closed.
func (db *DB) giveBackAll() {
	again := time.NewTicker(giveBackEvery)
	defer again.Stop()
	for db.giveBackOnce() {
		select {
		case <-again.C:
		case <-db.done:
			return
		}
	}
}

// giveBackOnce asks the database once, and reports whether there is more to give back.
func (db *DB) giveBackOnce() bool {
	o := &db.owed
	o.mu.Lock()
	nonces := make([]string, len(o.holds))
	for i, h := range o.holds {
		nonces[i] = h.nonce
	}
	o.mu.Unlock()
	gone, err := db.release(context.Background(), nonces)
	o.mu.Lock()
	defer o.mu.Unlock()
	if err == nil {
		asked, rest := o.holds[:len(nonces)], o.holds[len(nonces):]
		o.holds = append(rest, stillOwed(asked, gone, time.Now())...)
	}
	o.runs = len(o.holds) > 0
	return o.runs
}

// stillOwed are those of the holds that were asked for of which the database may still hear.
func stillOwed(asked []owedHold, gone []string, now time.Time) (owed []owedHold) {
	for _, h := range asked {
		if !h.inDoubt || slices.Contains(gone, h.nonce) {
			continue
		}
		if h.until.IsZero() {
			h.until = now.Add(answerLimit)
		}
		if now.Before(h.until) {
			owed = append(owed, h)
		}
	}
	return owed
}

// release gives holds back and returns the nonces of those that there were.
func (db *DB) release(ctx context.Context, nonces []string) (gone []string, err error) {
	list, err := json.Marshal(nonces)
	if err != nil {
		return nil, err
	}
	return many(ctx, db.queries, func(row scanner) (nonce string, err error) { return nonce, row(&nonce) },
		"DELETE FROM holds WHERE nonce IN ("+db.on.listedTexts()+") RETURNING nonce", string(list))
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
