package main

import (
	"fmt"
	"io"
	"iter"
	"os"
	"strings"
	"time"

	"github.com/bctrl-go/bctrl"
)

// printer tells what happens, in steps. On a terminal titles are bold and
// refusals yellow.
type printer struct {
	out               io.Writer
	bold, yellow, off string
	steps             int
}

func newPrinter(f *os.File) printer {
	p := printer{out: f}
	info, err := f.Stat()
	if err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" {
		p.bold, p.yellow, p.off = "\x1b[1m", "\x1b[33m", "\x1b[m"
	}
	return p
}

// title prints a heading without a number.
func (p *printer) title(format string, args ...any) {
	fmt.Fprintf(p.out, "\n%s%s%s\n", p.bold, fmt.Sprintf(format, args...), p.off)
}

// heading prints what comes next.
func (p *printer) heading(format string, args ...any) {
	p.steps++
	p.title("%d  "+format, append([]any{p.steps}, args...)...)
}

// note prints a line below a heading, detail one below a note.
func (p *printer) note(format string, args ...any) { fmt.Fprintf(p.out, "   "+format+"\n", args...) }

func (p *printer) detail(format string, args ...any) { p.note("  "+format, args...) }

// refusal prints why something was not done.
func (p *printer) refusal(e *bctrl.Error) {
	p.note("%sRefused: %s%s, %s.", p.yellow, e.Code, p.off, e.Message)
	for _, problem := range e.Problems {
		p.detail("%-8s %s = %q", "asked", problem.Field, problem.Value)
		p.detail("%-8s %s", "ceiling", problem.Ceiling)
		p.detail("%-8s %s, which the ceiling does not permit", "witness", problem.Witness)
	}
	if e.Hint != "" {
		p.detail("%-8s %s", "hint", e.Hint)
	}
}

// act prints an action of the agent.
func (p *printer) act(a bctrl.ActAction) {
	text := a.Target
	if a.VaultKey != "" {
		text += "  from " + a.VaultKey
	}
	if a.Error != "" {
		text += "  failed: " + a.Error
	}
	p.detail("%-9s %s", a.Kind, text)
}

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
