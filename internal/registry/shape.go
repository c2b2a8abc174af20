package registry

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/bctrl-go/bctrl"
)

// The patterns of provider.schema.json. They are compiled when a user's file is
// read, not at the start of every program.
const (
	idPattern         = `^[a-z0-9][a-z0-9-]{0,62}$`
	docsPattern       = `^https://[^\s]+$`
	basePathPattern   = `^(/[A-Za-z0-9._~-]+)+$`
	fieldPattern      = `^[A-Za-z][A-Za-z0-9_-]{0,63}$`
	secretNamePattern = `^[A-Z][A-Z0-9_]{0,127}$`
)

// methods are those that a capability may permit.
var methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

// shapeCheck collects where a provider breaks provider.schema.json. The schema
// is what editors read and what the tests hold this check to. Servers do not
// read it: the package that does compiles the meta-schemas of JSON Schema when
// a program starts, which took a third of the time of every command.
type shapeCheck struct{ wrong []error }

// shape returns where p breaks the schema's rules about lengths, counts and
// characters. The rules about meaning are those of check.
func (p Provider) shape() []error {
	c := &shapeCheck{}
	c.pattern("id", p.ID, idPattern, 63)
	c.text("name", p.Name, 100)
	c.pattern("docs", p.Docs, docsPattern, 500)
	c.require(slices.Contains([]bctrl.AIProvider{"", bctrl.OpenAI, bctrl.Anthropic, bctrl.Google}, p.AI), "ai",
		"no AI credentials are of this provider")
	c.distinct("hosts", p.Hosts, 32)
	if p.BasePath != "" {
		c.pattern("basePath", p.BasePath, basePathPattern, 200)
	}
	c.auth(p)
	c.count("secrets", len(p.Secrets), 0, 16)
	c.require(p.Secrets != nil, "secrets", "it is missing")
	for i, s := range p.Secrets {
		c.pattern(fmt.Sprintf("secrets[%d].name", i), s.Name, secretNamePattern, 128)
		c.pattern(fmt.Sprintf("secrets[%d].field", i), s.Field, fieldPattern, 64)
	}
	c.count("capabilities", len(p.Capabilities), 1, 200)
	for i, capability := range p.Capabilities {
		c.capability(fmt.Sprintf("capabilities[%d]", i), capability)
	}
	return c.wrong
}

func (c *shapeCheck) auth(p Provider) {
	a := p.Auth
	for at, templates := range map[string]map[string]string{"auth.headers": a.Headers, "auth.query": a.Query} {
		c.require(templates == nil || len(templates) > 0, at, "it is empty")
		for _, name := range slices.Sorted(maps.Keys(templates)) {
			c.text(at, templates[name], 1024)
		}
	}
	for at, template := range map[string]string{
		"auth.path":     a.Path,
		"auth.username": a.Username,
		"auth.password": a.Password,
	} {
		c.require(len(template) <= 1024, at, "it is longer than 1024")
	}
	if a.HMAC != nil {
		c.require(len(a.HMAC.Message) <= 1024, "auth.hmac.message", "it is longer than 1024")
	}
	if a.Public != nil {
		c.distinct("auth.public", a.Public, 16)
	}
}

func (c *shapeCheck) capability(at string, capability Capability) {
	c.text(at+".description", capability.Description, 200)
	c.distinct(at+".methods", capability.Methods, len(methods))
	for i, method := range capability.Methods {
		c.require(slices.Contains(methods, method), fmt.Sprintf("%s.methods[%d]", at, i), "it is none of "+
			strings.Join(methods, ", "))
	}
	c.distinct(at+".paths", capability.Paths, 100)
	for i, path := range capability.Paths {
		c.require(len(path) <= 500, fmt.Sprintf("%s.paths[%d]", at, i), "it is longer than 500")
	}
}

func (c *shapeCheck) require(ok bool, at, rule string) {
	if !ok {
		c.wrong = append(c.wrong, fmt.Errorf("%s: %s", at, rule))
	}
}

// text requires 1 to most characters.
func (c *shapeCheck) text(at, value string, most int) {
	n := utf8.RuneCountInString(value)
	c.require(n >= 1 && n <= most, at, fmt.Sprintf("it has not 1 to %d characters", most))
}

// pattern requires a text that matches, of at most most characters.
func (c *shapeCheck) pattern(at, value, pattern string, most int) {
	ok, err := regexp.MatchString(pattern, value)
	c.require(err == nil && ok && utf8.RuneCountInString(value) <= most, at,
		"it is missing, too long or breaks the rule "+pattern)
}

func (c *shapeCheck) count(at string, n, least, most int) {
	c.require(n >= least && n <= most, at, fmt.Sprintf("it has not %d to %d entries", least, most))
}

// distinct requires 1 to most entries, each once.
func (c *shapeCheck) distinct(at string, entries []string, most int) {
	c.count(at, len(entries), 1, most)
	c.require(len(slices.Compact(slices.Sorted(slices.Values(entries)))) == len(entries), at, "an entry is there twice")
}
