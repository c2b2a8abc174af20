package store

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"github.com/bctrl-go/bctrl"
)

// Folder sums up everything below a folder, at any depth.
type Folder struct {
	// Path ends in a slash; it is empty for the whole namespace.
	Path       string
	FileCount  int64
	TotalBytes int64
}

func scanFolder(row scanner) (f Folder, err error) {
	return f, row(&f.Path, &f.FileCount, &f.TotalBytes)
}

// StorageUsage sums up a namespace; one without files is zero.
func (q Queries) StorageUsage(ctx context.Context, org, namespace string) (bctrl.StorageUsage, error) {
	f, err := one(ctx, q, scanFolder, "SELECT path, file_count, total_bytes FROM folders WHERE org_id = $1 "+
		"AND namespace = $2 AND path = ''",
		org, namespace)
	if errors.Is(err, ErrNotFound) {
		err = nil
	}
	return bctrl.StorageUsage{Namespace: namespace, FileCount: f.FileCount, TotalBytes: f.TotalBytes}, err
}

// HoldsFiles reports whether a namespace holds any file. It looks for a file, since
// nothing proves the sums of folders.
func (q Queries) HoldsFiles(ctx context.Context, org, namespace string) (bool, error) {
	return one(ctx, q, func(row scanner) (holds bool, err error) { return holds, row(&holds) },
		"SELECT EXISTS (SELECT 1 FROM objects WHERE org_id = $1 AND namespace = $2)", org, namespace)
}

// PathRange selects paths in byte order.
type PathRange struct {
	// Prefix is the start of the paths, whether or not it ends at a slash.
	Prefix string
	// After is the last path of the page before, of a file or a folder.
	After string
	Limit int
}

// pathTop is above the rest of every path: 257 times the highest character,
// where a path has at most 1024 bytes.
var pathTop = strings.Repeat("\U0010FFFF", 257)

// from and to bound the range, from included and to not. With one bound on each
// side SQLite enters an index where the page begins.
func (r PathRange) from() string { return max(r.Prefix, pathAfter(r.After)) }
func (r PathRange) to() string   { return r.Prefix + pathTop }

// pathAfter is the lowest text above a path that a path can have: no path
// holds a control character.
func pathAfter(path string) string {
	if path == "" {
		return ""
	}
	return path + "\x01"
}

// Files lists the files in a range, at any depth.
func (q Queries) Files(ctx context.Context, org, namespace string, r PathRange) ([]Object, error) {
	return q.manyObjects(ctx, `
		WHERE org_id = $1 AND namespace = $2 AND path >= $3 AND path < $4 ORDER BY path LIMIT $5`,
		org, namespace, r.from(), r.to(), r.Limit)
}

// FilesIn lists the files that lie in a folder itself.
func (q Queries) FilesIn(ctx context.Context, org, namespace string, r PathRange) ([]Object, error) {
	return q.manyObjects(ctx, `
		WHERE org_id = $1 AND namespace = $2 AND folder = $3 AND path >= $4 AND path < $5 ORDER BY path LIMIT $6`,
		org, namespace, folderOf(r.Prefix), r.from(), r.to(), r.Limit)
}

// FoldersIn lists the folders that lie in a folder itself.
func (q Queries) FoldersIn(ctx context.Context, org, namespace string, r PathRange) ([]Folder, error) {
	return many(ctx, q, scanFolder, `SELECT path, file_count, total_bytes FROM folders
		WHERE org_id = $1 AND namespace = $2 AND parent = $3 AND path >= $4 AND path < $5 ORDER BY path LIMIT $6`,
		org, namespace, folderOf(r.Prefix), r.from(), r.to(), r.Limit)
}

// addToFolders changes the sums of every folder above a file. A folder without
// files is gone.
func (tx *Tx) addToFolders(ctx context.Context, org, namespace, path string, files, bytes int64) error {
	for folder := folderOf(path); ; folder = folderOf(strings.TrimSuffix(folder, "/")) {
		parent := sql.NullString{String: folderOf(strings.TrimSuffix(folder, "/")), Valid: folder != ""}
		if _, err := tx.exec(ctx, `INSERT INTO folders (org_id, namespace, path, parent, file_count, total_bytes)
			VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (org_id, namespace, path) DO UPDATE
			SET file_count = folders.file_count + excluded.file_count, total_bytes = folders.total_bytes + excluded.total_bytes`,
			org, namespace, folder, parent, files, bytes); err != nil {
			return err
		}
		if files < 0 {
			if _, err := tx.exec(ctx,
				"DELETE FROM folders WHERE org_id = $1 AND namespace = $2 AND path = $3 AND file_count = 0",
				org, namespace, folder); err != nil {
				return err
			}
		}
		if folder == "" {
			return nil
		}
	}
}

// folderOf is the path up to and including its last slash.
func folderOf(path string) string { return path[:strings.LastIndexByte(path, '/')+1] }
