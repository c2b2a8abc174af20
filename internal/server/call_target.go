package server

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/broker"
	"github.com/bctrl-go/bctrl/internal/model"
	"github.com/bctrl-go/bctrl/internal/prefix"
	"github.com/bctrl-go/bctrl/internal/registry"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// aim decides where a resolved call goes: the host comes from the policy, and
// of several the caller may pick one.
func (s *Server) aim(c *call) error {
	if c.made != nil {
		c.base, c.host = c.made.URL, c.made.URL.Host
		return nil
	}
	if c.resolved.AI != nil {
		if done, err := s.aimAtBaseURL(c); done || err != nil {
			return err
		}
	}
	if err := c.ownAuth(c.resolved.Auth); err != nil {
		return err
	}
	host, err := c.pickHost()
	if err != nil {
		return err
	}
	c.host = host
	c.base, c.callersBase = &url.URL{Scheme: "https", Host: host, Path: c.resolved.BasePath}, c.resolved.BasePath
	if !prefix.PathWithin(c.resolved.BasePath, c.path) {
		return errOutsideBase()
	}
	return nil
}

// aimAtBaseURL is aim for an AI credential. One with a base URL of its own
// goes there: its path takes the place of the provider's. Any other is a
// credential of the provider as the registry has it.
func (s *Server) aimAtBaseURL(c *call) (done bool, err error) {
	r := c.resolved
	meta, err := readAIMeta(*r.AI) // proved when its key is opened
	if err != nil {
		return true, err
	}
	p, known := s.registryProvider(c)
	if known && meta.BaseURL == "" {
		r.Auth, r.Hosts, r.BasePath = p.Auth, p.Hosts, p.BasePath
		return false, nil
	}
	target := model.Target(meta.Provider, meta.address(), bctrl.Secret{})
	base, err := url.Parse(target.BaseURL)
	if err != nil {
		return true, errTampered("ai.tampered") // it was checked when it was stored
	}
	if err := c.ownAuth(target.Auth); err != nil {
		return true, err
	}
	if c.host != "" && !strings.EqualFold(c.host, base.Host) && !(known && p.AllowsHost(strings.ToLower(c.host))) {
		return true, errHost([]string{base.Host})
	}
	from := base.EscapedPath()
	if known {
		from = p.BasePath
	}
	if !prefix.PathWithin(from, c.path) {
		return true, errOutsideBase()
	}
	c.callersBase = base.EscapedPath()
	// A server of one's own at no path is called by the paths that it has.
	if own := strings.TrimSuffix(base.EscapedPath(), "/"); own != "" || len(p.Hosts) > 0 {
		c.callersBase = from
		c.path = own + strings.TrimPrefix(c.path, strings.TrimSuffix(from, "/"))
	}
	c.base, c.host = base, base.Host
	return true, nil
}

// pinnedHere refuses to send a secret that is pinned to a provider anywhere but
// to that provider's hosts. An AI credential has a base URL of its own, and a
// secret may be bound to it.
func (s *Server) pinnedHere(c *call) error {
	if c.resolved.AI == nil {
		return nil // its hosts are the registry's
	}
	for _, row := range c.resolved.secrets {
		p, known := s.registry.Provider(row.Provider)
		host := strings.TrimSuffix(strings.ToLower(c.base.Host), ":443")
		if row.Provider != "" && !(known && c.base.Scheme == "https" && p.AllowsHost(host)) {
			return errPinned()
		}
	}
	return nil
}

// pickHost returns the host that the request asks for, if the credential and
// the capability permit it, else the first that they name.
func (c *call) pickHost() (string, error) {
	hosts := c.resolved.Hosts
	if only := c.capability.Hosts; len(only) > 0 {
		hosts = slices.DeleteFunc(slices.Clone(only), func(host string) bool {
			return !slices.ContainsFunc(c.resolved.Hosts, func(pattern string) bool { return registry.MatchHost(pattern, host) })
		})
		// A credential may pick one host of a capability's pattern.
		for _, host := range c.resolved.Hosts {
			if slices.ContainsFunc(only, func(pattern string) bool { return registry.MatchHost(pattern, host) }) && !slices.Contains(hosts, host) {
				hosts = append(hosts, host)
			}
		}
	}
	if c.host == "" {
		if i := slices.IndexFunc(hosts, func(host string) bool { return !strings.Contains(host, "*") }); i >= 0 {
			return hosts[i], nil
		}
		return "", errHost(hosts)
	}
	asked := strings.TrimSuffix(strings.ToLower(c.host), ":443")
	if registry.Host(asked) != nil || !slices.ContainsFunc(hosts, func(pattern string) bool { return registry.MatchHost(pattern, asked) }) {
		return "", errHost(hosts)
	}
	return asked, nil
}

func errHost(hosts []string) *bctrl.Error {
	e := &bctrl.Error{
		Status: http.StatusForbidden, Code: "invoke.host_not_allowed", Field: "host",
		Message: "the host is none of the capability's and the credential's, or must be named and is not",
	}
	if len(hosts) > 0 {
		e.Hint = "they permit " + strings.Join(hosts[:min(len(hosts), 10)], ", ")
	}
	return e
}

func errOutsideBase() *bctrl.Error {
	return &bctrl.Error{
		Status: http.StatusForbidden, Code: "invoke.path_not_allowed", Field: "path",
		Message: "the path is outside of what the credential is for: the provider's base path",
	}
}

// ownAuth refuses what stands where the credential itself authenticates, or has
// the credential's own take its place where the caller knows the provider alone.
func (c *call) ownAuth(auth bctrl.CredentialAuth) error {
	if c.brought != nil {
		if err := c.brought.checkPlaces(auth); err != nil {
			return err
		}
	}
	c.dropSignature(auth)
	places := broker.PlacesOf(auth, func(field string) bool { _, has := c.resolved.Secrets[field]; return has })
	if c.transparent {
		c.query = places.Clear(c.header, c.query)
	}
	return places.Check(c.header, c.query)
}

// targetOf is how the broker reaches what the call is aimed at.
func (s *Server) targetOf(c *call, secrets map[string]bctrl.Secret) broker.Target {
	r := c.resolved
	t := broker.Target{
		BaseURL: c.base.String(), Auth: r.Auth, Secrets: secrets, Identity: s.identity(c), MaxAnswer: c.maxAnswer, Rotated: s.rotated(c),
		Unpack: c.made != nil || c.hides(),
	}
	if meta, err := aiMetaOf(r); r.AI != nil && err == nil && (c.made != nil || r.Auth.Type == "") {
		var key bctrl.Secret
		for _, secret := range secrets {
			key = secret
		}
		unpack := t.Unpack
		t = model.Target(meta.Provider, meta.address(), key)
		t.MaxAnswer, t.Unpack = c.maxAnswer, unpack
	}
	return t
}

func aiMetaOf(r *resolvedCall) (aiMeta, error) {
	if r.AI == nil {
		return aiMeta{}, nil
	}
	return readAIMeta(*r.AI)
}

// identity tells the access tokens of a call from all others: by credential,
// and by the secrets that are used for it.
func (s *Server) identity(c *call) string {
	id := c.caller.Org + "/" + c.uid
	for _, field := range slices.Sorted(maps.Keys(c.resolved.Resolved.Secrets)) {
		id += "/" + c.resolved.Resolved.Secrets[field]
	}
	return id
}

// rotated stores a refresh token that the provider has put in place of the one
// that it was asked with, unless that is not the secret's value any more: what a
// person has stored since is not overwritten.
func (s *Server) rotated(c *call) func(ctx context.Context, field string, from, to bctrl.Secret) error {
	org, ids := c.caller.Org, c.resolved.Resolved.Secrets
	return func(ctx context.Context, field string, from, to bctrl.Secret) error {
		return s.db.Write(ctx, func(tx *store.Tx) error {
			sec, err := s.findSecret(ctx, tx.Queries, org, ids[field])
			if err == nil && !bctrl.NewSecret(sec.value.Reveal()).Equal(from) || err != nil && asError(err).Status == http.StatusNotFound {
				return broker.ErrSuperseded
			}
			if err != nil {
				return err
			}
			sec.rotate(wire.NewValue(to.Expose()))
			if err := s.writeSecret(ctx, tx, org, &sec); err != nil {
				return err
			}
			ev := serverEvent(string(access.SecretWrite), sec.row.ID)
			ev.Org, ev.Outcome = org, audit.OK
			about(&ev, sec.meta.Scope)
			return audit.Append(tx, ev)
		})
	}
}
