package runtimes

import (
	"context"
	"errors"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/egress"
	"github.com/bctrl-go/bctrl/internal/origin"
	"github.com/bctrl-go/bctrl/internal/server/vault"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
)

// launchSecrets are the vault keys that a launch names, each with its field.
func launchSecrets(l bctrl.Launch) map[string]string {
	keys := map[string]string{}
	if l.Config == nil {
		return keys
	}
	if p := l.Config.Proxy; p != nil && p.VaultKey != "" {
		keys[p.VaultKey] = "launch.config.proxy.vaultKey"
	}
	for i, h := range l.Config.Headers {
		if h.VaultKey != "" {
			keys[h.VaultKey] = "launch.config.headers[" + strconv.Itoa(i) + "].vaultKey"
		}
	}
	return keys
}

// checkLaunchHosts adds the host patterns of a launch that are above a public suffix, of
// which the SDK has no list.
func checkLaunchHosts(p *web.Problems, c bctrl.LaunchConfig) {
	check := func(code, field string, list []string) {
		for i, pattern := range list {
			below, wild := strings.CutPrefix(strings.ToLower(pattern), "*.")
			if wild && web.IsPublicSuffix(below) {
				p.Add(code, web.FieldAt(field, i), "names all hosts below a domain where anyone can register")
			}
		}
	}
	for i, h := range c.Headers {
		check("runtimes.invalid_header_hosts", web.FieldAt("launch.config.headers", i)+".hosts", h.Hosts)
	}
	check("runtimes.invalid_certificate_hosts", "launch.config.ignoreCertificateErrors", c.IgnoreCertificateErrors)
	if c.Proxy != nil {
		check("runtimes.invalid_proxy", "launch.config.proxy.bypass", c.Proxy.Bypass)
	}
}

// route is how what the browser of a runtime sends travels. It has read every secret
// that the launch names once, and asked the proxy whether it lets its user in.
func (s *Service) route(ctx context.Context, x *execution, c bctrl.LaunchConfig) (route egress.Route, err error) {
	if len(c.IgnoreCertificateErrors) > 0 {
		route.TrustsAnyCertificate = func(host string) bool { return namesHost(c.IgnoreCertificateErrors, host) }
	}
	for _, h := range c.Headers {
		header := egress.Header{
			Of:    func(host string) bool { return namesHost(h.Hosts, host) },
			Name:  h.Name,
			Value: func(context.Context, string) (string, error) { return h.Value, nil },
		}
		if h.VaultKey != "" {
			secret := s.newLaunchSecret(x, h.VaultKey)
			header.IsSecret = true
			header.Value = func(ctx context.Context, to string) (string, error) {
				login, err := secret.loginFor(ctx, hostOfOrigin(to), func(m vault.Meta) bool {
					return m.IsForOrigin(to) && !namesHost(c.IgnoreCertificateErrors, hostOfOrigin(to))
				})
				return h.Prefix + login.password.Expose(), err
			}
			for _, host := range h.Hosts {
				if _, err := secret.loginFor(ctx, host, func(m vault.Meta) bool {
					wild := strings.HasPrefix(host, "*.") // which of them there are is not known yet
					return wild || m.IsForHost(strings.ToLower(host)) && !namesHost(c.IgnoreCertificateErrors, host)
				}); err != nil {
					return route, err
				}
			}
		}
		route.Headers = append(route.Headers, header)
	}
	if c.Proxy == nil {
		return route, nil
	}
	route.Upstream, err = s.upstream(ctx, x, *c.Proxy)
	return route, err
}

// hostOfOrigin is the host of an origin of a request, without brackets.
func hostOfOrigin(to string) string {
	u, err := url.Parse(to)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// namesHost reports whether a list of host patterns and addresses holds a host.
func namesHost(list []string, host string) bool {
	return slices.ContainsFunc(list, func(entry string) bool {
		if addr, err := netip.ParseAddr(entry); err == nil {
			other, err := netip.ParseAddr(host)
			return err == nil && addr.Unmap() == other.Unmap()
		}
		return origin.MatchHost(strings.ToLower(entry), host)
	})
}

// upstream is the proxy of a launch, once it has let its user in.
func (s *Service) upstream(ctx context.Context, x *execution, p bctrl.LaunchProxy) (*egress.Upstream, error) {
	at, err := url.Parse(p.Server)
	if err != nil {
		return nil, web.Invalid("runtimes.invalid_proxy", "launch.config.proxy.server", "is no address")
	}
	up := &egress.Upstream{URL: at}
	if len(p.Bypass) > 0 {
		up.Bypasses = func(host string) bool { return namesHost(p.Bypass, host) }
	}
	if p.VaultKey != "" {
		secret := s.newLaunchSecret(x, p.VaultKey)
		up.Login = func(ctx context.Context) (name, password string, err error) {
			login, err := secret.loginFor(ctx, at.Hostname(), func(m vault.Meta) bool {
				return m.IsForHost(strings.ToLower(at.Hostname()))
			})
			return login.name, login.password.Expose(), err
		}
	}
	return up, refusalOfProxy(up.Check(ctx, s.egress))
}

// refusalOfProxy is the refusal of a launch whose proxy did not let it in; nil where it
// did. None is one that callers repeat the launch for.
func refusalOfProxy(err error) error {
	_, ours := errors.AsType[*bctrl.Error](err)
	if err == nil || ours {
		return err
	}
	refused := web.WithHint(web.Unprocessable("runtimes.proxy_unreachable", "the proxy does not answer"),
		"check its address and scheme, and that this server can reach it")
	switch {
	case errors.Is(err, egress.ErrProxyRefused):
		refused = web.WithHint(web.Unprocessable("runtimes.proxy_refused", "the proxy does not let its user in"),
			"check the username and the password of the vault entry that vaultKey names")
	case errors.Is(err, egress.ErrRefused):
		refused = web.WithHint(web.Unprocessable("runtimes.proxy_address_refused",
			"the server's policy of addresses does not permit where the proxy is"),
			"the server's operator permits it: bctrl serve --allow-address")
	}
	return web.WithField(refused, "launch.config.proxy.server")
}

// launchSecret is a vault entry that the browser of a runtime uses for as long as it
// lives. Each use is decided by the mounts as they are then. The first is recorded, and
// so is the first of each value that the entry has later. A page can make any number of
// requests, so of those that are refused the first is recorded, until what it was refused
// for has changed.
type launchSecret struct {
	logins
	key string

	mu      sync.Mutex
	granted *web.Grant // nil before the first use
	login   launchLogin
	// refused is the last refusal while granted is nil, and refusedFor what there was then:
	// see basis.
	refused    error
	refusedFor string
	// elsewhere are the hosts that it was asked for and is not for.
	elsewhere refusedHosts
}

// launchLogin is what was read of an entry.
type launchLogin struct {
	name     string
	password bctrl.Secret
	meta     vault.Meta
}

func (s *Service) newLaunchSecret(x *execution, key string) *launchSecret {
	return &launchSecret{logins: logins{s, x}, key: key}
}

// loginFor returns the entry where it may be used for a host now, and isFor says so of
// it.
func (l *launchSecret) loginFor(
	ctx context.Context, host string, isFor func(vault.Meta) bool,
) (launchLogin, error) {
	login, err := l.current(ctx)
	if err != nil || isFor(login.meta) {
		return login, err
	}
	refusal := web.WithHint(
		web.Unprocessable("runtimes.secret_elsewhere", "a vault entry of the launch is not for this host"),
		"the origins of the entry have to name it with scheme and port, http too, and its certificate has to be valid: "+
			"add the origin, name another entry, or take the host out of ignoreCertificateErrors",
	)
	if !l.countElsewhere(host) {
		return launchLogin{}, refusal
	}
	return launchLogin{}, l.s.recordRefusal(ctx, l.x, bctrl.UseVault, l.key, refusal)
}

// current returns the entry as it is now, where it may be used.
func (l *launchSecret) current(ctx context.Context) (launchLogin, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.granted != nil && l.s.StillPermittedNow(ctx, l.granted) == nil {
		return l.login, nil
	}
	l.granted = nil
	basis := l.basis(ctx)
	if l.refused != nil && l.refusedFor == basis {
		return launchLogin{}, l.refused
	}
	l.refused = nil
	if err := l.read(ctx); err != nil {
		l.granted = nil
		if e, ok := errors.AsType[*bctrl.Error](err); ok && e.Status < 500 && ctx.Err() == nil {
			l.refused, l.refusedFor = err, basis
		}
		return launchLogin{}, err
	}
	return l.login, nil
}

// basis is what read decides by and reads: the code of the refusal that there would be, or
// the entry and its version. Nothing is recorded.
func (l *launchSecret) basis(ctx context.Context) string {
	caller, err := l.s.currentCaller(ctx, l.x)
	if err != nil {
		return web.AsError(err).Code
	}
	if !new(web.Grant{Caller: caller}).Decide(&caller, access.Action{Verb: bctrl.UseVault, Object: l.key}) {
		return web.OutsideMount(bctrl.UseVault).Code
	}
	e, err := vault.Find(ctx, l.s.DB.Read(), caller.Org, l.key, "")
	if err != nil {
		return web.AsError(err).Code
	}
	return e.UID + " " + strconv.FormatInt(e.Version, 10)
}

// countElsewhere counts a request to a host that the entry is not for. It reports
// whether it was the first: a page can make any number of them.
func (l *launchSecret) countElsewhere(host string) (first bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.elsewhere.count(host)
}

// read decides about the entry, records that it is used, and reads it. Call it with mu
// held.
func (l *launchSecret) read(ctx context.Context) error {
	granted, err := l.grantUse(ctx, l.key)
	if err != nil {
		return err
	}
	return l.open(ctx, granted, l.key, func(opened vault.OpenedLogin) error {
		password, err := opened.Field("password")
		if err != nil {
			return err
		}
		l.login = launchLogin{name: opened.Meta.Username, password: password, meta: opened.Meta}
		l.x.live.secrets.Add(password)
		version := opened.Entry.Version
		granted.Require(func(ctx context.Context, q store.Queries, c access.Caller) error {
			e, err := vault.Find(ctx, q, c.Org, l.key, opened.Entry.UID)
			if err == nil && e.Version != version {
				err = errors.New("the entry has changed")
			}
			return err
		})
		l.granted = granted
		return nil
	})
}
