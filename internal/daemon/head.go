package daemon

import (
	"context"
	"errors"
	"io/fs"

	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/blob"
)

// headNote is the object of the bucket that keeps the head of a cluster's audit log.
const headNote = "head"

// bucketHead keeps the head of the audit log in the bucket, where all nodes see it.
type bucketHead struct{ blob.Note }

var _ audit.HeadStore = bucketHead{}

// ReadHead implements [audit.HeadStore].
func (h bucketHead) ReadHead(ctx context.Context) (text []byte, state string, err error) {
	text, state, err = h.Read(ctx)
	if errors.Is(err, blob.ErrNotFound) {
		err = fs.ErrNotExist
	}
	return text, state, err
}

// WriteHead implements [audit.HeadStore].
func (h bucketHead) WriteHead(ctx context.Context, text []byte, state string) (newState string, err error) {
	newState, err = h.Write(ctx, text, state)
	if errors.Is(err, blob.ErrMoved) {
		err = audit.ErrHeadMoved
	}
	return newState, err
}

// head is where the server keeps the head: in a cluster, and where one has been before, in
// the bucket; else in the file. A cluster begins with what the file has.
func (d *Daemon) head(ctx context.Context, cfg Config) (audit.HeadStore, error) {
	return cfg.head(ctx, d.bucket)
}

func (cfg Config) head(ctx context.Context, bucket *blob.S3) (audit.HeadStore, error) {
	file := audit.HeadFile(cfg.HeadFile)
	if bucket == nil {
		return file, nil
	}
	in := bucketHead{bucket.Note(headNote, audit.MaxHead)}
	if cfg.NodeAddress != "" {
		return audit.HeadBefore{HeadStore: in, Before: file}, nil
	}
	_, _, err := in.ReadHead(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return file, nil
	}
	return in, err
}
