package bctrl

import (
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/bctrl-go/bctrl/internal/template"
)

const codeInvalidAuth = "credentials.invalid_auth"

const (
	maxAuthEntries = 16
	maxAuthText    = 2048
)

// Validate returns nil or an [*Error] with code credentials.invalid_auth whose
// Problems name every field that is wrong, without its value: a secret may have
// been written where its name belongs.
func (a CredentialAuth) Validate() error {
	c := authCheck{auth: a}
	c.parts()
	c.templatesAreWhole()
	c.headers()
	c.query()
	c.public()
	switch a.Type {
	case AuthHeader:
		c.require(usesField(a.Headers), "headers", "a header with a field is missing")
	case AuthQuery:
		c.require(usesField(a.Query), "query", "a parameter with a field is missing")
	case AuthPath:
		c.path()
	case AuthBasic:
		both := map[string]string{"username": a.Username, "password": a.Password}
		c.require(usesField(both), "username", "neither the user name nor the password names a field")
		c.require(!strings.Contains(a.Username, ":"), "username", "a user name has no colon")
	case AuthOAuth2:
		c.oauth2()
	case AuthAWSSigV4:
		c.sigV4()
	case AuthHMAC:
		c.hmac()
	case AuthNone:
		c.require(!usesField(a.Headers) && !usesField(a.Query), "type", "none takes no field")
	case AuthMTLS:
	default:
		c.add("type", "it is none of none, header, query, path, basic, oauth2, aws-sigv4, hmac and mtls")
	}
	return c.found.err()
}

// authCheck collects what is wrong with an auth.
type authCheck struct {
	auth  CredentialAuth
	found problems
}

func (c *authCheck) add(field, why string) {
	c.found.add(Problem{Code: codeInvalidAuth, Field: "auth." + field, Hint: why})
}

func (c *authCheck) require(ok bool, field, why string) {
	if !ok {
		c.add(field, why)
	}
}

// parts refuses what belongs to another type: an auth that says two things
// would be read as either.
func (c *authCheck) parts() {
	a := c.auth
	for _, p := range []struct {
		field   string
		present bool
		of      AuthType
	}{
		{"path", a.Path != "", AuthPath},
		{"username", a.Username != "", AuthBasic},
		{"password", a.Password != "", AuthBasic},
		{"oauth2", a.OAuth2 != nil, AuthOAuth2},
		{"sigv4", a.SigV4 != nil, AuthAWSSigV4},
		{"hmac", a.HMAC != nil, AuthHMAC},
	} {
		c.require(!p.present || a.Type == p.of, p.field, "it belongs to type "+string(p.of))
	}
}

// authTemplate is one template of an auth and where it stands.
type authTemplate struct {
	field  string
	parsed template.Template
	err    error
}

// templates returns the templates into which a credential's secrets go.
func (a CredentialAuth) templates() []authTemplate {
	var out []authTemplate
	add := func(field, text string) {
		t, err := template.Parse(text)
		out = append(out, authTemplate{field, t, err})
	}
	for _, name := range slices.Sorted(maps.Keys(a.Headers)) {
		add("headers."+name, a.Headers[name])
	}
	for _, name := range slices.Sorted(maps.Keys(a.Query)) {
		add("query."+name, a.Query[name])
	}
	add("path", a.Path)
	add("username", a.Username)
	add("password", a.Password)
	return out
}

func (c *authCheck) templatesAreWhole() {
	own := c.auth.ownFields()
	for _, t := range c.auth.templates() {
		if t.err != nil {
			c.add(t.field, t.err.Error())
		}
		for _, f := range t.parsed.Fields() {
			kept := slices.ContainsFunc(own, func(o ownField) bool { return o.kept && o.name == f.Name })
			c.require(!kept, t.field, "what the strategy proves itself with is never sent")
		}
	}
	entries := len(c.auth.Headers) + len(c.auth.Query)
	c.require(entries <= maxAuthEntries, "headers", "there are more than 16 headers and parameters")
}

// usesField reports whether one of templates names a field.
func usesField(templates map[string]string) bool {
	for _, text := range templates {
		if t, err := template.Parse(text); err == nil && len(t.Fields()) > 0 {
			return true
		}
	}
	return false
}

// ownHeaders are set by the transport or the broker itself.
var ownHeaders = []string{
	"accept-encoding", "connection", "content-encoding", "content-length", "content-type", "cookie", "expect", "host",
	"keep-alive",
	"proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
}

func (c *authCheck) headers() {
	seen := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(c.auth.Headers)) {
		lower := strings.ToLower(name)
		switch field := "headers." + quotable(name); {
		case !isToken(name):
			c.add("headers", "a header's name is 1 to 128 letters, digits, hyphens and underscores")
		case slices.Contains(ownHeaders, lower):
			c.add(field, "this header is not for a strategy to set")
		case seen[lower]:
			c.add(field, "the header is there twice, in two spellings")
		case lower == "authorization" && c.auth.makesAuthorization():
			c.add(field, "the strategy itself sets this header")
		case c.auth.Type == AuthAWSSigV4 && strings.HasPrefix(lower, "x-amz-"):
			c.add(field, "the strategy itself sets such headers")
		}
		seen[lower] = true
	}
}

// makesAuthorization reports whether the type itself writes that header.
func (a CredentialAuth) makesAuthorization() bool {
	return a.Type == AuthBasic || a.Type == AuthAWSSigV4
}

func (c *authCheck) query() {
	for _, name := range slices.Sorted(maps.Keys(c.auth.Query)) {
		c.require(isToken(name), "query", "a parameter's name is 1 to 128 letters, digits, hyphens and underscores")
		c.require(c.auth.Type != AuthAWSSigV4 || !strings.HasPrefix(strings.ToLower(name), "x-amz-"), "query",
			"the strategy itself sets such parameters")
	}
}

// public refuses to leave in answers what proves who the caller is.
func (c *authCheck) public() {
	required, optional := c.auth.Fields()
	own := c.auth.ownFields()
	for i, field := range c.auth.Public {
		known := slices.Contains(required, field) || slices.Contains(optional, field)
		kept := slices.ContainsFunc(own, func(o ownField) bool { return o.kept && o.name == field })
		c.require(known && !kept, element("public", i),
			"it is no field of the strategy, or one that proves who the caller is")
	}
	secret := slices.ContainsFunc(slices.Concat(required, optional), func(f string) bool {
		return !slices.Contains(c.auth.Public, f)
	})
	c.require(len(c.auth.Public) == 0 || secret, "public", "no field is left that is secret")
}

// isToken is narrower than RFC 9110 §5.6.2: no header or parameter of an API
// needs more.
func isToken(name string) bool {
	if name == "" || len(name) > 128 {
		return false
	}
	return !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
	})
}

func (c *authCheck) path() {
	path := c.auth.Path
	c.require(usesField(map[string]string{"": path}), "path", "it names no field")
	c.require(!strings.Contains(path, "?}"), "path", "a field of a path is not optional")
	c.require(strings.HasPrefix(path, "/") && !strings.HasSuffix(path, "/"), "path",
		"it begins with a slash and does not end with one")
	c.require(!strings.ContainsAny(path, `?#%\; `) && !strings.Contains(path, "//") &&
		!strings.Contains(path+"/", "/./") && !strings.Contains(path+"/", "/../"),
		"path", "it is not in canonical form")
}

func (c *authCheck) oauth2() {
	o := c.auth.OAuth2
	if o == nil {
		c.add("oauth2", "it is missing")
		return
	}
	c.require(o.Grant == GrantRefreshToken || o.Grant == GrantClientCredentials, "oauth2.grant",
		"it is neither refresh_token nor client_credentials")
	c.require(o.ClientAuth == "" || o.ClientAuth == "basic" || o.ClientAuth == "body", "oauth2.clientAuth",
		"it is neither basic nor body")
	if err := tokenURL(o.TokenURL); err != nil {
		c.add("oauth2.tokenUrl", err.Error())
	}
	c.require(len(o.Scopes) <= 64, "oauth2.scopes", "there are more than 64")
	for i, scope := range o.Scopes {
		c.require(isScope(scope), element("oauth2.scopes", i),
			"a scope is printable ASCII without space, quote and backslash (RFC 6749 §3.3)")
	}
	for _, name := range slices.Sorted(maps.Keys(o.Params)) {
		c.require(isToken(name) && !slices.Contains(tokenParams, strings.ToLower(name)), "oauth2.params",
			"a parameter's name is malformed or one that the grant itself sets")
		c.require(len(o.Params[name]) <= maxAuthText, "oauth2.params", "a value is longer than 2048 bytes")
	}
	c.require(len(o.Params) <= maxAuthEntries, "oauth2.params", "there are more than 16")
}

// tokenParams are the parameters that the two grants set.
var tokenParams = []string{"grant_type", "refresh_token", "client_id", "client_secret", "scope"}

func tokenURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || len(text) > maxAuthText:
		return errors.New("it cannot be parsed, or is longer than 2048 bytes")
	case u.Scheme != "https" || u.Hostname() == "" || u.Opaque != "":
		return errors.New("it is not an https URL")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return errors.New("it has user info, a query or a fragment")
	}
	return nil
}

// isScope is scope-token of RFC 6749 §3.3.
func isScope(scope string) bool {
	return scope != "" && len(scope) <= 256 && !strings.ContainsFunc(scope, func(r rune) bool {
		return r <= ' ' || r > '~' || r == '"' || r == '\\'
	})
}

func (c *authCheck) sigV4() {
	s := c.auth.SigV4
	if s == nil {
		c.add("sigv4", "it is missing")
		return
	}
	c.require(isToken(s.Service), "sigv4.service", "it is not the name of a service")
	c.require(s.Region == "" || isToken(s.Region), "sigv4.region", "it is not the name of a region")
}

// messageFields are what an HMAC's message is made of.
var messageFields = []string{"timestamp", "method", "target", "path", "bodyHash", "body"}

func (c *authCheck) hmac() {
	h := c.auth.HMAC
	if h == nil {
		c.add("hmac", "it is missing")
		return
	}
	one := func(field, value string, of ...string) {
		c.require(slices.Contains(of, value), field, "it is none of "+strings.Trim(strings.Join(of, ", "), ", "))
	}
	one("hmac.algorithm", h.Algorithm, "sha256", "sha512")
	one("hmac.encoding", h.Encoding, "", "hex", "base64")
	one("hmac.keyEncoding", h.KeyEncoding, "", "hex", "base64")
	one("hmac.timestamp", h.Timestamp, "", "unix", "unix-ms", "rfc3339")
	t, err := template.ParseLines(h.Message)
	if err != nil {
		c.add("hmac.message", err.Error())
	}
	for _, f := range t.Fields() {
		c.require(slices.Contains(messageFields, f.Name) && !f.Optional, "hmac.message",
			"a field is none of "+strings.Join(messageFields, ", "))
	}
	c.require(h.Message == "" || len(t.Fields()) > 0, "hmac.message", "it depends on nothing of the request")
	c.require(namesField(c.auth.Headers, "signature") || namesField(c.auth.Query, "signature"), "headers",
		"{signature} is sent nowhere")
}

// namesField reports whether one of templates names a field.
func namesField(templates map[string]string, field string) bool {
	for _, text := range templates {
		t, err := template.Parse(text)
		if err == nil && slices.ContainsFunc(t.Fields(), func(f template.Field) bool { return f.Name == field }) {
			return true
		}
	}
	return false
}
