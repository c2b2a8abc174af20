package command

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bctrl-go/bctrl"
)

func copyStorage(c *cli) *cobra.Command {
	cmd := printing[bctrl.StorageObject](c, &cobra.Command{
		Use:   "cp <from> <to>",
		Short: "Copy a file to or from storage",
		Long: `Copy a file to storage or from it; one of the two is written namespace:path.

A destination that ends in a slash, or is a local directory, takes the name of
the source; - is standard input or output. What is there already is kept, and
the copy refused, without --force.

With -r a folder is copied with everything below it: the destination is the
folder that takes its files, under the paths that they have in it. Links are
not followed. It stops at the first file that cannot be copied.

A download is checked against the file's SHA-256 and appears under its name only
when it is whole; an upload replaces the old file in one step. At a terminal a
bar shows how far it is, unless --quiet.`,
		Example: `  bctrl storage cp report.csv sales:reports/2026/
  bctrl storage cp sales:exports/q1.csv .
  bctrl storage cp sales:exports/q1.csv first-quarter.csv --force
  bctrl storage cp -r sales:old/ backup
  printf 'a,b\n' | bctrl storage cp - sales:exports/tiny.csv --content-type text/csv`,
		Args: arguments(2, 2),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
			found, directive := c.complete(cmd, storedFiles, typed)
			if len(args) < 2 && !strings.Contains(typed, ":") {
				directive &^= cobra.ShellCompDirectiveNoFileComp // local files too
			}
			return found, directive
		},
	})
	var o copyOptions
	cmd.Flags().BoolVarP(&o.force, "force", "f", false, "replace what is there")
	cmd.Flags().BoolVarP(&o.quiet, "quiet", "q", false, "show no bar")
	recursive := cmd.Flags().BoolP("recursive", "r", false, "copy a folder with everything below it")
	cmd.Flags().StringVar(&o.contentType, "content-type", "", "`type` of an uploaded file (default: the server's guess)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		from, down := parseLocation(args[0])
		to, up := parseLocation(args[1])
		switch {
		case down && up:
			return usageError{errors.New("both are in storage: copy to a local file first")}
		case up && *recursive:
			return c.uploadTree(cmd, args[0], to, o)
		case down && *recursive:
			return c.downloadTree(cmd, from, args[1], o)
		case up:
			return c.upload(cmd, args[0], to, o)
		case down:
			return c.download(cmd, from, args[1], o)
		}
		return usageError{errors.New("neither is in storage: write one as namespace:path, such as sales:exports/q1.csv")}
	}
	return cmd
}

type copyOptions struct {
	force, quiet bool
	contentType  string
}

// standardStream stands for standard input or output.
const standardStream = "-"

func (c *cli) upload(cmd *cobra.Command, from string, to location, o copyOptions) error {
	in := cmd.InOrStdin()
	if from != standardStream {
		f, err := os.Open(from)
		if err != nil {
			return usageError{err}
		}
		defer f.Close()
		if info, err := f.Stat(); err != nil || info.IsDir() {
			return usagef("%s is a directory: copy it with -r", printable(from))
		}
		in = f
	}
	if to.path == "" || strings.HasSuffix(to.path, "/") {
		if from == standardStream {
			return usagef("%s: standard input has no name, so name the file", to)
		}
		to.path += filepath.Base(from)
	}
	return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
		object, err := store(ctx, cmd, client, in, to, o)
		if err != nil {
			return err
		}
		return c.showObject(cmd, *object)
	})
}

// store uploads a file.
func store(
	ctx context.Context, cmd *cobra.Command, client *bctrl.Client, in io.Reader, to location, o copyOptions,
) (*bctrl.StorageObject, error) {
	opts := []bctrl.UploadOption{}
	if !o.force {
		opts = append(opts, bctrl.WithIfAbsent())
	}
	if o.contentType != "" {
		opts = append(opts, bctrl.WithContentType(o.contentType))
	}
	body, done := metered(cmd, in, to.path, o.quiet)
	object, err := client.Storage(to.namespace).Upload(ctx, to.path, body, opts...)
	done()
	switch {
	case errors.Is(err, bctrl.ErrConflict) && !o.force:
		return nil, &advice{fmt.Sprintf("%s is there already: replace it with --force", to), err}
	case err != nil:
		return nil, about(to.String(), err)
	}
	return object, nil
}

// showObject prints a file that was stored.
func (c *cli) showObject(cmd *cobra.Command, o bctrl.StorageObject) error {
	return show(c, cmd, o, pair{"File", o.Workspace + ":" + o.LogicalPath}, pair{"Size", size(o.SizeBytes)},
		pair{"Type", o.ContentType}, pair{"SHA-256", o.SHA256})
}

func (c *cli) download(cmd *cobra.Command, from location, to string, o copyOptions) error {
	if from.path == "" || strings.HasSuffix(from.path, "/") {
		return usagef("%s is a folder: copy it with -r", from)
	}
	if o.contentType != "" {
		return usageError{errors.New("--content-type is for an upload")}
	}
	switch {
	case to == "":
		return usageError{errors.New("the destination is empty: a dot is this directory")}
	case to != standardStream:
		if info, err := os.Stat(to); err == nil && info.IsDir() || os.IsPathSeparator(to[len(to)-1]) {
			to = filepath.Join(to, path.Base(from.path))
		}
		if info, err := os.Stat(filepath.Dir(to)); err != nil || !info.IsDir() {
			return usagef("%s: there is no such directory", printable(filepath.Dir(to)))
		}
		if _, err := os.Lstat(to); err == nil && !o.force {
			return existing(to)
		}
	}
	return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
		r, err := client.Storage(from.namespace).Open(ctx, from.path)
		if err != nil {
			return about(from.String(), err)
		}
		defer r.Close()
		if to == standardStream {
			_, err := io.Copy(cmd.OutOrStdout(), r)
			return err
		}
		if err := fetch(cmd, r, to, o); err != nil {
			return about(from.String(), err)
		}
		if c.json || len(c.fields) > 0 {
			return c.showObject(cmd, r.Object)
		}
		note(cmd, "%s, %s.", printable(to), size(r.Object.SizeBytes))
		return nil
	})
}

// fetch makes a local file of a stored one.
func fetch(cmd *cobra.Command, r *bctrl.StorageReader, to string, o copyOptions) error {
	bar := newMeter(cmd, r.Object.LogicalPath, r.Length, o.quiet)
	defer bar.done()
	return writeWhole(to, io.TeeReader(r, bar), o.force)
}

func existing(file string) error {
	return fmt.Errorf("%s is there already: replace it with --force", printable(file))
}

// writeWhole makes a file out of all that r holds, or none: it is written
// under another name and takes its own once it is on the disk.
func writeWhole(file string, r io.Reader, force bool) (err error) {
	part := filepath.Join(filepath.Dir(file), ".bctrl-"+rand.Text()+".part")
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	defer os.Remove(part) // where it took its name there is nothing left to remove
	_, err = io.Copy(f, r)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if force {
		return os.Rename(part, file)
	}
	// A link is refused where there is a file, however late it came. Some file
	// systems have no links.
	err = os.Link(part, file)
	if errors.Is(err, fs.ErrExist) {
		return existing(file)
	}
	if err != nil {
		if _, err := os.Lstat(file); err == nil {
			return existing(file)
		}
		return os.Rename(part, file)
	}
	return nil
}
