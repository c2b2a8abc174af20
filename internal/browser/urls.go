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

// checkPageURL refuses addresses that an agent may not open: only those of the web
// pass the proxy.
func checkPageURL(raw string) error { return checkURL(raw, "http", "https") }

// CheckClientURL refuses addresses that a DevTools client may not open. It may open
// blob and data: they hold what the client or its page has made.
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
