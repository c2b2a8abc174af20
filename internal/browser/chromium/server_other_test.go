//go:build !linux

package chromium

// runAsServer does nothing: the tests that need a server of their own are of Linux.
func runAsServer() {}
