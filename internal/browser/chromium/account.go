//go:build unix

package chromium

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// defaultUser runs browsers when the server is root: a user that owns no files.
const defaultUser = "nobody"

// account is the user that runs browsers.
type account struct {
	name     string
	uid, gid uint32
	switched bool // it is not the server's own user
}

// lookupAccount finds the user to run browsers as. A server that is root must
// switch, because Chromium has no sandbox as root; one that is not root cannot.
func lookupAccount(name string) (account, error) {
	if os.Geteuid() != 0 {
		if name != "" {
			if u, err := user.Lookup(name); err != nil || u.Uid != strconv.Itoa(os.Geteuid()) {
				return account{}, fmt.Errorf("run browsers as %q: only a server that is root can switch users", name)
			}
		}
		return account{uid: uint32(os.Geteuid()), gid: uint32(os.Getegid())}, nil
	}
	if name == "" {
		name = defaultUser
	}
	u, err := user.Lookup(name)
	if err != nil {
		return account{}, fmt.Errorf("find the browsers' user: %w", err)
	}
	uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
	gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(uidErr, gidErr); err != nil {
		return account{}, fmt.Errorf("read the browsers' user: %w", err)
	}
	if uid == 0 {
		return account{}, fmt.Errorf("run browsers as %q: Chromium's sandbox needs a user that is not root", name)
	}
	return account{
		name:     name,
		uid:      uint32(uid),
		gid:      uint32(gid),
		switched: true,
	}, nil
}

func (a account) isSelf() bool { return !a.switched }

// give makes the account the owner of path.
func (a account) give(path string) error {
	if a.isSelf() {
		return nil
	}
	if err := os.Lchown(path, int(a.uid), int(a.gid)); err != nil {
		return fmt.Errorf("give a folder to the browsers' user: %w", err)
	}
	return nil
}

// owns reports whether a file is the account's.
func (a account) owns(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stat.Uid == a.uid
}

// checkReach returns an error when path, or a folder above it, is closed to the
// account. Only permissions are looked at.
func (a account) checkReach(path string) error {
	if a.isSelf() {
		return nil
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("find the temporary directory: %w", err)
	}
	for dir := abs; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return fmt.Errorf("find the temporary directory: %w", err)
		}
		if info.Mode().Perm()&0o001 == 0 && !(a.owns(info) && info.Mode().Perm()&0o100 != 0) {
			return fmt.Errorf("the browsers' user %s cannot reach the temporary directory %s: %s is closed to others",
				a.name, abs, dir)
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
}
