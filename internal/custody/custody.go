// Package custody keeps a server's key encryption key: where it comes from,
// whether it is in memory, and its rotation.
//
// While a server is locked nothing of the key is in memory, and nothing that
// was opened with it: whoever needs a secret gets [seal.ErrLocked], and the
// audit log goes on without being signed. What was written while locked is
// signed after the next unlock; until then whoever holds the database after a
// crash could delete the newest events without being found out.
//
// A rotation leaves the data readable at every moment, with the old key until
// its one transaction is durable and with the new key from then on. Where both
// are files, the new one lies beside the old one before that transaction and
// takes its place after it; a server that starts in between takes the one that
// the data is sealed under and finishes the rest. Data keys stay the same: a
// rotation does not take from somebody who has the old key and a copy of the
// data from before what that copy opens.
package custody

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/seal"
	"github.com/bctrl-go/bctrl/internal/store"
)

// ServerScope is the scope of the server's own sealed values.
const ServerScope = "server"

// What is recorded of keys, beside who asked for it.
const (
	created = "seal.create"
	rotated = "seal.rotate"
)

// Config says what a [Custodian] works with.
type Config struct {
	DB *store.DB
	// Rows is the prover that DB was opened with.
	Rows *seal.Rows
	// Source is where the key comes from. Empty means: from a passphrase where it came
	// from one before, else from KeyVariable where that is set, else from KeyFile.
	Source bctrl.SealSource
	// KeyFile holds the key. It is made where nothing was ever sealed.
	KeyFile string
	// KeyVariable names the environment variable that holds the key.
	KeyVariable string
	// Passphrase opens the key where the source is one; zero starts locked.
	Passphrase bctrl.Secret
	// Head keeps the newest head of the audit log, outside of the data; nil signs
	// nothing.
	Head audit.HeadStore
	// Leads is as in [audit.NotaryConfig].
	Leads func() bool
	// LockBound is how long a server that shares its database puts off a lock to sign the log
	// and to note its rows; 0 is a second.
	LockBound time.Duration
	// Log receives what an operator needs to know; nil discards it.
	Log *slog.Logger
}

// Custodian keeps the key. It is safe for concurrent use.
type Custodian struct {
	cfg    Config
	source source
	keys   *seal.Keyring

	// mu is held by one change at a time, which may wait for the database and for what keeps
	// the log's head.
	mu     sync.Mutex
	notary *audit.Notary // nil while locked, but for one that is still to be closed

	// key is the one in use, nil while locked. It is read without a lock, and replaced under
	// keyMu, which is held for moments only: so that the key can be forgotten at any time.
	key atomic.Pointer[seal.Key]
	// signed is up to which event the log was signed when it was last heard of.
	signed atomic.Int64
	keyMu  sync.Mutex // guards what follows
	// locks counts how often the key was forgotten: who began to unlock, or to exchange the
	// key, before that does not bring one back.
	locks int
	// unlocking is set while somebody unlocks, who has opened some of it already.
	unlocking bool
	forget    []func() // called at each lock
	closed    bool
	// beside counts what is done beside the callers; life ends with the custodian.
	beside  sync.WaitGroup
	life    context.Context
	endLife context.CancelFunc

	// reached lets a test end a rotation at a point as a crash would, and hear of a late lock.
	reached func(point string) error
}

// Open reads the key, makes it where nothing was ever sealed, and begins to
// sign the audit log. With a source that is a passphrase, and none given, it is
// locked. Its errors are those of [Custodian.Unlock].
func Open(ctx context.Context, cfg Config) (*Custodian, error) {
	c := &Custodian{cfg: cfg, reached: func(string) error { return nil }}
	c.life, c.endLife = context.WithCancel(context.WithoutCancel(ctx))
	c.cfg.LockBound = cmp.Or(c.cfg.LockBound, lockBound)
	if c.cfg.Log == nil {
		c.cfg.Log = slog.New(slog.DiscardHandler)
	}
	c.keys = seal.NewKeyring(seal.Key{}, dataKeys{cfg.DB})
	state, err := stateOf(ctx, cfg.DB.Read())
	if err != nil {
		return nil, err
	}
	if c.source, err = sourceOf(cfg, state); err != nil {
		return nil, err
	}
	given := givenAtStart(cfg, c.source)
	if c.source.kind() == bctrl.SealPassphrase && given.IsZero() && state.sealed() {
		return c, nil
	}
	if err := c.Unlock(ctx, given, nil); err != nil {
		return nil, err
	}
	return c, nil
}

// Source is where the key comes from.
func (c *Custodian) Source() bctrl.SealSource { return c.source.kind() }

// Keys is the ring that is locked and unlocked.
func (c *Custodian) Keys() *seal.Keyring { return c.keys }

// Locked reports whether the key is not in memory.
func (c *Custodian) Locked() bool { return c.key.Load() == nil }

// OnLock has fn called on each lock, once nothing can be opened any more and
// before the lock is acknowledged. It must not wait for the database: other nodes wait for
// the lock.
func (c *Custodian) OnLock(fn func()) {
	c.keyMu.Lock()
	defer c.keyMu.Unlock()
	c.forget = append(c.forget, fn)
}

// Status describes the key, by the data as q has it.
func (c *Custodian) Status(ctx context.Context, q store.Queries) (bctrl.SealStatus, error) {
	out, err := Describe(ctx, q)
	out.Locked, out.Source = c.Locked(), c.source.kind()
	return out, err
}

// Describe describes the key of data that no server has open, which counts as locked.
func Describe(ctx context.Context, q store.Queries) (bctrl.SealStatus, error) {
	out := bctrl.SealStatus{Locked: true}
	state, err := stateOf(ctx, q)
	if err != nil {
		return out, err
	}
	out.KeyID, out.Source = state.id, state.source()
	if n := len(state.rows); n > 0 {
		out.CreatedAt = state.rows[n-1].CreatedAt
		if n > 1 {
			out.LastRotatedAt = state.rows[0].CreatedAt
		}
	}
	out.DataKeys, err = q.CountDEKs(ctx)
	return out, err
}

// UnlockRows makes rows able to prove and check what lies in db. Their keys come
// from the server's own data key.
func UnlockRows(ctx context.Context, db *store.DB, key seal.Key, rows *seal.Rows) error {
	dek, ok, err := dataKeys{db}.DEK(ctx, ServerScope)
	if err != nil {
		return fmt.Errorf("reading the server's data key: %w", err)
	}
	if !ok {
		return fmt.Errorf("the server's data key is gone: %w", seal.ErrTampered)
	}
	return rows.Unlock(key, dek)
}

// Key reads the key of data that no server has open, and changes nothing.
func Key(ctx context.Context, cfg Config) (seal.Key, error) {
	state, err := stateOf(ctx, cfg.DB.Read())
	if err != nil {
		return seal.Key{}, err
	}
	if !state.sealed() {
		return seal.Key{}, errors.New("nothing was ever sealed in this data")
	}
	source, err := sourceOf(cfg, state)
	if err != nil {
		return seal.Key{}, err
	}
	got, err := source.open(state, givenAtStart(cfg, source))
	return got.key, err
}

// givenAtStart is the passphrase that the configuration gives a source, zero for a
// source that takes none.
func givenAtStart(cfg Config, source source) bctrl.Secret {
	if source.kind() == bctrl.SealPassphrase {
		return cfg.Passphrase
	}
	return bctrl.Secret{}
}

// Unlock gets the key again: from its source, or from given, which is a
// passphrase or the text of a key. It changes nothing where nothing is locked.
// Check, where it is not nil, is called once rows can be checked and before
// anything can be opened; its error leaves everything locked.
//
// The error is [seal.ErrLocked] where the server is locked meanwhile, [seal.ErrWrongKey] for
// a key that the data is not sealed under, [seal.ErrBadKey] for a text that is none, [ErrPassphraseNeeded] where a
// passphrase is not given, and of the audit log's [audit.ErrHeadMissing],
// [audit.ErrHeadForged] or [audit.ErrOlder]. It stays locked then.
func (c *Custodian) Unlock(ctx context.Context, given bctrl.Secret, check func() error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.Locked() {
		return nil
	}
	return c.unlock(ctx, c.locksSoFar(), given, check)
}

// unlock is [Custodian.Unlock] of a server that was locked so often. Where it is locked
// meanwhile, it stays so.
func (c *Custodian) unlock(ctx context.Context, locks int, given bctrl.Secret, check func() error) (err error) {
	state, err := stateOf(ctx, c.cfg.DB.Read())
	if err != nil {
		return err
	}
	got, err := c.source.open(state, given)
	if err != nil {
		return err
	}
	defer c.beginUnlocking()()
	defer func() {
		if err != nil {
			c.keys.Lock()
			c.cfg.Rows.Relock()
			got.key.Forget()
		}
	}()
	if state.sealed() && got.key.ID() != state.id {
		return fmt.Errorf("%w (stored %.40q, given %q)", seal.ErrWrongKey, state.id, got.key.ID())
	}
	if state.sealed() {
		if err := UnlockRows(ctx, c.cfg.DB, got.key, c.cfg.Rows); err != nil {
			return err
		}
	}
	if check != nil {
		if err := check(); err != nil {
			return err
		}
	}
	if err := c.startSigning(ctx, got.key); err != nil {
		return err
	}
	if err := c.useKey(ctx, state, got); err != nil {
		_, lost := c.stopSigning()
		return errors.Join(err, lost)
	}
	if !c.replaceKey(&got.key, locks) {
		_, lost := c.stopSigning()
		return errors.Join(seal.ErrLocked, lost)
	}
	if got.putInPlace == nil {
		return nil
	}
	if err := got.putInPlace(); err != nil { // the key is in use; its file lies beside where it belongs
		c.cfg.Log.Error("a rotation of the key was not finished", "error", err)
	}
	return nil
}

// useKey unlocks the ring with a key, and records the key if it is the first.
func (c *Custodian) useKey(ctx context.Context, state state, got opened) error {
	if err := c.keys.Unlock(ctx, got.key); err != nil {
		return err
	}
	if err := c.keys.Ensure(ctx, ServerScope); err != nil {
		return err
	}
	if !state.sealed() {
		if err := UnlockRows(ctx, c.cfg.DB, got.key, c.cfg.Rows); err != nil {
			return err
		}
	}
	if len(state.rows) > 0 {
		return nil
	}
	row := store.SealKey{N: 1, Head: store.ZeroHash()}
	if err := c.endorse(&row, nil, got); err != nil {
		return err
	}
	return c.cfg.DB.Write(ctx, func(tx *store.Tx) error {
		if now, err := stateOf(ctx, tx.Queries); err != nil || len(now.rows) > 0 {
			return err // another server was first; whether it has this key, its data key has said
		}
		if err := tx.InsertSealKey(ctx, row); err != nil {
			return err
		}
		return audit.Append(tx, event(created, row.ID))
	})
}

// endorse fills in the row of a key.
func (c *Custodian) endorse(row *store.SealKey, before []byte, got opened) error {
	row.Source, row.Derivation = string(c.source.kind()), got.derivation
	if row.Derivation == nil {
		row.Derivation = []byte{} // the column takes no NULL
	}
	row.CreatedAt = store.Now()
	return audit.Endorse(row, before, got.key)
}

// startSigning begins to sign the audit log with a key.
func (c *Custodian) startSigning(ctx context.Context, key seal.Key) (err error) {
	if c.cfg.Head == nil {
		return nil
	}
	if _, err := c.stopSigning(); err != nil { // one whose key is forgotten
		c.cfg.Log.Warn("the audit log was not signed before the lock", "error", err)
	}
	c.notary, err = audit.OpenNotary(ctx, audit.NotaryConfig{
		DB:    c.cfg.DB,
		Key:   key,
		Head:  c.cfg.Head,
		Leads: c.cfg.Leads,
		Kept:  c.signed.Store,
		Log:   c.cfg.Log,
	})
	if err != nil {
		return fmt.Errorf("opening the audit log: %w", err)
	}
	return nil
}

// stopSigning signs the audit log up to its end, ends the signing, and returns where
// that is.
func (c *Custodian) stopSigning() (signed store.Head, err error) {
	signed.Hash = store.ZeroHash()
	if c.notary == nil {
		return signed, nil
	}
	err = c.notary.Close()
	signed.Seq, signed.Hash = c.notary.Last()
	c.notary = nil
	return signed, err
}

// Signed is the number of the newest event up to which this server knows the log to be signed, with
// the signature outside the database too; 0 until it was unlocked first.
func (c *Custodian) Signed() int64 { return c.signed.Load() }

// Verify verifies the audit log, or gives [seal.ErrLocked].
func (c *Custodian) Verify(ctx context.Context) (*audit.Report, error) {
	for {
		key := c.key.Load()
		if key == nil {
			return nil, seal.ErrLocked
		}
		report, err := audit.Verify(ctx, audit.VerifyConfig{DB: c.cfg.DB, Key: *key, Head: c.cfg.Head})
		// A key that was replaced meanwhile did not sign what came after it.
		if now := c.key.Load(); err != nil || now == nil || now.ID() == key.ID() {
			return report, err
		}
	}
}

// Close signs the audit log up to its end. The store is still open, and is not
// written any more.
func (c *Custodian) Close() error {
	c.keyMu.Lock()
	c.closed = true
	c.keyMu.Unlock()
	c.endLife()
	c.beside.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := c.stopSigning()
	return err
}

// event is the event of something that the server does of itself.
func event(action, object string) audit.Event {
	return audit.Event{
		Caller:   "server",
		Action:   action,
		Object:   object,
		Decision: audit.Allowed,
		Outcome:  audit.OK,
	}
}
