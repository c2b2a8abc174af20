package catalog

import (
	"slices"
	"strings"

	"github.com/bctrl-go/bctrl/internal/names"
	"github.com/bctrl-go/bctrl/internal/registry"
	"github.com/bctrl-go/bctrl/internal/server/web"
)

// The limits of a capability and of its policy. What has Bytes in its name is in
// bytes.
const (
	maxCapabilityPaths = 64
	maxPathBytes       = 512
	maxDescription     = 1024
	maxRedact          = 64
	maxRedactBytes     = 256
	maxCallsPerMinute  = 1_000_000
	maxPolicyBytes     = 1 << 40
)

// capabilityMethods are those that an own capability may permit.
var capabilityMethods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}

// checkCapability names everything that is wrong with a capability that is to be
// stored.
func (s *Service) checkCapability(id string, c capabilityMeta) error {
	var p web.Problems
	p.Limit("description", len(c.Description), maxDescription)
	p.Limit("methods", len(c.Methods), len(capabilityMethods))
	p.Limit("paths", len(c.Paths), maxCapabilityPaths)
	if len(c.Methods) == 0 {
		p.Add("capabilities.methods_required", "methods", "a capability permits at least one method")
	}
	for i, m := range c.Methods {
		if !slices.Contains(capabilityMethods, m) || slices.Contains(c.Methods[:i], m) {
			p.Add("capabilities.invalid_method", web.FieldAt("methods", i),
				"it is none of GET, HEAD, POST, PUT, PATCH and DELETE, or is there twice")
		}
	}
	if len(c.Paths) == 0 {
		p.Add("capabilities.paths_required", "paths", "a capability permits at least one path")
	}
	for i, path := range c.Paths {
		if !canonicalPath(path) {
			p.Add("capabilities.invalid_path", web.FieldAt("paths", i),
				"a path begins with a slash, has no empty, . or .. segment, and is not escaped")
		}
	}
	if c.Credential != "" && names.CredentialID(c.Credential) != nil {
		p.Add("credentials.invalid_id", "credential", "not a credential id")
	}
	provider, _, _ := strings.Cut(id, "/")
	known, found := s.registry.Provider(provider)
	switch {
	case c.Host == "":
	case found && !known.AllowsHost(c.Host):
		p.Add("credentials.host_not_allowed", "host", "it is none of the hosts of "+provider)
	case !found:
		p.Name("credentials.invalid_host", "host", registry.Host(c.Host))
	}
	if found && len(p.List) == 0 && callsModel(known, c) {
		p.Add("capabilities.model_path", "paths",
			"it would permit calls of a language model, which are permitted by the ai mount alone")
	}
	return p.Err()
}

// canonicalPath reports whether a path of a capability is in the form in which paths
// are compared. {x} stands for one segment, {+x} for one in which encoded slashes are
// part of a name.
func canonicalPath(path string) bool {
	rest, rooted := strings.CutPrefix(path, "/")
	if !rooted || len(path) > maxPathBytes {
		return false
	}
	if rest == "" {
		return true
	}
	for segment := range strings.SplitSeq(rest, "/") {
		inner := segment
		if strings.HasPrefix(segment, "{") && strings.HasSuffix(segment, "}") {
			inner = strings.TrimSuffix(segment[1:], "}")
		}
		if inner == "" || segment == "." || segment == ".." || strings.Trim(inner, pathAlphabet) != "" {
			return false
		}
	}
	return true
}

// pathAlphabet are the characters of a segment that stand for themselves (RFC
// 3986 §3.3).
const pathAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;=:@"

// callsModel reports whether a capability permits requests that one of the provider's
// for calling a language model permits.
func callsModel(p registry.Provider, own capabilityMeta) bool {
	for _, c := range p.Capabilities {
		if !c.Model || !slices.ContainsFunc(own.Methods, func(m string) bool { return slices.Contains(c.Methods, m) }) {
			continue
		}
		for _, path := range c.Paths {
			if slices.ContainsFunc(own.Paths, func(prefix string) bool { return pathsMeet(prefix, path) }) {
				return true
			}
		}
	}
	return false
}

// pathsMeet reports whether some path may be at or below both prefixes. Behind a
// segment that may hold encoded slashes it looks no further: a provider that takes
// them for slashes has more segments there.
func pathsMeet(a, b string) bool {
	as, bs := segmentsOf(a), segmentsOf(b)
	for i := range min(len(as), len(bs)) {
		if strings.HasPrefix(as[i], "{+") || strings.HasPrefix(bs[i], "{+") {
			return true
		}
		if as[i] != bs[i] && !strings.HasPrefix(as[i], "{") && !strings.HasPrefix(bs[i], "{") {
			return false
		}
	}
	return true
}

// segmentsOf splits a canonical path; / has no segment.
func segmentsOf(path string) []string {
	if path == "/" {
		return nil
	}
	return strings.Split(path[1:], "/")
}
