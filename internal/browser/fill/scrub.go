package fill

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"unicode"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/scrub"
)

const (
	// Hidden is shown in the place of a filled value.
	Hidden = scrub.Mark
	// maxScrubbed is how many passwords, and as many codes, are taken out: the
	// last ones filled. Each costs a little for every text that is read.
	maxScrubbed = 16
)

// Scrubber takes filled values out of texts that are read from pages: a site may
// echo a password.
type Scrubber struct {
	set atomic.Pointer[scrub.Set]
	// echoes is a func so that printers have nothing to show.
	echoes atomic.Pointer[func() []echo]

	mu               sync.Mutex
	passwords, codes []bctrl.Secret
}

// NewScrubber makes a scrubber that knows no value yet.
func NewScrubber() *Scrubber {
	s := new(Scrubber)
	s.set.Store(scrub.New())
	return s
}

// Add has a value taken out of texts from now on. Codes have a list of their own:
// one every half minute must not push passwords out of theirs.
func (s *Scrubber) Add(value bctrl.Secret) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := &s.passwords
	if isDigits(value.Expose()) {
		list = &s.codes
	}
	*list = append(slices.DeleteFunc(*list, value.Equal), value)
	*list = (*list)[max(0, len(*list)-maxScrubbed):]
	var all []bctrl.Secret
	var echoes []echo
	for _, v := range slices.Concat(s.passwords, s.codes) {
		all = append(all, shownForms(v.Expose())...)
		echoes = append(echoes, echoesOf(v.Expose())...)
	}
	s.set.Store(scrub.New(all...))
	hidden := func() []echo { return echoes }
	s.echoes.Store(&hidden)
}

// Spans returns for each of the texts, which follow one another on the page, the
// spans that are part of an echo. What [Scrubber.Text] finds in one text alone is
// not among them.
func (s *Scrubber) Spans(texts []string) [][]Span {
	echoes := s.echoes.Load()
	if echoes == nil {
		return make([][]Span, len(texts))
	}
	return echoSpans((*echoes)(), texts)
}

// shownForms returns the forms in which pages show a value as a whole: in capitals
// or small letters, with its white space run together, a code in two halves.
func shownForms(value string) []bctrl.Secret {
	forms := []string{value, OneLine(value)}
	if n := len(value); n >= 6 && isDigits(value) {
		forms = append(forms, value[:n/2]+" "+value[n/2:], value[:n/2]+"-"+value[n/2:])
	} else if n >= 6 {
		forms = append(forms, strings.ToUpper(value), strings.ToLower(value))
	}
	var out []bctrl.Secret
	for _, form := range forms {
		out = append(out, bctrl.NewSecret(form))
	}
	return out
}

// Text returns a text with filled values taken out.
func (s *Scrubber) Text(text string) string {
	text = s.set.Load().String(text)
	if s.echoes.Load() == nil || text == "" {
		return text
	}
	return Redact(text, s.Spans([]string{text})[0])
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// OneLine makes one line of text: runs of white space become one space, and
// characters that show nothing are dropped.
func OneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r), unicode.IsControl(r), unicode.Is(unicode.Zl, r), unicode.Is(unicode.Zp, r):
			return ' '
		case unicode.Is(unicode.Cf, r), unicode.Is(unicode.Co, r):
			return -1
		}
		return r
	}, s)
	return strings.Join(strings.Fields(s), " ")
}
