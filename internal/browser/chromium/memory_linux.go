package chromium

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// memoryOf returns the memory that the processes of a group have for themselves, in
// bytes: what they share, programs for the most part, is not counted for each. One that
// has ended counts nothing.
func memoryOf(pgid int) (total int64) {
	pids, err := membersOf(pgid)
	if err != nil {
		return 0
	}
	for _, pid := range pids {
		total += ownMemory(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	}
	return total
}

// ownMemory reads RssAnon and RssShmem of a process (proc_pid_status(5)).
func ownMemory(status string) (total int64) {
	text, err := os.ReadFile(status)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		if name != "RssAnon" && name != "RssShmem" {
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		if err == nil {
			total += kib << 10
		}
	}
	return total
}

// oomKills is how many processes the system has ended since it started because memory was
// short, of all or of a control group (oom_kill in /proc/vmstat, Linux 4.13); 0 where it
// does not say.
func oomKills() int64 {
	text, err := os.ReadFile("/proc/vmstat")
	if err != nil {
		return 0
	}
	return oomKillsIn(string(text))
}

func oomKillsIn(vmstat string) int64 {
	for line := range strings.Lines(vmstat) {
		if count, ok := strings.CutPrefix(line, "oom_kill "); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(count), 10, 64)
			if err == nil {
				return n
			}
		}
	}
	return 0
}
