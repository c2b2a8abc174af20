package agent

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	"github.com/bctrl-go/bctrl/internal/origin"
)

// maxHosts bounds how many hosts a call may list.
const maxHosts = 1000

// hostList says which hosts a task may be at. Its nil permits every one.
type hostList struct {
	patterns []string
	all      bool
	exact    map[string]bool
	// below are the suffixes of hosts, with the dot before them.
	below []string
}

// newHostList reads the patterns of a call: "*", "*.example.com" for every host
// strictly below, "example.com" for that host alone. Nil is no list.
func newHostList(patterns []string) (*hostList, error) {
	if patterns == nil {
		return nil, nil
	}
	if len(patterns) > maxHosts {
		return nil, badOption("allowedHosts", fmt.Sprintf("allowedHosts lists more than %d hosts", maxHosts))
	}
	l := &hostList{patterns: patterns, exact: make(map[string]bool)}
	for i, p := range patterns {
		host, wild := strings.CutPrefix(p, "*.")
		switch {
		case p == "*":
			l.all = true
		case !isHost(host, wild):
			e := invalid("agent.invalid_host", fmt.Sprintf("allowedHosts[%d]", i), "this is no host")
			e.Hint = "write example.com for one host, *.example.com for all below it, without scheme, port and path"
			return nil, e
		case wild:
			l.below = append(l.below, "."+strings.ToLower(host))
		default:
			l.exact[strings.ToLower(host)] = true
		}
	}
	return l, nil
}

// isHost reports whether text is a host in canonical form but for its letter case; a
// wild one is no address of a machine.
func isHost(text string, wild bool) bool {
	lower := strings.ToLower(text)
	if _, err := netip.ParseAddr(strings.Trim(lower, "[]")); err == nil {
		return !wild
	}
	if lower == "localhost" {
		return true
	}
	parsed, err := origin.Parse("https://" + lower)
	return err == nil && parsed == "https://"+lower
}

// permits reports whether a task may be at an address, which is of a document as the
// browser has it. A page without a site, blank or an error, is permitted: nothing is on it.
func (l *hostList) permits(address string) bool {
	if l == nil || l.all {
		return true
	}
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	switch u.Scheme {
	case "http", "https":
		return l.has(u.Hostname())
	case "blob":
		return !strings.HasPrefix(u.Opaque, "blob:") && l.permits(u.Opaque)
	case "about":
		return u.Opaque == "blank"
	case "chrome-error", "":
		return true
	}
	return false
}

func (l *hostList) has(host string) bool {
	host = strings.ToLower(host)
	if l.exact[host] || l.exact["["+host+"]"] {
		return true
	}
	for _, suffix := range l.below {
		if len(host) > len(suffix) && strings.HasSuffix(host, suffix) {
			return true
		}
	}
	return false
}
