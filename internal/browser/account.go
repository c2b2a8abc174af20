package browser

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
)

// defaultUser runs browsers when the server is root: it owns nothing.
const defaultUser = "nobody"

// account is the user that runs browsers.
type account struct {
	name     string
	uid, gid uint32
	self     bool // the server's own user: nothing is switched
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
		return account{self: true}, nil
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
	return account{name: name, uid: uint32(uid), gid: uint32(gid)}, nil
}

func (a account) isSelf() bool { return a.self }

// own gives path to the account.
func (a account) own(path string) error {
	if a.self {
		return nil
	}
	if err := os.Lchown(path, int(a.uid), int(a.gid)); err != nil {
		return fmt.Errorf("give a folder to the browsers' user: %w", err)
	}
	return nil
}
