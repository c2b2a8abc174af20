//go:build unix

package chromium

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/page"
)

// clientCopies are the copies of files that clients have given to pages. A page is told the
// name of the file that it is given by path, so each copy has that name, in a folder of its
// own. They stay while the browser runs: a client may come back and submit its form. Where
// there is no room for another, the oldest go that nobody has wanted for a while.
type clientCopies struct {
	uploads uploads

	mu    sync.Mutex
	bytes int64
	made  []clientCopy // the oldest first
}

type clientCopy struct {
	folder string // in that of the uploads
	size   int64
	at     time.Time
}

// copyAge is how long a copy stays at least.
const copyAge = 10 * time.Minute

// CopyFile makes a copy of a file that a client gives to a page, and returns its path.
func (b *instance) CopyFile(ctx context.Context, file browser.File) (path string, err error) {
	return b.copies.add(ctx, file, time.Now())
}

func (c *clientCopies) add(ctx context.Context, file browser.File, now time.Time) (path string, err error) {
	name := file.Name
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, `/\`) || len(name) > maxFilename {
		return "", browser.BadRequest("page.invalid_files", "the name of a file is none", "")
	}
	if err := c.reserve(file.Size, now); err != nil {
		return "", err
	}
	folder := rand.Text()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if err != nil {
			c.bytes -= file.Size
			c.uploads.removeFolder(folder)
			return
		}
		c.made = append(c.made, clientCopy{folder: folder, size: file.Size, at: now})
	}()
	if err := c.uploads.makeFolder(folder); err != nil {
		return "", err
	}
	path, err = c.uploads.make(filepath.Join(folder, name), file.Size,
		func(w io.Writer) error { return file.WriteTo(ctx, w) })
	if errors.Is(err, page.ErrTooLarge) {
		err = browser.Conflict("page.file_changed", "a file has grown while it was read", "try again")
	}
	return path, err
}

// reserve takes room for a file, from copies that have been there for a while if need be.
func (c *clientCopies) reserve(size int64, now time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.bytes+size > browser.MaxUpload && len(c.made) > 0 && now.Sub(c.made[0].at) >= copyAge {
		c.uploads.removeFolder(c.made[0].folder)
		c.bytes -= c.made[0].size
		c.made = c.made[1:]
	}
	if size < 0 || c.bytes+size > browser.MaxUpload {
		return browser.TooLarge("page.uploads_full",
			"the files are larger than what clients may give to the pages of one browser in 10 minutes, which is 1 GiB",
			"give smaller files, or wait")
	}
	c.bytes += size
	return nil
}

// makeFolder makes a folder that the browser's user passes, and nobody else writes to.
func (u uploads) makeFolder(name string) error {
	folder, err := os.OpenRoot(u.dir)
	if err != nil {
		return fmt.Errorf("open the folder of uploads: %w", err)
	}
	defer folder.Close()
	if err := folder.Mkdir(name, 0o700); err != nil {
		return fmt.Errorf("make a folder for a file: %w", err)
	}
	if u.owner.isSelf() {
		return nil
	}
	if err := folder.Chmod(name, 0o711); err != nil {
		return fmt.Errorf("open the folder of a file: %w", err)
	}
	return nil
}

// removeFolder removes a folder and what is in it.
func (u uploads) removeFolder(name string) {
	folder, err := os.OpenRoot(u.dir)
	if err != nil {
		return // the browser is gone, and the folder with it
	}
	defer folder.Close()
	_ = folder.RemoveAll(name)
}
