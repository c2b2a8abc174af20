package custody

import (
	"context"
	"errors"
	"fmt"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/seal"
	"github.com/bctrl-go/bctrl/internal/store"
)

// The points of a rotation at which a crash differs from one at another.
const (
	pointStaged    = "staged"    // the new key is beside the old one
	pointSigned    = "signed"    // the log is signed for the last time with the old key
	pointCommitted = "committed" // the data is sealed under the new key
	pointInPlace   = "in place"  // the file of the new key is where the old one was
)

// Rotate exchanges the key. Given is the new passphrase or the text of the new
// key, where the source takes one; a key file gets a new random key. Commit
// runs write in a transaction, to which it may add, and returns once that is
// durable. Others read and write on meanwhile.
//
// The error is [seal.ErrLocked], [ErrPassphraseNeeded], [ErrKeyNeeded],
// [ErrNotTaken], [ErrSameKey], [seal.ErrBadKey] or [seal.ErrPassphrase] for
// what is given, [seal.ErrTampered] for a data key that was changed, or what
// kept a file or the data from being written; the old key is then in use.
func (c *Custodian) Rotate(
	ctx context.Context, given bctrl.Secret, commit func(ctx context.Context, write func(*store.Tx) error) error,
) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	from := c.key.Load()
	if from == nil {
		return seal.ErrLocked
	}
	to, err := c.source.next(given)
	if err != nil {
		return err
	}
	if to.key.ID() == from.ID() {
		return ErrSameKey
	}
	ctx = context.WithoutCancel(ctx) // what was begun is finished
	if err := c.reached(pointStaged); err != nil {
		return err
	}
	// The staged file stays where this fails: a transaction of which the disk
	// did not say that it is there may be there after a crash.
	if err := c.exchange(ctx, *from, to, commit); err != nil {
		return err
	}
	if err := c.reached(pointCommitted); err != nil {
		return err
	}
	if to.putInPlace != nil {
		if err := to.putInPlace(); err != nil { // the next start finishes it
			c.cfg.Log.Error("the file of the new key still lies beside the old one's", "error", err)
		}
	}
	return c.reached(pointInPlace)
}

// exchange seals the data and signs the log with another key. If that fails, the old
// one stays in use.
func (c *Custodian) exchange(
	ctx context.Context, from seal.Key, to opened, commit func(context.Context, func(*store.Tx) error) error,
) error {
	locks := c.locksSoFar()
	signed, err := c.stopSigning()
	if err != nil {
		to.key.Forget()
		return errors.Join(err, c.resumeSigning(ctx, from))
	}
	if err := c.reached(pointSigned); err != nil {
		return err
	}
	err = c.keys.Rewrap(to.key, func(rewrap func(seal.WrappedDEK) (seal.WrappedDEK, error)) error {
		return commit(ctx, func(tx *store.Tx) error { return c.rewrite(ctx, tx, signed, from, to, rewrap) })
	})
	if err != nil {
		to.key.Forget()
		return errors.Join(err, c.resumeSigning(ctx, from))
	}
	from.Forget()
	if !c.replaceKey(&to.key, locks) { // locked meanwhile: then with the new one
		to.key.Forget()
		return nil
	}
	return c.resumeSigning(ctx, to.key)
}

// resumeSigning signs on with a key. Where it cannot, the server is locked: nothing
// is to be done that is not signed.
func (c *Custodian) resumeSigning(ctx context.Context, key seal.Key) error {
	err := c.startSigning(ctx, key)
	if err != nil {
		c.lockNow()
	}
	return err
}

// rewrite wraps all data keys anew, and records the key that did.
func (c *Custodian) rewrite(ctx context.Context, tx *store.Tx, signed store.Head, from seal.Key, to opened,
	rewrap func(seal.WrappedDEK) (seal.WrappedDEK, error),
) error {
	s, err := stateOf(ctx, tx.Queries)
	if err != nil {
		return err
	}
	if len(s.rows) == 0 || s.id != from.ID() {
		return fmt.Errorf("the key in use is not the one that the data names: %w", seal.ErrTampered)
	}
	if signed, err = newestSigned(ctx, tx, signed, from); err != nil {
		return err
	}
	tx.ChangedRules(store.RuleChange{}) // every other server has the wrong key from now on
	deks, err := tx.DEKs(ctx)
	if err != nil {
		return err
	}
	for _, d := range deks {
		anew, err := rewrap(wrapped(d))
		if err != nil {
			return fmt.Errorf("the data key of %s: %w", d.Scope, err)
		}
		d.KEKID, d.Wrapped = anew.KeyID, anew.Sealed
		if err := tx.RewrapDEK(ctx, d); err != nil {
			return err
		}
		if err := audit.Append(tx, scoped(rotated, d.Scope, to.key.ID())); err != nil {
			return err
		}
	}
	row := store.SealKey{N: s.rows[0].N + 1, Seq: signed.Seq, Head: signed.Hash}
	if err := c.endorse(&row, from.Public(), to); err != nil {
		return err
	}
	if err := tx.InsertSealKey(ctx, row); err != nil {
		return err
	}
	return audit.Append(tx, event(rotated, to.key.ID()))
}

// newestSigned is where the log was signed last with a key: by this server, or since then
// by another one that shares the database. From then on only the next key signs.
func newestSigned(ctx context.Context, tx *store.Tx, here store.Head, by seal.Key) (store.Head, error) {
	c, err := tx.NewestCheckpoint(ctx)
	if errors.Is(err, store.ErrNotFound) {
		return here, nil
	}
	if err == nil && c.Seq > here.Seq && audit.HasSigned(by, c) {
		here.Seq, here.Hash = c.Seq, c.Head
	}
	return here, err
}
