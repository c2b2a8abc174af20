package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/seal"
)

// VerifyAudit verifies the audit log of a data directory that no server uses,
// for an operator: of all organizations. Its error wraps [ErrInUse] while a
// server runs, and [ErrNoData] where none ever did.
func VerifyAudit(ctx context.Context, cfg Config) (report bctrl.AuditReport, err error) {
	err = withAudit(ctx, cfg, func(n audit.NotaryConfig) error {
		found, err := audit.Verify(ctx, audit.VerifyConfig{DB: n.DB, Key: n.Key, HeadFile: n.HeadFile})
		if err == nil {
			report = found.Whole()
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

func withAudit(ctx context.Context, cfg Config, fn func(audit.NotaryConfig) error) (err error) {
	head, err := cfg.headFile()
	if err != nil {
		return err
	}
	// Before the key: it would be made where there is no data.
	if _, err := os.Stat(databaseIn(cfg.DataDir)); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w", cfg.DataDir, ErrNoData)
	}
	offline, err := OpenOffline(ctx, cfg.DataDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, offline.Close()) }()
	var key seal.Key
	if key, err = openKey(cfg, databaseIn(cfg.DataDir)); err != nil {
		return err
	}
	return fn(audit.NotaryConfig{DB: offline.store, Key: key, HeadFile: head})
}
