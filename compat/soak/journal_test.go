package soak

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// journal is what happened last, to be read when something is wrong: what the scenario did, what
// the nodes said, and how calls failed, which are codes. None of them ever says a secret; the one
// line that does, of the first key, is not written down.
type journal struct {
	mu    sync.Mutex
	began time.Time
	lines []line
}

type line struct {
	at   time.Time
	text string
}

const (
	// lastLines bounds what is kept, and lastTime what is printed.
	lastLines = 4000
	lastTime  = 20 * time.Second
)

func newJournal() *journal { return &journal{began: time.Now()} }

func (j *journal) write(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.lines) >= lastLines {
		j.lines = append(j.lines[:0], j.lines[lastLines/2:]...)
	}
	j.lines = append(j.lines, line{time.Now(), fmt.Sprintf(format, args...)})
}

// last is what happened in the last seconds.
func (j *journal) last() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	var b strings.Builder
	for _, l := range j.lines {
		if time.Since(l.at) < lastTime {
			fmt.Fprintf(&b, "%9.3f %s\n", l.at.Sub(j.began).Seconds(), l.text)
		}
	}
	return b.String()
}
