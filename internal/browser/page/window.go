package page

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/fill"
)

// observation makes the result of the lines that fit, beginning with those in view.
func (o *outline) observation(url, title string, scrolled float64, cut bool) *browser.Observation {
	o.hideEchoes()
	o.place()
	from, to := o.window(scrolled)
	obs := &browser.Observation{
		URL:       clip(o.clean(url), 2*maxText),
		Title:     clip(o.clean(title), maxName),
		Truncated: o.truncated || cut || from > 0 || to < len(o.lines),
		Shape:     o.shape(),
		Poor:      o.poor(),
	}
	var shown []shownElement
	var b strings.Builder
	if from > 0 {
		fmt.Fprintf(&b, "… %d lines above, scroll up to read them\n", from)
	}
	for _, l := range o.lines[from:to] {
		b.WriteString(l.text)
		b.WriteByte('\n')
		if l.element != nil {
			obs.Elements = append(obs.Elements, *l.element)
			shown = append(shown, shownElement{l.element.Ref, l.key})
		}
	}
	if to < len(o.lines) {
		fmt.Fprintf(&b, "… %d lines below, scroll down to read them\n", len(o.lines)-to)
	}
	obs.Outline = o.tab.set.scrub.Text(b.String())
	o.tab.setShown(shown)
	return obs
}

// window returns the range of lines to show: all when they fit, else those
// from the first one in view on, and some above it when there is room left.
func (o *outline) window(scrolled float64) (from, to int) {
	const room = browser.MaxOutline - 200 // the lines that say what is missing
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

// pageText is where a line has text of the page.
type pageText struct {
	kind textKind
	fill.Span
}

type textKind int

const (
	shownText textKind = iota
	shownName
	shownValue
	allTexts
)

// hideEchoes takes filled values out of lines that show them in pieces. It looks at
// all texts of the page one after the other, and once more at the texts, the names and
// the values alone: boxes for single characters have names in between.
func (o *outline) hideEchoes() {
	if !o.tab.set.hasFilled() {
		return
	}
	for _, kind := range []textKind{allTexts, shownText, shownName, shownValue} {
		o.hideEchoesIn(kind)
	}
}

func (o *outline) hideEchoesIn(kind textKind) {
	var pieces []string
	var places []fill.Span // of the piece, in the text of its line
	var lines []int
	for i := range o.lines {
		for _, at := range pageTextsOf(o.lines[i].text) {
			if kind == allTexts || kind == at.kind {
				pieces = append(pieces, o.lines[i].text[at.From:at.To])
				places, lines = append(places, at.Span), append(lines, i)
			}
		}
	}
	hidden := o.tab.set.scrub.Spans(pieces)
	for i := len(pieces) - 1; i >= 0; i-- { // from the last one, so that the places of the others stay true
		if len(hidden[i]) == 0 {
			continue
		}
		l, at := &o.lines[lines[i]], places[i]
		clean := fill.Redact(pieces[i], hidden[i])
		l.text = l.text[:at.From] + clean + l.text[at.To:]
		if e := l.element; e != nil {
			shown, _ := strconv.Unquote(`"` + pieces[i] + `"`) // as it was quoted
			clean, _ = strconv.Unquote(`"` + clean + `"`)
			for _, field := range []*string{&e.Name, &e.Value, &e.Placeholder} {
				if fill.OneLine(*field) == shown {
					*field = clean
				}
			}
		}
	}
}

// pageTextsOf returns where a line has text of the page: behind "text:" and
// "row:", and between quotes. Notes are not the page's.
func pageTextsOf(line string) []pageText {
	kind := strings.TrimLeft(line, " ")
	start := len(line) - len(kind)
	switch {
	case strings.HasPrefix(kind, "note: "):
		return nil
	case strings.HasPrefix(kind, "text: "), strings.HasPrefix(kind, "row: "):
		return []pageText{{shownText, fill.Span{From: start + strings.Index(kind, " ") + 1, To: len(line)}}}
	}
	var out []pageText
	for i := start; i < len(line); i++ {
		if line[i] != '"' {
			continue
		}
		end := fill.StringEnd([]byte(line), i)
		shown := shownName
		if strings.HasSuffix(line[:i], " value=") {
			shown = shownValue
		}
		out = append(out, pageText{shown, fill.Span{From: i + 1, To: max(i+1, end-1)}})
		i = end - 1
	}
	return out
}
