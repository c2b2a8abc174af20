package command

import (
	"context"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bctrl-go/bctrl"
)

func storage(c *cli) *cobra.Command {
	return c.reaching(group(&cobra.Command{
		Use:   "storage",
		Short: "Copy, list, link and remove files",
		Long: `Copy, list, link and remove files.

Files are in namespaces. A workspace has one of its own name unless it mounts
another; what its browsers download lands there. A file is written
namespace:path, such as sales:exports/q1.csv. A local file with a colon in its
name is written ./a:b.`,
	}, copyStorage(c), listStorage(c), catStorage(c), urlStorage(c), removeStorage(c)))
}

// location is a file, a folder or all of a namespace.
type location struct{ namespace, path string }

// parseLocation reads namespace:path. What has no colon, or a slash or nothing
// before it, is a local file.
func parseLocation(text string) (p location, remote bool) {
	namespace, path, ok := strings.Cut(text, ":")
	if !ok || namespace == "" || strings.ContainsAny(namespace, `/\`) {
		return location{}, false
	}
	return location{namespace, path}, true
}

// parseFile reads namespace:path where it must be a file.
func parseFile(text string) (location, error) {
	p, remote := parseLocation(text)
	if !remote || p.path == "" {
		return location{}, usagef("%s: want a file as namespace:path, such as sales:exports/q1.csv", printable(text))
	}
	return p, nil
}

func (p location) String() string { return printable(p.namespace + ":" + p.path) }

// stored is a file or a folder in a list, with the fields that it has in the
// HTTP API.
type stored struct {
	Path string `json:"path"`
	*bctrl.StorageObject
	*folder
}

type folder struct {
	FileCount  int64 `json:"fileCount"`
	TotalBytes int64 `json:"totalBytes"`
}

func storedItem(item bctrl.StorageItem) stored {
	out := stored{Path: item.Path, StorageObject: item.File}
	if f := item.Folder; f != nil {
		out.folder = &folder{f.FileCount, f.TotalBytes}
	}
	return out
}

func listStorage(c *cli) *cobra.Command {
	cmd := printing[stored](c, &cobra.Command{
		Use:   "ls <namespace>[:prefix]",
		Short: "List files and folders",
		Long: `List the files and folders of a namespace, or those whose path starts with a
prefix. A folder is listed with the number and the size of all files below it;
end the prefix with a slash to look inside, or list all files with -r.`,
		Example: `  bctrl storage ls sales
  bctrl storage ls sales:exports/
  bctrl storage ls sales -r --output path,sizeBytes,sha256`,
		Args:              arguments(1, 1),
		ValidArgsFunction: c.completing(storedFiles),
	})
	recursive := cmd.Flags().BoolP("recursive", "r", false, "list all files, also those in folders")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		namespace, prefix, _ := strings.Cut(args[0], ":")
		within := bctrl.BrowseOptions{Prefix: prefix, Delimiter: "/"}
		if *recursive {
			within.Delimiter = ""
		}
		return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
			return list(c, cmd, mapped(client.Storage(namespace).Browse(ctx, within), storedItem), storedColumns()...)
		})
	}
	return cmd
}

func storedColumns() []column[stored] {
	return []column[stored]{
		{"PATH", func(s stored) string { return s.Path }},
		{"SIZE", stored.size},
		{"FILES", func(s stored) string {
			if s.folder == nil {
				return ""
			}
			return strconv.FormatInt(s.FileCount, 10)
		}},
		{"TYPE", func(s stored) string {
			if s.StorageObject == nil {
				return "folder"
			}
			return s.ContentType
		}},
		{"CREATED", func(s stored) string {
			if s.StorageObject == nil {
				return ""
			}
			return moment(s.CreatedAt)
		}},
	}
}

func (s stored) size() string {
	if s.folder != nil {
		return size(s.TotalBytes)
	}
	return size(s.SizeBytes)
}

func catStorage(c *cli) *cobra.Command {
	return &cobra.Command{
		Use:   "cat <namespace:path>",
		Short: "Print a file",
		Long: `Print the content of a file as it is. What was printed is checked against the
file's SHA-256 at the end; the exit code is 1 when it does not match.`,
		Example:           `  bctrl storage cat sales:exports/q1.csv`,
		Args:              arguments(1, 1),
		ValidArgsFunction: c.completing(storedFiles),
		RunE: func(cmd *cobra.Command, args []string) error {
			from, err := parseFile(args[0])
			if err != nil {
				return err
			}
			return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
				r, err := client.Storage(from.namespace).Open(ctx, from.path)
				if err != nil {
					return about(from.String(), err)
				}
				defer r.Close()
				_, err = io.Copy(cmd.OutOrStdout(), r)
				return err
			})
		},
	}
}

func urlStorage(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "url <namespace:path>",
		Short: "Print an address from which anybody can download a file",
		Long: `Print an address from which anybody can download a file, without a key, until
the time is up or the file changes. Whoever sees the address has the file.`,
		Example: `  bctrl storage url sales:exports/q1.csv
  bctrl storage url sales:exports/q1.csv --ttl 15m`,
		Args:              arguments(1, 1),
		ValidArgsFunction: c.completing(storedFiles),
	}
	ttl := cmd.Flags().Duration("ttl", 0, "how long it works, such as 90s, 15m or 24h (default: the server's)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		of, err := parseFile(args[0])
		if err != nil {
			return err
		}
		if *ttl < 0 || *ttl > 0 && *ttl < time.Millisecond {
			return usagef("--ttl %s: want a time ahead", *ttl)
		}
		return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
			url, err := client.Storage(of.namespace).DownloadURL(ctx, of.path, *ttl)
			if err != nil {
				return about(of.String(), err)
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), url)
			return err
		})
	}
	return cmd
}

func removeStorage(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rm <namespace:path>...",
		Short: "Remove files",
		Long: `Remove files, with -r also all files of folders. There is no way back.

It stops at the first file that cannot be removed; those before it are gone.`,
		Example: `  bctrl storage rm sales:exports/q1.csv sales:old/a.txt
  bctrl storage rm -r sales:old/`,
		Args: func(cmd *cobra.Command, args []string) error {
			return arguments(1, max(1, len(args)))(cmd, args)
		},
		ValidArgsFunction: func(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
			return c.complete(cmd, storedFiles, typed)
		},
	}
	recursive := cmd.Flags().BoolP("recursive", "r", false, "remove all files of a folder")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		named := make([]location, len(args))
		for i, arg := range args {
			var err error
			if named[i], err = parseFile(arg); err != nil {
				return err
			}
		}
		return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
			for _, p := range named {
				files := one(p)
				if *recursive {
					files = filesBelow(ctx, client, p)
				}
				for file, err := range files {
					if err != nil {
						return err
					}
					if err := client.Storage(file.namespace).Delete(ctx, file.path); err != nil {
						return about(file.String(), err)
					}
					note(cmd, "Removed %s.", file)
				}
			}
			return nil
		})
	}
	return cmd
}

// one is a file by itself.
func one(file location) iter.Seq2[location, error] {
	return func(yield func(location, error) bool) { yield(file, nil) }
}
