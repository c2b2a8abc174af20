package egress

import (
	"errors"
	"net"
	"net/url"
	"strings"
	"sync"
)

// ErrUnanswered is why a request failed that the policy permits.
var ErrUnanswered = errors.New("the address does not answer")

// ErrHostRefused is why a request failed that the [Gate] did not let through.
var ErrHostRefused = errors.New("the gate refuses this host")

// failuresKept is how many failures a proxy remembers: those of one page, and
// not of a page that asks and asks.
const failuresKept = 64

// failures are the newest requests that the proxy answered itself.
type failures struct {
	mu    sync.Mutex
	count uint64
	kept  [failuresKept]failure // by count
}

type failure struct {
	host string // with its port
	err  error  // ErrRefused, ErrHostRefused or ErrUnanswered
}

func (f *failures) record(host string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.kept[f.count%failuresKept] = failure{host, err}
	f.count++
}

// Mark returns a mark to ask [Proxy.FailedSince] with later.
func (p *Proxy) Mark() uint64 {
	p.failed.mu.Lock()
	defer p.failed.mu.Unlock()
	return p.failed.count
}

// FailedSince returns why a request failed since mark, a refusal before
// [ErrUnanswered], or nil: any request, or where an address is given one to its
// host and port.
func (p *Proxy) FailedSince(mark uint64, address string) (why error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil
	}
	host := withPort(u.Host, u.Scheme)
	p.failed.mu.Lock()
	defer p.failed.mu.Unlock()
	for n := p.failed.count; n > mark && p.failed.count-n < failuresKept; n-- {
		f := p.failed.kept[(n-1)%failuresKept]
		if address != "" && f.host != host {
			continue
		}
		if why = f.err; why != ErrUnanswered {
			break
		}
	}
	return why
}

// withPort returns "name:port" in small letters, with the port of the scheme where
// host has none.
func withPort(host, scheme string) string {
	if _, _, err := net.SplitHostPort(host); err != nil {
		port := "443"
		if scheme == "http" {
			port = "80"
		}
		host = net.JoinHostPort(strings.Trim(host, "[]"), port)
	}
	return strings.ToLower(host)
}
