package calls

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/broker"
	"github.com/bctrl-go/bctrl/internal/model"
	"github.com/bctrl-go/bctrl/internal/prefix"
	"github.com/bctrl-go/bctrl/internal/registry"
	"github.com/bctrl-go/bctrl/internal/server/catalog"
	"github.com/bctrl-go/bctrl/internal/server/models"
	"github.com/bctrl-go/bctrl/internal/server/web"
)

// destination is where a call goes, and what of its request is sent there. The host
// is one that the credential and the capability permit; of several the caller may
// pick one.
type destination struct {
	// base is scheme, host and base path; of a request that package model made, the
	// whole address.
	base *url.URL
	host string
	// path is percent-encoded.
	path string
	// query and header have nothing where the credential itself authenticates.
	query  string
	header http.Header
	// callersBase is the base path that the caller knows, in place of that of base.
	callersBase string
	// auth is how the credential's secrets are sent.
	auth bctrl.CredentialAuth
	// hosts are patterns of where they may be sent.
	hosts []string
}

// destinationOf is where a request goes with what it was resolved to.
func (s *Service) destinationOf(req providerRequest, with *Resolution) (destination, error) {
	if req.made != nil {
		return destination{base: req.made.URL, host: req.made.URL.Host, auth: with.Auth}, nil
	}
	if with.ai == nil {
		return destinationAt(req, with.endpoint, with.places)
	}
	meta, err := models.UnprovenMeta(*with.ai) // proved when its key is opened
	if err != nil {
		return destination{}, err
	}
	p, known := s.registry.Provider(req.provider)
	if known && meta.BaseURL == "" { // a credential of the provider as the registry has it
		return destinationAt(req, endpoint{p.Auth, p.Hosts, p.BasePath}, with.placesOf(p.Auth))
	}
	return destinationOfAI(req, with, meta, p, known)
}

// destinationAt is the destination at one of an endpoint's hosts, below its base path.
func destinationAt(req providerRequest, at endpoint, places broker.Places) (to destination, err error) {
	to = destination{
		path:        req.path,
		callersBase: at.BasePath,
		auth:        at.Auth,
		hosts:       at.Hosts,
	}
	if to.header, to.query, err = req.withoutAuth(at.Auth, places); err != nil {
		return to, err
	}
	host, err := pickHost(req.host, req.capability.Hosts, at.Hosts)
	if err != nil {
		return to, err
	}
	if !prefix.PathWithin(at.BasePath, req.path) {
		return to, errOutsideBase()
	}
	to.base, to.host = &url.URL{Scheme: "https", Host: host, Path: at.BasePath}, host
	return to, nil
}

// destinationOfAI is the destination at the base URL of an AI credential, whose path
// takes the place of the provider's base path where the registry knows one.
func destinationOfAI(
	req providerRequest, with *Resolution, meta models.Meta, p registry.Provider, known bool,
) (to destination, err error) {
	at := model.Target(meta.Provider, meta.Address(), bctrl.Secret{})
	base, err := url.Parse(at.BaseURL)
	if err != nil {
		return to, web.Tampered("ai.tampered") // it was checked when it was stored
	}
	to = destination{
		path:        req.path,
		callersBase: base.EscapedPath(),
		auth:        with.Auth,
		hosts:       with.Hosts,
	}
	if to.header, to.query, err = req.withoutAuth(at.Auth, with.placesOf(at.Auth)); err != nil {
		return to, err
	}
	if req.host != "" && !strings.EqualFold(req.host, base.Host) &&
		!(known && p.AllowsHost(strings.ToLower(req.host))) {
		return to, errHost([]string{base.Host})
	}
	from := base.EscapedPath()
	if known {
		from = p.BasePath
	}
	if !prefix.PathWithin(from, req.path) {
		return to, errOutsideBase()
	}
	// A server of the organization's own whose base URL has no path is sent the path
	// as it is.
	if own := strings.TrimSuffix(base.EscapedPath(), "/"); own != "" || len(p.Hosts) > 0 {
		to.callersBase = from
		to.path = own + strings.TrimPrefix(req.path, strings.TrimSuffix(from, "/"))
	}
	to.base, to.host = base, base.Host
	return to, nil
}

// checkPins refuses to send a secret that is pinned to a provider to any host that
// is none of the provider's: an AI credential, to which it may be bound, has a base
// URL of its own.
func (s *Service) checkPins(with *Resolution, base *url.URL) error {
	if with.ai == nil {
		return nil // its hosts are the registry's
	}
	for _, row := range with.secrets {
		p, known := s.registry.Provider(row.Provider)
		host := strings.TrimSuffix(strings.ToLower(base.Host), ":443")
		if row.Provider != "" && !(known && base.Scheme == "https" && p.AllowsHost(host)) {
			return catalog.ErrPinned()
		}
	}
	return nil
}

// pickHost returns the host that is asked for, where the credential and the
// capability permit it. Where none is asked for, it is the first that they name and
// that is no pattern. A capability without hosts permits all of the credential's.
func pickHost(asked string, capability, credential []string) (string, error) {
	hosts := credential
	if len(capability) > 0 {
		hosts = slices.DeleteFunc(slices.Clone(capability), func(host string) bool {
			return !matchesAny(credential, host)
		})
		// The credential may name one host that a pattern of the capability matches.
		for _, host := range credential {
			if matchesAny(capability, host) && !slices.Contains(hosts, host) {
				hosts = append(hosts, host)
			}
		}
	}
	if asked == "" {
		if i := slices.IndexFunc(hosts, func(host string) bool { return !strings.Contains(host, "*") }); i >= 0 {
			return hosts[i], nil
		}
		return "", errHost(hosts)
	}
	host := strings.TrimSuffix(strings.ToLower(asked), ":443")
	if registry.Host(host) != nil || !matchesAny(hosts, host) {
		return "", errHost(hosts)
	}
	return host, nil
}

// matchesAny reports whether a host is one of some patterns of hosts.
func matchesAny(patterns []string, host string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return registry.MatchHost(pattern, host) })
}

// errHost refuses a host that is none of those that are permitted, and names them.
func errHost(hosts []string) *bctrl.Error {
	e := web.WithField(web.Forbidden("invoke.host_not_allowed",
		"the host is none of the capability's and the credential's, or must be named and is not"), "host")
	if len(hosts) > 0 {
		e.Hint = "they permit " + strings.Join(hosts[:min(len(hosts), 10)], ", ")
	}
	return e
}

// errOutsideBase refuses a path that is not below the base path.
func errOutsideBase() *bctrl.Error {
	return web.WithField(web.Forbidden("invoke.path_not_allowed",
		"the path is outside of what the credential is for: the provider's base path"), "path")
}

// withoutAuth returns the request's header and query for a credential with its places.
// What stands in one of these is refused, or left out where the client takes this
// server for the provider.
func (r sentRequest) withoutAuth(auth bctrl.CredentialAuth, places broker.Places) (http.Header, string, error) {
	header, query := r.header, r.query
	if r.brought != nil || r.transparent { // something may be left out
		header = header.Clone()
	}
	if r.brought != nil {
		if err := r.brought.checkPlaces(auth); err != nil {
			return header, query, err
		}
		query = withoutSignature(auth, header, query)
	}
	if r.transparent {
		query = places.Clear(header, query)
	}
	return header, query, places.Check(header, query)
}
