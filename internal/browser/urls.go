package browser

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// blankPage is the one address without a scheme that fetches something.
const blankPage = "about:blank"

// errURL refuses an address to open. It never quotes it.
var errURL = errors.New("this address may not be opened")

// checkPageURL refuses what an agent may not open: the proxy sees all of the web.
func checkPageURL(raw string) error { return checkURL(raw, "http", "https") }

// CheckClientURL refuses what a DevTools client may not open: blob and data hold
// what the client has already.
func CheckClientURL(raw string) error { return checkURL(raw, "http", "https", "blob", "data") }

// checkURL refuses what is neither about:blank nor of one of schemes: file:
// reads the machine, chrome: and devtools: steer the browser, javascript: is a
// script and no address.
//
// Chromium drops control characters from an address before it reads the
// scheme ("fi\nle:"), so an address that has any is refused, not cleaned.
func checkURL(raw string, schemes ...string) error {
	if raw == blankPage {
		return nil
	}
	if strings.ContainsFunc(raw, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return fmt.Errorf("%w: it holds control characters", errURL)
	}
	scheme, _, ok := strings.Cut(raw, ":")
	if !ok {
		return fmt.Errorf("%w: it has no scheme", errURL)
	}
	// Schemes are ASCII: Unicode case folding must not make one.
	if !slices.Contains(schemes, asciiLower(scheme)) {
		return fmt.Errorf("%w: only %s", errURL, strings.Join(schemes, ", "))
	}
	return nil
}

func asciiLower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}
