package page

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/fill"
)

// observation makes the result of the lines that fit: those in view, then those nearest
// to it.
func (o *outline) observation(title string) *browser.Observation {
	o.hideEchoes()
	o.place()
	kept := o.nearest()
	obs := &browser.Observation{
		URL:       clip(o.clean(o.docs.tree.top.url), 2*maxText),
		Title:     clip(o.clean(title), maxName),
		Truncated: o.truncated || len(o.docs.tree.order) > maxFrames,
		Shape:     o.shape(),
		Poor:      o.poor(),
	}
	var shown []shownElement
	var b strings.Builder
	for i := 0; i < len(o.lines); i++ {
		if !kept[i] {
			from := i
			for i+1 < len(o.lines) && !kept[i+1] {
				i++
			}
			b.WriteString(o.omitted(from, i+1))
			obs.Truncated = true
			continue
		}
		l := o.lines[i]
		b.WriteString(l.text)
		b.WriteByte('\n')
		if l.element != nil {
			obs.Elements = append(obs.Elements, *l.element)
			shown = append(shown, shownElement{l.element.Ref, l.key})
		}
	}
	b.WriteString(o.scrolled())
	obs.Outline = o.tab.set.scrub.Text(b.String())
	o.tab.setShown(shown)
	return obs
}

// omitted says how many lines are left out, and where they are.
func (o *outline) omitted(from, to int) string {
	way := "below, scroll down"
	if o.distance(from) < 0 {
		way = "above, scroll up"
	}
	return fmt.Sprintf("… %d lines %s to read them\n", to-from, way)
}

// scrolled says where the viewport is in a page that is higher.
func (o *outline) scrolled() string {
	top := o.docs.top
	screen := top.view.bottom
	if screen < 1 || top.height < minScreens*screen {
		return ""
	}
	return fmt.Sprintf("… scrolled down %.1f screens, %.1f more below\n", top.scrolled/screen,
		max(0, top.height-top.scrolled-screen)/screen)
}

// distance is how far a line is above the viewport, below zero, or under it; 0 is in
// view.
func (o *outline) distance(i int) float64 {
	top := o.lines[i].top
	for ; top < 0 && i >= 0; i-- { // where it is not known, it is where the one before is
		top = o.lines[i].top
	}
	d := o.docs.top
	switch {
	case top < 0:
		return 0
	case top < d.scrolled:
		return top - d.scrolled
	case top > d.scrolled+d.view.bottom:
		return top - d.scrolled - d.view.bottom
	}
	return 0
}

const (
	// roomForNotes is kept for what is said at the end, gapNote what it takes to say that
	// lines are left out, in bytes.
	roomForNotes = 200
	gapNote      = 60
)

// nearest chooses the lines to show: all when they fit, else those in view and around it.
func (o *outline) nearest() map[int]bool {
	kept := make(map[int]bool, len(o.lines))
	room := browser.MaxOutline - roomForNotes
	order := make([]int, len(o.lines))
	away := make([]float64, len(o.lines))
	for i, l := range o.lines {
		room -= len(l.text) + 1
		kept[i], order[i], away[i] = true, i, math.Abs(o.distance(i))
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(away[a], away[b]) })
	gaps := 0
	for _, i := range slices.Backward(order) {
		if room >= gaps*gapNote {
			break
		}
		room += len(o.lines[i].text) + 1
		delete(kept, i)
		before, after := i > 0 && !kept[i-1], i+1 < len(o.lines) && !kept[i+1]
		switch {
		case before && after:
			gaps--
		case !before && !after:
			gaps++
		}
	}
	return kept
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
