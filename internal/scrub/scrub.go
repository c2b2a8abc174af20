// Package scrub takes secret values out of text that leaves the server or
// enters a prompt: the last guard, behind everything that keeps a value from
// getting there at all.
//
// A value is found raw and in the usual encodings, also mixed: the escapes of
// JSON, programming languages, URLs, mail and HTML, each also escaped once more,
// hexadecimal, and base64 at any alignment in both alphabets, also escaped or
// wrapped; all of them as bytes and in UTF-16 of either order. What is not
// found: a value in another letter case, cut in pieces, compressed, or encoded
// by two of these in turn. Values shorter than [MinLength] bytes are not looked
// for, because they would hit ordinary words.
package scrub

import (
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/bctrl-go/bctrl"
)

const (
	// Mark is what stands in the place of a value.
	Mark = "[secret]"
	// MinLength is the length in bytes of the shortest value that is looked
	// for.
	MinLength = 4
)

// Set holds the values to take out. The zero Set holds none. It is safe for
// concurrent use, and no printer shows what it holds.
type Set struct {
	mu     sync.RWMutex
	values []bctrl.Secret
	// matcher is a func so that fmt and reflection have nothing to show.
	matcher func() *matcher
}

// New returns a Set of the values.
func New(values ...bctrl.Secret) *Set {
	s := new(Set)
	s.add(values)
	return s
}

// Add adds a value; adding one twice is once.
func (s *Set) Add(value bctrl.Secret) { s.add([]bctrl.Secret{value}) }

// add adds values and makes the matcher once for all of them.
func (s *Set) add(values []bctrl.Secret) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := len(s.values)
	for _, value := range values {
		if len(value.Expose()) >= MinLength && !slices.ContainsFunc(s.values, value.Equal) {
			s.values = append(s.values, value)
		}
	}
	if len(s.values) == known {
		return
	}
	var exposed []string
	for _, v := range s.values {
		exposed = append(exposed, v.Expose())
	}
	m := newMatcher(exposed)
	s.matcher = func() *matcher { return m }
}

// snapshot returns the matcher of the values as they are now, nil for none.
func (s *Set) snapshot() *matcher {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.matcher == nil {
		return nil
	}
	return s.matcher()
}

// String returns text with every value replaced by [Mark].
func (s *Set) String(text string) string {
	m := s.snapshot()
	if m == nil {
		return text
	}
	if _, n, _ := m.next([]byte(text), true); n == 0 { // as nearly always
		return text
	}
	out, _ := m.replace(nil, []byte(text), true, named)
	return string(out)
}

// Holds reports whether text holds a value.
func (s *Set) Holds(text []byte) bool {
	m := s.snapshot()
	if m == nil {
		return false
	}
	_, n, _ := m.next(text, true)
	return n > 0
}

// HoldsFolded is Holds whatever the letter case of both, as for a host name, which has
// none.
func (s *Set) HoldsFolded(text string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	text = strings.ToLower(text)
	return slices.ContainsFunc(s.values, func(v bctrl.Secret) bool {
		return strings.Contains(text, strings.ToLower(v.Expose()))
	})
}

// Format implements [fmt.Formatter]: no verb shows a value.
func (s *Set) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, Mark) }

// LogValue implements [slog.LogValuer].
func (s *Set) LogValue() slog.Value { return slog.StringValue(Mark) }

// Reader returns a reader of r's bytes with every value that s holds now
// replaced. It holds back bytes only while they may be the beginning of a
// value, so a stream stays a stream. Closing stays with r.
func (s *Set) Reader(r io.Reader) io.Reader { return s.reader(r, named) }

// Mask is [Set.Reader] for a text whose length was said already: what stands in
// the place of a value is as long as that.
func (s *Set) Mask(r io.Reader) io.Reader { return s.reader(r, masked) }

func (s *Set) reader(r io.Reader, mark marking) io.Reader {
	m := s.snapshot()
	if m == nil {
		return r
	}
	return &reader{src: r, matcher: m, mark: mark}
}

// Finder looks for values in a text that is written to it in pieces.
type Finder struct {
	matcher *matcher // nil for none
	rest    []byte   // may begin a value
	found   bool
}

// Finder returns a Finder of the values that s holds now.
func (s *Set) Finder() *Finder { return &Finder{matcher: s.snapshot()} }

// Write implements [io.Writer]. It does not fail.
func (f *Finder) Write(p []byte) (int, error) {
	if f.matcher == nil || f.found {
		return len(p), nil
	}
	f.rest = append(f.rest, p...)
	at, n, open := f.matcher.next(f.rest, false)
	f.found = n > 0
	if !open {
		at = len(f.rest)
	}
	f.rest = f.rest[:copy(f.rest, f.rest[at:])]
	return len(p), nil
}

// Found reports whether a value was in what was written.
func (f *Finder) Found() bool { return f.found }

// End reports whether a value was in what was written and nothing follows it.
func (f *Finder) End() bool {
	if f.matcher != nil && !f.found {
		_, n, _ := f.matcher.next(f.rest, true)
		f.found = n > 0
	}
	return f.found
}

// Open is how many of the bytes that were written last may begin a value.
func (f *Finder) Open() int { return len(f.rest) }

type reader struct {
	src     io.Reader
	matcher *matcher
	mark    marking
	// rest may begin a value and waits for more; out is ready to be read.
	rest, out []byte
	// room is where text is looked through that has no place with the caller.
	room []byte
	err  error
}

// leastRoom is how many bytes are read at a time at least, beside what waits.
const leastRoom = 4 << 10

func (r *reader) Read(p []byte) (int, error) {
	for {
		switch {
		case len(r.out) > 0:
			n := copy(p, r.out)
			r.out = r.out[n:]
			return n, nil
		case r.err != nil:
			return 0, r.err
		case len(p) >= len(r.rest)+leastRoom:
			if n := r.fill(p); n > 0 {
				return n, nil
			}
			continue
		case len(r.room) < len(r.rest)+leastRoom:
			r.room = make([]byte, 2*(len(r.rest)+leastRoom))
		}
		if n := r.fill(r.room); n > 0 {
			r.out = r.room[:n]
		}
	}
}

// fill reads into a text what waits and what follows, and returns how much of it can
// be read as it is. Where it holds a value it puts it into out, without that.
func (r *reader) fill(text []byte) (ready int) {
	n := copy(text, r.rest)
	more, err := r.src.Read(text[n:])
	r.err = err
	text = text[:n+more]
	// An error that is not the end of the text loses the rest: it may be the
	// beginning of a value.
	end := err == io.EOF
	ready, found, open := r.matcher.next(text, end)
	rest := text[len(text):]
	switch {
	case open:
		rest = text[ready:]
	case found > 0:
		r.out, rest = r.matcher.replace(nil, text, end, r.mark)
		ready = 0
	}
	r.rest = append(r.rest[:0], rest...)
	clear(text[ready:]) // which is the caller's, and may hold a value
	return ready
}
