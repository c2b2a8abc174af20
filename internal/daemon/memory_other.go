//go:build !linux

package daemon

// availableMemory is not known here.
func availableMemory() (int64, bool) { return 0, false }
