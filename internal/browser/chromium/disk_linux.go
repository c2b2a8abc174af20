package chromium

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// unnamedFiles is what the files of a folder's disk take that the processes of a group have
// open and that have no name any more, in bytes. Those that the server may not see count
// nothing.
func unnamedFiles(pgid int, folder string) (total int64) {
	pids, err := membersOf(pgid)
	if err != nil {
		return 0
	}
	var disk syscall.Stat_t
	if err := syscall.Stat(folder, &disk); err != nil {
		return 0
	}
	seen := map[uint64]bool{} // by inode
	for _, pid := range pids {
		open := filepath.Join("/proc", strconv.Itoa(pid), "fd")
		entries, err := os.ReadDir(open)
		if err != nil {
			continue
		}
		for _, e := range entries {
			var file syscall.Stat_t
			err := syscall.Stat(filepath.Join(open, e.Name()), &file)
			if err != nil || file.Nlink > 0 || file.Dev != disk.Dev || seen[file.Ino] {
				continue
			}
			seen[file.Ino] = true
			total += file.Blocks * blockSize
		}
	}
	return total
}
