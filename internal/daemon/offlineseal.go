package daemon

import (
	"context"
	"errors"
	"log/slog"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/custody"
	"github.com/bctrl-go/bctrl/internal/store"
)

// SealStatus says what the data of a directory that no server uses is sealed
// with. It needs no key. Its error wraps [ErrInUse] while a server runs, and
// [ErrNoData] where none ever did.
func SealStatus(ctx context.Context, cfg Config) (status bctrl.SealStatus, err error) {
	o, err := openOffline(ctx, cfg)
	if err != nil {
		return status, err
	}
	defer func() { err = errors.Join(err, o.close()) }()
	return custody.Describe(ctx, o.store.Read())
}

// RotateSeal exchanges the key of a data directory that no server uses, as
// [custody.Custodian.Rotate] does. It takes the present passphrase from cfg. Where cfg names
// the bucket of a cluster, the log's head is signed there.
func RotateSeal(ctx context.Context, cfg Config, given bctrl.Secret) (status bctrl.SealStatus, err error) {
	if err := cfg.completeFiles(); err != nil {
		return status, err
	}
	head, done, err := cfg.openHead(ctx)
	if err != nil {
		return status, err
	}
	defer func() { err = errors.Join(err, done()) }()
	o, err := openOffline(ctx, cfg)
	if err != nil {
		return status, err
	}
	defer func() { err = errors.Join(err, o.close()) }()
	db := o.store
	keys := cfg.custody(db, o.rows, slog.New(slog.DiscardHandler))
	keys.Head = head
	c, err := custody.Open(ctx, keys)
	if err != nil {
		return status, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if c.Locked() {
		return status, custody.ErrPassphraseNeeded
	}
	err = c.Rotate(ctx, given, func(ctx context.Context, write func(*store.Tx) error) error {
		return db.Write(ctx, func(tx *store.Tx) error {
			if err := write(tx); err != nil {
				return err
			}
			return audit.Append(tx, audit.Event{
				Caller:   "operator",
				Action:   "seal.write",
				Object:   "rotate",
				Decision: audit.Allowed,
				Outcome:  audit.OK,
			})
		})
	})
	if err != nil {
		return status, err
	}
	return c.Status(ctx, db.Read())
}
