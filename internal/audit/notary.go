package audit

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"github.com/bctrl-go/bctrl/internal/seal"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/tuple"
)

var (
	// ErrHeadMissing: the log has events, and the head outside the database is
	// gone, so that nobody can tell whether the log is whole.
	ErrHeadMissing = errors.New("the head of the audit log, kept outside the database, is missing")
	// ErrHeadForged: the head outside was not signed with this key.
	ErrHeadForged = errors.New("the head of the audit log, kept outside the database, is not signed with this key")
	// ErrOlder: the database is older than the head outside, or has another
	// history: it was put back, or the log was cut or rewritten.
	ErrOlder = errors.New("the database is not the one that the head of its audit log was signed for: it was put back " +
		"to an older state, or its log was cut or rewritten")
)

// A checkpoint is signed when there are so many events since the last, or when
// the first of them is so old.
const (
	checkpointEvents = 4096
	checkpointAge    = time.Second
)

// NotaryConfig says what a [Notary] works with.
type NotaryConfig struct {
	DB  *store.DB
	Key seal.Key
	// Head keeps the newest head, outside of the data.
	Head HeadStore
	// Leads reports whether this server is the one of those that share the log which
	// signs it; nil is a server that has it to itself.
	Leads func() bool
	// Kept is told up to which event the log is signed, once that is outside the database, by whom
	// signing waits for; nil tells nobody.
	Kept func(seq int64)
	// Log receives what an operator needs to know.
	Log *slog.Logger
}

// Notary signs where the lanes stand, without making any write wait: with
// Ed25519, so that the log can be verified by who cannot forge it, and with a
// key made from the key encryption key, so that no row in the database can
// replace it.
//
// While the head can be kept outside, it covers all events but those of the last
// second, and after [Notary.Close] all. Of events that it does not cover, somebody
// who holds the database after a crash could delete the newest of each lane without
// being found out, if they wrote no record.
type Notary struct {
	cfg  NotaryConfig
	by   signers
	last store.Checkpoint
	// doubtful is a checkpoint of which nobody knows whether it is in the database.
	doubtful *store.Checkpoint
	// kept is set while last is outside the database too, and state is that of what is
	// there.
	kept  bool
	state string
	stop  chan struct{}
	done  sync.WaitGroup
	once  sync.Once
	err   error
}

// OpenNotary compares the database with the head outside and the newest
// checkpoint, and starts to sign what follows. Its error is [ErrHeadMissing],
// [ErrHeadForged] or [ErrOlder] when they do not fit together, and nothing has
// been signed then.
func OpenNotary(ctx context.Context, cfg NotaryConfig) (*Notary, error) {
	n := &Notary{cfg: cfg, stop: make(chan struct{})}
	if n.cfg.Log == nil {
		n.cfg.Log = slog.New(slog.DiscardHandler)
	}
	var err error
	if n.by, err = signersOf(ctx, cfg.DB.Read(), cfg.Key); err != nil {
		return nil, err
	}
	head, state, err := readHead(ctx, cfg.Head, n.by)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		fresh, err := isFresh(ctx, cfg.DB)
		if err != nil {
			return nil, err
		}
		if !fresh {
			return nil, fmt.Errorf("%s: %w", cfg.Head, ErrHeadMissing)
		}
		// Before the first event: from now on there is always one.
		if head, err = n.sign(store.Head{Hash: store.ZeroHash()}); err != nil {
			return nil, err
		}
		if state, err = writeHead(ctx, cfg.Head, cfg.Key, head, ""); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, err
	}
	n.state = state
	if err := n.continues(ctx, head); err != nil {
		return nil, err
	}
	n.tellKept(head.Seq)
	if n.cfg.Leads == nil {
		n.done.Go(n.run)
	} else {
		n.done.Go(n.runShared)
	}
	return n, nil
}

// isFresh reports whether the store has never held anything.
func isFresh(ctx context.Context, db *store.DB) (bool, error) {
	has, err := db.Read().HasOrganizations(ctx)
	return db.Head().Seq == 0 && !has, err
}

// continues requires that the database continues what was signed.
func (n *Notary) continues(ctx context.Context, outside store.Checkpoint) error {
	n.last = outside
	newest, err := n.cfg.DB.Read().NewestCheckpoint(ctx)
	switch {
	case errors.Is(err, store.ErrNotFound) && outside.Seq == 0:
	case errors.Is(err, store.ErrNotFound):
		return ErrOlder
	case err != nil:
		return err
	case !n.by.haveSigned(newest) || newest.Seq < outside.Seq:
		return ErrOlder
	default:
		n.last = newest
	}
	n.kept = n.last.Seq == outside.Seq
	// The events after the last signature must follow from those it covers.
	return n.cfg.DB.Snapshot(ctx, func(q store.Queries) error {
		for _, signed := range []store.Checkpoint{outside, n.last} {
			hash, err := q.HeadAt(ctx, signed.Seq)
			if errors.Is(err, store.ErrNotFound) || err == nil && !bytes.Equal(hash, signed.Head) {
				return ErrOlder
			}
			if err != nil {
				return err
			}
		}
		stand, err := q.LanesAt(ctx, outside.Seq)
		if err != nil {
			return err
		}
		all := lanesFrom(stand)
		return q.EachEntry(ctx, outside.Seq, func(e store.StoredEntry) error {
			if s := all.next(e); s != (step{}) {
				return ErrOlder
			}
			return nil
		})
	})
}

// run signs when there is something to sign.
func (n *Notary) run() {
	for {
		head := n.cfg.DB.Head()
		if head.Seq == n.last.Seq && n.kept {
			select {
			case <-head.Moved:
			case <-n.stop:
				return
			}
		}
		age := time.NewTimer(checkpointAge)
		stopped := n.waitForEvents(age.C)
		age.Stop()
		if stopped {
			return
		}
		if err := n.checkpoint(context.Background()); err != nil {
			n.cfg.Log.Error("the head of the audit log could not be kept", "error", err)
		}
	}
}

// waitForEvents waits until there are enough events to sign, or the first of them is
// old enough.
func (n *Notary) waitForEvents(old <-chan time.Time) (stopped bool) {
	for {
		head := n.cfg.DB.Head()
		if head.Seq-n.last.Seq >= checkpointEvents {
			return false
		}
		select {
		case <-head.Moved:
		case <-old:
			return false
		case <-n.stop:
			return true
		}
	}
}

// checkpoint signs where the log stands, keeps that in the database, and
// then outside.
func (n *Notary) checkpoint(ctx context.Context) error {
	if n.cfg.DB.Shared() { // where the writer has no hash of all lanes
		return n.checkpointShared(ctx)
	}
	if err := n.settleDoubt(ctx); err != nil {
		return err
	}
	if head := n.cfg.DB.Head(); head.Seq != n.last.Seq {
		c, err := n.sign(head)
		if err != nil {
			return err
		}
		if err := n.cfg.DB.Write(ctx, func(tx *store.Tx) error { return tx.InsertCheckpoint(ctx, c) }); err != nil {
			if errors.Is(err, store.ErrUnavailable) {
				n.doubtful = &c
			}
			return fmt.Errorf("signing the audit log: %w", err)
		}
		n.last, n.kept = c, false
	}
	if n.kept {
		return nil
	}
	return n.keep(ctx)
}

// keep keeps the last checkpoint outside.
func (n *Notary) keep(ctx context.Context) error {
	state, err := writeHead(ctx, n.cfg.Head, n.cfg.Key, n.last, n.state)
	if n.kept = err == nil; n.kept {
		n.state = state
		n.tellKept(n.last.Seq)
	}
	return err
}

// tellKept tells up to which event the log is signed outside.
func (n *Notary) tellKept(seq int64) {
	if n.cfg.Kept != nil {
		n.cfg.Kept(seq)
	}
}

// settleDoubt finds out whether a checkpoint was written that the database did not
// answer for: the next one names the one before it.
func (n *Notary) settleDoubt(ctx context.Context) error {
	if n.doubtful == nil {
		return nil
	}
	var newest store.Checkpoint
	err := n.cfg.DB.Write(ctx, func(tx *store.Tx) (err error) { // after what was under way
		newest, err = tx.NewestCheckpoint(ctx)
		return err
	})
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("reading the newest signature of the audit log: %w", err)
	}
	if newest.Seq == n.doubtful.Seq && bytes.Equal(newest.Signature, n.doubtful.Signature) {
		n.last, n.kept = newest, false
	}
	n.doubtful = nil
	return nil
}

// Close signs everything up to the last event that was written before it, and
// ends. Another notary can go on from there. One of several servers signs only where it
// leads: another does so else.
func (n *Notary) Close() error {
	n.once.Do(func() {
		close(n.stop)
		n.done.Wait()
		ctx := context.Background()
		// A write waits for those before it, outcomes that nobody waited for
		// among them.
		n.err = n.cfg.DB.Write(ctx, func(*store.Tx) error { return nil })
		switch {
		case n.err != nil:
		case n.cfg.Leads == nil:
			n.err = n.checkpoint(ctx)
		case n.cfg.Leads():
			n.err = n.checkpointShared(ctx)
		}
	})
	return n.err
}

// Last is the newest event that was signed, once the notary is closed.
func (n *Notary) Last() (seq int64, head []byte) { return n.last.Seq, n.last.Head }

func (n *Notary) sign(head store.Head) (store.Checkpoint, error) {
	return n.signAfter(n.last.Seq, head)
}

// signAfter signs a head, after the checkpoint at an event.
func (n *Notary) signAfter(previous int64, head store.Head) (store.Checkpoint, error) {
	c := store.Checkpoint{
		Seq:      head.Seq,
		Previous: previous,
		Head:     head.Hash,
		At:       store.Now(),
	}
	var err error
	c.Signature, err = n.cfg.Key.Sign(message(c))
	return c, err
}

// message is what is signed of a checkpoint.
func message(c store.Checkpoint) []byte {
	return append(tuple.Encoding("bctrl audit 1 checkpoint\x00").Fixed(c.Seq, c.Previous, c.At.UnixMilli()), c.Head...)
}

func signedBy(public ed25519.PublicKey, c store.Checkpoint) bool {
	return len(public) == ed25519.PublicKeySize && ed25519.Verify(public, message(c), c.Signature)
}
