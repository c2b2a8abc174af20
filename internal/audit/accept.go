package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/bctrl-go/bctrl/internal/store"
)

// Accept lets the log go on from where it is, whatever was done to it: after a
// backup was put back on purpose, or the head outside was lost. It records that
// in the log of every organization, with why, and signs the log as it is, so
// that a server starts on it. What was changed inside stays a problem of every
// later [Verify].
func Accept(ctx context.Context, cfg NotaryConfig, why string) error {
	orgs, err := cfg.DB.Read().Organizations(ctx)
	if err != nil {
		return fmt.Errorf("accepting the audit log: %w", err)
	}
	by, err := signersOf(ctx, cfg.DB.Read(), cfg.Key)
	if err != nil {
		return fmt.Errorf("accepting the audit log: %w", err)
	}
	n := &Notary{cfg: cfg, by: by}
	if err := n.lastGood(ctx); err != nil {
		return fmt.Errorf("accepting the audit log: %w", err)
	}
	// The head is replaced, whatever it says: which is refused where a server does so meanwhile.
	if _, n.state, err = cfg.Head.ReadHead(ctx); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("accepting the audit log: %w", err)
	}
	err = cfg.DB.Write(ctx, func(tx *store.Tx) error {
		// A checkpoint of another history would be a problem of every later verification.
		if err := tx.DeleteCheckpointsAfter(ctx, n.last.Seq); err != nil {
			return err
		}
		for _, org := range append(orgs, store.Organization{}) { // "" for what is nobody's
			if err := Append(tx, Event{
				Org:      org.ID,
				Caller:   "operator",
				Action:   Accepted,
				Object:   why,
				Decision: Allowed,
				Outcome:  OK,
			}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("accepting the audit log: %w", err)
	}
	return n.checkpoint(ctx)
}

// lastGood finds the newest checkpoint that the key signed and whose hash the log
// has.
func (n *Notary) lastGood(ctx context.Context) error {
	q := n.cfg.DB.Read()
	for seq := int64(0); ; {
		c, err := q.NextCheckpoint(ctx, seq)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		hash, err := q.HeadAt(ctx, c.Seq)
		if errors.Is(err, store.ErrNotFound) || err == nil && (!bytes.Equal(hash, c.Head) || !n.by.haveSigned(c)) {
			return nil
		}
		if err != nil {
			return err
		}
		n.last, seq = c, c.Seq
	}
}
