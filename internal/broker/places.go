package broker

import (
	"iter"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/template"
)

// Places are the headers and the parameters of the query that a credential
// fills in. Everything else of a request is its caller's.
type Places struct{ Headers, Parameters []string }

// signedParameters are those by which a request to AWS can be signed in place of
// its headers (AWS Signature Version 4, and 2 before).
var signedParameters = []string{"X-Amz-Signature", "X-Amz-Credential", "X-Amz-Security-Token",
	"AWSAccessKeyId", "Signature"}

// PlacesOf returns what an auth fills in with the secrets that there are: a
// header with a field that may be missing, and is, is left to the caller.
func PlacesOf(auth bctrl.CredentialAuth, has func(field string) bool) (p Places) {
	filled := func(text string) bool {
		parsed, err := template.Parse(text)
		if err != nil {
			return true // it has been validated
		}
		missing := func(f template.Field) bool { return f.Optional && !isMade(auth.Type, f.Name) && !has(f.Name) }
		return len(parsed.Fields()) > 0 && !slices.ContainsFunc(parsed.Fields(), missing)
	}
	for _, name := range slices.Sorted(maps.Keys(auth.Headers)) {
		if filled(auth.Headers[name]) {
			p.Headers = append(p.Headers, http.CanonicalHeaderKey(name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(auth.Query)) {
		if filled(auth.Query[name]) {
			p.Parameters = append(p.Parameters, name)
		}
	}
	switch auth.Type {
	case bctrl.AuthBasic, bctrl.AuthOAuth2:
		p.Headers = append(p.Headers, "Authorization")
	case bctrl.AuthAWSSigV4:
		p.Headers = append(p.Headers, "Authorization", sessionHeader)
		p.Parameters = append(p.Parameters, signedParameters...)
	}
	return p
}

// Check refuses a request that brings its own in one of the places.
func (p Places) Check(h http.Header, query string) error {
	for own := range h {
		if slices.ContainsFunc(p.Headers, func(name string) bool { return sameName(name, own) }) {
			return AuthRefused("header", own)
		}
	}
	if query == "" || len(p.Parameters) == 0 {
		return nil
	}
	for name := range parameterNames(query) {
		if p.hasParameter(name) {
			return AuthRefused("parameter", name)
		}
	}
	return nil
}

func (p Places) hasParameter(name string) bool {
	return slices.ContainsFunc(p.Parameters, func(other string) bool { return strings.EqualFold(other, name) })
}

// Clear empties the places and returns the query without them. Nothing else is
// changed.
func (p Places) Clear(h http.Header, query string) string {
	for own := range h {
		if slices.ContainsFunc(p.Headers, func(name string) bool { return sameName(name, own) }) {
			delete(h, own)
		}
	}
	if query == "" || len(p.Parameters) == 0 {
		return query
	}
	return strings.Join(slices.DeleteFunc(strings.Split(query, "&"),
		func(pair string) bool { return p.hasParameter(parameterName(pair)) }), "&")
}

// parameterNames are the names of a query's parameters, of which no server reads
// more: some take a semicolon for the end of one, too. What is no escape stands
// for itself.
func parameterNames(query string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for pair := range strings.SplitSeq(query, "&") {
			if pair != "" && !yield(parameterName(pair)) {
				return
			}
			if !strings.Contains(pair, ";") {
				continue
			}
			for part := range strings.SplitSeq(pair, ";") {
				if part != "" && !yield(parameterName(part)) {
					return
				}
			}
		}
	}
}

func parameterName(pair string) string {
	name, _, _ := strings.Cut(pair, "=")
	return strings.TrimSpace(decodeAgain(strings.ReplaceAll(name, "+", " ")))
}

// addParameter adds a parameter to a query, whose others stay as they are and in
// their order: in front of the first that comes after it in the alphabet, so
// that a query in order, which some providers want, stays in order.
func addParameter(u *url.URL, name, value string) {
	added := url.QueryEscape(name) + "=" + url.QueryEscape(value)
	if u.RawQuery == "" {
		u.RawQuery = added
		return
	}
	pairs := strings.Split(u.RawQuery, "&")
	at := slices.IndexFunc(pairs, func(pair string) bool { return parameterName(pair) > name })
	if at < 0 {
		at = len(pairs)
	}
	u.RawQuery = strings.Join(slices.Insert(pairs, at, added), "&")
}
