package bctrl

import "github.com/bctrl-go/bctrl/internal/origin"

// ParseOrigin returns the canonical form of an origin, https://host[:port], in
// which a vault entry says where it may be filled in. It drops letter case, a
// default port and one trailing slash; anything else that is not canonical is
// refused with an [*Error] of code vault.invalid_origin: IP addresses, single
// labels, a trailing dot, user info, a path, non-ASCII names (write them as
// punycode). http is accepted for localhost, 127.0.0.1 and [::1] alone.
//
// Two origins are the same exactly when their canonical forms are.
func ParseOrigin(text string) (string, error) {
	canonical, err := origin.Parse(text)
	return canonical, invalidName("vault.invalid_origin", "not an origin", err)
}
