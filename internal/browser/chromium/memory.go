//go:build unix

package chromium

import "time"

// memoryPause is how often the memory of a browser is looked at that has a bound.
const memoryPause = 250 * time.Millisecond

// watchMemory kills a browser that takes more memory than it may, with all of its
// processes. It looks at them: a limit of the address space (RLIMIT_AS) would end every
// browser at its start, since scripts reserve far more of it than they use.
func (b *instance) watchMemory(most int64) {
	tick := time.NewTicker(memoryPause)
	defer tick.Stop()
	for {
		select {
		case <-b.proc.exited:
			return
		case <-tick.C:
			if memoryOf(b.proc.pid()) > most {
				b.overMemory.Store(true)
				b.proc.sendKill()
				return
			}
		}
	}
}
