package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"syscall"

	"github.com/bctrl-go/bctrl/internal/egress"
)

// dialer is the DialContext of a transport.
type dialer func(ctx context.Context, network, address string) (net.Conn, error)

// instead dials the addresses that where maps at the place it says, and leaves
// the others to next.
func instead(where func(address string) (string, bool), next dialer) dialer {
	if where == nil {
		return next
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if to, ok := where(address); ok {
			return new(net.Dialer).DialContext(ctx, network, to)
		}
		return next(ctx, network, address)
	}
}

// dialAllowed dials for plain http: only to addresses that the policy allows
// by name, not to those it permits because they are public.
func dialAllowed(policy egress.Policy) dialer {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := policy.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		remote, err := netip.ParseAddrPort(conn.RemoteAddr().String())
		if err == nil && listed(policy, remote.Addr()) {
			return conn, nil
		}
		_ = conn.Close() // nothing was written
		return nil, fmt.Errorf("%w: plain http to an address that is not explicitly allowed", egress.ErrRefused)
	}
}

// listed reports whether policy allows addr by name.
func listed(policy egress.Policy, addr netip.Addr) bool {
	for _, prefix := range policy.Allow {
		if prefix.Contains(addr.Unmap()) {
			return true
		}
	}
	return false
}

func sameHost(a, b *url.URL) bool {
	return strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

func port(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "http":
		return "80"
	}
	return "443"
}

// climbs reports whether an escaped path can be read, by this or a lenient
// server, as one that leaves the folder it seems to be in.
func climbs(path string) bool { return path != "" && CheckPath(path) != nil }

// classify turns a transport's error into one of ours. Its text is not
// repeated: it can quote what the provider wrote.
func classify(ctx context.Context, err error) error {
	dns, unresolved := errors.AsType[*net.DNSError](err)
	network, failed := errors.AsType[net.Error](err)
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, egress.ErrRefused):
		return ErrAddress
	case unresolved && dns.IsNotFound:
		return fail(ErrUnreachable, "no such host")
	case failed && network.Timeout():
		return ErrTimeout
	case untrusted:
		return fail(ErrUnreachable, "its certificate is not trusted")
	case longHeader(err):
		return ErrHeader
	case errors.Is(err, syscall.ECONNREFUSED):
		return fail(ErrUnreachable, "connection refused")
	case unresolved:
		return fail(ErrUnreachable, "its name cannot be resolved now")
	}
	return fail(ErrUnreachable, "the connection broke")
}

// longHeader reports whether net/http gave up on an answer's header. It says so
// in words alone, of its own.
func longHeader(err error) bool {
	text := err.Error()
	return strings.Contains(text, "response headers exceeded") || strings.Contains(text, "header list larger")
}

// bounded reads at most limit bytes and fails on the next one.
type bounded struct {
	src         io.Reader
	left, limit int64
	ctx         context.Context
}

func (b *bounded) Read(p []byte) (int, error) {
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.src.Read(p)
	if int64(n) > b.left {
		return int(b.left), fail(ErrTooLarge, "more than %d bytes", b.limit)
	}
	b.left -= int64(n)
	// A provider that we hang up on may still end its answer in good form: that
	// is no whole answer.
	if err != nil && (err != io.EOF || b.ctx.Err() != nil) {
		err = classify(b.ctx, err)
	}
	return n, err
}
