// Package egress decides which network addresses the server lets pages and
// providers reach, and is the only way there.
//
// Use [Policy.DialContext] where the server itself connects (the broker), and
// [NewProxy] where a browser does. Both resolve a name once, check every
// address it has and connect to a checked address, so that a name which
// answers differently the next time (DNS rebinding) gains nothing.
//
// What is promised: without Allow, no connection is opened to an address that
// the special-purpose registries of IANA keep from the public internet, in
// whatever notation or tunnel it comes. What is not: a public address that
// belongs to your own network is public to this package.
package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// ErrRefused is in every error about an address that a [Policy] does not
// permit.
var ErrRefused = errors.New("address refused by the egress policy")

const (
	// dialTimeout bounds resolving a name and trying its addresses.
	dialTimeout = 20 * time.Second
	// addressTimeout bounds one address while others are left to try.
	addressTimeout = 5 * time.Second
	// maxAddresses bounds how many addresses of a name are tried.
	maxAddresses = 8
)

// Resolver finds the addresses of a name. [*net.Resolver] is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Policy permits public addresses, and beyond them the ranges in Allow. The
// zero Policy permits the public internet. It is safe for concurrent use.
type Policy struct {
	// Allow lists special ranges that are permitted all the same, for example
	// 127.0.0.0/8 in tests.
	Allow []netip.Prefix
	// Resolver finds addresses; nil is the system's.
	Resolver Resolver
}

// Check returns nil when addr may be reached, else an error that wraps
// [ErrRefused] and says what kind of address it is.
func (p Policy) Check(addr netip.Addr) error {
	if !addr.IsValid() {
		return fmt.Errorf("%w: no address", ErrRefused)
	}
	// A zone names an interface of this machine; global addresses have none.
	if addr.Zone() != "" {
		return fmt.Errorf("%w: %s has a zone", ErrRefused, addr)
	}
	addr = addr.Unmap()
	for _, prefix := range p.Allow {
		if prefix.Contains(addr) {
			return nil
		}
	}
	if inner, ok := embeddedIPv4(addr); ok {
		if err := p.Check(inner); err != nil {
			return fmt.Errorf("behind %s: %w", addr, err)
		}
		return nil
	}
	if why := specialRangeOf(addr); why != "" {
		return fmt.Errorf("%w: %s is %s", ErrRefused, addr, why)
	}
	return nil
}

// DialContext connects to address ("host:port") over tcp, tcp4 or tcp6. A
// name's permitted addresses are tried in the resolver's order; when it has
// none, the error wraps [ErrRefused] and nothing was connected to.
func (p Policy) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	var family string
	switch network {
	case "tcp", "tcp4", "tcp6":
		family = "ip" + network[len("tcp"):]
	default:
		return nil, fmt.Errorf("%w: network %q", ErrRefused, network)
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("address to dial: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()

	addrs, err := p.lookup(ctx, family, host)
	if err != nil {
		return nil, err
	}
	return dialFirst(ctx, network, port, addrs)
}

// lookup returns the permitted addresses of host, at least one.
func (p Policy) lookup(ctx context.Context, family, host string) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr.Unmap()}, p.Check(addr)
	}
	resolver := p.Resolver
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	found, err := resolver.LookupNetIP(ctx, family, host)
	if err != nil {
		return nil, fmt.Errorf("resolve: %w", err)
	}
	var permitted []netip.Addr
	refused := fmt.Errorf("%w: the name has no address", ErrRefused)
	for _, addr := range found {
		if err := p.Check(addr); err != nil {
			refused = err
		} else if len(permitted) < maxAddresses {
			permitted = append(permitted, addr.Unmap())
		}
	}
	if len(permitted) == 0 {
		return nil, refused
	}
	return permitted, nil
}

// dialFirst connects to the first of addrs that answers. An IP literal is
// dialled, so nothing is resolved again.
func dialFirst(ctx context.Context, network, port string, addrs []netip.Addr) (net.Conn, error) {
	var failures []error
	for i, addr := range addrs {
		dialer := net.Dialer{KeepAlive: 30 * time.Second}
		if i < len(addrs)-1 {
			dialer.Timeout = addressTimeout
		}
		conn, err := dialer.DialContext(ctx, network, net.JoinHostPort(addr.String(), port))
		if err == nil {
			return conn, nil
		}
		failures = append(failures, err)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(failures...)
}
