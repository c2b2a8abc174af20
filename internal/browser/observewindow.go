package browser

import (
	"fmt"
	"strings"
)

// observation chooses the lines that fit, from what is in view on, and makes
// the result of them.
func (o *outline) observation(url, title string, scrolled float64, cut bool) *Observation {
	from, to := o.window(scrolled)
	obs := &Observation{
		URL:       clip(o.clean(url), 2*maxText),
		Title:     clip(o.clean(title), maxName),
		Truncated: o.cut || cut || from > 0 || to < len(o.lines),
	}
	var b strings.Builder
	if from > 0 {
		fmt.Fprintf(&b, "… %d lines above, scroll up to read them\n", from)
	}
	for _, l := range o.lines[from:to] {
		b.WriteString(l.text)
		b.WriteByte('\n')
		if l.element != nil {
			obs.Elements = append(obs.Elements, *l.element)
		}
	}
	if to < len(o.lines) {
		fmt.Fprintf(&b, "… %d lines below, scroll down to read them\n", len(o.lines)-to)
	}
	obs.Outline = o.tab.set.scrub.text(b.String())
	return obs
}

// window returns the range of lines to show: all when they fit, else those
// from the first one in view on, and some above it when there is room left.
func (o *outline) window(scrolled float64) (from, to int) {
	const room = maxOutline - 200 // the lines that say what is missing
	size := func(i int) int { return len(o.lines[i].text) + 1 }
	total := 0
	for i := range o.lines {
		total += size(i)
	}
	if total <= room {
		return 0, len(o.lines)
	}
	if scrolled > 0 {
		for from < len(o.lines) && o.lines[from].top < scrolled {
			from++
		}
		if from == len(o.lines) {
			from = 0
		}
	}
	left := room
	for to = from; to < len(o.lines) && size(to) <= left; to++ {
		left -= size(to)
	}
	for from > 0 && size(from-1) <= left {
		from--
		left -= size(from)
	}
	return from, to
}
