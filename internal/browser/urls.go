package browser

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// blankPage is the one address without a scheme that fetches something.
const blankPage = "about:blank"

// errURL refuses an address that a client wants to open. It never quotes it. Clients know
// the name that Chromium has for addresses that it does not open.
var errURL = errors.New("net::ERR_ABORTED: this address may not be opened")

// CheckPageURL refuses addresses that are not of the web: file:, chrome: and
// javascript: reach the machine or the page itself.
func CheckPageURL(address string) error {
	if address == blankPage {
		return nil
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return BadRequest("page.url_refused", "only http and https addresses can be opened",
			"give a whole address, such as https://example.com/login")
	}
	if u.User != nil {
		return BadRequest("page.url_refused", "an address with a password in it is not opened",
			"use a vault entry and fill it")
	}
	return nil
}

// clientSchemes are those of addresses that a DevTools client may open: blob and data
// hold what the client or its page has made.
var clientSchemes = []string{"http", "https", "blob", "data"}

// CheckClientURL refuses addresses that a DevTools client may not open: file: reads
// the machine, chrome: and devtools: steer the browser, javascript: is a script and no
// address.
//
// Chromium drops control characters from an address before it reads the scheme
// ("fi\nle:"), so an address that has any is refused, not cleaned.
func CheckClientURL(raw string) error {
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
	if !slices.Contains(clientSchemes, asciiLower(scheme)) {
		return fmt.Errorf("%w: only %s", errURL, strings.Join(clientSchemes, ", "))
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
