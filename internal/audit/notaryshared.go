package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bctrl-go/bctrl/internal/store"
)

// runShared signs each second what all servers have written, while this one leads.
func (n *Notary) runShared() {
	ticker := time.NewTicker(checkpointAge)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-n.stop:
			return
		}
		if !n.cfg.Leads() {
			continue
		}
		if err := n.checkpointShared(context.Background()); err != nil {
			n.cfg.Log.Error("the head of the audit log could not be kept", "error", err)
		}
	}
}

// checkpointShared signs where the lanes stand in the database, after the newest
// checkpoint there, whoever has signed it.
func (n *Notary) checkpointShared(ctx context.Context) error {
	last, err := n.cfg.DB.Read().LastEvent(ctx)
	if err != nil {
		return fmt.Errorf("signing the audit log: %w", err)
	}
	if last == n.last.Seq {
		return n.keepShared(ctx)
	}
	var c store.Checkpoint
	err = n.cfg.DB.Write(ctx, func(tx *store.Tx) error {
		if err := n.checkKey(ctx, tx); err != nil {
			return err
		}
		newest, err := tx.NewestCheckpoint(ctx)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		end, err := tx.LogEnd(ctx)
		if err != nil {
			return err
		}
		if c = newest; end.Seq == newest.Seq {
			return nil
		}
		if c, err = n.signAfter(newest.Seq, end); err != nil {
			return err
		}
		return tx.InsertCheckpoint(ctx, c)
	})
	if err != nil {
		return fmt.Errorf("signing the audit log: %w", err)
	}
	n.kept = n.kept && n.last.Seq == c.Seq
	n.last = c
	return n.keepShared(ctx)
}

// errKeyReplaced is the end of a notary whose key another server has exchanged.
var errKeyReplaced = errors.New("the key was rotated on another server, and this one's signs nothing more")

// checkKey requires that the notary's key is still the one in use.
func (n *Notary) checkKey(ctx context.Context, tx *store.Tx) error {
	keys, err := tx.SealKeys(ctx)
	if err == nil && len(keys) > 0 && keys[0].ID != n.cfg.Key.ID() {
		err = errKeyReplaced
	}
	return err
}

// keepShared keeps the last checkpoint outside, unless a newer one is there already. The
// server that led before may have written there last.
func (n *Notary) keepShared(ctx context.Context) error {
	if n.kept {
		return nil
	}
	err := n.keep(ctx)
	if !errors.Is(err, ErrHeadMoved) {
		return err
	}
	outside, state, err := readHead(ctx, n.cfg.Head, n.by)
	if err != nil {
		return err
	}
	hash, err := n.cfg.DB.Read().HeadAt(ctx, outside.Seq)
	if errors.Is(err, store.ErrNotFound) || err == nil && !bytes.Equal(hash, outside.Head) {
		return ErrOlder
	}
	if err != nil {
		return err
	}
	n.state = state
	n.tellKept(outside.Seq)
	if n.kept = outside.Seq >= n.last.Seq; n.kept {
		return nil
	}
	return n.keep(ctx)
}
