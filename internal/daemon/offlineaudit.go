package daemon

import (
	"context"
	"errors"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/blob"
	"github.com/bctrl-go/bctrl/internal/seal"
)

// VerifyAudit verifies the audit log of a data directory that no server uses,
// for an operator: of all organizations. Its error wraps [ErrInUse] while a
// server runs, [ErrNoData] where none ever did, and
// [custody.ErrPassphraseNeeded] where the key is that of a passphrase.
func VerifyAudit(ctx context.Context, cfg Config) (report bctrl.AuditReport, err error) {
	err = withAudit(ctx, cfg, func(n audit.NotaryConfig) error {
		found, err := audit.Verify(ctx, audit.VerifyConfig{DB: n.DB, Key: n.Key, Head: n.Head})
		if err == nil {
			report = found.All()
		}
		return err
	})
	return report, err
}

// AcceptAudit lets the audit log of a data directory go on from where it is,
// and records why.
func AcceptAudit(ctx context.Context, cfg Config, why string) error {
	return withAudit(ctx, cfg, func(n audit.NotaryConfig) error { return audit.Accept(ctx, n, why) })
}

// withAudit calls fn with the log of a data directory, and its head.
func withAudit(ctx context.Context, cfg Config, fn func(audit.NotaryConfig) error) (err error) {
	if err := cfg.completeFiles(); err != nil {
		return err
	}
	head, done, err := cfg.openHead(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	return withKey(ctx, cfg, func(o *offline, key seal.Key) error {
		return fn(audit.NotaryConfig{DB: o.store, Key: key, Head: head})
	})
}

// openHead opens the head of a log that no server has open, where that is: in the bucket of a
// cluster, where cfg names it. It is open until done.
func (cfg Config) openHead(ctx context.Context) (head audit.HeadStore, done func() error, err error) {
	var bucket *blob.S3
	done = func() error { return nil }
	if cfg.Files != nil {
		if bucket, err = blob.OpenS3(ctx, *cfg.Files); err != nil {
			return nil, nil, err
		}
		done = bucket.Close
	}
	if head, err = cfg.head(ctx, bucket); err != nil {
		return nil, nil, errors.Join(err, done())
	}
	return head, done, nil
}
