package chromium

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

func processAttributes(user account) *syscall.SysProcAttr {
	// A group, and no session: the kernel wakes a stopped group when its last parent in
	// the same session ends (setpgid(2), orphaned process groups). In a session of its own
	// a browser that stands still for a save would outlive a killed server.
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
	fields := statOf(folder)
	if len(fields) == 0 {
		return 0, false
	}
	return fields[0][0], true
}

// parentOf returns the process id of a process's parent, and 0 where there is none.
func parentOf(pid int) int {
	fields := statOf(strconv.Itoa(pid))
	if len(fields) < 2 {
		return 0
	}
	parent, err := strconv.Atoi(fields[1])
	if err != nil {
		return 0
	}
	return parent
}

// statOf returns what /proc says of a process or thread from its state on (proc_pid_stat(5)):
// its state, its parent and more. There is nothing of one that is gone.
func statOf(folder string) []string {
	b, err := os.ReadFile(filepath.Join("/proc", folder, "stat"))
	if err != nil {
		return nil
	}
	// pid (name) state …, where name may hold anything.
	return strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
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
