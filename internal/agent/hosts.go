package agent

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/bctrl-go/bctrl/internal/origin"
)

// maxHosts bounds how many hosts a call may list.
const maxHosts = 1000

// hostList says which hosts a task may be at. Its nil permits every one.
type hostList struct{ patterns []string }

// newHostList reads the host patterns of a call. Nil is no list, an empty one permits
// no host.
func newHostList(patterns []string) (*hostList, error) {
	if patterns == nil {
		return nil, nil
	}
	if len(patterns) > maxHosts {
		return nil, badOption("allowedHosts", fmt.Sprintf("allowedHosts lists more than %d hosts", maxHosts))
	}
	l := &hostList{}
	for i, text := range patterns {
		pattern, err := origin.ParseHostPattern(text, nil)
		if err != nil {
			e := invalid("agent.invalid_host", fmt.Sprintf("allowedHosts[%d]", i), "this is no host: "+err.Error())
			e.Hint = "write example.com for one host, *.example.com for all below it, without scheme, port and path"
			return nil, e
		}
		l.patterns = append(l.patterns, pattern)
	}
	return l, nil
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
		return slices.ContainsFunc(l.patterns, func(p string) bool { return origin.MatchHost(p, u.Hostname()) })
	case "blob":
		return !strings.HasPrefix(u.Opaque, "blob:") && l.permits(u.Opaque)
	case "about":
		return u.Opaque == "blank"
	case "chrome-error", "":
		return true
	}
	return slices.Contains(l.patterns, origin.EveryHost)
}
