package command

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bctrl-go/bctrl"
)

// folderPath is a path as the prefix of what lies below it; empty for all of a
// namespace.
func folderPath(path string) string {
	if path == "" || strings.HasSuffix(path, "/") {
		return path
	}
	return path + "/"
}

// filesBelow ranges over the files of a folder in storage. None is an error: it
// is a typing error more often than an empty folder, which storage does not have.
func filesBelow(ctx context.Context, client *bctrl.Client, folder location) iter.Seq2[location, error] {
	return func(yield func(location, error) bool) {
		folder.path = folderPath(folder.path)
		none := true
		for item, err := range client.Storage(folder.namespace).Browse(ctx, bctrl.BrowseOptions{Prefix: folder.path}) {
			if err != nil {
				yield(location{}, about(folder.String(), err))
				return
			}
			none = false
			if !yield(location{folder.namespace, item.Path}, nil) {
				return
			}
		}
		if none {
			yield(location{}, fmt.Errorf("%s: there are no files in it", folder))
		}
	}
}

// uploadTree copies a local directory into a folder in storage.
func (c *cli) uploadTree(cmd *cobra.Command, from string, to location, o copyOptions) error {
	if info, err := os.Stat(from); err != nil {
		return usageError{err}
	} else if !info.IsDir() {
		return usagef("%s is no directory: copy it without -r", printable(from))
	}
	return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
		upload := func(name string) (bctrl.StorageObject, error) {
			f, err := os.Open(filepath.Join(from, filepath.FromSlash(name)))
			if err != nil {
				return bctrl.StorageObject{}, err
			}
			defer f.Close()
			object, err := store(ctx, cmd, client, f, location{to.namespace, folderPath(to.path) + name}, o)
			if err != nil {
				return bctrl.StorageObject{}, err
			}
			return *object, nil
		}
		return c.listCopied(cmd, func(yield func(bctrl.StorageObject, error) bool) {
			err := fs.WalkDir(os.DirFS(from), ".", func(name string, entry fs.DirEntry, err error) error {
				if err != nil || !entry.Type().IsRegular() {
					return err
				}
				object, err := upload(name)
				if err == nil && !yield(object, nil) {
					err = fs.SkipAll
				}
				return err
			})
			if err != nil {
				yield(bctrl.StorageObject{}, err)
			}
		})
	})
}

// downloadTree copies a folder in storage into a local directory, which it makes.
func (c *cli) downloadTree(cmd *cobra.Command, from location, to string, o copyOptions) error {
	switch {
	case o.contentType != "":
		return usageError{errors.New("--content-type is for an upload")}
	case to == "" || to == standardStream:
		return usageError{errors.New("with -r the destination is a directory: a dot is this one")}
	}
	return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
		if err := os.MkdirAll(to, 0o777); err != nil { //nolint:gosec // the umask of who calls it decides, as for mkdir
			return err
		}
		root, err := os.OpenRoot(to)
		if err != nil {
			return err
		}
		defer root.Close()
		download := func(file location) (bctrl.StorageObject, error) {
			local, err := localFile(root, strings.TrimPrefix(file.path, folderPath(from.path)))
			if err != nil {
				return bctrl.StorageObject{}, err
			}
			r, err := client.Storage(file.namespace).Open(ctx, file.path)
			if err != nil {
				return bctrl.StorageObject{}, err
			}
			defer r.Close()
			return r.Object, fetch(cmd, r, local, o)
		}
		return c.listCopied(cmd, func(yield func(bctrl.StorageObject, error) bool) {
			for file, err := range filesBelow(ctx, client, from) {
				var object bctrl.StorageObject
				if err == nil {
					if object, err = download(file); err != nil {
						err = about(file.String(), err)
					}
				}
				if !yield(object, err) || err != nil {
					return
				}
			}
		})
	})
}

// localFile is where a stored file goes below a directory, made as far as it is
// missing. A name in storage leads out of it neither by itself nor by a link that
// lies there.
func localFile(root *os.Root, name string) (string, error) {
	local, err := filepath.Localize(name)
	if err != nil {
		return "", fmt.Errorf("%s is no name of a file here", printable(name))
	}
	if err := root.MkdirAll(filepath.Dir(local), 0o777); err != nil {
		return "", err
	}
	if info, err := root.Stat(filepath.Dir(local)); err != nil {
		return "", err
	} else if !info.IsDir() {
		return "", fmt.Errorf("%s is no directory", printable(path.Dir(name)))
	}
	return filepath.Join(root.Name(), local), nil
}

// listCopied copies file after file and says which.
func (c *cli) listCopied(cmd *cobra.Command, copies iter.Seq2[bctrl.StorageObject, error]) error {
	if c.json || len(c.fields) > 0 {
		return list[bctrl.StorageObject](c, cmd, copies)
	}
	for object, err := range copies {
		if err != nil {
			return err
		}
		note(cmd, "%s, %s.", location{object.Workspace, object.LogicalPath}, size(object.SizeBytes))
	}
	return nil
}
