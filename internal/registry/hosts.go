package registry

import (
	"errors"
	"slices"
	"strconv"
	"strings"
)

// The reasons why a host is none. None quotes it.
var (
	errHost = errors.New("a host is two or more labels of lower-case letters, digits and hyphens, the last of which " +
		"is not a number, and perhaps a port")
	errPort     = errors.New("a port is a number from 1 to 65535 other than 443, without leading zero")
	errWildcard = errors.New("* stands for one whole label, above at least two that are written out")
)

// Host checks a host in canonical form, "api.openai.com" or
// "api.example.com:8443". It is always reached by https.
func Host(host string) error {
	if strings.Contains(host, "*") {
		return errHost
	}
	return HostPattern(host)
}

// HostPattern checks a host in which whole labels may be *, each standing for
// exactly one label: "*.myshopify.com", "bedrock-runtime.*.amazonaws.com". The
// last two labels are written out.
func HostPattern(pattern string) error {
	name, port, hasPort := strings.Cut(pattern, ":")
	if hasPort {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 || n == 443 || port != strconv.FormatUint(n, 10) {
			return errPort
		}
	}
	below := strings.Count(name, ".")
	if len(name) > 253 || below < 1 {
		return errHost
	}
	var last string
	for last = range strings.SplitSeq(name, ".") {
		switch {
		case last != "*":
			if !isLabel(last) {
				return errHost
			}
		case below < 2:
			return errWildcard
		}
		below--
	}
	if strings.Trim(last, "0123456789") == "" {
		return errHost
	}
	return nil
}

// isLabel is an LDH label of RFC 5890 §2.3.1 in lower case.
func isLabel(label string) bool {
	if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
		return false
	}
	return !strings.ContainsFunc(label,
		func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' })
}

// MatchHost reports whether a host, or a narrower pattern of hosts, lies within
// a pattern. Both are in canonical form.
func MatchHost(pattern, host string) bool {
	pattern, patternPort, _ := strings.Cut(pattern, ":")
	host, port, _ := strings.Cut(host, ":")
	want, got := strings.Split(pattern, "."), strings.Split(host, ".")
	return port == patternPort &&
		slices.EqualFunc(want, got, func(w, g string) bool { return w == g || w == "*" && g != "" })
}

// AllowsHost reports whether a host, or a narrower pattern, lies within one of
// the provider's.
func (p Provider) AllowsHost(host string) bool {
	return slices.ContainsFunc(p.Hosts, func(pattern string) bool { return MatchHost(pattern, host) })
}
