// Package chromedriver runs Debian's chromedriver for a browser that runs already, so
// that nobody but the server reaches it.
//
// Chromedriver listens on a TCP port, asks nobody who they are, and starts whatever
// program it is told to: who reaches the port is its user. A secret in its base path
// would not do, since its WebSocket at /session asks for none, and its command line can
// be read by everybody. So it runs in a network of its own, where there is nobody else,
// and a helper passes on what comes in on a socket that is the server's. It is told to
// start a browser and to speak to it over a pipe; what it starts is the helper once
// more, which joins that pipe to the browser that runs.
package chromedriver

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"

	"github.com/bctrl-go/bctrl/internal/browser"
)

// User is the user that chromedriver runs as, which is that of the browsers.
type User struct {
	UID, GID uint32
	// Switched is set where it is not the server's own.
	Switched bool
}

// give makes the user the owner of what is at a name. The folder that has the name must
// be one that nobody but the server writes to.
func (u User) give(root *os.Root, name string) error {
	if !u.Switched {
		return nil
	}
	if err := root.Lchown(name, int(u.UID), int(u.GID)); err != nil {
		return fmt.Errorf("give chromedriver what is its own: %w", err)
	}
	return nil
}

// makePassed makes a folder that the user passes, and nobody but the server writes to.
func makePassed(root *os.Root, name string, user User) error {
	if err := root.Mkdir(name, 0o700); err != nil {
		return fmt.Errorf("make a folder for chromedriver: %w", err)
	}
	return letPass(root, name, user)
}

// letPass lets the user pass a folder of the server's.
func letPass(root *os.Root, name string, user User) error {
	if !user.Switched {
		return nil
	}
	if err := root.Chmod(name, 0o711); err != nil {
		return fmt.Errorf("open a folder to chromedriver: %w", err)
	}
	return nil
}

// Options say how a chromedriver is started.
type Options struct {
	// User runs it.
	User User
	// Dir is where it has its folder, which User must be able to reach.
	Dir string
	// Env is all of its environment.
	Env []string
}

// Conn is the connection that stands for the browser, with the files that the client of the
// session has brought for pages.
type Conn interface {
	browser.CDPConn
	browser.ClientFiles
}

// programs are what a session needs of the machine.
type programs struct{ chromedriver, perl string }

// candidates lists where chromedriver is.
var candidates = []string{"/usr/bin/chromedriver", "chromedriver", "/usr/lib/chromium/chromedriver"}

// Check finds out whether the machine has what [Start] needs. Its error wraps
// [browser.ErrNoWebDriver].
func Check() error {
	_, err := find(candidates)
	return err
}

func find(candidates []string) (found programs, err error) {
	for _, name := range candidates {
		if found.chromedriver, err = exec.LookPath(name); err == nil {
			break
		}
	}
	if found.chromedriver == "" {
		return programs{}, browser.ErrNoWebDriver
	}
	if found.perl, err = exec.LookPath("perl"); err != nil {
		return programs{}, errors.Join(browser.ErrNoWebDriver, err)
	}
	return found, nil
}

// tailKept is how much of the last words errors may quote, in bytes.
const tailKept = 2 << 10

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (w *tail) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text = append(w.text, b...)
	if over := len(w.text) - tailKept; over > 0 {
		w.text = append(w.text[:0], w.text[over:]...)
	}
	return len(b), nil
}

// String returns the text on one line.
func (w *tail) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(strings.Fields(string(w.text)), " ")
}
