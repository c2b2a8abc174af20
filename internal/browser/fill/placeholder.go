package fill

import (
	"crypto/rand"
	"math/big"
	"strings"
)

const (
	lowers  = "abcdefghijkmnpqrstuvwxyz"
	uppers  = "ABCDEFGHJKLMNPQRSTUVWXYZ"
	digits  = "0123456789"
	symbols = "-._~" // need no escape in a URL, a form or JSON

	// placeholderLength is long enough for the usual rules of sites, and far
	// beyond guessing.
	placeholderLength = 20
	// minPlaceholder is the shortest text that is unlikely to stand in a request by
	// chance.
	minPlaceholder = 4
	// maxPlaceholder bounds what a page may ask for.
	maxPlaceholder = 128
)

// Placeholders returns texts to type in place of secret, first the one that is most
// likely to pass a site's own checks. For digits they are as many digits, so that a
// code passes as a code; for anything else they tell nothing of the secret. shortest
// and longest are the field's limits, 0 for none.
func Placeholders(secret string, code bool, shortest, longest int) []string {
	if code || isDigits(secret) {
		n := len(secret)
		if n < minPlaceholder || longest > 0 && n > longest {
			return nil
		}
		text := randomOf("123456789", 1) + randomOf(digits, n-1) // no leading zero: scripts make numbers of codes
		if text == secret {
			return Placeholders(secret, code, shortest, longest)
		}
		return []string{text}
	}
	n := max(placeholderLength, shortest)
	if longest > 0 {
		n = min(n, longest)
	}
	if n < minPlaceholder || n > maxPlaceholder || n < shortest {
		return nil
	}
	return []string{
		mixedText(n, lowers, uppers, digits, symbols),
		mixedText(n, lowers, uppers, digits),
		"1" + randomOf(digits, n-1),
	}
}

// mixedText returns a text that begins with a letter and holds something of each
// alphabet.
func mixedText(n int, alphabets ...string) string {
	all := strings.Join(alphabets, "")
	for {
		text := randomOf(lowers+uppers, 1) + randomOf(all, n-1)
		complete := true
		for _, alphabet := range alphabets {
			complete = complete && strings.ContainsAny(text, alphabet)
		}
		if complete && !strings.HasSuffix(text, ".") {
			return text
		}
	}
}

func randomOf(alphabet string, n int) string {
	var b strings.Builder
	size := big.NewInt(int64(len(alphabet)))
	for range n {
		i, _ := rand.Int(rand.Reader, size) // crypto/rand never fails
		b.WriteByte(alphabet[i.Int64()])
	}
	return b.String()
}
