//go:build unix

package chromium

import (
	"archive/tar"
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/lockbox"
)

const (
	// maxProfileBytes and maxProfileFiles bound what is kept of a profile: see
	// [browser.ErrProfileTooLarge].
	maxProfileBytes = 1 << 30
	maxProfileFiles = 50_000
	// copyBuffer is how much of an archive is read or written at once, in bytes.
	copyBuffer = 256 << 10
)

// skipped are folders that a browser makes anew, caches mostly, and files with cookies,
// which are kept beside the data: see [browser.Profile].
var skipped = []string{
	"BrowserMetrics", "Cache", "Code Cache", "Crashpad", "DawnCache", "DawnGraphiteCache", "DawnWebGPUCache",
	"GPUCache", "GrShaderCache", "GraphiteDawnCache", "Safe Browsing", "ShaderCache", "component_crx_cache",
	"extensions_crx_cache",
	"Cookies", "Cookies-journal",
}

// pack writes the plain files and folders below from, those that user owns, as an archive
// that only the lock's key opens. Nothing leads it out of from.
func pack(from *os.Root, user account, to io.Writer, lock lockbox.Lock) error {
	buffered := bufio.NewWriterSize(to, copyBuffer)
	box, err := lock.Close(buffered, lockbox.ProfileData)
	if err != nil {
		return err
	}
	p := packer{from: from, user: user, to: tar.NewWriter(box)}
	if err := fs.WalkDir(from.FS(), ".", p.add); err != nil {
		return err
	}
	if err := p.to.Close(); err != nil {
		return err
	}
	if err := box.Close(); err != nil {
		return err
	}
	return buffered.Flush()
}

type packer struct {
	from *os.Root
	user account
	to   *tar.Writer
	bounds
}

// bounds counts what a profile takes.
type bounds struct {
	bytes int64
	files int
}

func (b *bounds) add(size int64) error {
	b.files++
	if b.bytes += size; b.bytes > maxProfileBytes || b.files > maxProfileFiles {
		return browser.ErrProfileTooLarge
	}
	return nil
}

func (p *packer) add(name string, e fs.DirEntry, err error) error {
	switch {
	case err != nil:
		return err
	case name == ".":
		return nil
	case e.IsDir() && slices.Contains(skipped, filepath.Base(name)):
		return fs.SkipDir
	case e.IsDir():
		if err := p.bounds.add(0); err != nil {
			return err
		}
		return p.to.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: 0o700})
	case e.Type().IsRegular() && !slices.Contains(skipped, filepath.Base(name)):
		return p.addFile(name)
	}
	return nil // links, sockets and pipes belong to a process
}

func (p *packer) addFile(name string) error {
	from, err := p.from.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer from.Close()
	info, err := from.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || !p.user.owns(info) {
		return nil
	}
	if err := p.bounds.add(info.Size()); err != nil {
		return err
	}
	header := tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o600, Size: info.Size()}
	if err := p.to.WriteHeader(&header); err != nil {
		return err
	}
	_, err = io.CopyN(p.to, from, info.Size())
	return err
}

// unpack writes what an archive holds below to, and gives it to user. An archive that is
// not one of the key's is [browser.ErrProfileDamaged].
func unpack(from io.Reader, key lockbox.Key, to *os.Root, user account) error {
	box, err := key.Open(from, lockbox.ProfileData)
	if err != nil {
		return damaged(err)
	}
	u := unpacker{to: to, user: user}
	archive := tar.NewReader(bufio.NewReaderSize(box, copyBuffer))
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			_, err := io.Copy(io.Discard, box) // the end of the box has to be its own
			return damaged(err)
		}
		if err != nil {
			return damaged(err)
		}
		if err := u.add(h, archive); err != nil {
			return damaged(err)
		}
	}
}

// damaged is the error of a launch for what opening an archive ended with.
func damaged(err error) error {
	if errors.Is(err, lockbox.ErrDamaged) || errors.Is(err, tar.ErrHeader) {
		return fmt.Errorf("%w: %w", browser.ErrProfileDamaged, err)
	}
	return err
}

type unpacker struct {
	to   *os.Root
	user account
	bounds
}

func (u *unpacker) add(h *tar.Header, content io.Reader) (err error) {
	if err := u.bounds.add(h.Size); err != nil {
		return err
	}
	name := filepath.Clean(h.Name)
	if h.Typeflag == tar.TypeDir {
		if err := u.to.Mkdir(name, 0o700); err != nil {
			return err
		}
		return u.giveToUser(name)
	}
	f, err := u.to.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return u.giveToUser(name)
}

func (u *unpacker) giveToUser(name string) error {
	if u.user.isSelf() {
		return nil
	}
	return u.to.Lchown(name, int(u.user.uid), int(u.user.gid))
}
