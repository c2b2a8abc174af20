package fill

import (
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bctrl-go/bctrl"
)

// shown returns pieces as they are shown when secret was filled.
func shown(secret string, pieces ...string) []string {
	s := NewScrubber()
	s.Add(bctrl.NewSecret(secret))
	out := make([]string, len(pieces))
	for i, cuts := range s.Spans(pieces) {
		out[i] = Redact(pieces[i], cuts)
	}
	return out
}

// TestAnEchoInPiecesIsTakenOut is a table of what a site may show of a password
// or a code, and of what it may show without.
func TestAnEchoInPiecesIsTakenOut(t *testing.T) {
	const secret = "correct-Horse_7.battery"
	chars := strings.Split(secret, "")
	back := []rune(secret)
	for i, j := 0, len(back)-1; i < j; i, j = i+1, j-1 {
		back[i], back[j] = back[j], back[i]
	}
	for _, c := range []struct {
		why, secret string
		pieces      []string
		hidden      bool
	}{
		{"a character each", secret, chars, true},
		{"in two halves", secret, []string{"correct-Hor", "se_7.battery"}, true},
		{"with spaces", secret, []string{strings.Join(chars, " ")}, true},
		{"with signs", secret, []string{strings.Join(chars, " · ")}, true},
		{"in capitals, a character each", secret, strings.Split(strings.ToUpper(secret), ""), true},
		{"backwards", secret, []string{string(back)}, true},
		{"with characters that show nothing", secret, []string{strings.Join(chars, "\u200b\u00ad")}, true},
		{"underlined with marks", secret, []string{strings.Join(chars, "\u0332")}, true},
		{"in wide letters", "wide7letters", []string{"ｗｉｄｅ７ｌｅｔｔｅｒｓ"}, true},
		{"with an accent written apart", "caf\u00e97time", []string{"cafe\u0301", "7time"}, true},
		{"the most of it", secret, []string{"it begins with correct-Horse_7.ba…"}, true},
		{"the end of it", secret, []string{"it ends with ct-Horse_7.battery"}, true},
		{"a code in halves", "048151", []string{"048", "151"}, true},
		{"a code digit by digit", "048151", strings.Split("048151", ""), true},
		{"a code with a sign", "048151", []string{"your code 048–151 was wrong"}, true},
		{"few letters, a character each", "a1&=", strings.Split("a1&=", ""), true},
		{"letters alone, in two words", "sunshine", []string{"sun", "shine"}, true},

		{"words of it", secret, []string{"the correct horse is", "the battery"}, false},
		{"a word that is the most of it", "password12", []string{"Password", "New password"}, false},
		{"a number that holds a code", "048151", []string{"10481517"}, false},
		{"a time", "123456", []string{"12:34:56"}, false},
		{"cells of numbers", "123456", []string{"12", "34", "56"}, false},
		{"halves of other numbers", "123456", []string{"9123", "4567"}, false},
		{"nothing of it", secret, []string{"Sign in", "", "Forgot it?"}, false},
	} {
		got := shown(c.secret, c.pieces...)
		if !c.hidden {
			require.Equal(t, c.pieces, got, c.why)
			continue
		}
		require.Contains(t, strings.Join(got, ""), Hidden, c.why)
		left := strings.ReplaceAll(strings.Join(got, ""), Hidden, "")
		kept := 0
		for _, r := range left {
			if unicode.IsDigit(r) || unicode.IsLetter(r) && strings.ContainsRune(strings.ToLower(c.secret), unicode.ToLower(r)) {
				kept++
			}
		}
		require.LessOrEqual(t, kept, len("it begins with"), "%s", c.why)
	}
}

// TestAnEchoIsFoundHoweverItIsCut cuts values into pieces at random.
func TestAnEchoIsFoundHoweverItIsCut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		secret := rapid.StringMatching(`[a-z]{4,8}[0-9][A-Za-z0-9&=+%<>"\\ -]{3,12}`).Draw(t, "secret")
		before, after := rapid.StringMatching(`[ .,:]{0,4}`).Draw(t, "before"), rapid.StringMatching(`[ .,:]{0,4}`).Draw(t,
			"after")
		pieces := []string{before}
		for _, r := range secret {
			if rapid.Bool().Draw(t, "cut") {
				pieces = append(pieces, "")
			}
			pieces[len(pieces)-1] += string(r)
		}
		pieces = append(pieces, after)
		got := strings.ReplaceAll(strings.Join(shown(secret, pieces...), ""), Hidden, "")
		for _, r := range got {
			require.False(t, unicode.IsLetter(r) || unicode.IsDigit(r), "a letter of the value is left")
		}
	})
}
