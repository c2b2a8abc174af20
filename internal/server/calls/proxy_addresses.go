package calls

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/broker"
	"github.com/bctrl-go/bctrl/internal/prefix"
	"github.com/bctrl-go/bctrl/internal/registry"
	"github.com/bctrl-go/bctrl/internal/scrub"
	"github.com/bctrl-go/bctrl/internal/server/web"
)

// addressRewriter turns the provider's addresses in the headers of an answer into ones
// of the proxy. A client that follows them as they are would send our token,
// which it takes for the provider's key, to the provider.
type addressRewriter struct {
	to destination
	// proxy is where the caller reaches the proxy, and segment its target.
	proxy   *url.URL
	segment string
	target  proxyTarget
	// named is set where the request named its host by a header, which a request
	// for another address need not have.
	named bool
	// hosts are patterns of all that are the provider's, whether or not this
	// target may call them: what it may not is refused here, and stays here.
	hosts []string
	// places are where the credential authenticates, prefix what it has in front
	// of a path: a link back has neither, for it is added again.
	places broker.Places
	prefix string
}

// rewriteAddresses changes the addresses in an answer's headers.
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
		a.prefix = templateField.ReplaceAllLiteralString(c.to.auth.Path, scrub.Mark)
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

var templateField = regexp.MustCompile(`\{[^}]*\}`)

// reachedURL is where the caller reached the server. What stands before it may
// have ended TLS and says so; that changes the caller's own answer alone.
func (s *Service) reachedURL(rq *web.Request) *url.URL {
	u := rq.PublicURL()
	if s.PublicURL != nil {
		return u
	}
	if strings.EqualFold(firstOf(rq.Header.Get("X-Forwarded-Proto")), "https") {
		u.Scheme = "https"
	}
	if host := firstOf(rq.Header.Get("X-Forwarded-Host")); hostAndPort.MatchString(host) {
		u.Host = host
	}
	return u
}

var hostAndPort = regexp.MustCompile(`^([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?$`)

// firstOf is the first of a list, which is that of the proxy nearest to the
// caller.
func firstOf(list string) string {
	first, _, _ := strings.Cut(list, ",")
	return strings.TrimSpace(first)
}

// isVerbatim reports whether a header is what somebody stored with an object, or
// describes a body: it comes back as it is.
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
	absoluteAddress = regexp.MustCompile(`(?i)\bhttps?://[^\s"<>]+`)
	linkTarget      = regexp.MustCompile(`<[^>]*>`)
	refreshTarget   = regexp.MustCompile(`(?i)^(\s*[0-9.]*\s*[;,]?\s*url\s*=\s*["']?)([^"']*)`)
)

// rewriteHeader is a header's value with addresses of the proxy. Whatever else it
// holds stays as it is.
func (a *addressRewriter) rewriteHeader(name, value string) string {
	switch {
	case !mayHoldReference(name):
	case name == "Link": // RFC 8288 §3
		return linkTarget.ReplaceAllStringFunc(value, func(ref string) string {
			return "<" + a.rewriteReference(ref[1:len(ref)-1]) + ">"
		})
	case name == "Refresh":
		if m := refreshTarget.FindStringSubmatchIndex(value); m != nil {
			return value[:m[4]] + a.rewriteReference(value[m[4]:m[5]]) + value[m[5]:]
		}
	default:
		text := strings.Trim(value, " \t\"<>")
		if at := strings.Index(value, text); text != "" && !absoluteAddress.MatchString(text) {
			return value[:at] + a.rewriteReference(text) + value[at+len(text):]
		}
	}
	return absoluteAddress.ReplaceAllStringFunc(value, a.rewriteAbsolute)
}

// rewriteReference is one address, which may be relative to the request's.
func (a *addressRewriter) rewriteReference(text string) string {
	ref := strings.TrimSpace(text)
	switch {
	case absoluteAddress.MatchString(ref):
		return absoluteAddress.ReplaceAllStringFunc(ref, a.rewriteAbsolute)
	case strings.HasPrefix(ref, "//"):
		if changed := a.rewriteAbsolute(a.to.base.Scheme + ":" + ref); changed != a.to.base.Scheme+":"+ref {
			return changed
		}
		return text
	case strings.HasPrefix(ref, "/"):
		return a.rewriteAbsolute(a.to.base.Scheme + "://" + a.to.host + ref)
	case dotSegments.MatchString(ref):
		from := url.URL{Scheme: a.to.base.Scheme, Host: a.to.host, Path: "/"}
		if sent, err := from.Parse(a.to.path); err == nil {
			if to, err := sent.Parse(ref); err == nil {
				return a.rewriteAbsolute(to.String())
			}
		}
	}
	return text
}

// dotSegments matches an address in which dots are resolved by who follows it: from
// an address of the proxy they would lead out of it.
var dotSegments = regexp.MustCompile(`(?i)^[^?#]*?(^|/)(\.|%2e){1,2}(/|$|\?|#)`)

// rewriteAbsolute is an absolute address as one of the proxy, or as it is where it is
// none of the provider's.
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
	if dotSegments.MatchString(rest) {
		rest = withoutDots(rest)
	}
	return a.proxyBase(host) + a.rewritePath(rest)
}

// withoutDots resolves the dot segments of what follows a host, encoded ones too,
// as some clients do.
func withoutDots(rest string) string {
	end := strings.IndexAny(rest, "?#")
	if end < 0 {
		end = len(rest)
	}
	u, err := url.Parse("https://host" + encodedDot.ReplaceAllLiteralString(rest[:end], "."))
	if err != nil {
		return rest
	}
	return u.ResolveReference(&url.URL{}).EscapedPath() + rest[end:]
}

var encodedDot = regexp.MustCompile(`(?i)%2e`)

// canonicalHost is a host as patterns of hosts have it.
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
	if u.Host == "" { // of a request without
		u.Scheme = ""
	}
	return strings.TrimSuffix(u.String(), "/") + "/" + segment
}

// rewritePath is what follows a provider's host as a caller of the proxy has it:
// without what the credential adds, and below the base path that the caller
// knows. Otherwise it is as it was, to the byte.
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
		if below, ok := strings.CutPrefix(path, base+a.prefix); ok && (below == "" || below[0] == '/') {
			path = base + below
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
