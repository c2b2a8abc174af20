package calls

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/bctrl-go/bctrl/internal/broker"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// broughtToken is our key or token as a provider's SDK brings it: in the place of
// the provider's key, wherever that is.
type broughtToken struct {
	text string
	// places are those that it was taken out of. Whether they are places of the
	// provider's key is checked once the credential is known.
	places []keyPlace
	// inPath is set where it stands in the path. It is taken out of that once the
	// provider is known.
	inPath bool
}

// keyPlace is a header or a parameter of the query, and what stands there with
// tokenMark in the place of the token. Of a header with the Basic scheme that
// is user name, colon and password.
type keyPlace struct {
	header, param string
	basic         bool
	text          string
}

// tokenMark is in no header and no token.
const tokenMark = "\x00"

// usualKeyHeaders are the headers in which SDKs put keys. They are looked at for
// every provider.
var usualKeyHeaders = []string{"Authorization", "X-Api-Key", "X-Goog-Api-Key", "X-Amz-Security-Token"}

// broughtKey is the key under which the context of a request has its [broughtToken].
type broughtKey struct{}

// broughtTokenOf returns where the request of a context had its token.
func broughtTokenOf(ctx context.Context) *broughtToken {
	b, _ := ctx.Value(broughtKey{}).(*broughtToken)
	return b
}

// takeToken finds our key or token in a request's headers, query and path, and
// returns the request with it as Authorization: Bearer, where this server looks for
// it. Out of headers and query it is taken; the context of the request says where it
// was. Anything else in the usual places is refused: it would say in another way who
// calls, or be a key that should not leave its owner.
func (s *Service) takeToken(r *http.Request) (*http.Request, error) {
	b := &broughtToken{}
	out := r.WithContext(context.WithValue(r.Context(), broughtKey{}, b))
	out.Header = r.Header.Clone()
	if err := b.takeFromHeaders(out.Header); err != nil {
		return nil, err
	}
	query, err := b.takeFromQuery(r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	u := *r.URL
	u.RawQuery, out.URL = query, &u
	if err := b.findInPath(u.EscapedPath()); err != nil {
		return nil, err
	}
	if b.text == "" {
		return nil, s.errNoToken(out)
	}
	out.Header.Set("Authorization", "Bearer "+b.text)
	return out, nil
}

// addPlace adds a place in which a token was found, and refuses a second token.
func (b *broughtToken) addPlace(text string, at keyPlace) error {
	if b.text != "" && b.text != text {
		e := errAuthAtProxy("the request holds two different keys or tokens of this server")
		e.Hint = "send one: where the provider's SDK puts its key"
		return e
	}
	b.text = text
	b.places = append(b.places, at)
	return nil
}

// takeFromHeaders takes the token out of the headers, and with it the headers in
// which it stood.
func (b *broughtToken) takeFromHeaders(h http.Header) error {
	session := h.Values("X-Amz-Security-Token")
	signed := false
	// A client that takes this server for the provider has our token in
	// Authorization, and some word in the places of the provider's keys.
	transparent := isTransparent(h)
	for name, values := range h {
		if wire.IsOwnHeader(name) {
			continue // it is read, or dropped, elsewhere
		}
		usual := name == "Authorization" || !transparent && slices.Contains(usualKeyHeaders, name)
		for _, value := range values {
			if name == "Authorization" && strings.HasPrefix(value, "AWS4-HMAC-SHA256 ") && len(session) == 1 {
				signed = true // with no key of AWS: the session token is ours, or is refused
				continue
			}
			at := keyPlace{header: name}
			if name == "Authorization" {
				value, at.basic = basicPair(value)
			}
			text, around := findToken(value, usual || broker.CarriesAuth(name))
			if text == "" && usual {
				return broker.AuthRefused("header", strings.ToLower(name)+" that holds no key or token of this server")
			}
			if text == "" {
				continue
			}
			at.text = strings.Join(strings.Fields(around), " ")
			if err := b.addPlace(text, at); err != nil {
				return err
			}
			delete(h, name)
		}
	}
	if signed {
		h.Del("X-Amz-Date")
	}
	h.Del("Authorization")
	return nil
}

// basicPair decodes the Basic scheme of HTTP (RFC 7617 §2). Any other value is
// returned as it is.
func basicPair(value string) (pair string, ok bool) {
	scheme, rest, _ := strings.Cut(value, " ")
	if !strings.EqualFold(scheme, "Basic") {
		return value, false
	}
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(rest))
	if err != nil || !strings.Contains(string(raw), ":") {
		return "", true
	}
	return string(raw), true
}

// takeFromQuery returns a query without the parameters that hold our token, the
// others as they are.
func (b *broughtToken) takeFromQuery(raw string) (string, error) {
	if !strings.Contains(raw, "bctrl") {
		return raw, nil
	}
	var left []string
	for pair := range strings.SplitSeq(raw, "&") {
		name, value, _ := strings.Cut(pair, "=")
		name, badName := url.QueryUnescape(name)
		value, badValue := url.QueryUnescape(value)
		text, around := findToken(value, false)
		if inName, _ := findToken(name, false); inName != "" {
			text, around, name = inName, "", "whose name is a token"
		}
		if badName != nil || badValue != nil || text == "" {
			left = append(left, pair)
			continue
		}
		if err := b.addPlace(text, keyPlace{param: name, text: around}); err != nil {
			return "", err
		}
	}
	return strings.Join(left, "&"), nil
}

// findInPath finds the token in a path, and leaves it there.
func (b *broughtToken) findInPath(escaped string) error {
	path, err := url.PathUnescape(escaped)
	if err != nil {
		return nil //nolint:nilerr // it is refused where paths are checked
	}
	for _, segment := range strings.Split(path, "/") {
		text, _ := findToken(segment, false)
		if text == "" {
			continue
		}
		if b.text != "" && b.text != text {
			return b.addPlace(text, keyPlace{}) // which refuses it
		}
		b.text, b.inPath = text, true
	}
	return nil
}

// minTokenLength is a number of characters behind [web.KeyPrefix]: every key and
// token of this server has more, and no word that only begins like one has as many.
const minTokenLength = 32

// findToken finds a key or token of this server in a text. It returns it, and the
// text with tokenMark in its place; where there is none, "" and the text as it is.
// Where a key is expected, what is too short for one is taken for one, and will be
// refused as one.
func findToken(text string, expected bool) (token, around string) {
	for rest := text; ; {
		_, behind, found := strings.Cut(rest, web.KeyPrefix)
		if !found {
			return "", text
		}
		rest = strings.TrimLeft(behind, tokenAlphabet)
		if n := len(behind) - len(rest); n >= minTokenLength || expected {
			token = web.KeyPrefix + behind[:n]
			return token, strings.ReplaceAll(text, token, tokenMark)
		}
	}
}

// tokenAlphabet is that of base64url (RFC 4648 §5).
const tokenAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// errNoToken refuses a request without any key or token of this server. Where it
// brings another key in the place of the provider's, the refusal says so.
func (s *Service) errNoToken(r *http.Request) error {
	for name := range r.Header {
		if broker.CarriesAuth(name) {
			return broker.AuthRefused("header", name)
		}
	}
	segment, rest := splitProxyPath(r)
	provider, _, _ := strings.Cut(readTarget(segment).name, "/")
	p, known := s.registry.Provider(provider)
	if !known {
		return web.ErrUnauthorized
	}
	for _, at := range keyPlacesOf(p.Auth) {
		switch {
		case at.param != "" && r.URL.Query().Get(at.param) != "":
			return broker.AuthRefused("parameter", at.param)
		case at.header != "" && r.Header.Get(at.header) != "":
			return broker.AuthRefused("header", at.header)
		}
	}
	if _, _, there := splitKeyPath(p.Auth, p.BasePath, rest); there {
		return broker.AuthRefused("path segment", "that the provider's key goes in")
	}
	return web.ErrUnauthorized
}
