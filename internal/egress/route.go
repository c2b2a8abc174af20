package egress

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
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
	// Value is asked for each request, which is to an origin: scheme://host[:port] in
	// small letters, without the port that the scheme has anyway. A websocket has the
	// origin of the request that it begins with. Where there is an error the request
	// leaves without the field.
	Value func(ctx context.Context, origin string) (string, error)
	// IsSecret is set where the value is one.
	IsSecret bool
}

// HasSecrets reports whether requests travel with what nobody but the browser may send: a
// secret header, or the login of a proxy.
func (r Route) HasSecrets() bool {
	return r.Upstream != nil && r.Upstream.Login != nil ||
		slices.ContainsFunc(r.Headers, func(h Header) bool { return h.IsSecret })
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

// setHeaders gives a request by a scheme to an address its header fields, in the place
// of the page's.
func (r Route) setHeaders(ctx context.Context, scheme, address string, header http.Header) {
	host := hostOf(address)
	for _, h := range r.Headers {
		if !h.Of(host) {
			continue
		}
		value, err := h.Value(ctx, originOf(scheme, address))
		if err != nil {
			header.Del(h.Name) // the page's own is not what was to be sent
			continue
		}
		header.Set(h.Name, value)
	}
}

// originOf is the origin of a request by http or https to an address.
func originOf(scheme, address string) string {
	u := url.URL{Scheme: scheme, Host: strings.ToLower(address)}
	if u.Port() == map[string]string{"http": "80", "https": "443"}[scheme] {
		u.Host = strings.TrimSuffix(u.Host, ":"+u.Port())
	}
	return scheme + "://" + strings.TrimSuffix(u.Host, ":")
}
