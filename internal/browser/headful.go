package browser

import (
	"errors"
	"fmt"
	"os/exec"
)

// ErrNoDisplay is in the error of a launch with a window on a machine that has no
// whole browser or no display to put it on. Its text says what installs them.
var ErrNoDisplay = errors.New("a window needs a whole Chromium and Xvfb; " +
	"install them: apt-get install --no-install-recommends chromium xvfb")

// headfulCandidates are browsers that have windows: the headless shell has none.
// Debian's program comes before the script that starts it.
var headfulCandidates = []string{
	"/usr/lib/chromium/chromium",
	"google-chrome-stable",
	"google-chrome",
	"chromium",
	"chromium-browser",
}

// LocateHeadful returns the paths of a browser that has windows and of the server of a
// display (Xvfb). The error wraps [ErrNoDisplay].
func LocateHeadful() (chromium, display string, err error) {
	return locateHeadful(exec.LookPath)
}

func locateHeadful(lookPath func(string) (string, error)) (chromium, display string, err error) {
	for _, name := range headfulCandidates {
		if chromium, err = lookPath(name); err == nil {
			break
		}
	}
	if err != nil {
		return "", "", fmt.Errorf("%w; there is no browser with windows", ErrNoDisplay)
	}
	if display, err = lookPath("Xvfb"); err != nil {
		return "", "", fmt.Errorf("%w; there is no Xvfb", ErrNoDisplay)
	}
	return chromium, display, nil
}
