package origin

import (
	"net/netip"
	"slices"
	"strings"
)

// EveryHost is the host pattern that every host matches.
const EveryHost = "*"

// ParseHostPattern returns the canonical form, which is lower-case, of a host pattern
// (semantics, Hosts), or what is wrong with it: "*" is every host, "*.example.com"
// every host strictly below, "example.com" that host alone. A host is one or more
// labels: "localhost" is one, an IP address is none. isPublicSuffix is that of
// [ParsePattern].
func ParseHostPattern(text string, isPublicSuffix func(domain string) bool) (string, error) {
	if text == EveryHost {
		return text, nil
	}
	pattern := lowerASCII(text)
	host, wild := strings.CutPrefix(pattern, "*.")
	last := ""
	for label := range strings.SplitSeq(host, ".") {
		if err := checkLabel(label); err == errHost {
			return "", errPattern
		} else if err != nil {
			return "", err
		}
		last = label
	}
	switch {
	case len(pattern) > maxHostBytes:
		return "", errLength
	case numeric(last):
		return "", errNumeric
	case wild && isPublicSuffix != nil && isPublicSuffix(host):
		return "", errSuffix
	}
	return pattern, nil
}

// MatchHost reports whether a host, as a browser has it, is one of a pattern in
// canonical form.
func MatchHost(pattern, host string) bool {
	host = lowerASCII(host)
	if below, wild := strings.CutPrefix(pattern, "*."); wild {
		above, ok := strings.CutSuffix(host, "."+below)
		return ok && above != ""
	}
	return pattern == EveryHost || pattern == host
}

// ParseAllowedHost returns the canonical form, which is lower-case, of an entry of a list
// of hosts where an agent may be, or what is wrong with it: a host pattern, or a name that
// the machine has for itself, "localhost", "127.0.0.1" and "[::1]", of one port
// ("localhost:8080") or of all. No other address is a host: see [Parse], which permits the
// same ones.
func ParseAllowedHost(text string, isPublicSuffix func(domain string) bool) (string, error) {
	lowered := strings.ToLower(text)
	if own, after, ok := cutOwn(lowered); ok {
		_, err := parsePort(after, "")
		return own + after, err
	}
	return ParseHostPattern(text, isPublicSuffix)
}

// MatchAllowedHost reports whether a host and a port, as a browser has them, are those of
// an entry in canonical form. The port is never empty; a host of IPv6 has no brackets.
func MatchAllowedHost(entry, host, port string) bool {
	if own, after, ok := cutOwn(entry); ok {
		return strings.Trim(own, "[]") == strings.ToLower(host) && (after == "" || after == ":"+port)
	}
	return MatchHost(entry, host)
}

// HostPattern checks an entry of a web mount, in any letter case. Which domains
// are public suffixes is for the server to say.
func HostPattern(text string) error {
	_, err := ParseHostPattern(text, nil)
	return err
}

// IsHost reports whether text is a host as a browser connects to it, in any letter
// case: labels of ASCII letters, digits and hyphens, or an IP address, an IPv6
// one with or without brackets.
func IsHost(text string) bool {
	if strings.ContainsAny(text, ":[]") {
		return isIPv6(text)
	}
	if len(text) > maxHostBytes {
		return false
	}
	for label := range strings.SplitSeq(lowerASCII(text), ".") {
		if checkLabel(label) != nil {
			return false
		}
	}
	return true
}

// lowerASCII lowers the ASCII capitals of text, and no other letter: the Kelvin sign
// is no k.
func lowerASCII(text string) string {
	if !strings.ContainsFunc(text, func(r rune) bool { return r >= 'A' && r <= 'Z' }) {
		return text
	}
	lowered := []byte(text)
	for i, c := range lowered {
		if c >= 'A' && c <= 'Z' {
			lowered[i] = c + 'a' - 'A'
		}
	}
	return string(lowered)
}

// isAddress reports whether a host is an IP address to a browser, to which "1.2",
// "0x7f.1" and "0" are such too.
func isAddress(host string) bool {
	return strings.Contains(host, ":") || numeric(lowerASCII(host[strings.LastIndexByte(host, '.')+1:]))
}

// isIPv6 reports whether text is an IPv6 address without a zone, which would name an
// interface of one machine.
func isIPv6(text string) bool {
	if inner, ok := strings.CutPrefix(text, "["); ok {
		if text, ok = strings.CutSuffix(inner, "]"); !ok {
			return false
		}
	}
	addr, err := netip.ParseAddr(text)
	return err == nil && addr.Is6() && addr.Zone() == ""
}

// IndexHost returns the index of the first pattern of list that holds a host, or -1.
// An IP address is held by "*" alone, and what is no host by none. Letter case
// does not matter on either side. An invalid pattern holds no host.
func IndexHost(list []string, host string) int {
	if !IsHost(host) {
		return -1
	}
	address := isAddress(host)
	for i, pattern := range list {
		if pattern == EveryHost || !address && holdsName(pattern, host) {
			return i
		}
	}
	return -1
}

// holdsName reports whether a pattern other than [EveryHost] holds a host that is a
// name.
func holdsName(pattern, host string) bool {
	below, wild := strings.CutPrefix(pattern, "*")
	if !wild {
		return len(pattern) == len(host) && strings.EqualFold(pattern, host)
	}
	above := len(host) - len(below) // below begins with its dot
	return len(below) > 1 && below[0] == '.' && above > 0 && strings.EqualFold(host[above:], below)
}

// A host read from right to left is a path of labels, as a vault key is one of
// segments, and its last label is marked as the end, so that a host is no part of
// what lies below it:
//
//	*                  /
//	*.example.com      com/example/
//	example.com        com/=example
//	login.example.com  com/example/=login
//
// So a host pattern is a prefix of package prefix, and everything that is asked
// about prefixes can be asked about host patterns.

// HostEnd begins the last segment of a host's path. No label holds it.
const HostEnd = "="

// HostPath returns the prefix that a host pattern stands for, lower-case. That of
// an invalid one holds no path of a host.
func HostPath(pattern string) string {
	if pattern == EveryHost {
		return "/"
	}
	labels := strings.Split(lowerASCII(pattern), ".")
	slices.Reverse(labels)
	last := len(labels) - 1
	switch {
	case labels[last] != "*":
		labels[last] = HostEnd + labels[last]
	case last == 0 || labels[0] == "":
		return pattern // "*" in capitals there is none, and "*." is nothing
	default:
		labels[last] = ""
	}
	return strings.Join(labels, "/")
}

// PatternOfPath is the inverse of [HostPath], in lower case. A number at the
// beginning of a host's path, "=0", is an IP address.
func PatternOfPath(path string) string {
	if path == "/" {
		return EveryHost
	}
	labels := strings.Split(path, "/")
	slices.Reverse(labels)
	if name, ok := strings.CutPrefix(labels[0], HostEnd); ok {
		labels[0] = name
	} else {
		labels[0] = "*"
	}
	return strings.Join(labels, ".")
}
