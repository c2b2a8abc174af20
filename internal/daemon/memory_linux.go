package daemon

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// availableMemory is the memory that programs can still be given without others being
// ended for it, in bytes: what the machine has available (proc_meminfo(5)), and no more
// than what is left to the control group of the server (cgroup v2), as in a container.
func availableMemory() (int64, bool) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, false
	}
	kib, ok := numberAfter(text, "MemAvailable:")
	if !ok {
		return 0, false
	}
	available := kib << 10
	if left, ok := leftToGroup("/sys/fs/cgroup", "/proc/self/cgroup"); ok {
		available = min(available, left)
	}
	return available, true
}

// leftToGroup is the memory that the control group of this process may still take, where
// it has a limit: the smallest of its own and of those above it. Files that were read and
// can be dropped again count as free.
func leftToGroup(mount, self string) (left int64, limited bool) {
	text, err := os.ReadFile(self)
	if err != nil {
		return 0, false
	}
	own := ""
	for line := range strings.Lines(string(text)) {
		if path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			own = path
		}
	}
	if own == "" {
		return 0, false
	}
	for dir := filepath.Clean(own); ; dir = filepath.Dir(dir) {
		if n, ok := leftIn(filepath.Join(mount, dir)); ok && (!limited || n < left) {
			left, limited = n, true
		}
		if dir == filepath.Dir(dir) {
			return left, limited
		}
	}
}

func leftIn(group string) (int64, bool) {
	limit, limitOK := numberIn(filepath.Join(group, "memory.max")) // "max" is none
	used, usedOK := numberIn(filepath.Join(group, "memory.current"))
	if !limitOK || !usedOK {
		return 0, false
	}
	stat, _ := os.ReadFile(filepath.Join(group, "memory.stat")) // without, nothing can be dropped
	droppable, _ := numberAfter(stat, "inactive_file")
	return max(limit-used+droppable, 0), true
}

func numberIn(file string) (int64, bool) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(string(bytes.TrimSpace(text)), 10, 64)
	return n, err == nil
}

// numberAfter reads the number in the line that begins with name.
func numberAfter(text []byte, name string) (int64, bool) {
	for line := range bytes.Lines(text) {
		fields := bytes.Fields(line)
		if len(fields) > 1 && string(fields[0]) == name {
			n, err := strconv.ParseInt(string(fields[1]), 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}
