package egress

import "net/netip"

// specialRange is an address range that is not the public internet.
type specialRange struct {
	prefix netip.Prefix
	why    string
}

// specialRanges lists what is refused unless allowed: the special-purpose
// registries of IANA (RFC 6890, iana-ipv4-special-registry and
// iana-ipv6-special-registry as of 2025) whole, entries that are "globally
// reachable" included because no page and no provider lives there, plus
// multicast and the platform addresses of clouds.
//
// The predicates of net/netip cover less than half of it.
var specialRanges = []specialRange{
	{netip.MustParsePrefix("0.0.0.0/8"), "this network (RFC 791)"},
	{netip.MustParsePrefix("10.0.0.0/8"), "private use (RFC 1918)"},
	{netip.MustParsePrefix("100.64.0.0/10"), "shared address space (RFC 6598)"},
	{netip.MustParsePrefix("127.0.0.0/8"), "loopback (RFC 1122)"},
	{netip.MustParsePrefix("168.63.129.16/32"), "the platform address of Azure"},
	{netip.MustParsePrefix("169.254.0.0/16"), "link local, cloud metadata among it (RFC 3927)"},
	{netip.MustParsePrefix("172.16.0.0/12"), "private use (RFC 1918)"},
	{netip.MustParsePrefix("192.0.0.0/24"), "IETF protocol assignments (RFC 6890)"},
	{netip.MustParsePrefix("192.0.2.0/24"), "documentation (RFC 5737)"},
	{netip.MustParsePrefix("192.31.196.0/24"), "AS112 (RFC 7535)"},
	{netip.MustParsePrefix("192.52.193.0/24"), "automatic multicast tunneling (RFC 7450)"},
	{netip.MustParsePrefix("192.88.99.0/24"), "6to4 relay anycast (RFC 7526)"},
	{netip.MustParsePrefix("192.168.0.0/16"), "private use (RFC 1918)"},
	{netip.MustParsePrefix("192.175.48.0/24"), "AS112 (RFC 7534)"},
	{netip.MustParsePrefix("198.18.0.0/15"), "benchmarking (RFC 2544)"},
	{netip.MustParsePrefix("198.51.100.0/24"), "documentation (RFC 5737)"},
	{netip.MustParsePrefix("203.0.113.0/24"), "documentation (RFC 5737)"},
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast (RFC 5771)"},
	{netip.MustParsePrefix("240.0.0.0/4"), "reserved, broadcast among it (RFC 1112)"},

	{netip.MustParsePrefix("2001::/23"), "IETF protocol assignments, Teredo among it (RFC 2928)"},
	{netip.MustParsePrefix("2001:db8::/32"), "documentation (RFC 3849)"},
	{netip.MustParsePrefix("2002::/16"), "6to4 (RFC 3056)"},
	{netip.MustParsePrefix("2620:4f:8000::/48"), "AS112 (RFC 7534)"},
	{netip.MustParsePrefix("3fff::/20"), "documentation (RFC 9637)"},
}

var (
	// globalUnicast is all that is handed out of IPv6 (RFC 4291, 2.4). What is
	// outside it needs no row above: unspecified, loopback, IPv4-compatible,
	// local NAT64 (64:ff9b:1::/48, whose embedding only its operator knows),
	// discard (100::/64), segment routing (5f00::/16), unique local
	// (fc00::/7, fd00:ec2::254 among it), link and site local, multicast.
	globalUnicast = netip.MustParsePrefix("2000::/3")
	// nat64 carries an IPv4 address in its last 32 bits (RFC 6052, 2.1).
	nat64 = netip.MustParsePrefix("64:ff9b::/96")
)

// specialRangeOf says why addr, unmapped, is not of the public internet, or nothing.
func specialRangeOf(addr netip.Addr) string {
	for _, r := range specialRanges {
		if r.prefix.Contains(addr) {
			return r.why
		}
	}
	if addr.Is6() && !globalUnicast.Contains(addr) {
		return "not global unicast (RFC 4291)"
	}
	return ""
}

// embeddedIPv4 returns the IPv4 address that a NAT64 gateway would reach for
// addr.
func embeddedIPv4(addr netip.Addr) (netip.Addr, bool) {
	if !nat64.Contains(addr) {
		return netip.Addr{}, false
	}
	b := addr.As16()
	return netip.AddrFrom4([4]byte(b[12:])), true
}
