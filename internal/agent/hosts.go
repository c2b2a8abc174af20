package agent

import (
	"cmp"
	"net/url"
	"slices"
	"strings"

	"github.com/bctrl-go/bctrl/internal/origin"
)

// hostList says which hosts a task may be at. Its nil permits every one.
type hostList struct{ patterns []string }

// newHostList takes the host patterns of a call, which have been checked. Nil is no
// list, an empty one permits no host.
func newHostList(patterns []string) *hostList {
	if patterns == nil {
		return nil
	}
	l := &hostList{}
	for _, text := range patterns {
		if pattern, err := origin.ParseAllowedHost(text, nil); err == nil {
			l.patterns = append(l.patterns, pattern)
		}
	}
	return l
}

// permits reports whether a task may be at an address, which is of a document as the
// browser has it. A page without a site, blank or an error, is permitted: nothing is on it.
func (l *hostList) permits(address string) bool {
	if l == nil {
		return true
	}
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	switch u.Scheme {
	case "http", "https":
		host, port := u.Hostname(), cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
		return slices.ContainsFunc(l.patterns, func(p string) bool { return origin.MatchAllowedHost(p, host, port) })
	case "blob":
		return !strings.HasPrefix(u.Opaque, "blob:") && l.permits(u.Opaque)
	case "about":
		return u.Opaque == "blank"
	case "chrome-error", "":
		return true
	}
	return slices.Contains(l.patterns, origin.EveryHost)
}
