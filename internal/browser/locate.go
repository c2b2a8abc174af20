package browser

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
)

// installHint is the shortest way to a browser: 12 seconds on Debian.
const installHint = "install one: apt-get install --no-install-recommends chromium-headless-shell"

// ErrNoChromium is in the error of a driver that is made when the machine has no
// browser. The error's text holds the command that installs one.
var ErrNoChromium = errors.New("no Chromium found")

// candidates lists where browsers are, the smallest first. Debian's
// /usr/bin/chromium-headless-shell is a shell script that outlives its child
// when killed, so the program behind it comes first.
var candidates = []string{
	"/usr/lib/chromium/chromium-headless-shell",
	"/usr/lib/chromium/chromium",
	"headless-shell",
	"chrome-headless-shell",
	"google-chrome-stable",
	"google-chrome",
	"chromium",
	"chromium-browser",
}

// Locate returns the whole path of the browser that is started: path
// itself unless it is empty, else the first that the machine has. The error
// wraps [ErrNoChromium] and says how to install one.
func Locate(path string) (string, error) { return locate(path, candidates) }

func locate(path string, candidates []string) (string, error) {
	if path != "" {
		found, err := exec.LookPath(path)
		if err != nil {
			return "", fmt.Errorf("%w at %s: %w", ErrNoChromium, path, err)
		}
		if found, err = filepath.Abs(found); err != nil { // it is started in a folder of its own
			return "", fmt.Errorf("%w at %s: %w", ErrNoChromium, path, err)
		}
		return found, nil
	}
	for _, name := range candidates {
		if found, err := exec.LookPath(name); err == nil {
			return found, nil
		}
	}
	return "", fmt.Errorf("%w; %s", ErrNoChromium, installHint)
}
