// Package origin parses and matches the origins that a vault entry may be
// filled in at (semantics, Keys, prefixes, names: Origin).
//
// An origin is https://host[:port], and http only for the machine itself. It
// has one canonical form, so that two origins are the same exactly when their
// texts are. Parsing drops letter case, a default port and one trailing slash
// and repairs nothing else: net/url would accept, and a browser would rewrite,
// much that is refused here.
package origin

import (
	"errors"
	"strings"
)

const (
	maxHostBytes  = 253 // RFC 1035 §2.3.4, less the length octet and the root
	maxLabelBytes = 63  // RFC 1035 §2.3.4
)

// The reasons for a refusal. None quotes the input.
var (
	errScheme   = errors.New("it does not begin with https://, or http:// for localhost, 127.0.0.1 or [::1]")
	errHost     = errors.New("the host is not two or more labels of ASCII letters, digits and hyphens")
	errLength   = errors.New("the host is longer than 253 bytes or one of its labels longer than 63")
	errNumeric  = errors.New("the last label of the host is a number, as of an IP address")
	errPort     = errors.New("the port is not a number from 1 to 65535 without leading zero")
	errWildcard = errors.New("* is not the whole first label above at least two others")
	errSuffix   = errors.New("* stands above a public suffix, where anyone can register")
	errPattern  = errors.New("it is not labels of ASCII letters, digits and hyphens, after *. or not, and not * alone")
)

// Parse returns the canonical form of an origin, or what is wrong with it.
func Parse(text string) (string, error) {
	scheme, rest, err := split(text)
	if err != nil {
		return "", err
	}
	host, port, err := hostPort(scheme, rest)
	if err != nil {
		return "", err
	}
	if scheme == "https" {
		err = checkHost(host)
	}
	if err != nil {
		return "", err
	}
	return join(scheme, host, port), nil
}

// ParsePattern returns the canonical form of an origin pattern: an https origin
// whose first label is *, standing for exactly one label, above at least two
// others. isPublicSuffix tells the domains below which anyone can register a
// name, such as co.uk; with nil the caller leaves that to the server.
func ParsePattern(text string, isPublicSuffix func(domain string) bool) (string, error) {
	scheme, rest, err := split(text)
	if err != nil {
		return "", err
	}
	below, ok := strings.CutPrefix(rest, "*.")
	if !ok || scheme != "https" {
		return "", errWildcard
	}
	domain, port, err := hostPort(scheme, below)
	if err != nil {
		return "", err
	}
	if strings.Contains(domain, "*") {
		return "", errWildcard
	}
	if err := checkHost(domain); err != nil {
		return "", err
	}
	if len("*.")+len(domain) > maxHostBytes { // * stands for one byte at least
		return "", errLength
	}
	if isPublicSuffix != nil && isPublicSuffix(domain) {
		return "", errSuffix
	}
	return join(scheme, "*."+domain, port), nil
}

// Match reports whether origin is the same as allowed, or matches it when
// allowed is a pattern. Both are in canonical form: anything else matches
// nothing.
func Match(allowed, origin string) bool {
	if canonical, err := Parse(origin); err != nil || canonical != origin {
		return false
	}
	below, ok := strings.CutPrefix(allowed, "https://*.")
	if !ok {
		return allowed == origin
	}
	host, ok := strings.CutPrefix(origin, "https://")
	if canonical, err := ParsePattern(allowed, nil); !ok || err != nil || canonical != allowed {
		return false
	}
	_, above, _ := strings.Cut(host, ".")
	return above == below
}

// split takes a scheme and one trailing slash off text and lowers what is
// between them.
func split(text string) (scheme, rest string, err error) {
	for i := range len(text) {
		if text[i] <= ' ' || text[i] >= 0x7f {
			return "", "", errHost
		}
	}
	scheme, rest, ok := strings.Cut(strings.ToLower(text), "://")
	if !ok || scheme != "https" && scheme != "http" {
		return "", "", errScheme
	}
	return scheme, strings.TrimSuffix(rest, "/"), nil
}

// hostPort splits host[:port]; the port is empty when it is the default one.
// An http host is one of the machine's own names.
func hostPort(scheme, rest string) (host, port string, err error) {
	if scheme == "http" {
		own, after, ok := cutOwn(rest)
		if !ok {
			return "", "", errScheme
		}
		port, err = parsePort(after, "80")
		return own, port, err
	}
	end := strings.IndexByte(rest, ':')
	if end < 0 {
		return rest, "", nil
	}
	port, err = parsePort(rest[end:], "443")
	return rest[:end], port, err
}

// cutOwn splits what a lowered text begins with, where that is a name of the machine's
// own, from nothing or a port.
func cutOwn(text string) (own, after string, ok bool) {
	for _, own := range []string{"localhost", "127.0.0.1", "[::1]"} {
		if after, ok := strings.CutPrefix(text, own); ok && (after == "" || after[0] == ':') {
			return own, after, true
		}
	}
	return "", "", false
}

// parsePort reads ":port", or nothing.
func parsePort(text, standard string) (string, error) {
	if text == "" {
		return "", nil
	}
	port, number := text[1:], 0
	if port == "" || port[0] == '0' || len(port) > len("65535") {
		return "", errPort
	}
	for i := range len(port) {
		if !isDigit(port[i]) {
			return "", errPort
		}
		number = number*10 + int(port[i]-'0')
	}
	if number > 65535 {
		return "", errPort
	}
	if port == standard {
		return "", nil
	}
	return port, nil
}

func join(scheme, host, port string) string {
	if port != "" {
		host += ":" + port
	}
	return scheme + "://" + host
}

// checkHost checks a lowered host name.
func checkHost(host string) error {
	labels, last := 0, ""
	for label := range strings.SplitSeq(host, ".") {
		if err := checkLabel(label); err != nil {
			return err
		}
		labels, last = labels+1, label
	}
	switch {
	case labels < 2:
		return errHost
	case len(host) > maxHostBytes:
		return errLength
	case numeric(last):
		return errNumeric
	}
	return nil
}

func checkLabel(label string) error {
	if label == "" || label[0] == '-' || label[len(label)-1] == '-' {
		return errHost
	}
	if len(label) > maxLabelBytes {
		return errLength
	}
	for i := range len(label) {
		if c := label[i]; !isDigit(c) && !(c >= 'a' && c <= 'z') && c != '-' {
			return errHost
		}
	}
	return nil
}

// numeric reports whether a browser reads a host that ends in label as an IPv4
// address: decimal, octal, or hexadecimal, where "0x" alone is zero (WHATWG
// URL, ends-in-a-number checker).
func numeric(label string) bool {
	digits, isHex := strings.CutPrefix(label, "0x")
	for i := range len(digits) {
		if c := digits[i]; !isDigit(c) && !(isHex && c >= 'a' && c <= 'f') {
			return false
		}
	}
	return true
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
