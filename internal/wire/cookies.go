package wire

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"github.com/bctrl-go/bctrl/internal/names"
	"github.com/bctrl-go/bctrl/internal/origin"
)

// MaxCookies is how many cookies a browser keeps, and so a profile.
const MaxCookies = 3300

// Cookie is a cookie as Chromium's DevTools protocol, Playwright and Puppeteer write it.
type Cookie struct {
	Name   string `json:"name"`
	Value  Value  `json:"value,omitzero"`
	Domain string `json:"domain"`
	// Path is "/" where it is not given.
	Path string `json:"path,omitempty"`
	// Expires is in seconds of Unix time; 0 or less is a cookie of the session.
	Expires  float64 `json:"expires,omitzero"`
	HTTPOnly bool    `json:"httpOnly,omitempty"`
	Secure   bool    `json:"secure,omitempty"`
	// SameSite is Strict, Lax, None or empty.
	SameSite     string           `json:"sameSite,omitempty"`
	PartitionKey *CookiePartition `json:"partitionKey,omitempty"`
	// SourceScheme is Unset, NonSecure, Secure or empty; SourcePort -1 or a port.
	SourceScheme string `json:"sourceScheme,omitempty"`
	SourcePort   int    `json:"sourcePort,omitempty"`
}

// CookiePartition is the site below which a partitioned cookie is kept.
type CookiePartition struct {
	TopLevelSite         string `json:"topLevelSite"`
	HasCrossSiteAncestor bool   `json:"hasCrossSiteAncestor,omitempty"`
}

// Key is what there is one cookie of.
func (c Cookie) Key() [5]string {
	key := [5]string{c.Name, c.Domain, cmp.Or(c.Path, "/")}
	if p := c.PartitionKey; p != nil {
		key[3] = p.TopLevelSite
		if p.HasCrossSiteAncestor {
			key[4] = "cross"
		}
	}
	return key
}

// HasExpired reports whether the cookie is none any more.
func (c Cookie) HasExpired(now time.Time) bool {
	return c.Expires > 0 && c.Expires <= float64(now.UnixMilli())/1000
}

// maxExpires is the end of the year 9999: no browser keeps a cookie so long.
const maxExpires = 253402300799

// Check calls add with everything that is wrong with the cookie, by its field. What is
// said never holds a value.
func (c Cookie) Check(add func(code, field, hint string)) {
	check := func(code, field string, broken error) {
		if broken != nil {
			add(code, field, broken.Error())
		}
	}
	check("profiles.invalid_cookie_name", "name", names.CookieName(c.Name))
	check("profiles.invalid_cookie_value", "value", names.CookieValue(c.Value.Reveal()))
	check("profiles.invalid_cookie_domain", "domain", names.CookieDomain(c.Domain, origin.IsHost))
	if c.Path != "" {
		check("profiles.invalid_cookie_path", "path", names.CookiePath(c.Path))
	}
	if c.Name == "" && c.Value.IsZero() {
		add("profiles.invalid_cookie_name", "name", "a cookie has a name or a value")
	}
	if len(c.Name)+len(c.Value.Reveal()) > names.MaxCookieBytes {
		add("profiles.cookie_too_large", "value", "name and value are over 4096 bytes together")
	}
	if c.Expires > maxExpires || c.Expires != c.Expires {
		add("profiles.invalid_cookie_expires", "expires", "it is after the year 9999: give seconds, not milliseconds")
	}
	switch c.SameSite {
	case "", "Strict", "Lax":
	case "None":
		if !c.Secure {
			add("profiles.invalid_cookie_same_site", "sameSite", "a cookie with None has to be secure")
		}
	default:
		add("profiles.invalid_cookie_same_site", "sameSite", "must be Strict, Lax or None")
	}
	c.checkPrefix(add)
	c.checkSource(add)
}

// checkPrefix holds names with a meaning to it (RFC 6265bis §4.1.3).
func (c Cookie) checkPrefix(add func(code, field, hint string)) {
	name := strings.ToLower(c.Name)
	secure, host := strings.HasPrefix(name, "__secure-"), strings.HasPrefix(name, "__host-")
	if (secure || host) && !c.Secure {
		add("profiles.invalid_cookie_prefix", "secure",
			"a cookie whose name begins with __Secure- or __Host- has to be secure")
	}
	if host && (cmp.Or(c.Path, "/") != "/" || strings.HasPrefix(c.Domain, ".")) {
		add("profiles.invalid_cookie_prefix", "domain",
			"a cookie whose name begins with __Host- is of one host, without a dot, and of the path /")
	}
}

func (c Cookie) checkSource(add func(code, field, hint string)) {
	switch c.SourceScheme {
	case "", "Unset", "NonSecure", "Secure":
	default:
		add("profiles.invalid_cookie_source", "sourceScheme", "must be Unset, NonSecure or Secure")
	}
	if c.SourcePort < -1 || c.SourcePort > 65535 {
		add("profiles.invalid_cookie_source", "sourcePort", "must be -1 or a port")
	}
	if p := c.PartitionKey; p != nil {
		scheme, host, _ := strings.Cut(p.TopLevelSite, "://")
		if scheme != "https" && scheme != "http" || !origin.IsHost(host) {
			add("profiles.invalid_cookie_partition", "partitionKey.topLevelSite", "must be a site: https://example.com")
		}
		if !c.Secure {
			add("profiles.invalid_cookie_partition", "secure", "a partitioned cookie has to be secure")
		}
	}
}

// CookieExport is the body of POST /v1/browser-profiles/{id}/cookies/export.
type CookieExport struct {
	Passphrase Value `json:"passphrase,omitzero"`
}

// CookieImport is the body of POST /v1/browser-profiles/{id}/cookies/import.
type CookieImport struct {
	// Bundle is what an export gave, Passphrase what it is sealed under.
	Bundle     []byte `json:"bundle,omitempty"`
	Passphrase Value  `json:"passphrase,omitzero"`
	// Cookies are imported where there is no bundle.
	Cookies []Cookie `json:"cookies,omitempty"`
	// Replace removes those that there were first.
	Replace bool `json:"replace,omitempty"`
}

// Check calls add with everything that is wrong with the import, by its field. What a
// bundle holds is looked at once it is open.
func (in CookieImport) Check(add func(code, field, hint string)) {
	switch {
	case len(in.Bundle) > 0 && len(in.Cookies) > 0:
		add("profiles.invalid_import", "bundle", "a bundle and cookies are not imported together")
	case len(in.Bundle) == 0 && len(in.Cookies) == 0:
		add("profiles.invalid_import", "cookies", "give cookies, or a bundle and its passphrase")
	case len(in.Bundle) == 0 && !in.Passphrase.IsZero():
		add("profiles.invalid_import", "passphrase", "a passphrase goes with a bundle alone")
	case len(in.Cookies) > MaxCookies:
		add("profiles.too_many_cookies", "cookies", "there are more than "+strconv.Itoa(MaxCookies))
		return
	}
	for i, c := range in.Cookies {
		c.Check(func(code, field, hint string) {
			add(code, "cookies["+strconv.Itoa(i)+"]."+field, hint)
		})
	}
}
