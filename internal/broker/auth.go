package broker

import (
	"encoding/base64"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/scrub"
	"github.com/bctrl-go/bctrl/internal/template"
)

// compiled is a target's auth with its secrets filled in, as far as they do not
// depend on a request.
type compiled struct {
	now func() time.Time
	// defaults are headers that a caller's own replace. headers and query are
	// the target's.
	defaults       map[string]string
	headers, query []filledEntry
	// prefix is escaped and stands behind the first base bytes of a path.
	prefix bctrl.Secret
	base   string
	// late are headers and parameters with a field that is made for a request.
	late   []lateEntry
	fields func(name string) (string, bool)
	// At most one of these is set.
	tokens *tokenSource
	mac    *mac
	sigV4  *sigV4
	// places are what it authenticates with; scrubbed is what must not come back.
	places   Places
	scrubbed []bctrl.Secret
	// scrubber looks for them. It is made once, for the first answer.
	scrubber func() *scrub.Set
	// reusable is set where who reads a request can make others: a secret is in
	// it. A signature, and a certificate, is good for the one request.
	reusable bool
}

type filledEntry struct {
	name  string
	value bctrl.Secret
}

type lateEntry struct {
	name    string
	inQuery bool
	text    template.Template
}

// proof is what was made of the secrets for one request.
type proof struct {
	made  []bctrl.Secret
	token token
}

// compile checks a target's auth and fills in its secrets.
func (b *Broker) compile(t Target, base *url.URL) (*compiled, error) {
	if err := t.Auth.Validate(); err != nil {
		return nil, fail(ErrTarget, "%s", problemOf(err))
	}
	c := &compiled{
		now:      b.now,
		base:     base.EscapedPath(),
		defaults: map[string]string{},
		fields:   lookup(t.Secrets),
	}
	c.places = PlacesOf(t.Auth, func(field string) bool { return !t.Secrets[field].IsZero() })
	required, _ := t.Auth.Fields()
	for _, field := range required {
		if t.Secrets[field].IsZero() {
			return nil, fail(ErrTarget, "the secret for %s is missing", field)
		}
	}
	for field, secret := range t.Secrets {
		// The provider never learns the private key, and everyone the
		// certificate.
		tls := t.Auth.Type == bctrl.AuthMTLS && (field == fieldPrivateKey || field == fieldCertificate)
		if !tls && !slices.Contains(t.Auth.Public, field) {
			c.scrubbed = append(c.scrubbed, secret)
		}
	}
	c.reusable = reusable(t)
	if err := c.entries(t.Auth); err != nil {
		return nil, err
	}
	var err error
	switch t.Auth.Type {
	case bctrl.AuthPath:
		err = c.setPrefix(t.Auth.Path)
	case bctrl.AuthBasic:
		err = c.basic(t.Auth)
	case bctrl.AuthOAuth2:
		err = b.oauth2(c, t)
	case bctrl.AuthHMAC:
		if c.mac, err = newMAC(*t.Auth.HMAC, t.Secrets["secret"]); err == nil {
			c.scrubbed = append(c.scrubbed, c.mac.key) // as it is behind the secret's encoding
		}
	case bctrl.AuthAWSSigV4:
		c.sigV4, err = newSigV4(*t.Auth.SigV4, t.Secrets, base)
	case bctrl.AuthNone, bctrl.AuthHeader, bctrl.AuthQuery, bctrl.AuthMTLS:
	}
	c.scrubber = sync.OnceValue(func() *scrub.Set { return scrub.New(c.scrubbed...) })
	return c, err
}

// reusable reports whether requests to a target hold one of its secrets.
func reusable(t Target) bool {
	switch t.Auth.Type {
	case bctrl.AuthAWSSigV4, bctrl.AuthHMAC, bctrl.AuthMTLS, bctrl.AuthNone:
	default:
		return true
	}
	for _, entries := range []map[string]string{t.Auth.Headers, t.Auth.Query} {
		for _, text := range entries {
			for field := range t.Secrets {
				if strings.Contains(text, "{"+field+"}") && !slices.Contains(t.Auth.Public, field) {
					return true
				}
			}
		}
	}
	return false
}

// problemOf is what is wrong with an auth, which holds no value.
func problemOf(err error) string {
	if e, ok := errors.AsType[*bctrl.Error](err); ok {
		return e.Field + ": " + e.Hint
	}
	return "its auth is malformed"
}

func lookup(secrets map[string]bctrl.Secret) func(string) (string, bool) {
	return func(name string) (string, bool) {
		s := secrets[name]
		return s.Expose(), !s.IsZero()
	}
}

// entries fills in headers and parameters. What is made for a request is left
// for later.
func (c *compiled) entries(a bctrl.CredentialAuth) error {
	for _, in := range []struct {
		query   bool
		entries map[string]string
	}{{false, a.Headers}, {true, a.Query}} {
		for _, name := range slices.Sorted(maps.Keys(in.entries)) {
			text, err := template.Parse(in.entries[name])
			if err != nil {
				return fail(ErrTarget, "%w", err)
			}
			if err := c.entry(a.Type, in.query, name, text); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *compiled) entry(of bctrl.AuthType, inQuery bool, name string, text template.Template) error {
	if !inQuery {
		name = http.CanonicalHeaderKey(name)
	}
	fields := text.Fields()
	if slices.ContainsFunc(fields, func(f template.Field) bool { return isMade(of, f.Name) }) {
		c.late = append(c.late, lateEntry{name, inQuery, text})
		return nil
	}
	value, present, err := text.Expand(c.fields)
	switch {
	case err != nil:
		return fail(ErrTarget, "%w", err)
	case !present:
		return nil
	case inQuery:
		c.query = append(c.query, filledEntry{name, bctrl.NewSecret(value)})
		return nil
	case len(fields) == 0:
		c.defaults[name] = value
		return nil
	}
	for _, f := range fields {
		if secret, _ := c.fields(f.Name); !fitsHeader(secret) {
			return fail(ErrTarget, "the key holds a character that no header can carry")
		}
	}
	c.headers = append(c.headers, filledEntry{name, bctrl.NewSecret(value)})
	return nil
}

// isMade reports whether a strategy makes the field itself.
func isMade(of bctrl.AuthType, field string) bool {
	switch of {
	case bctrl.AuthOAuth2:
		return field == fieldAccessToken
	case bctrl.AuthHMAC:
		return field == fieldSignature || field == fieldTimestamp
	default:
		return false
	}
}

// fitsHeader is stricter than RFC 9110 §5.5: a space in a key is a slip.
func fitsHeader(secret string) bool {
	return !strings.ContainsFunc(secret, func(r rune) bool { return r <= ' ' || r > '~' })
}

// setPrefix fills in what stands before a path.
func (c *compiled) setPrefix(text string) error {
	t, err := template.Parse(text)
	if err != nil {
		return fail(ErrTarget, "%w", err)
	}
	prefix, _, err := t.Expand(func(name string) (string, bool) {
		secret, ok := c.fields(name)
		return url.PathEscape(secret), ok
	})
	if err != nil {
		return fail(ErrTarget, "%w", err)
	}
	if climbs(prefix) {
		return fail(ErrTarget, "the secret cannot stand in a path")
	}
	c.prefix = bctrl.NewSecret(prefix)
	return nil
}

// basic is RFC 7617 §2.
func (c *compiled) basic(a bctrl.CredentialAuth) error {
	var halves [2]string
	for i, text := range []string{a.Username, a.Password} {
		t, err := template.Parse(text)
		if err != nil {
			return fail(ErrTarget, "%w", err)
		}
		// A half that is left out is empty.
		if halves[i], _, err = t.Expand(c.fields); err != nil {
			return fail(ErrTarget, "%w", err)
		}
		if strings.ContainsFunc(halves[i], func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return fail(ErrTarget, "a control character in the user name or the password")
		}
	}
	if strings.Contains(halves[0], ":") {
		return fail(ErrTarget, "a colon in the user name")
	}
	encoded := base64.StdEncoding.EncodeToString([]byte(halves[0] + ":" + halves[1]))
	c.headers = append(c.headers, filledEntry{"Authorization", bctrl.NewSecret("Basic " + encoded)})
	c.scrubbed = append(c.scrubbed, bctrl.NewSecret(encoded))
	return nil
}

// authorize adds to a request that is about to leave what authenticates it. The
// path and what does not depend on the request come first, for the signatures
// cover them.
func (c *compiled) authorize(out *http.Request) (proof, error) {
	var done proof
	for name, value := range c.defaults {
		if len(out.Header.Values(name)) == 0 {
			out.Header.Set(name, value)
		}
	}
	c.addPrefix(out.URL)
	for _, h := range c.headers {
		out.Header.Set(h.name, h.value.Expose())
	}
	for _, q := range c.query {
		addParameter(out.URL, q.name, q.value.Expose())
	}
	var err error
	values := map[string]string{}
	switch {
	case c.tokens != nil:
		if done.token, err = c.tokens.get(out.Context()); err == nil {
			values[fieldAccessToken] = done.token.access.Expose()
			done.made = []bctrl.Secret{done.token.access, c.tokens.refreshToken()}
		}
	case c.mac != nil:
		if err = c.mac.sign(out, c.now(), values); err == nil {
			done.made = []bctrl.Secret{bctrl.NewSecret(values[fieldSignature])}
		}
	}
	if err == nil {
		err = c.addLate(out, values)
	}
	if err == nil && c.sigV4 != nil {
		done.made, err = c.sigV4.sign(out, c.now())
	}
	return done, err
}

// addPrefix puts the prefix between the target's base path and the rest.
func (c *compiled) addPrefix(u *url.URL) {
	if c.prefix.IsZero() {
		return
	}
	base := strings.TrimSuffix(c.base, "/")
	escaped := base + c.prefix.Expose() + strings.TrimPrefix(u.EscapedPath(), base)
	if path, err := url.PathUnescape(escaped); err == nil { // its parts could be, so it can
		u.Path, u.RawPath = path, escaped
	}
}

func (c *compiled) addLate(out *http.Request, values map[string]string) error {
	for _, e := range c.late {
		text, present, err := e.text.Expand(func(name string) (string, bool) {
			if v, ok := values[name]; ok {
				return v, true
			}
			return c.fields(name)
		})
		switch {
		case err != nil:
			return fail(ErrTarget, "%w", err)
		case !present:
		case e.inQuery:
			addParameter(out.URL, e.name, text)
		case strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }):
			return fail(ErrTarget, "a secret holds a character that no header can carry")
		default:
			out.Header.Set(e.name, text)
		}
	}
	return nil
}
