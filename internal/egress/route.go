package egress

import (
	"context"
	"net/http"
)

// Route says how a browser's requests travel, beside which may. The zero Route sends
// each as it is, straight to its host.
type Route struct {
	// Upstream is a proxy that hosts are reached by; nil reaches them directly.
	Upstream *Upstream
	// Headers are header fields that requests to some hosts get.
	Headers []Header
	// TrustsAnyCertificate reports whether the certificate of a host need not be
	// valid; nil is of none.
	TrustsAnyCertificate func(host string) bool
}

// Header is a header field of requests to some hosts.
type Header struct {
	// Of reports whether requests to a host get it.
	Of   func(host string) bool
	Name string
	// Value is asked for each request, which is to host. Where there is an error the request leaves
	// without the field.
	Value func(ctx context.Context, host string) (string, error)
}

// opens reports whether the proxy has to look into what the browser sends to a host,
// encrypted or not.
func (r Route) opens(host string) bool {
	if r.trustsAny(host) {
		return true
	}
	for _, h := range r.Headers {
		if h.Of(host) {
			return true
		}
	}
	return false
}

// opensAny reports whether there can be such a host.
func (r Route) opensAny() bool { return len(r.Headers) > 0 || r.TrustsAnyCertificate != nil }

func (r Route) trustsAny(host string) bool {
	return r.TrustsAnyCertificate != nil && r.TrustsAnyCertificate(host)
}

// setHeaders gives a request to a host its header fields, in the place of the page's.
func (r Route) setHeaders(ctx context.Context, host string, header http.Header) {
	for _, h := range r.Headers {
		if !h.Of(host) {
			continue
		}
		value, err := h.Value(ctx, host)
		if err != nil {
			header.Del(h.Name) // the page's own is not what was to be sent
			continue
		}
		header.Set(h.Name, value)
	}
}
