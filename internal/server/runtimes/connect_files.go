package runtimes

import (
	"context"
	"strings"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/server/files"
	"github.com/bctrl-go/bctrl/internal/server/web"
)

// clientSocket is the connection of a DevTools client, which gives pages files of the
// namespace that its caller's mounts give.
type clientSocket struct {
	socket
	clientRights
}

var _ interface {
	browser.ClientFiles
	browser.ClientRights
} = clientSocket{}

// errMachinePath is the answer to a path of a machine. It is not repeated: it may be of the
// client's own.
func errMachinePath() *bctrl.Error {
	return web.WithHint(web.Forbidden(browser.CodeMachinePath, "a page is given no files of a machine"),
		"name a file of the runtime's storage, as /storage/reports/q1.pdf, where rt.Files.Stage or bctrl storage cp "+
			"puts one; bctrl runtime bridge does it for a client that names files of its own machine")
}

// OpenFile finds a file of storage by its path there, alone or below /storage/. What is
// refused because of the mounts is recorded, and so is the path of a machine.
func (c clientSocket) OpenFile(ctx context.Context, name string) (browser.File, error) {
	x, err := c.execution(ctx)
	if err != nil {
		return browser.File{}, err
	}
	key, ok := strings.CutPrefix(name, bctrl.ClientPath(""))
	if !ok && isMachinePath(name) {
		return browser.File{}, c.RecordRefusal(ctx, errMachinePath())
	}
	if key, err = files.CanonicalPath(key); err != nil {
		return browser.File{}, err
	}
	return storedFiles{c.s, x}.Open(ctx, key)
}

// isMachinePath reports whether a name is a path from the root of a machine: /x, C:\x, C:/x,
// \\host\x, file:///x.
func isMachinePath(name string) bool {
	drive := len(name) > 2 && name[1] == ':' && (name[2] == '\\' || name[2] == '/')
	return drive || strings.HasPrefix(name, "/") || strings.HasPrefix(name, "\\") || strings.HasPrefix(name, "file:")
}
