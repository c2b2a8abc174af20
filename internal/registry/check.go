package registry

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/names"
	"github.com/bctrl-go/bctrl/internal/prefix"
)

var errPath = errors.New("a path begins with a slash, and a segment is {name}, {+name} or one or more of the " +
	"unescaped characters of RFC 3986, neither . nor .. and without semicolon")

// PathPattern checks a path of a capability: "/" for every path, or segments
// written out, {name} for any one, or {+name} for any one in which the provider
// takes an encoded slash for part of a name.
func PathPattern(pattern string) error {
	if pattern == "/" {
		return nil
	}
	rest, ok := strings.CutPrefix(pattern, "/")
	if !ok {
		return errPath
	}
	for segment := range strings.SplitSeq(rest, "/") {
		if name, ok := strings.CutPrefix(segment, "{"); ok {
			name, closed := strings.CutSuffix(name, "}")
			if !closed || names.CredentialID(strings.TrimPrefix(name, "+")) != nil {
				return errPath
			}
			continue
		}
		if segment == "" || segment == "." || segment == ".." || strings.ContainsFunc(segment, func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') &&
				!strings.ContainsRune("._~:@!$&'()*+,=-", r)
		}) {
			return errPath
		}
	}
	return nil
}

// check returns which rules a provider breaks: those of the schema, and if it keeps
// them, those that a schema cannot say. Names that the schema permits may be quoted.
func (p Provider) check() error {
	if wrong := p.shape(); len(wrong) > 0 {
		return errors.Join(wrong...)
	}
	var wrong []error
	add := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	for i, host := range p.Hosts {
		if err := HostPattern(host); err != nil {
			add("hosts[%d]: %w", i, err)
		}
	}
	if p.BasePath != "" {
		if err := PathPattern(p.BasePath); err != nil || strings.Contains(p.BasePath, "{") {
			add("basePath: it is not a path in canonical form")
		}
	}
	if err := p.Auth.Validate(); err != nil {
		if e, ok := errors.AsType[*bctrl.Error](err); ok {
			add("%s: %s", e.Field, e.Hint)
		}
	} else {
		wrong = append(wrong, p.checkSecrets()...)
	}
	seen := map[string]bool{}
	for i, c := range p.Capabilities {
		at := fmt.Sprintf("capabilities[%d]", i)
		if !strings.HasPrefix(c.ID, p.ID+"/") || names.Capability(c.ID) != nil {
			add("%s.id: it is not the provider's id, a slash and a name", at)
		}
		if seen[c.ID] {
			add("%s.id: it is there twice", at)
		}
		seen[c.ID] = true
		for j, path := range c.Paths {
			switch err := PathPattern(path); {
			case err != nil:
				add("%s.paths[%d]: %w", at, j, err)
			case !prefix.PathWithin(p.BasePath, path):
				add("%s.paths[%d]: it is not below basePath", at, j)
			}
		}
		if c.Host != "" && !p.AllowsHost(c.Host) {
			add("%s.host: it is none of the provider's hosts", at)
		}
		if c.Model && p.AI == "" {
			add("%s.model: no AI credential serves the provider, so no ai mount can permit the call", at)
		}
	}
	return errors.Join(wrong...)
}

// checkSecrets compares the names of the secrets with the fields that the
// strategy reads: each has one name.
func (p Provider) checkSecrets() (wrong []error) {
	required, optional := p.Auth.Fields()
	var fields, known []string
	for _, s := range p.Secrets {
		switch {
		case slices.Contains(fields, s.Field) || slices.Contains(known, s.Name):
			wrong = append(wrong, fmt.Errorf("secrets: %s or its field is there twice", s.Name))
		case s.Optional && !slices.Contains(optional, s.Field):
			wrong = append(wrong, fmt.Errorf("secrets: the auth has no optional field %s", s.Field))
		case !s.Optional && !slices.Contains(required, s.Field):
			wrong = append(wrong, fmt.Errorf("secrets: the auth has no required field %s", s.Field))
		}
		fields, known = append(fields, s.Field), append(known, s.Name)
	}
	for _, field := range slices.Concat(required, optional) {
		if !slices.Contains(fields, field) {
			wrong = append(wrong, fmt.Errorf("secrets: no name for the field %s", field))
		}
	}
	return wrong
}
