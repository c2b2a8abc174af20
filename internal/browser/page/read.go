package page

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/fill"
)

const (
	// maxScrolls is how often a reading scrolls each of the parts that scroll, and
	// maxScrollers how many of them.
	maxScrolls   = 40
	maxScrollers = 4
	// maxScrolling bounds the time for it; what was read by then is what is known.
	maxScrolling = 15 * time.Second
	// scrollQuiet is how long a page that was scrolled is left to load more, and
	// maxScrollWait how long one that stays busy is.
	scrollQuiet   = 120 * time.Millisecond
	maxScrollWait = 1500 * time.Millisecond
)

// Read reads the whole page as text. See [browser.Page].
func (s *Set) Read(ctx context.Context, options browser.ReadOptions) (*browser.Reading, error) {
	limit := cmp.Or(options.MaxBytes, browser.DefaultReadBytes)
	var reading *browser.Reading
	err := s.readTab(ctx, func(ctx context.Context, t *tab) error {
		return s.withTab(ctx, t, func(ctx context.Context, t *tab) (err error) {
			reading, err = t.read(ctx, limit)
			return err
		})
	})
	return reading, err
}

func (t *tab) read(ctx context.Context, limit int) (*browser.Reading, error) {
	info, err := t.info(ctx)
	if err != nil {
		return nil, err
	}
	merged, err := t.readPlainText(ctx, limit)
	if err != nil {
		return nil, err
	}
	if merged == nil {
		first, err := t.readText(ctx, limit)
		if err != nil {
			return nil, err
		}
		if merged, err = t.readScrolling(ctx, first, limit); err != nil {
			return nil, err
		}
	}
	text, cut := merged.join(t.set.scrub, limit)
	return &browser.Reading{
		URL:       clip(t.set.scrub.Text(fill.OneLine(merged.url)), 2*maxText),
		Title:     clip(t.set.scrub.Text(fill.OneLine(info.Title)), maxName),
		Text:      text,
		Truncated: cut || merged.truncated,
	}, nil
}

// jsPlainText returns the text of a document that is no page, of the kinds that Chromium
// shows as they are, and null of any other. It returns more than the limit, by what a
// filled value may have, so that none is cut before it is hidden.
const jsPlainText = `function (limit) {
	const get = name => Object.getOwnPropertyDescriptor(Document.prototype, name).get.call(document);
	const kind = get('contentType'), body = get('body');
	const shown = /^text\/(?!html$|xml$)|^application\/(json|javascript|x-javascript)$|\+json$/.test(kind);
	return shown && body ? body.textContent.slice(0, limit + 4096) : null;
}`

// readPlainText reads a text that was opened by its own lines, which the accessibility
// tree runs together; nil of what is a page.
func (t *tab) readPlainText(ctx context.Context, limit int) (*pageReading, error) {
	tree, err := t.frameTree(ctx)
	if err != nil {
		return nil, err
	}
	w, err := isolatedWorld(ctx, tree.top)
	if err != nil {
		return nil, err
	}
	var text *string
	if err := evaluate(ctx, tree.top, w, &text, jsPlainText, limit+1); err != nil || text == nil {
		return nil, ctx.Err()
	}
	r := &pageReading{url: tree.top.url}
	for line := range strings.Lines(*text) {
		indent := len(line) - len(strings.TrimLeft(line, " "))
		r.lines = append(r.lines, readLine{
			{strings.Repeat(" ", indent), ours}, {fill.OneLine(line), shownText},
		})
	}
	return r, nil
}

// readText reads the page as it is now.
func (t *tab) readText(ctx context.Context, limit int) (*pageReading, error) {
	docs, err := t.readDocuments(ctx)
	if err != nil {
		return nil, err
	}
	r := &reader{tab: t, docs: docs, limit: limit}
	r.url = docs.tree.top.url
	r.truncated = len(docs.tree.order) > maxFrames
	r.document(ctx, docs.top, 0)
	return &r.pageReading, ctx.Err()
}

// readScrolling scrolls through what scrolls, as far as that shows more, and reads what
// comes. The page is left where it was.
func (t *tab) readScrolling(ctx context.Context, first *pageReading, limit int) (*pageReading, error) {
	tree, err := t.frameTree(ctx)
	if err != nil {
		return nil, err
	}
	w, err := isolatedWorld(ctx, tree.top)
	if err != nil {
		return nil, err
	}
	group := t.set.objectGroup()
	defer releaseGroup(tree.top.session, group)
	objects, err := evaluateNodes(ctx, tree.top, w, group, jsScrollers, maxScrollers)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return first, nil // the page has changed; what was read before is what there is
	}
	within, cancel := context.WithTimeout(ctx, maxScrolling)
	defer cancel()
	all := &mergedReading{pageReading: *first, last: first.lines}
	for _, object := range objects {
		n := &node{frame: tree.top, world: w, object: object}
		t.readAlong(within, n, all, limit)
		if all.size() > limit {
			break
		}
	}
	all.truncated = all.truncated || within.Err() != nil
	return &all.pageReading, ctx.Err()
}

// readAlong scrolls one part of the page from its top on. The first step is one of its
// heights; where that shows nothing new, the rest is skipped, since what is not drawn
// while it is out of view shows then. A page that ends meanwhile ends it.
func (t *tab) readAlong(ctx context.Context, scroller *node, all *mergedReading, limit int) {
	var at float64
	if scroller.callOn(ctx, &at, jsScrollerTo, 0) != nil {
		return
	}
	defer func() {
		back, cancel := context.WithTimeout(context.WithoutCancel(ctx), frameTimeout)
		defer cancel()
		_ = scroller.callOn(back, nil, jsScrollerTo, at)
	}()
	if at > 0 && !t.readMore(ctx, all, limit) && ctx.Err() != nil {
		return
	}
	jump := false
	for range maxScrolls {
		var moved bool
		if scroller.callOn(ctx, &moved, jsScrollerOn, jump) != nil || all.size() > limit {
			return
		}
		grown := t.readMore(ctx, all, limit)
		switch {
		case ctx.Err() != nil, !grown && (jump || !moved):
			return
		case !grown:
			jump = true
		}
	}
	all.truncated = true
}

// readMore reads the page again once it is quiet, and reports whether it shows anything
// new.
func (t *tab) readMore(ctx context.Context, all *mergedReading, limit int) bool {
	_ = t.waitQuiet(ctx, scrollQuiet, maxScrollWait) // one that stays busy is read as it is
	now, err := t.readText(ctx, limit)
	if err != nil {
		return false
	}
	return all.merge(now)
}

// mergedReading is what was read of a page that was scrolled.
type mergedReading struct {
	pageReading
	// last are the lines of the newest reading; at says which of the merged lines each
	// is.
	last []readLine
	at   []int
}

// size is about how long the text is.
func (m *mergedReading) size() (n int) {
	for _, l := range m.lines {
		n += l.size() + 1
	}
	return n
}

// maxMerge bounds the lines of two readings that are compared one by one.
const maxMerge = 3000

// merge adds the lines of a newer reading that the one before did not have, where they
// belong between the others, and reports whether there were any. Lines that are shown no
// more stay.
func (m *mergedReading) merge(now *pageReading) bool {
	if m.at == nil {
		for i := range m.last {
			m.at = append(m.at, i)
		}
	}
	same := commonLines(m.last, now.lines)
	at := make([]int, len(now.lines))
	var merged []readLine
	next, grown := 0, false // next is the first of the merged lines that was not copied
	for i, l := range now.lines {
		if same[i] >= 0 {
			old := m.at[same[i]]
			merged = append(merged, m.lines[next:old+1]...)
			next = old + 1
			at[i] = len(merged) - 1
			continue
		}
		// What took the place of lines that are gone follows them.
		if following := nextSame(same, i); following >= 0 {
			end := m.at[following]
			merged = append(merged, m.lines[next:end]...)
			next = end
		} else {
			merged = append(merged, m.lines[next:]...)
			next = len(m.lines)
		}
		merged, at[i], grown = append(merged, l), len(merged), true
	}
	m.lines = append(merged, m.lines[next:]...)
	m.last, m.at = now.lines, at
	m.truncated = m.truncated || now.truncated
	return grown
}

// nextSame returns the first of same from i on that is not -1.
func nextSame(same []int, i int) int {
	for ; i < len(same); i++ {
		if same[i] >= 0 {
			return same[i]
		}
	}
	return -1
}

// commonLines says for each line of b which line of a it is, -1 for none: a longest
// common subsequence. Where there are too many lines, only those at the beginning and
// at the end are found.
func commonLines(a, b []readLine) []int {
	same := slices.Repeat([]int{-1}, len(b))
	from, ends := 0, 0
	for from < min(len(a), len(b)) && a[from].equal(b[from]) {
		same[from] = from
		from++
	}
	for ends < min(len(a), len(b))-from && a[len(a)-1-ends].equal(b[len(b)-1-ends]) {
		ends++
		same[len(b)-ends] = len(a) - ends
	}
	a, b = a[from:len(a)-ends], b[from:len(b)-ends]
	if len(a) == 0 || len(b) == 0 || len(a) > maxMerge || len(b) > maxMerge {
		return same
	}
	// longest[i][j] is how many lines a[i:] and b[j:] have in common.
	longest := make([][]uint16, len(a)+1)
	for i := range longest {
		longest[i] = make([]uint16, len(b)+1)
	}
	for i, l := range slices.Backward(a) {
		for j := range slices.Backward(b) {
			if l.equal(b[j]) {
				longest[i][j] = longest[i+1][j+1] + 1
			} else {
				longest[i][j] = max(longest[i+1][j], longest[i][j+1])
			}
		}
	}
	for i, j := 0, 0; i < len(a) && j < len(b); {
		switch {
		case a[i].equal(b[j]):
			same[from+j] = from + i
			i, j = i+1, j+1
		case longest[i+1][j] >= longest[i][j+1]:
			i++
		default:
			j++
		}
	}
	return same
}

// join makes the text, cut at a line where it is longer than limit.
func (p *pageReading) join(scrub *fill.Scrubber, limit int) (text string, cut bool) {
	p.hideEchoes(scrub)
	var b strings.Builder
	for _, l := range p.lines {
		b.WriteString(l.String())
		b.WriteByte('\n')
	}
	text = scrub.Text(b.String())
	if len(text) <= limit {
		return text, false
	}
	if at := strings.LastIndexByte(text[:limit], '\n'); at >= 0 {
		return text[:at+1], true
	}
	return strings.ToValidUTF8(text[:limit], ""), true // of one long line
}
