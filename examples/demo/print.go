package main

import (
	"fmt"
	"iter"
	"strings"
	"time"
)

// step prints what comes next.
func step(title string) { fmt.Printf("\n%s\n", title) }

// note prints a line below a step.
func note(format string, args ...any) { fmt.Printf("  "+format+"\n", args...) }

// round makes a duration readable.
func round(d time.Duration) time.Duration {
	if d < time.Second {
		return d.Round(time.Millisecond)
	}
	return d.Round(100 * time.Millisecond)
}

// firstLines yields the first n lines of a text.
func firstLines(text string, n int) iter.Seq[string] {
	return func(yield func(string) bool) {
		for line := range strings.Lines(text) {
			if n--; n < 0 || !yield(strings.TrimRight(line, "\r\n")) {
				return
			}
		}
	}
}
