package bctrl

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/bctrl-go/bctrl/internal/wire"
)

// Validate returns nil, or an [*Error] whose Problems name everything that is wrong,
// each with its field, such as cookies[3].domain, and a code of its own. Values are not
// repeated.
func (in CookieImport) Validate() error {
	var found launchProblems
	in.wire().Check(found.add)
	return found.err()
}

func (in CookieImport) wire() wire.CookieImport {
	out := wire.CookieImport{
		Bundle:     in.Bundle,
		Passphrase: wire.NewValue(in.Passphrase.Expose()),
		Replace:    in.Replace,
	}
	for _, c := range in.Cookies {
		out.Cookies = append(out.Cookies, c.wire())
	}
	return out
}

// foreignCookie is a cookie as one of many programs writes it.
type foreignCookie struct {
	wire.Cookie
	// ExpirationDate and HostOnly are what extensions of Chrome write.
	ExpirationDate float64 `json:"expirationDate"`
	HostOnly       *bool   `json:"hostOnly"`
	Session        bool    `json:"session"`
}

// ParseCookies reads cookies as Playwright (also its storage state), Puppeteer, Chromium's
// DevTools protocol and extensions of Chrome write them: a list, or an object with a list
// of them as "cookies". What such programs say beyond is left out.
// An error tells the place and not the text (profiles.invalid_cookies).
func ParseCookies(text Secret) ([]Cookie, error) {
	raw := []byte(text.Expose())
	var list []foreignCookie
	err := json.Unmarshal(raw, &list)
	if bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{")) {
		var state struct{ Cookies []foreignCookie }
		err = json.Unmarshal(raw, &state)
		list = state.Cookies
	}
	if err != nil {
		return nil, &Error{
			Status:  http.StatusBadRequest,
			Code:    "profiles.invalid_cookies",
			Message: "it is not a JSON list of cookies",
			Hint:    "want what context.cookies() of Playwright or page.cookies() of Puppeteer gives",
		}
	}
	out := make([]Cookie, 0, len(list))
	for _, c := range list {
		out = append(out, c.cookie())
	}
	return out, nil
}

func (c foreignCookie) cookie() Cookie {
	out := Cookie{
		Name:         c.Name,
		Value:        NewSecret(c.Value.Reveal()),
		Domain:       strings.ToLower(c.Domain),
		Path:         c.Path,
		HTTPOnly:     c.HTTPOnly,
		Secure:       c.Secure,
		SourceScheme: c.SourceScheme,
		SourcePort:   c.SourcePort,
	}
	if ends := max(c.Expires, c.ExpirationDate); ends > 0 && !c.Session {
		out.Expires = time.UnixMilli(int64(min(ends, 1e13) * 1000)).UTC()
	}
	if c.HostOnly != nil && *c.HostOnly {
		out.Domain = strings.TrimPrefix(out.Domain, ".")
	}
	switch strings.ToLower(c.SameSite) {
	case "strict":
		out.SameSite = SameSiteStrict
	case "lax":
		out.SameSite = SameSiteLax
	case "none", "no_restriction":
		if c.Secure { // what a browser takes of others is a cookie without it
			out.SameSite = SameSiteNone
		}
	}
	if p := c.PartitionKey; p != nil && p.TopLevelSite != "" {
		out.Partition = &CookiePartition{p.TopLevelSite, p.HasCrossSiteAncestor}
	}
	return out
}
