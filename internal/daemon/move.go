package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"

	"github.com/gofrs/flock"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/blob"
	"github.com/bctrl-go/bctrl/internal/custody"
	"github.com/bctrl-go/bctrl/internal/seal"
	"github.com/bctrl-go/bctrl/internal/store"
)

// MoveTarget says where data is moved to. What is zero stays where it is.
type MoveTarget struct {
	// Database is the URL of a PostgreSQL database that is empty.
	Database bctrl.Secret
	// Files is a bucket that nobody else has.
	Files *blob.S3Config
}

// MovePlan says what a move has to do, and what is in its way.
type MovePlan struct {
	// Rows lie in so many Tables.
	Rows, Tables int64
	// Files have so many Bytes. Present are those that are in the bucket already.
	Files, Bytes, Present int64
	// Resumed is set where an earlier move of the same rows goes on.
	Resumed bool
	// Log is what verifying the audit log has found, which moves as it is.
	Log bctrl.AuditReport
	// InTheWay are why the move cannot begin.
	InTheWay []error
}

// Mover moves the data of a directory that no server uses into a database and a bucket. Nothing of
// the directory changes. What it is moved to is no server's until all of it is there.
type Mover struct {
	cfg   Config
	to    MoveTarget
	tell  func(format string, args ...any)
	lock  *flock.Flock
	rows  *seal.Rows
	key   seal.Key
	owner string
	log   bctrl.AuditReport

	source *store.DB
	move   *store.Move // nil where the rows stay
	disk   *blob.Disk  // nil where the files stay
	bucket *blob.S3
	files  []blob.Blob
	plan   MovePlan
}

// OpenMover looks at what there is to move, and at where it is moved to, and makes nothing there.
// Tell is told of each step. Its error is of the data: [ErrInUse], [ErrNoData],
// [custody.ErrPassphraseNeeded], [seal.ErrWrongKey] and more. What is wrong with the target is in
// the plan.
func OpenMover(
	ctx context.Context, cfg Config, to MoveTarget, tell func(format string, args ...any),
) (_ *Mover, err error) {
	m := &Mover{cfg: cfg, to: to, tell: tell, rows: &seal.Rows{}}
	m.cfg.Database = bctrl.Secret{}
	if err := m.cfg.FindData(); err != nil {
		return nil, err
	}
	if err := m.cfg.completeFiles(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.Close())
		}
	}()
	if m.lock, err = lockData(cfg.DataDir); err != nil {
		return nil, err
	}
	if err := m.openSource(ctx); err != nil {
		return nil, err
	}
	m.openTarget(ctx)
	return m, nil
}

// openSource opens and verifies the data.
func (m *Mover) openSource(ctx context.Context) (err error) {
	if m.source, err = store.OpenUntouched(ctx, databaseIn(m.cfg.DataDir), m.rows); err != nil {
		return err
	}
	if m.key, err = custody.Key(ctx, m.cfg.custody(m.source, m.rows, nil)); err != nil {
		return err
	}
	if err := custody.UnlockRows(ctx, m.source, m.key, m.rows); err != nil {
		return err
	}
	if m.owner, err = m.source.Read().OperatorID(ctx); err != nil {
		return fmt.Errorf("asking whose the data is: %w", err)
	}
	m.tell("Verifying the audit log of %s", m.cfg.DataDir)
	if m.log, err = m.verify(ctx, m.source); err != nil {
		return err
	}
	m.plan.Log = m.log
	return nil
}

func (m *Mover) verify(ctx context.Context, db *store.DB) (report bctrl.AuditReport, err error) {
	found, err := audit.Verify(ctx, audit.VerifyConfig{DB: db, Key: m.key, Head: audit.HeadFile(m.cfg.HeadFile)})
	if err == nil {
		report = found.All()
	}
	return report, err
}

// openTarget opens where the data is moved to. What is wrong with it is in the plan.
func (m *Mover) openTarget(ctx context.Context) {
	if !m.to.Database.IsZero() {
		m.inTheWay(m.openDatabase(ctx))
	}
	if m.to.Files != nil {
		m.inTheWay(m.openFiles(ctx))
	}
}

func (m *Mover) inTheWay(err error) {
	if err != nil {
		m.plan.InTheWay = append(m.plan.InTheWay, err)
	}
}

func (m *Mover) openDatabase(ctx context.Context) (err error) {
	if m.move, err = store.OpenMove(ctx, databaseIn(m.cfg.DataDir), m.to.Database.Expose()); err != nil {
		return err
	}
	plan := m.move.Plan()
	m.plan.Rows, m.plan.Tables, m.plan.Resumed = plan.Rows, plan.Tables, plan.Resumed
	return nil
}

// Plan says what the move has to do.
func (m *Mover) Plan() MovePlan { return m.plan }

// Run moves what is not there yet, and returns once all of it is there, was compared with what it
// is a copy of, and can be served. A move that ended before that goes on at the next one.
func (m *Mover) Run(ctx context.Context) error {
	if err := errors.Join(m.plan.InTheWay...); err != nil {
		return err
	}
	if m.bucket != nil {
		if err := m.copyFiles(ctx); err != nil {
			return err
		}
	}
	if m.move != nil {
		if err := m.copyRows(ctx); err != nil {
			return err
		}
	}
	// Both were compared: now they are given to a server. Where this ends between them, the rows wait
	// for the next move.
	if m.bucket != nil {
		if err := m.bucket.EndMove(ctx, m.owner); err != nil {
			return fmt.Errorf("giving the bucket to the server: %w", err)
		}
	}
	if m.move != nil {
		if err := m.move.Finish(ctx); err != nil {
			return fmt.Errorf("giving the database to the server: %w", err)
		}
	}
	return nil
}

// ErrLogDiffers is returned where the audit log that was moved is not verified as that of the data is.
var ErrLogDiffers = errors.New("the audit log that was moved is not the one of the data: begin again with an empty " +
	"database")

// copyRows copies the rows, and compares them and what verifying the log says of them.
func (m *Mover) copyRows(ctx context.Context) error {
	m.tell("Copying %d rows in %d tables", m.plan.Rows, m.plan.Tables)
	if err := m.move.Copy(ctx); err != nil {
		return err
	}
	m.tell("Comparing the rows")
	if err := m.move.Compare(ctx); err != nil {
		return err
	}
	m.tell("Verifying the audit log where it is now")
	return m.move.Target(ctx, m.rows, func(db *store.DB) error {
		report, err := m.verify(ctx, db)
		if err == nil && !sameReport(report, m.log) {
			err = ErrLogDiffers
		}
		return err
	})
}

// sameReport compares what was found in a log and in its copy. Engines give rows in orders of their
// own, and of very many problems each report lists some.
func sameReport(a, b bctrl.AuditReport) bool {
	if int64(len(a.Problems))+a.More != int64(len(b.Problems))+b.More {
		return false
	}
	for _, r := range []*bctrl.AuditReport{&a, &b} {
		if r.More > 0 {
			r.Problems = nil
		}
		r.Problems = slices.SortedFunc(slices.Values(r.Problems), func(p, q bctrl.AuditProblem) int {
			return cmp.Or(cmp.Compare(p.Seq, q.Seq), cmp.Compare(p.Kind, q.Kind), cmp.Compare(p.Record, q.Record))
		})
		r.More = 0
	}
	return reflect.DeepEqual(a, b)
}

// Close lets go of the data and of where it is moved to.
func (m *Mover) Close() error {
	var errs []error
	if m.move != nil {
		errs = append(errs, m.move.Close())
	}
	if m.source != nil {
		errs = append(errs, m.source.CloseReaders())
	}
	if m.disk != nil {
		errs = append(errs, m.disk.Close())
	}
	if m.bucket != nil {
		errs = append(errs, m.bucket.Close())
	}
	m.key.Forget()
	if m.lock != nil {
		errs = append(errs, m.lock.Close())
	}
	return errors.Join(errs...)
}

// blobsIn is where the bytes of files are in a data directory.
func blobsIn(dir string) string { return filepath.Join(dir, "blobs") }

// hasBlobs reports whether a data directory keeps the bytes of files.
func hasBlobs(dir string) bool {
	_, err := os.Stat(blobsIn(dir))
	return err == nil
}
