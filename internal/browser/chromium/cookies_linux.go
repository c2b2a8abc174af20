package chromium

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// cookieKeeper is the process of a browser that has its cookies: its network service, which
// has a process of its own. Whoever sets one, a site, a script or a program, has it run.
type cookieKeeper struct {
	pid int
	ran string // when its threads have run: proc_pid_schedstat(5)
}

// hasRun reports whether it has run since it was last asked, also where that cannot be told.
func (k *cookieKeeper) hasRun(pgid int) bool {
	ran := ranOf(k.pid)
	if ran == "" {
		k.pid = networkServiceOf(pgid)
		ran = ranOf(k.pid)
	}
	before := k.ran
	k.ran = ran
	return ran == "" || ran != before
}

// ranOf is what the kernel says of when the threads of a process have run; empty where it
// says nothing, or there is no such process.
func ranOf(pid int) string {
	threads, err := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "task", "*", "schedstat"))
	if err != nil {
		return ""
	}
	var all strings.Builder
	for _, name := range threads {
		text, err := os.ReadFile(name)
		if err != nil {
			return "" // it has changed just now
		}
		all.Write(text)
	}
	return all.String()
}

// networkServiceOf finds the network service among the processes of a group; 0 is none.
func networkServiceOf(pgid int) int {
	pids, err := membersOf(pgid)
	if err != nil {
		return 0
	}
	for _, pid := range pids {
		command, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
		if err == nil && strings.Contains(string(command), "--utility-sub-type=network.mojom.NetworkService") {
			return pid
		}
	}
	return 0
}
