//go:build unix && !linux

package chromium

import "syscall"

func processAttributes(user account) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true}
	if !user.isSelf() {
		attr.Credential = &syscall.Credential{Uid: user.uid, Gid: user.gid}
	}
	return attr
}

// onlyZombies cannot tell here; a group that has members lives.
func onlyZombies(int) bool { return false }

// standStill cannot tell here: processes that were stopped count as standing still.
func standStill(int) bool { return true }

// memoryOf cannot tell here: no browser is ever too large.
func memoryOf(int) int64 { return 0 }

// oomKills cannot tell here: a browser that the system ends was killed by somebody.
func oomKills() int64 { return 0 }

// activityOf cannot tell here, so that a browser counts as busy while it owes an answer.
func activityOf(int) activity { return activity{isBusy: true} }

// unnamedFiles cannot tell here: files without a name count nothing.
func unnamedFiles(int, string) int64 { return 0 }

// cookieKeeper cannot tell here, so that browsers are asked for their cookies each time.
type cookieKeeper struct{}

func (*cookieKeeper) hasRun(int) bool { return true }
