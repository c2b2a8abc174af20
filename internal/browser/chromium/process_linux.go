package chromium

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

func processAttributes(user account) *syscall.SysProcAttr {
	// A session of its own is a process group too, and one that only its processes' own
	// children are in: others of a session may join any group of it (setpgid(2)).
	attr := &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	if !user.isSelf() {
		// No supplementary groups: root's own would come along.
		attr.Credential = &syscall.Credential{Uid: user.uid, Gid: user.gid}
	}
	return attr
}

// onlyZombies reports whether all that is left of a process group are dead
// processes that their parent has not collected, which hold nothing.
func onlyZombies(pgid int) bool {
	pids, err := membersOf(pgid)
	if err != nil {
		return false
	}
	for _, pid := range pids {
		if state, ok := stateOf(pid); ok && state != 'Z' && state != 'X' {
			return false
		}
	}
	return true
}

// membersOf returns the processes of a process group.
func membersOf(pgid int) (pids []int, err error) {
	proc, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer proc.Close()
	names, err := proc.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue // no process
		}
		// To ask the kernel is much faster than to read a file of every process.
		if of, err := syscall.Getpgid(pid); err == nil && of == pgid {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// stateOf returns the state of a process as /proc has it: 'R' of one that runs or waits
// for a processor, 'Z' of one that is dead. There is none of one that is gone.
func stateOf(pid int) (state byte, ok bool) { return stateOfTask(strconv.Itoa(pid)) }

// stateOfTask is [stateOf] for what has a folder of its own in /proc.
func stateOfTask(folder string) (state byte, ok bool) {
	b, err := os.ReadFile(filepath.Join("/proc", folder, "stat"))
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

// standStill reports whether no thread of a process group can do anything: each is
// stopped, or dead.
func standStill(pgid int) bool {
	pids, err := membersOf(pgid)
	if err != nil {
		return false
	}
	for _, pid := range pids {
		tasks := filepath.Join(strconv.Itoa(pid), "task")
		threads, err := os.ReadDir(filepath.Join("/proc", tasks))
		if err != nil {
			continue // it is gone
		}
		for _, thread := range threads {
			state, ok := stateOfTask(filepath.Join(tasks, thread.Name()))
			if ok && !strings.ContainsRune("TtZX", rune(state)) {
				return false
			}
		}
	}
	return true
}

// activityOf looks at the first thread of a process. Where the kernel does not say when a
// thread has run (CONFIG_SCHED_INFO), it counts as busy.
func activityOf(pid int) activity {
	ran, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "schedstat"))
	state, ok := stateOf(pid)
	return activity{ran: string(ran), isBusy: err != nil || !ok || state == 'R' || state == 'D'}
}
