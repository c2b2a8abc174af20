package egress

import (
	"context"
	"errors"
	"math/big"
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestSpecialAddressesAreRefused(t *testing.T) {
	for _, c := range []struct{ addr, why string }{
		{"0.0.0.0", "Linux connects it to loopback"},
		{"0.1.2.3", "this network"},
		{"10.1.2.3", "private"},
		{"100.64.0.1", "carrier NAT"},
		{"100.100.100.200", "metadata of Alibaba Cloud"},
		{"127.0.0.1", "loopback"},
		{"127.255.255.254", "all of 127/8 is loopback"},
		{"168.63.129.16", "Azure's wire server has a public address"},
		{"169.254.169.254", "metadata of most clouds"},
		{"169.254.170.2", "credentials of ECS tasks"},
		{"172.16.0.1", "private, first"},
		{"172.31.255.255", "private, last"},
		{"192.0.0.8", "dummy address"},
		{"192.0.0.170", "NAT64 discovery"},
		{"192.0.2.1", "documentation"},
		{"192.31.196.1", "AS112"},
		{"192.52.193.1", "AMT"},
		{"192.88.99.1", "6to4 relay"},
		{"192.168.1.1", "private"},
		{"192.175.48.1", "AS112"},
		{"198.18.0.1", "benchmarking, first half"},
		{"198.19.255.255", "benchmarking, second half"},
		{"198.51.100.1", "documentation"},
		{"203.0.113.1", "documentation"},
		{"224.0.0.1", "multicast"},
		{"239.255.255.250", "SSDP"},
		{"240.0.0.1", "reserved"},
		{"255.255.255.255", "broadcast"},
		{"::", "unspecified"},
		{"::1", "loopback"},
		{"::127.0.0.1", "IPv4-compatible"},
		{"::ffff:127.0.0.1", "IPv4-mapped loopback"},
		{"::ffff:169.254.169.254", "IPv4-mapped metadata"},
		{"64:ff9b::a9fe:a9fe", "metadata through NAT64"},
		{"64:ff9b::7f00:1", "loopback through NAT64"},
		{"64:ff9b::a00:1", "private through NAT64"},
		{"64:ff9b:1::a9fe:a9fe", "metadata through a local NAT64"},
		{"64:ff9b:1::808:808", "a local NAT64 embeds as its operator likes"},
		{"100::1", "discard"},
		{"100:0:0:1::1", "dummy prefix"},
		{"2001::1", "Teredo"},
		{"2001:0:7f00:1::", "Teredo with a loopback server"},
		{"2001:2::1", "benchmarking"},
		{"2001:10::1", "ORCHID"},
		{"2001:20::1", "ORCHIDv2"},
		{"2001:db8::1", "documentation"},
		{"2002:7f00:1::1", "6to4 of loopback"},
		{"2002:808:808::1", "6to4 of a public address is still a tunnel"},
		{"2620:4f:8000::1", "AS112"},
		{"3fff::1", "documentation"},
		{"5f00::1", "segment routing"},
		{"fc00::1", "unique local"},
		{"fd00:ec2::254", "metadata of AWS"},
		{"fd20:ce::254", "metadata of Google Cloud"},
		{"fe80::1", "link local"},
		{"fe80::1%eth0", "link local with a zone"},
		{"2606:4700::1111%eth0", "a zone on a public address"},
		{"fec0::1", "site local"},
		{"ff02::1", "multicast"},
		{"4000::1", "not handed out"},
	} {
		t.Run(c.addr, func(t *testing.T) {
			err := Policy{}.Check(netip.MustParseAddr(c.addr))
			require.ErrorIs(t, err, ErrRefused, c.why)
		})
	}
	require.ErrorIs(t, Policy{}.Check(netip.Addr{}), ErrRefused, "the zero address")
}

func TestPublicAddressesArePermitted(t *testing.T) {
	for _, c := range []struct{ addr, why string }{
		{"8.8.8.8", "public"},
		{"1.1.1.1", "public"},
		{"100.63.255.255", "just below carrier NAT"},
		{"100.128.0.0", "just above carrier NAT"},
		{"168.63.129.17", "next to Azure's platform address"},
		{"172.15.255.255", "just below private"},
		{"172.32.0.0", "just above private"},
		{"198.17.255.255", "just below benchmarking"},
		{"198.20.0.0", "just above benchmarking"},
		{"223.255.255.255", "just below multicast"},
		{"::ffff:8.8.8.8", "mapped public"},
		{"64:ff9b::808:808", "public through NAT64, as DNS64 answers"},
		{"2001:200::1", "just above the protocol assignments"},
		{"2606:4700:4700::1111", "public"},
		{"2a00:1450::1", "public"},
	} {
		t.Run(c.addr, func(t *testing.T) {
			require.NoError(t, Policy{}.Check(netip.MustParseAddr(c.addr)), c.why)
		})
	}
}

func TestAllowOverridesItsRangeAlone(t *testing.T) {
	p := Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("fd00::/16")}}
	for _, addr := range []string{"127.0.0.1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "fd00::1", "8.8.8.8"} {
		require.NoError(t, p.Check(netip.MustParseAddr(addr)), addr)
	}
	for _, addr := range []string{"10.0.0.1", "::1", "fd01::1", "169.254.169.254"} {
		require.ErrorIs(t, p.Check(netip.MustParseAddr(addr)), ErrRefused, addr)
	}
}

// TestPermittedMeansPublic compares with an oracle written the other way
// round: bounds of big integers instead of prefixes.
func TestPermittedMeansPublic(t *testing.T) {
	bounds := func(prefix netip.Prefix) (lo, hi *big.Int) {
		lo = new(big.Int).SetBytes(prefix.Masked().Addr().AsSlice())
		size := new(big.Int).Lsh(big.NewInt(1), uint(prefix.Addr().BitLen()-prefix.Bits()))
		return lo, new(big.Int).Add(lo, size)
	}
	rapid.Check(t, func(t *rapid.T) {
		// Half of the addresses are taken from or next to a special range, or
		// chance would find few.
		r := rapid.SampledFrom(specialRanges).Draw(t, "range")
		addr := r.prefix.Addr()
		if rapid.Bool().Draw(t, "random") {
			size := rapid.SampledFrom([]int{4, 16}).Draw(t, "size")
			addr, _ = netip.AddrFromSlice(rapid.SliceOfN(rapid.Byte(), size, size).Draw(t, "bytes"))
		} else {
			switch rapid.IntRange(0, 2).Draw(t, "edge") {
			case 1:
				addr = addr.Prev()
			case 2:
				addr = addr.Next()
			}
		}
		if (Policy{}).Check(addr) != nil {
			return
		}
		addr = addr.Unmap()
		if inner, ok := embeddedIPv4(addr); ok {
			addr = inner
		}
		n := new(big.Int).SetBytes(addr.AsSlice())
		for _, r := range specialRanges {
			if r.prefix.Addr().BitLen() != addr.BitLen() {
				continue
			}
			lo, hi := bounds(r.prefix)
			if n.Cmp(lo) >= 0 && n.Cmp(hi) < 0 {
				t.Fatalf("%s is permitted and in %s", addr, r.prefix)
			}
		}
		if addr.IsPrivate() || addr.IsLoopback() || addr.IsMulticast() || addr.IsLinkLocalUnicast() || addr.IsUnspecified() {
			t.Fatalf("%s is permitted and the standard library calls it local", addr)
		}
	})
}

// names is a resolver that answers each call with the next of its answers.
type names struct{ answers [][]netip.Addr }

func (n *names) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	if len(n.answers) == 0 {
		return nil, errors.New("asked once too often")
	}
	answer := n.answers[0]
	n.answers = n.answers[1:]
	return answer, nil
}

func listen(t *testing.T) (port string) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	_, port, err = net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	return port
}

func TestANameIsResolvedOnceAndTheCheckedAddressDialled(t *testing.T) {
	port := listen(t)
	resolver := &names{answers: [][]netip.Addr{{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("127.0.0.1")}}}
	p := Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, Resolver: resolver}

	conn, err := p.DialContext(t.Context(), "tcp", net.JoinHostPort("rebind.example", port))
	require.NoError(t, err, "a second lookup would have failed")
	defer conn.Close()
	require.Equal(t, net.JoinHostPort("127.0.0.1", port), conn.RemoteAddr().String(), "the refused address was skipped")
}

func TestDialRefusesBeforeConnecting(t *testing.T) {
	port := listen(t)
	loopback := [][]netip.Addr{{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")}}
	for _, c := range []struct{ network, host, why string }{
		{"tcp", "internal.example", "a name of a special address"},
		{"tcp", "127.0.0.1", "a literal"},
		{"tcp", "::ffff:127.0.0.1", "a mapped literal"},
		{"tcp", "0.0.0.0", "Linux would connect it to loopback"},
		{"udp", "127.0.0.1", "another network"},
		{"unix", "127.0.0.1", "a socket file"},
	} {
		t.Run(c.network+" "+c.host, func(t *testing.T) {
			_, err := Policy{Resolver: &names{answers: loopback}}.DialContext(t.Context(), c.network,
				net.JoinHostPort(c.host, port))
			require.ErrorIs(t, err, ErrRefused, c.why)
		})
	}
	_, err := Policy{Resolver: &names{answers: [][]netip.Addr{{}}}}.DialContext(t.Context(), "tcp", "nothing.example:1")
	require.ErrorIs(t, err, ErrRefused, "a name without addresses")
}

func TestLegacyNumbersAreNames(t *testing.T) {
	// The C library takes these for 127.0.0.1; here they go to the resolver,
	// whose answer is checked.
	for _, host := range []string{"0177.0.0.1", "2130706433", "0x7f.1", "127.1"} {
		p := Policy{Resolver: &names{answers: [][]netip.Addr{{netip.MustParseAddr("127.0.0.1")}}}}
		_, err := p.DialContext(t.Context(), "tcp", net.JoinHostPort(host, "80"))
		require.ErrorIs(t, err, ErrRefused, host)
	}
}

func FuzzCheckNeverPermitsWhatUnmapsToSpecial(f *testing.F) {
	for _, r := range specialRanges {
		f.Add(r.prefix.Addr().AsSlice())
	}
	f.Add(netip.MustParseAddr("64:ff9b::7f00:1").AsSlice())
	f.Fuzz(func(t *testing.T, b []byte) {
		addr, ok := netip.AddrFromSlice(b)
		if !ok || (Policy{}).Check(addr) != nil {
			return
		}
		if !addr.Unmap().IsGlobalUnicast() || addr.Unmap().IsPrivate() {
			t.Fatalf("%s is permitted", addr)
		}
		// The same address in the other notation has the same answer.
		if addr.Is4() {
			mapped := netip.AddrFrom16(addr.As16())
			if err := (Policy{}).Check(mapped); err != nil {
				t.Fatalf("%s is permitted and %s is not: %v", addr, mapped, err)
			}
		}
	})
}
