// Package egress decides which network addresses the server lets pages and
// providers reach.
package egress

import "net/netip"

// Policy permits public addresses, and beyond them the ranges in Allow.
type Policy struct {
	// Allow lists special ranges that are permitted all the same, for example
	// 127.0.0.0/8 in tests.
	Allow []netip.Prefix
}
