package daemon

import (
	"context"
	"errors"
	"fmt"

	"github.com/bctrl-go/bctrl/internal/blob"
	"github.com/bctrl-go/bctrl/internal/store"
)

// claimBucket makes sure that no other installation has the bucket: it would take each
// file of this one for an orphan.
func (d *Daemon) claimBucket(ctx context.Context) error {
	if d.bucket == nil {
		return nil
	}
	id, err := d.store.Read().OperatorID(ctx)
	if err != nil {
		return fmt.Errorf("asking whose the bucket for files is: %w", err)
	}
	return d.bucket.Claim(ctx, id)
}

// checkBucket refuses a bucket of another installation, and one that is nobody's where the files or the
// other nodes are in another, before anything in it is believed.
func (d *Daemon) checkBucket(ctx context.Context) error {
	if d.bucket == nil {
		return nil
	}
	id, err := d.store.Read().OperatorID(ctx)
	if errors.Is(err, store.ErrNotFound) {
		return nil // the first run
	}
	if err != nil {
		return fmt.Errorf("asking whose the bucket for files is: %w", err)
	}
	owner, err := d.bucket.Owner(ctx)
	if err != nil {
		return err
	}
	if owner != "" {
		return d.bucket.Claim(ctx, id)
	}
	return d.requireItsFiles(ctx)
}

// errFilesElsewhere is of a bucket that is nobody's, given to a server that has its files in another
// place.
var errFilesElsewhere = errors.New("the files of this server are not in the bucket: name the one that has them, " +
	"or move them there with 'bctrl move --to-files'")

// requireItsFiles refuses a bucket that is nobody's where the files are not, or where other nodes have
// one already.
func (d *Daemon) requireItsFiles(ctx context.Context) error {
	nodes, err := d.store.Read().Nodes(ctx)
	if err != nil {
		return fmt.Errorf("asking for the other nodes: %w", err)
	}
	if len(nodes) > 0 {
		return errFilesElsewhere
	}
	newest, err := d.store.Read().NewestFile(ctx)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking for the files of this server: %w", err)
	}
	there, err := d.bucket.Has(ctx, blob.Blob{ID: newest.BlobID, Size: newest.SizeBytes})
	if err == nil && !there {
		err = errFilesElsewhere
	}
	return err
}
