package custody

import (
	"context"
	"errors"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/seal"
	"github.com/bctrl-go/bctrl/internal/store"
)

// dataKeys lets the keyring keep its wrapped keys in the store.
type dataKeys struct{ db *store.DB }

func (d dataKeys) DEK(ctx context.Context, scope string) (seal.WrappedDEK, bool, error) {
	k, err := d.db.Read().DEK(ctx, scope)
	if errors.Is(err, store.ErrNotFound) {
		return seal.WrappedDEK{}, false, nil
	}
	return wrapped(k), err == nil, err
}

func (d dataKeys) CreateDEK(ctx context.Context, k seal.WrappedDEK) (seal.WrappedDEK, error) {
	err := d.db.Write(ctx, func(tx *store.Tx) error {
		// Another server may have exchanged the key, and nobody has this one any more.
		if now, err := stateOf(ctx, tx.Queries); err != nil {
			return err
		} else if now.sealed() && now.id != k.KeyID {
			return seal.ErrWrongKey
		}
		if err := tx.InsertDEK(ctx, store.DEK{
			Scope:     k.Scope,
			ID:        k.ID,
			KEKID:     k.KeyID,
			Wrapped:   k.Sealed,
			CreatedAt: store.Now(),
		}); err != nil {
			return err
		}
		return audit.Append(tx, scoped(created, k.Scope, k.Scope))
	})
	if errors.Is(err, store.ErrExists) {
		k, _, err = d.DEK(ctx, k.Scope)
	}
	return k, err
}

func wrapped(k store.DEK) seal.WrappedDEK {
	return seal.WrappedDEK{
		ID:     k.ID,
		Scope:  k.Scope,
		KeyID:  k.KEKID,
		Sealed: k.Wrapped,
	}
}

// scoped is an event of what happens to the data key of a scope.
func scoped(action, scope, object string) audit.Event {
	e := event(action, object)
	if scope != ServerScope {
		e.Org = scope
	}
	return e
}

// state is what the data says about the key that it is sealed under.
type state struct {
	// id is that of the key; empty where nothing was ever sealed.
	id string
	// rows are the keys so far, the newest first.
	rows []store.SealKey
}

// sealed reports whether anything was ever sealed.
func (s state) sealed() bool { return s.id != "" }

// source is what the key in use came from; empty where that is not known.
func (s state) source() bctrl.SealSource {
	if len(s.rows) == 0 {
		return ""
	}
	return bctrl.SealSource(s.rows[0].Source)
}

func stateOf(ctx context.Context, q store.Queries) (s state, err error) {
	if s.rows, err = q.SealKeys(ctx); err != nil {
		return s, err
	}
	if len(s.rows) > 0 {
		s.id = s.rows[0].ID
		return s, nil
	}
	dek, err := q.DEK(ctx, ServerScope) // of a server that did not keep its keys' ids
	if errors.Is(err, store.ErrNotFound) {
		return s, nil
	}
	s.id = dek.KEKID
	return s, err
}
