package server

import (
	"context"
	"errors"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// OfflineKeys administers the keys of the operator's organization in the store of a
// server that does not run, for whoever has its data directory. Its methods do what
// the routes do, and record it as done by the operator. Their errors are those of the
// routes, or of the store.
type OfflineKeys struct {
	// DB is the store, unlocked.
	DB *store.DB
}

// Create makes a key. Its text is in the answer and nowhere else.
func (o OfflineKeys) Create(ctx context.Context, label string) (out wire.NewKey, err error) {
	err = o.change(ctx, access.KeyWrite, func(tx *store.Tx, ev *audit.Event) error {
		out, err = addKey(ctx, tx, label, ev)
		return err
	})
	return out, err
}

// List returns all keys, revoked ones too, oldest first.
func (o OfflineKeys) List(ctx context.Context) ([]wire.Key, error) {
	org, err := o.organization(ctx)
	if err != nil {
		return nil, err
	}
	var out []wire.Key
	for after := ""; ; after = out[len(out)-1].ID {
		rows, err := o.DB.Read().APIKeys(ctx, org, after, 1000)
		if err != nil || len(rows) == 0 {
			return out, err
		}
		for _, k := range rows {
			out = append(out, describeKey(k))
		}
	}
}

// Revoke revokes a key. The last good one is refused.
func (o OfflineKeys) Revoke(ctx context.Context, id string) (out wire.Key, err error) {
	err = o.change(ctx, access.KeyWrite, func(tx *store.Tx, ev *audit.Event) error {
		out, err = endKey(ctx, tx, id, ev)
		return err
	})
	return out, err
}

// operator is what the audit log calls whoever works on the data directory itself.
const operator = "operator"

func (o OfflineKeys) change(ctx context.Context, verb access.Verb, fn func(*store.Tx, *audit.Event) error) error {
	org, err := o.organization(ctx)
	if err != nil {
		return err
	}
	return o.DB.Write(ctx, func(tx *store.Tx) error {
		ev := audit.Event{
			Org:      org,
			Caller:   operator,
			Action:   string(verb),
			Decision: audit.Allowed,
			Outcome:  audit.OK,
		}
		if err := fn(tx, &ev); err != nil {
			return err
		}
		return audit.Append(tx, ev)
	})
}

func (o OfflineKeys) organization(ctx context.Context) (string, error) {
	org, err := o.DB.Read().OperatorOrganization(ctx)
	if errors.Is(err, store.ErrNotFound) {
		return "", &bctrl.Error{
			Code:    "keys.no_organization",
			Message: "the data directory has no organization",
			Hint:    "bctrl serve makes it",
		}
	}
	return org.ID, err
}
