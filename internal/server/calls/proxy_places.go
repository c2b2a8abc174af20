package calls

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/broker"
	"github.com/bctrl-go/bctrl/internal/server/catalog"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/template"
)

// authPlace is a header or parameter by which a credential authenticates, and
// what stands there.
type authPlace struct {
	header, param string
	text          template.Template
}

// keyPlacesOf are the headers and parameters that a credential's auth fills in.
func keyPlacesOf(auth bctrl.CredentialAuth) (all []authPlace) {
	add := func(at authPlace, text string) {
		parsed, err := template.Parse(text)
		if err == nil && len(parsed.Fields()) > 0 { // it has been validated
			at.text = parsed
			all = append(all, at)
		}
	}
	for name, text := range auth.Headers {
		add(authPlace{header: http.CanonicalHeaderKey(name)}, text)
	}
	for name, text := range auth.Query {
		add(authPlace{param: name}, text)
	}
	slices.SortFunc(all, func(a, b authPlace) int { return strings.Compare(a.header+a.param, b.header+b.param) })
	return all
}

// checkPlaces refuses a token of ours in a place where neither SDKs in general nor
// the provider's own put a key: there it was meant for something else.
func (b *broughtToken) checkPlaces(auth bctrl.CredentialAuth) error {
	for _, at := range b.places {
		if !at.isUsual(auth) && !at.isNamedBy(auth) {
			return errTokenMisplaced(at, auth)
		}
	}
	return nil
}

// isUsual reports whether a place is one where a token may stand for every provider.
func (at keyPlace) isUsual(auth bctrl.CredentialAuth) bool {
	switch {
	case at.basic:
		_, password, _ := strings.Cut(at.text, ":")
		return auth.Type != bctrl.AuthBasic && (password == tokenMark || at.text == tokenMark+":")
	case at.header == "Authorization":
		return strings.EqualFold("Bearer "+tokenMark, at.text) || strings.EqualFold("Token "+tokenMark, at.text)
	}
	return at.text == tokenMark && slices.Contains(usualKeyHeaders, at.header)
}

// isNamedBy reports whether a credential authenticates at the place, and has its
// secret where our token stands.
func (at keyPlace) isNamedBy(auth bctrl.CredentialAuth) bool {
	if at.basic {
		user, password, _ := strings.Cut(at.text, ":")
		return auth.Type == bctrl.AuthBasic &&
			halfHoldsToken(auth, auth.Username, user) && halfHoldsToken(auth, auth.Password, password)
	}
	return slices.ContainsFunc(keyPlacesOf(auth), func(of authPlace) bool {
		if of.header != at.header || of.param != at.param {
			return false
		}
		fields, ok := of.text.Match(at.text)
		return ok && holdOnlyToken(auth, fields)
	})
}

// halfHoldsToken reports whether the user name or the password of the Basic scheme
// holds our token if, and only if, its template has a secret. What else stands there,
// such as a public name, is for the SDK to fill in.
func halfHoldsToken(auth bctrl.CredentialAuth, text, half string) bool {
	parsed, err := template.Parse(text)
	if err != nil {
		return false // it has been validated
	}
	secret := func(f template.Field) bool { return !slices.Contains(auth.Public, f.Name) }
	if !slices.ContainsFunc(parsed.Fields(), secret) {
		return !strings.Contains(half, tokenMark)
	}
	fields, ok := parsed.Match(half)
	return ok && holdOnlyToken(auth, fields)
}

// holdOnlyToken reports whether each secret field is our token, and no public one
// is.
func holdOnlyToken(auth bctrl.CredentialAuth, fields map[string]string) bool {
	for name, value := range fields {
		if slices.Contains(auth.Public, name) == (value == tokenMark) {
			return false
		}
	}
	return true
}

// errAuthAtProxy refuses a request for where it has a key or token.
func errAuthAtProxy(message string) *bctrl.Error {
	return web.Invalid("invoke.auth_refused", "headers", message)
}

// errTokenMisplaced refuses a token in a place where the provider has no key, and
// says where it may stand.
func errTokenMisplaced(at keyPlace, auth bctrl.CredentialAuth) error {
	where := "the header " + strings.ToLower(at.header)
	if at.param != "" {
		where = "the parameter " + at.param
	}
	e := errAuthAtProxy("a key or token of this server stands in " + where + ", where this provider has no key")
	if at.param != "" {
		e.Field = "query"
	}
	e.Hint = "send it " + describePlaces(auth)
	return e
}

// describePlaces says where a request to the proxy may bring our token.
func describePlaces(auth bctrl.CredentialAuth) string {
	var all []string
	for _, of := range keyPlacesOf(auth) {
		if of.param != "" {
			all = append(all, "as the parameter "+of.param)
		} else if of.header != "Authorization" {
			all = append(all, "in the header "+strings.ToLower(of.header))
		}
	}
	if auth.Type == bctrl.AuthBasic {
		all = append(all, "as the password")
	}
	return strings.Join(append(all, "as Authorization: Bearer"), ", or ")
}

// withoutSignature takes the signature that an SDK made with our token for a key, and
// its time, out of the header and out of the query, which it returns. The broker signs
// with the key.
func withoutSignature(auth bctrl.CredentialAuth, header http.Header, query string) string {
	if auth.Type != bctrl.AuthHMAC {
		return query
	}
	for _, of := range keyPlacesOf(auth) {
		another := func(f template.Field) bool { return f.Name != "signature" && f.Name != "timestamp" }
		if slices.ContainsFunc(of.text.Fields(), another) {
			continue
		}
		header.Del(of.header)
		if of.param != "" {
			query = withoutParameter(query, of.param)
		}
	}
	return query
}

// withoutParameter leaves one parameter out of a query, the others as they are.
func withoutParameter(raw, name string) string {
	return strings.Join(slices.DeleteFunc(strings.Split(raw, "&"), func(pair string) bool {
		key, _, _ := strings.Cut(pair, "=")
		key, err := url.QueryUnescape(key)
		return err == nil && key == name
	}), "&")
}

// pathWithoutKey returns a request's path without our token where that stands in the
// place of the provider's key, as in "/bot{token}/getMe". It refuses a path that has
// anything else in that place.
func (s *Service) pathWithoutKey(ctx context.Context, req providerRequest, provider string) (string, error) {
	p, known := s.registry.Provider(provider)
	if req.brought == nil || !req.brought.inPath && !(known && p.Auth.Type == bctrl.AuthPath) {
		return req.path, nil
	}
	auth, base := s.presumedAuth(ctx, req, provider)
	rest, fields, there := splitKeyPath(auth, base, req.path)
	if !there {
		return req.path, nil
	}
	for name, value := range fields {
		// The number that Telegram has in front of a token is public, and some of
		// its libraries insist on one.
		if id, token, ok := strings.Cut(value, ":"); ok && strings.Trim(id, "0123456789") == "" {
			value = token
		}
		if !slices.Contains(auth.Public, name) && value != req.brought.text && !req.transparent {
			return req.path, broker.AuthRefused("path segment", "that holds no key or token of this server")
		}
	}
	return rest, nil
}

// checkPathKey refuses a path that still holds our token, which would be sent.
func (r sentRequest) checkPathKey() error {
	if r.brought == nil || !r.brought.inPath {
		return nil
	}
	path, err := url.PathUnescape(r.path)
	if err == nil && strings.Contains(path, r.brought.text) {
		e := errAuthAtProxy("a key or token of this server stands in the path, where this provider has no key")
		e.Field, e.Hint = "path", "send it where the provider's SDK puts its key, or as Authorization: Bearer"
		return e
	}
	return nil
}

// presumedAuth is how a request's credential authenticates, and its provider's base
// path, as far as that can be said before the call is decided about. The path is read
// by it, and nothing is sent by it.
func (s *Service) presumedAuth(
	ctx context.Context, req providerRequest, provider string,
) (auth bctrl.CredentialAuth, base string) {
	if p, known := s.registry.Provider(provider); known {
		return p.Auth, p.BasePath
	}
	query := broker.Query{
		Provider:   provider,
		Capability: req.capability.ID,
		Credential: req.credential,
		Context:    req.context,
	}
	found, err := s.candidates(ctx, s.DB.Read(), req.caller.Org, query)
	if err != nil {
		return auth, ""
	}
	chosen, err := broker.Choose(found.state, query)
	if err != nil {
		return auth, ""
	}
	meta, err := catalog.UnprovenCredentialMeta(found.credentials[chosen.Credential.UID])
	if err != nil || meta.Auth == nil {
		return auth, ""
	}
	return *meta.Auth, ""
}

// splitKeyPath finds what a credential puts between the base path and the rest of a
// path, and returns the path without it and the fields that stand in it.
func splitKeyPath(auth bctrl.CredentialAuth, base, path string) (rest string, fields map[string]string, there bool) {
	base = strings.TrimSuffix(base, "/")
	behind, ok := strings.CutPrefix(path, base)
	if auth.Type != bctrl.AuthPath || !ok {
		return path, nil, false
	}
	text, err := template.Parse(auth.Path)
	if err != nil {
		return path, nil, false // it has been validated
	}
	segments := strings.Split(behind, "/")
	n := strings.Count(auth.Path, "/") + 1 // with the empty one in front
	if len(segments) < n {
		return path, nil, false
	}
	prefix, err := url.PathUnescape(strings.Join(segments[:n], "/"))
	if err != nil {
		return path, nil, false
	}
	if fields, there = text.Match(prefix); !there {
		return path, nil, false
	}
	return base + "/" + strings.Join(segments[n:], "/"), fields, true
}
