package web

import (
	"golang.org/x/net/publicsuffix"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/origin"
)

// IsPublicSuffix reports whether anyone can register a name below domain. Only
// the list's own rules count: its default, that every top-level domain is one,
// is added for names of a single label.
func IsPublicSuffix(domain string) bool {
	suffix, _ := publicsuffix.PublicSuffix(domain)
	return suffix == domain
}

// HostProblems are the host patterns of mounts whose * is above a public suffix, of
// which the SDK has no list. What the SDK refuses too is not among them.
func HostProblems(mounts bctrl.Mounts) (found []bctrl.Problem) {
	if mounts.Web == nil {
		return nil
	}
	check := func(field string, patterns []string) {
		for i, pattern := range patterns {
			_, err := origin.ParseHostPattern(pattern, IsPublicSuffix)
			if err == nil || origin.HostPattern(pattern) != nil {
				continue
			}
			found = append(found, bctrl.Problem{
				Code:  "mounts.invalid_host_pattern",
				Field: FieldAt(field, i),
				Value: pattern,
				Hint:  err.Error(),
			})
		}
	}
	check("mounts.web.allow", mounts.Web.Allow)
	check("mounts.web.deny", mounts.Web.Deny)
	return found
}

// CheckHosts refuses mounts with any of [HostProblems].
func CheckHosts(mounts bctrl.Mounts) error {
	p := Problems{
		List:    HostProblems(mounts),
		Message: "the web mount names all hosts below a domain where anyone can register",
	}
	return p.Err()
}
