package store

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/tuple"
)

// Object is one version of a stored file. Its bytes are a blob.
type Object struct {
	ID, Namespace, Path string
	BlobID              string
	// SHA256 is in lower-case hexadecimal.
	SHA256                string
	SizeBytes             int64
	ContentType, Filename string
	Source                bctrl.StorageSource
	// RuntimeID, Driver and Target say which runtime made it; empty otherwise.
	RuntimeID string
	Driver    bctrl.Driver
	Target    string
	CreatedAt time.Time
}

const objectColumns = `org_id, id, namespace, path, folder, blob_id, sha256, size_bytes, content_type, filename, source,
	runtime_id, driver, target, created_at, proof`

func scanObject(row scanner) (Object, provenRow, error) { return scanObjects()(row) }

// scanObjects is a scan of rows one after the other, which share its memory.
func scanObjects() provenScan[Object] {
	var (
		o       Object
		p       = provenRow{kind: KindObject, cells: tuple.New(640)}
		folder  string
		created int64
		dest    = []any{
			&p.org, &o.ID, &o.Namespace, &o.Path, &folder, &o.BlobID, &o.SHA256, &o.SizeBytes, &o.ContentType, &o.Filename,
			(*string)(&o.Source), &o.RuntimeID, (*string)(&o.Driver), &o.Target, &created, &p.proof,
		}
	)
	return func(row scanner) (Object, provenRow, error) {
		o = Object{}
		err := row(dest...)
		o.CreatedAt = fromMillis(created)
		p.uid, p.cells = o.ID, o.appendCells(p.cells[:0], p.org, folder)
		return o, p, err
	}
}

func (o Object) cells(org, folder string) tuple.Encoding {
	return o.appendCells(tuple.New(640), org, folder)
}

func (o *Object) appendCells(to tuple.Encoding, org, folder string) tuple.Encoding {
	return to.Text(KindObject, org, o.ID, o.Namespace, o.Path, folder, o.BlobID, o.SHA256).Number(o.SizeBytes).
		Text(o.ContentType, o.Filename, string(o.Source), o.RuntimeID, string(o.Driver), o.Target).Number(millis(o.CreatedAt))
}

// objectRecord is the record of a version, which never changes.
func objectRecord(org, id string, row tuple.Encoding) Record {
	return recordOf(KindObject, org, id, 1, row)
}

// Object returns the file at a path.
func (q Queries) Object(ctx context.Context, org, namespace, path string) (Object, error) {
	return one(ctx, q, newest(q, scanObject),
		"SELECT "+objectColumns+newestEvent(KindObject, "objects")+
			" FROM objects WHERE org_id = $1 AND namespace = $2 AND path = $3", org, namespace, path)
}

// ObjectByID returns the version of a file that has this id.
func (q Queries) ObjectByID(ctx context.Context, org, id string) (Object, error) {
	return one(ctx, q, newest(q, scanObject),
		"SELECT "+objectColumns+newestEvent(KindObject, "objects")+" FROM objects WHERE org_id = $1 AND id = $2", org, id)
}

// EachFile calls fn with every file of all organizations, one at a time.
func (q Queries) EachFile(ctx context.Context, fn func(Object) error) error {
	return each(ctx, q, checked(q, scanObject), fn, "SELECT "+objectColumns+" FROM objects ORDER BY id")
}

// NewestFile returns the file that was stored last, of any organization. Nobody has checked it: it is for
// who looks where files are.
func (q Queries) NewestFile(ctx context.Context) (Object, error) {
	return one(ctx, q.Unproven(), checked(q.Unproven(), scanObject),
		"SELECT "+objectColumns+" FROM objects ORDER BY created_at DESC, id DESC LIMIT 1")
}

// OwnFile is a file by its id, and the organization that has it.
type OwnFile struct{ Org, ID string }

// FilesBefore returns files of a source that were stored before a time, the oldest first. Nobody has checked
// them: whoever removes one reads it by its id first.
func (q Queries) FilesBefore(
	ctx context.Context, source bctrl.StorageSource, before time.Time, limit int,
) ([]OwnFile, error) {
	return many(ctx, q, func(row scanner) (f OwnFile, err error) { return f, row(&f.Org, &f.ID) },
		"SELECT org_id, id FROM objects WHERE source = $1 AND created_at < $2 ORDER BY created_at, id LIMIT $3",
		string(source), millis(before), limit)
}

// PutObject writes a file in place of what has its path, and returns the blob
// of the version it replaced, or "". Ending is called before that version is
// removed, to record its end.
func (tx *Tx) PutObject(
	ctx context.Context, org string, o Object, ending func(old Object) error,
) (replaced string, err error) {
	row := o.cells(org, folderOf(o.Path))
	proof, err := tx.prove(KindObject, row, false)
	if err != nil {
		return "", err
	}
	old, err := tx.Object(ctx, org, o.Namespace, o.Path)
	switch {
	case errors.Is(err, ErrNotFound):
		tx.wroteRecord(objectRecord(org, o.ID, row))
		_, err = tx.exec(ctx, "INSERT INTO objects ("+objectColumns+`)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)`,
			org, o.ID, o.Namespace, o.Path, folderOf(o.Path), o.BlobID, o.SHA256, o.SizeBytes, o.ContentType, o.Filename,
			string(o.Source), o.RuntimeID, string(o.Driver), o.Target, millis(o.CreatedAt), proof)
		if err != nil {
			return "", err
		}
		return "", tx.addToFolders(ctx, org, o.Namespace, o.Path, 1, o.SizeBytes)
	case err != nil:
		return "", err
	}
	tx.wroteRecord(deleted(KindObject, org, old.ID))
	if err := ending(old); err != nil {
		return "", err
	}
	tx.wroteRecord(objectRecord(org, o.ID, row))
	err = tx.execChanging(ctx, `UPDATE objects
		SET id = $1, blob_id = $2, sha256 = $3, size_bytes = $4, content_type = $5, filename = $6,
		source = $7, runtime_id = $8, driver = $9, target = $10, created_at = $11, proof = $12
		WHERE org_id = $13 AND namespace = $14 AND path = $15`,
		o.ID, o.BlobID, o.SHA256, o.SizeBytes, o.ContentType, o.Filename,
		string(o.Source), o.RuntimeID, string(o.Driver), o.Target, millis(o.CreatedAt), proof, org, o.Namespace, o.Path)
	if err == nil && o.SizeBytes != old.SizeBytes {
		err = tx.addToFolders(ctx, org, o.Namespace, o.Path, 0, o.SizeBytes-old.SizeBytes)
	}
	return old.BlobID, err
}

// DeleteObject removes a file. Its blob is the caller's to delete, once this
// is durable.
func (tx *Tx) DeleteObject(ctx context.Context, org string, o Object) error {
	tx.wroteRecord(deleted(KindObject, org, o.ID))
	if err := tx.execChanging(ctx, "DELETE FROM objects WHERE org_id = $1 AND id = $2", org, o.ID); err != nil {
		return err
	}
	return tx.addToFolders(ctx, org, o.Namespace, o.Path, -1, -o.SizeBytes)
}

// UnknownBlobs returns those of the blobs that no file has.
func (q Queries) UnknownBlobs(ctx context.Context, ids []string) ([]string, error) {
	var unknown []string
	for _, id := range ids {
		_, err := one(ctx, q, func(row scanner) (found string, err error) { return found, row(&found) },
			"SELECT blob_id FROM objects WHERE blob_id = $1", id)
		switch {
		case errors.Is(err, ErrNotFound):
			unknown = append(unknown, id)
		case err != nil:
			return nil, err
		}
	}
	return unknown, nil
}

// ObjectFilter selects files by what is known of them. Empty fields match
// everything.
type ObjectFilter struct {
	Namespace string
	RuntimeID string
	Source    bctrl.StorageSource
	Driver    bctrl.Driver
	Target    string
	// PathPrefix is the start of the paths, whether or not it ends at a slash.
	PathPrefix string
	// AfterNamespace and AfterPath name the last file of the page before.
	AfterNamespace, AfterPath string
	// Offset skips files after that. It costs what it skips.
	Offset, Limit int
}

// Objects lists files by namespace, then by path.
func (q Queries) Objects(ctx context.Context, org string, f ObjectFilter) ([]Object, error) {
	paths := PathRange{Prefix: f.PathPrefix}
	if f.Namespace != "" {
		paths.After = f.AfterPath
	}
	where := ` WHERE org_id = $1 AND path >= $2 AND path < $3
		AND ($4 = '' OR source = $4) AND ($5 = '' OR driver = $5) AND ($6 = '' OR target = $6)`
	args := []any{org, paths.from(), paths.to(), string(f.Source), string(f.Driver), f.Target,
		f.RuntimeID, f.Limit, f.Offset}
	// The texts are few: statements are prepared once each.
	if f.RuntimeID == "" {
		where += " AND $7 = ''"
	} else {
		where += " AND runtime_id = $7 AND runtime_id <> ''" // as the index has it
	}
	if f.Namespace == "" {
		where += " AND (namespace, path) > ($10, $11)"
		args = append(args, f.AfterNamespace, f.AfterPath)
	} else {
		where += " AND namespace = $10"
		args = append(args, f.Namespace)
	}
	return q.manyObjects(ctx, where+" ORDER BY namespace, path LIMIT $8 OFFSET $9", args...)
}

// manyObjects lists files by namespace, then by path, which is the order of the clauses too.
func (q Queries) manyObjects(ctx context.Context, clauses string, args ...any) ([]Object, error) {
	list, err := manyPacked(ctx, q, scanObjects, objectColumns, " FROM objects"+clauses, args...)
	byPath := func(a, b Object) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Path, b.Path))
	}
	if !slices.IsSortedFunc(list, byPath) {
		slices.SortFunc(list, byPath)
	}
	return list, err
}
