package chromium

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

func processAttributes(user account) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if !user.isSelf() {
		// No supplementary groups: root's own would come along.
		attr.Credential = &syscall.Credential{Uid: user.uid, Gid: user.gid}
	}
	return attr
}

// onlyZombies reports whether all that is left of a process group are dead
// processes that their parent has not collected, which hold nothing.
func onlyZombies(pgid int) bool {
	proc, err := os.Open("/proc")
	if err != nil {
		return false
	}
	defer proc.Close()
	names, err := proc.Readdirnames(-1)
	if err != nil {
		return false
	}
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue // no process
		}
		// To ask the kernel is much faster than to read a file of every process.
		if of, err := syscall.Getpgid(pid); err != nil || of != pgid {
			continue // of others, or ended meanwhile
		}
		if state, ok := stateOf(pid); ok && state != 'Z' && state != 'X' {
			return false
		}
	}
	return true
}

// stateOf returns the state of a process as /proc has it: 'R' of one that runs or waits
// for a processor, 'Z' of one that is dead. There is none of one that is gone.
func stateOf(pid int) (state byte, ok bool) {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, false
	}
	// pid (name) state …, where name may hold anything.
	_, rest, found := strings.Cut(string(b[max(0, strings.LastIndexByte(string(b), ')')):]), " ")
	if !found || rest == "" {
		return 0, false
	}
	return rest[0], true
}
