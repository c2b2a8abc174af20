package names

import (
	"errors"
	"strings"
)

// The limits of a cookie, which are those of Chromium.
const (
	MaxCookieBytes     = 4096 // name and value together
	MaxCookieAttribute = 1024 // a path, a domain
)

var (
	errCookieName = errors.New(
		"it holds a control character, an equals sign or a semicolon, or begins or ends with a space or a tab")
	errCookieValue  = errors.New("it holds a control character or a semicolon, or begins or ends with a space or a tab")
	errCookieDomain = errors.New(
		"it is not a host in lower case, with a dot before it where it is for its subdomains too")
	errCookiePath      = errors.New("it is not a slash and what follows, without control characters and semicolons")
	errCookieAttribute = errors.New("it is longer than 1024 bytes")
)

// CookieName checks the name of a cookie, which may be empty.
func CookieName(name string) error {
	if strings.Contains(name, "=") || !cookieText(name) {
		return errCookieName
	}
	return nil
}

// CookieValue checks the value of a cookie, which may be empty.
func CookieValue(value string) error {
	if !cookieText(value) {
		return errCookieValue
	}
	return nil
}

// CookieDomain checks where a cookie belongs: a host alone, or with a dot before it the
// host and all below. isHost says what a host is.
func CookieDomain(domain string, isHost func(string) bool) error {
	host, below := strings.CutPrefix(domain, ".")
	if len(domain) > MaxCookieAttribute {
		return errCookieAttribute
	}
	if host == "" || host != strings.ToLower(host) || !isHost(host) || below && !strings.Contains(host, ".") {
		return errCookieDomain
	}
	return nil
}

// CookiePath checks the path below which a cookie is sent.
func CookiePath(path string) error {
	if len(path) > MaxCookieAttribute {
		return errCookieAttribute
	}
	if !strings.HasPrefix(path, "/") || !cookieText(path) {
		return errCookiePath
	}
	return nil
}

// cookieText reports whether a browser keeps a text of a cookie as it is.
func cookieText(text string) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' && c != '\t' || c == 0x7f || c == ';' {
			return false
		}
	}
	return strings.Trim(text, " \t") == text
}
