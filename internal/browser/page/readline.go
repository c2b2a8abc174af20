package page

import (
	"strings"

	"github.com/bctrl-go/bctrl/internal/browser/fill"
)

// pageReading is what was read of a page.
type pageReading struct {
	url       string
	lines     []readLine
	truncated bool // the page has more
}

// readLine is a line of a reading, in pieces of the page's text and what is between.
type readLine []piece

// piece is a part of a line.
type piece struct {
	text string
	// kind says whose text it is; ours for what is not the page's.
	kind textKind
}

// ours is the kind of what a reading itself writes.
const ours textKind = -1

func (l readLine) String() string {
	var b strings.Builder
	for _, p := range l {
		b.WriteString(p.text)
	}
	return b.String()
}

func (l readLine) size() (n int) {
	for _, p := range l {
		n += len(p.text)
	}
	return n
}

func (l readLine) equal(other readLine) bool {
	if len(l) != len(other) {
		return false
	}
	for i := range l {
		if l[i] != other[i] {
			return false
		}
	}
	return true
}

// hideEchoes takes filled values out of pieces that show them in parts, as
// [outline.hideEchoes] does.
func (p *pageReading) hideEchoes(scrub *fill.Scrubber) {
	for _, kind := range []textKind{allTexts, shownText, shownName, shownValue} {
		var texts []string
		var places []*piece
		for _, l := range p.lines {
			for i := range l {
				if l[i].kind != ours && (kind == allTexts || kind == l[i].kind) {
					texts, places = append(texts, l[i].text), append(places, &l[i])
				}
			}
		}
		for i, hidden := range scrub.Spans(texts) {
			if len(hidden) > 0 {
				places[i].text = fill.Redact(texts[i], hidden)
			}
		}
	}
}
