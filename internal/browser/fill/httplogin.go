package fill

import (
	"context"
	"encoding/base64"
	"strings"

	"github.com/chromedp/cdproto/network"

	"github.com/bctrl-go/bctrl"
)

// HTTPLogin is a login that requests to one origin have with them, as HTTP's basic
// authentication has it (RFC 7617).
type HTTPLogin struct {
	// Origin is the one origin that it goes to, in canonical form.
	Origin string
	// Username and Password are what is sent.
	Username, Password bctrl.Secret
	// StillPermitted decides whether it may be used now, before each request: an
	// error ends the login. Nil is always yes.
	StillPermitted func(context.Context) error
	// Report is told what became of the login; nil is nobody.
	Report func(context.Context, *bctrl.Error)
}

// Token is what the header Authorization holds after the scheme.
func (l *HTTPLogin) Token() bctrl.Secret {
	pair := l.Username.Expose() + ":" + l.Password.Expose()
	return bctrl.NewSecret(base64.StdEncoding.EncodeToString([]byte(pair)))
}

// AddHTTPLogin adds a login, which takes the place of the origin's former one, and
// returns once requests are intercepted.
func (gs *Guards) AddHTTPLogin(l *HTTPLogin) {
	gs.mu.Lock()
	if !gs.closed {
		gs.httpLogins[l.Origin] = l
		gs.filled.remember(l.Password)
	}
	gs.mu.Unlock()
	gs.applyInterception()
}

// DropHTTPLogin ends a login, and reports whether it was there.
func (gs *Guards) DropHTTPLogin(l *HTTPLogin) bool {
	gs.mu.Lock()
	there := gs.httpLogins[l.Origin] == l
	if there {
		delete(gs.httpLogins, l.Origin)
	}
	gs.mu.Unlock()
	gs.spawn(func(context.Context) { gs.applyInterception() })
	return there
}

// HTTPLoginFor returns the login that requests to an address have with them; nil for
// none.
func (gs *Guards) HTTPLoginFor(address string) *HTTPLogin {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	return gs.httpLogins[CanonicalOrigin(address)]
}

// SentWithHTTPLogin takes note that a request has a login with it.
func (gs *Guards) SentWithHTTPLogin(id network.RequestID) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	gs.sentHTTPLogin = true
	gs.httpCarriers.remember(id)
}

// BasicChallenge reads the header WWW-Authenticate. It reports whether the site asks for
// a login at all and whether basic authentication answers it; realm is the site's name for
// what it asks about.
func BasicChallenge(header string) (realm string, basic, asked bool) {
	for rest := header; ; {
		rest = strings.TrimLeft(rest, " \t\r\n,")
		if rest == "" {
			return realm, basic, asked
		}
		scheme, after := cutToken(rest)
		if scheme == "" {
			return realm, basic, asked // it is not written as it has to be
		}
		params := map[string]string{}
		rest = readParams(after, params)
		asked = true
		if strings.EqualFold(scheme, "basic") && !basic {
			basic, realm = true, params["realm"]
		}
	}
}

// readParams reads what follows a scheme, "realm=\"x\", charset=UTF-8", and returns what
// comes after it: the next scheme.
func readParams(text string, into map[string]string) (rest string) {
	for {
		next := strings.TrimLeft(text, " \t,")
		name, after := cutToken(next)
		after = strings.TrimLeft(after, " \t")
		if name == "" || !strings.HasPrefix(after, "=") {
			return next
		}
		value := strings.TrimLeft(strings.TrimLeft(after, "="), " \t")
		if strings.HasPrefix(value, `"`) {
			end := StringEnd([]byte(value), 0)
			into[strings.ToLower(name)] = strings.ReplaceAll(strings.Trim(value[:end], `"`), `\`, "")
			text = value[end:]
			continue
		}
		into[strings.ToLower(name)], text = cutToken(value)
	}
}

// cutToken cuts a token (RFC 9110 §5.6.2), also of the characters of a token68, from the
// beginning of text.
func cutToken(text string) (token, rest string) {
	end := strings.IndexFunc(text, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune(`(),:;<=>?@[\]{}"`, r)
	})
	if end < 0 {
		end = len(text)
	}
	return text[:end], text[end:]
}
