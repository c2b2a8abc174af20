package origin

import "strings"

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
	pattern := strings.ToLower(text)
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
	host = strings.ToLower(host)
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
