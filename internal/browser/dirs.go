package browser

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// dirs are the temporary folders of one browser, all below root, which goes
// when the browser stops. They belong to the browser's user; root itself
// belongs to the server and lets that user pass.
type dirs struct {
	root, data, cache, home, temp, downloads string
}

// makeDirs makes the folders of the runtime id below base, owned by user.
func makeDirs(base, id string, user account) (_ dirs, err error) {
	root, err := os.MkdirTemp(base, "bctrl-"+plainName(id)+"-")
	if err != nil {
		return dirs{}, fmt.Errorf("make the browser's folder: %w", err)
	}
	d := dirs{
		root: root, data: filepath.Join(root, "data"), cache: filepath.Join(root, "cache"),
		home: filepath.Join(root, "home"), temp: filepath.Join(root, "tmp"), downloads: filepath.Join(root, "downloads"),
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.remove())
		}
	}()
	for _, path := range []string{d.data, d.cache, d.home, d.temp, d.downloads} {
		if err := os.Mkdir(path, 0o700); err != nil {
			return d, fmt.Errorf("make the browser's folder: %w", err)
		}
		if err := user.own(path); err != nil {
			return d, err
		}
	}
	if !user.isSelf() {
		if err := os.Chmod(root, 0o711); err != nil {
			return d, fmt.Errorf("open the browser's folder: %w", err)
		}
	}
	return d, nil
}

func (d dirs) remove() error {
	if err := os.RemoveAll(d.root); err != nil {
		return fmt.Errorf("remove the browser's folder: %w", err)
	}
	return nil
}

// plainName keeps what is harmless in a file name: an id is a caller's text.
func plainName(id string) string {
	plain := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, id)
	return plain[:min(len(plain), 16)]
}
