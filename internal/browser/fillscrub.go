package browser

import (
	"strings"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/scrub"
)

// hiddenValue is what stands for a filled value.
const hiddenValue = scrub.Mark

// scrubber takes what was filled out of what is read back from pages: a site
// may echo a password.
type scrubber struct {
	set *scrub.Set
}

func newScrubber() *scrubber { return &scrubber{set: scrub.New()} }

// add takes value out from now on, also as a page may show it: in one letter
// case, with its white space run together, a code in two halves.
func (s *scrubber) add(value string) {
	forms := []string{value, squeeze(value)}
	if len(value) >= 6 {
		forms = append(forms, strings.ToUpper(value), strings.ToLower(value))
	}
	if isDigits(value) && len(value) >= 6 && len(value)%2 == 0 {
		forms = append(forms, value[:len(value)/2]+" "+value[len(value)/2:], value[:len(value)/2]+"-"+value[len(value)/2:])
	}
	for _, form := range forms {
		s.set.Add(bctrl.NewSecret(form))
	}
}

func (s *scrubber) text(text string) string { return s.set.String(text) }

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}
