package calls

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/broker"
	"github.com/bctrl-go/bctrl/internal/prefix"
	"github.com/bctrl-go/bctrl/internal/registry"
	"github.com/bctrl-go/bctrl/internal/scrub"
	"github.com/bctrl-go/bctrl/internal/server/web"
)

// addressRewriter turns the provider's addresses in the headers of an answer into
// ones of the proxy. A client that followed them as they are would send the provider
// our token, which it takes for the provider's key.
type addressRewriter struct {
	to destination
	// proxy is where the caller reaches this server.
	proxy *url.URL
	// segment is the target as the address of the request has it.
	segment string
	target  proxyTarget
	// named is set where the request named its host by a header: an address has to
	// name it itself, for the next request may come without that header.
	named bool
	// hosts are patterns of all hosts of the provider, also of those that this target
	// may not call: a request to them comes here, and is refused here.
	hosts []string
	// places are where the credential authenticates in header and query. Addresses
	// for the caller have nothing there, since it is added to each request.
	places broker.Places
	// prefix is what the credential puts in front of a path, likewise.
	prefix string
}

// rewriteAddresses turns the provider's addresses in an answer's headers into ones
// of the proxy.
func (s *Service) rewriteAddresses(rq *web.Request, c *intendedCall, segment string, h http.Header) {
	a := &addressRewriter{
		to:      c.to,
		proxy:   s.reachedURL(rq),
		segment: segment,
		target:  readTarget(segment),
		hosts:   slices.Clone(c.to.hosts),
		places:  broker.PlacesOf(c.to.auth, func(string) bool { return true }),
	}
	a.named = a.target.host == "" && c.hostNamed
	a.hosts = append(append(a.hosts, c.capability.Hosts...), canonicalHost(c.to.base.Scheme, c.to.base.Host))
	if p, known := s.registry.Provider(c.provider); known {
		a.hosts = append(a.hosts, p.Hosts...)
	}
	if c.to.auth.Type == bctrl.AuthPath {
		a.prefix = templateField().ReplaceAllLiteralString(c.to.auth.Path, scrub.Mark)
	}
	for name, values := range h {
		if isVerbatim(name) {
			continue
		}
		for i, value := range values {
			values[i] = a.rewriteHeader(name, value)
		}
	}
}

// atFirstUse compiles a pattern when it is first needed, for each start of the command
// line would wait for it.
func atFirstUse(pattern string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(pattern) })
}

// templateField matches a field in the template of a path. Answers have [scrub.Mark]
// in the place of the secret that stood there.
var templateField = atFirstUse(`\{[^}]*\}`)

// reachedURL is where the caller reached the server. Where no public address is
// configured, it believes the headers of a proxy in front of it: whoever forges them
// changes no answer but their own.
func (s *Service) reachedURL(rq *web.Request) *url.URL {
	u := rq.PublicURL()
	if s.PublicURL != nil {
		return u
	}
	if strings.EqualFold(firstOf(rq.Header.Get("X-Forwarded-Proto")), "https") {
		u.Scheme = "https"
	}
	if host := firstOf(rq.Header.Get("X-Forwarded-Host")); hostAndPort().MatchString(host) {
		u.Host = host
	}
	return u
}

var hostAndPort = atFirstUse(`^([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?$`)

// firstOf is the first entry of a list in a header, which the proxy nearest to the
// caller has written.
func firstOf(list string) string {
	first, _, _ := strings.Cut(list, ",")
	return strings.TrimSpace(first)
}

// isVerbatim reports whether a header is passed on as it is: what somebody stored
// with an object, and what describes a body.
func isVerbatim(name string) bool {
	return strings.Contains(name, "-Meta-") || slices.Contains([]string{
		"X-Amz-Website-Redirect-Location", "Content-Disposition", "Content-Type", "Etag", "Content-Md5", "Digest",
		"Content-Digest", "Repr-Digest",
	}, name)
}

// mayHoldReference reports whether a header holds an address that may be relative to
// the request's (RFC 3986 §4.2).
func mayHoldReference(name string) bool {
	ends := func(end string) bool { return strings.HasSuffix(name, end) }
	return slices.Contains([]string{"Location", "Link", "Refresh", "Azure-Asyncoperation", "Odata-Entityid"}, name) ||
		slices.ContainsFunc([]string{"-Location", "-Url", "-Uri", "-Link", "-Href"}, ends)
}

var (
	absoluteAddress = atFirstUse(`(?i)\bhttps?://[^\s"<>]+`)
	linkTarget      = atFirstUse(`<[^>]*>`)
	refreshTarget   = atFirstUse(`(?i)^(\s*[0-9.]*\s*[;,]?\s*url\s*=\s*["']?)([^"']*)`)
)

// rewriteHeader returns a header's value with its addresses rewritten, and all else
// as it is.
func (a *addressRewriter) rewriteHeader(name, value string) string {
	switch {
	case !mayHoldReference(name):
	case name == "Link": // RFC 8288 §3
		return linkTarget().ReplaceAllStringFunc(value, func(ref string) string {
			return "<" + a.rewriteReference(ref[1:len(ref)-1]) + ">"
		})
	case name == "Refresh":
		if m := refreshTarget().FindStringSubmatchIndex(value); m != nil {
			return value[:m[4]] + a.rewriteReference(value[m[4]:m[5]]) + value[m[5]:]
		}
	default:
		text := strings.Trim(value, " \t\"<>")
		if at := strings.Index(value, text); text != "" && !absoluteAddress().MatchString(text) {
			return value[:at] + a.rewriteReference(text) + value[at+len(text):]
		}
	}
	return absoluteAddress().ReplaceAllStringFunc(value, a.rewriteAbsolute)
}

// rewriteReference rewrites one address, which may be relative to the request's.
// One that is relative and stays below the path of the request is right as it is.
func (a *addressRewriter) rewriteReference(text string) string {
	ref := strings.TrimSpace(text)
	switch {
	case absoluteAddress().MatchString(ref):
		return absoluteAddress().ReplaceAllStringFunc(ref, a.rewriteAbsolute)
	case strings.HasPrefix(ref, "//"):
		if changed := a.rewriteAbsolute(a.to.base.Scheme + ":" + ref); changed != a.to.base.Scheme+":"+ref {
			return changed
		}
		return text
	case strings.HasPrefix(ref, "/"):
		return a.rewriteAbsolute(a.to.base.Scheme + "://" + a.to.host + ref)
	case dotSegments().MatchString(ref):
		from := url.URL{Scheme: a.to.base.Scheme, Host: a.to.host, Path: "/"}
		if sent, err := from.Parse(a.to.path); err == nil {
			if to, err := sent.Parse(ref); err == nil {
				return a.rewriteAbsolute(to.String())
			}
		}
	}
	return text
}

// dotSegments matches a path with segments . or .., which whoever follows it
// resolves: below an address of the proxy they could lead out of that.
var dotSegments = atFirstUse(`(?i)^[^?#]*?(^|/)(\.|%2e){1,2}(/|$|\?|#)`)

// rewriteAbsolute rewrites an absolute address. One that is none of the provider's
// stays as it is.
func (a *addressRewriter) rewriteAbsolute(text string) string {
	scheme, rest, _ := strings.Cut(text, "://")
	end := strings.IndexAny(rest, `/?#\,;'()`)
	if end < 0 {
		end = len(rest)
	}
	authority, rest := rest[:end], rest[end:]
	authority = authority[strings.LastIndex(authority, "@")+1:]
	host := canonicalHost(scheme, authority)
	if !slices.ContainsFunc(a.hosts, func(pattern string) bool { return registry.MatchHost(pattern, host) }) {
		return text
	}
	if dotSegments().MatchString(rest) {
		rest = withoutDots(rest)
	}
	return a.proxyBase(host) + a.rewritePath(rest)
}

// withoutDots resolves the dot segments of what follows a host, also encoded ones,
// which some clients resolve.
func withoutDots(rest string) string {
	end := strings.IndexAny(rest, "?#")
	if end < 0 {
		end = len(rest)
	}
	u, err := url.Parse("https://host" + encodedDot().ReplaceAllLiteralString(rest[:end], "."))
	if err != nil {
		return rest
	}
	return u.ResolveReference(&url.URL{}).EscapedPath() + rest[end:]
}

var encodedDot = atFirstUse(`(?i)%2e`)

// canonicalHost is a host as patterns of hosts have it: in lower case, without a
// default port and a dot at the end.
func canonicalHost(scheme, authority string) string {
	host := strings.ToLower(authority)
	switch strings.ToLower(scheme) {
	case "https":
		host = strings.TrimSuffix(host, ":443")
	case "http":
		host = strings.TrimSuffix(host, ":80")
	}
	name, port, hasPort := strings.Cut(host, ":")
	if name = strings.TrimSuffix(name, "."); hasPort {
		return name + ":" + port
	}
	return name
}

// proxyBase is the proxy's address for a host, without a path.
func (a *addressRewriter) proxyBase(host string) string {
	segment := a.segment
	if host != canonicalHost(a.to.base.Scheme, a.to.host) || a.named {
		segment = strings.Replace(a.target.name, "/", "~", 1) + "@" + host
	}
	u := a.proxy.JoinPath("v1", "proxy")
	if u.Host == "" { // the request had none: the address is a path
		u.Scheme = ""
	}
	return strings.TrimSuffix(u.String(), "/") + "/" + segment
}

// rewritePath rewrites what follows a provider's host: without what the credential
// adds to it, and below the base path that the caller knows. Otherwise it stays as it
// is, to the byte.
func (a *addressRewriter) rewritePath(rest string) string {
	path, behind := rest, ""
	if i := strings.IndexAny(rest, "?#"); i >= 0 {
		path, behind = rest[:i], rest[i:]
	}
	if to := a.to; to.callersBase != to.base.EscapedPath() && prefix.PathWithin(to.base.EscapedPath(), path) {
		below := strings.TrimPrefix(path, strings.TrimSuffix(to.base.EscapedPath(), "/"))
		path = strings.TrimSuffix(to.callersBase, "/") + below
	}
	if base := strings.TrimSuffix(a.to.base.EscapedPath(), "/"); a.prefix != "" {
		if added := base + a.prefix; prefix.PathWithin(added, path) {
			path = base + strings.TrimPrefix(path, added)
		}
	}
	if query, ok := strings.CutPrefix(behind, "?"); ok && len(a.places.Parameters) > 0 {
		query, fragment, hasFragment := strings.Cut(query, "#")
		if behind = a.places.Clear(http.Header{}, query); behind != "" {
			behind = "?" + behind
		}
		if hasFragment {
			behind += "#" + fragment
		}
	}
	return path + behind
}
