// Command files puts files into storage, lists what is there and makes a link
// to each, on a server of your own:
//
//	go run ./cmd/bctrl serve                # prints two exports for another terminal
//	go run ./examples/files report.csv
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/bctrl-go/bctrl"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	client, err := bctrl.New() // BCTRL_BASE_URL, BCTRL_API_KEY
	if err == nil {
		err = run(ctx, client.Storage("examples"), os.Args[1:], os.Stdout)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "files:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, files *bctrl.Storage, names []string, out io.Writer) error {
	for _, name := range names {
		if err := put(ctx, files, name, out); err != nil {
			return err
		}
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for item, err := range files.Browse(ctx, bctrl.BrowseOptions{Delimiter: "/"}) {
		if err != nil {
			return err
		}
		if item.Folder != nil {
			fmt.Fprintf(w, "%s\t%d bytes in %d files\n", item.Path, item.Folder.TotalBytes, item.Folder.FileCount)
			continue
		}
		fmt.Fprintf(w, "%s\t%d bytes\t%s\n", item.Path, item.File.SizeBytes, item.File.ContentType)
	}
	return w.Flush()
}

// put uploads a file once: one that is there already is left alone. However
// large it is, neither side holds it in memory.
func put(ctx context.Context, files *bctrl.Storage, name string, out io.Writer) (err error) {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	path := filepath.Base(name)
	_, err = files.Upload(ctx, path, f, bctrl.WithIfAbsent())
	if err != nil && !errors.Is(err, bctrl.ErrConflict) {
		return err
	}
	link, err := files.DownloadURL(ctx, path, time.Hour)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s for an hour: %s\n", path, link)
	return err
}
