package bctrl

import (
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bctrl-go/bctrl/internal/names"
	"github.com/bctrl-go/bctrl/internal/origin"
)

// The bounds of a launch configuration.
const (
	minViewport, maxViewport = 320, 3840
	maxUserAgent             = 1024 // bytes
	maxHintText              = 128  // bytes
	maxBrands                = 10
	maxAccuracy              = 100_000 // metres
	maxPermissionOrigins     = 50
	maxLaunchHosts           = 50
	maxLaunchHeaders         = 20
	maxHeaderValue           = 4096    // bytes
	maxDownloadBytes         = 1 << 30 // what the server takes of a page anyway
	minMemory, maxMemory     = 128 << 20, 64 << 30
	maxIdleTimeout           = 24 * time.Hour
	maxMaxLife               = 7 * 24 * time.Hour
	fieldLaunchConfig        = "launch.config."
)

// Validate returns nil, or an [*Error] whose Problems name everything that is wrong
// with a launch, each with its field and a code of its own. What only the server can
// know it says when it is asked: whether the vault has a key, whether a proxy
// answers.
func (l Launch) Validate() error {
	var found launchProblems
	switch l.Mode {
	case "", ModeEphemeral:
		if l.ProfileID != "" {
			found.add("runtimes.invalid_launch", "launch.profileId", "profileId goes with mode profile alone")
		}
	case ModeProfile:
		found.rule("profiles.invalid_id", "launch.profileId", names.Name(l.ProfileID))
	default:
		found.add("runtimes.invalid_launch", "launch.mode", "mode must be ephemeral or profile")
	}
	if l.Config != nil {
		found.config(*l.Config)
	}
	return found.err()
}

// launchProblems collects what is wrong with a launch. It holds no value that was
// given: one may be a secret in the wrong field.
type launchProblems []Problem

func (ps *launchProblems) add(code, field, hint string) {
	if len(*ps) < maxProblems {
		*ps = append(*ps, Problem{Code: code, Field: field, Hint: hint})
	}
}

func (ps *launchProblems) rule(code, field string, broken error) {
	if broken != nil {
		ps.add(code, field, broken.Error())
	}
}

func (ps launchProblems) err() error {
	if len(ps) == 0 {
		return nil
	}
	return &Error{
		Status:   http.StatusBadRequest,
		Code:     ps[0].Code,
		Message:  ps[0].Field + ": " + ps[0].Hint,
		Field:    ps[0].Field,
		Problems: ps,
	}
}

func (ps *launchProblems) config(c LaunchConfig) {
	ps.screen(c)
	ps.identity(c)
	if g := c.Geolocation; g != nil {
		ps.place(*g)
	}
	switch c.ColorScheme {
	case "", ColorSchemeLight, ColorSchemeDark:
	default:
		ps.add("runtimes.invalid_color_scheme", fieldLaunchConfig+"colorScheme", "must be light or dark")
	}
	ps.permissions(c.Permissions)
	if d := c.Downloads; d != nil {
		ps.downloads(*d)
	}
	if p := c.Proxy; p != nil {
		ps.proxy(*p)
	}
	ps.headers(c.Headers)
	ps.hosts("runtimes.invalid_certificate_hosts", "ignoreCertificateErrors", c.IgnoreCertificateErrors)
	ps.life("runtimes.invalid_idle_timeout", "idleTimeoutMs", c.IdleTimeout, maxIdleTimeout)
	ps.life("runtimes.invalid_max_life", "maxLifeMs", c.MaxLife, maxMaxLife)
	if n := c.MaxMemoryBytes; n != 0 && (n < minMemory || n > maxMemory) {
		ps.add("runtimes.invalid_memory", fieldLaunchConfig+"maxMemoryBytes", "must be 128 MiB to 64 GiB")
	}
}

func (ps *launchProblems) screen(c LaunchConfig) {
	if c.Width != 0 || c.Height != 0 {
		for _, side := range []struct {
			field  string
			pixels int
		}{{"width", c.Width}, {"height", c.Height}} {
			if side.pixels < minViewport || side.pixels > maxViewport {
				ps.add("runtimes.invalid_viewport", fieldLaunchConfig+side.field,
					"must be 320 to 3840 pixels; give width and height, or neither")
			}
		}
	}
	if f := c.DeviceScaleFactor; f != 0 && !(f >= 0.5 && f <= 4) {
		ps.add("runtimes.invalid_device_scale", fieldLaunchConfig+"deviceScaleFactor", "must be 0.5 to 4")
	}
}

func (ps *launchProblems) identity(c LaunchConfig) {
	if c.Locale != "" && !isLocale(c.Locale) {
		ps.add("runtimes.invalid_locale", fieldLaunchConfig+"locale",
			"must be a BCP 47 tag of a language, and if wanted a script and a region: de, de-DE, zh-Hant-TW")
	}
	if c.Timezone != "" && !isTimezone(c.Timezone) {
		ps.add("runtimes.invalid_timezone", fieldLaunchConfig+"timezone",
			"must be a name of the IANA time zone database: Europe/Berlin, UTC")
	}
	if c.UserAgent != "" && !isHeaderText(c.UserAgent, maxUserAgent) {
		ps.add("runtimes.invalid_user_agent", fieldLaunchConfig+"userAgent",
			"must be printable ASCII without white space at its ends, at most 1024 bytes")
	}
	h := c.ClientHints
	if h == nil {
		return
	}
	const code, field = "runtimes.invalid_client_hints", fieldLaunchConfig + "clientHints"
	if c.UserAgent == "" {
		ps.add(code, field, "client hints go with a userAgent")
	}
	for _, list := range []struct {
		field  string
		brands []BrandVersion
	}{{"brands", h.Brands}, {"fullVersionList", h.FullVersionList}} {
		if len(list.brands) > maxBrands {
			ps.add(code, field+"."+list.field, "at most 10 brands")
			continue
		}
		for i, b := range list.brands {
			if !isHeaderText(b.Brand, maxHintText) || !isHeaderText(b.Version, maxHintText) {
				ps.add(code, element(field+"."+list.field, i), "must have a brand and a version of printable ASCII, "+
					"at most 128 bytes each")
			}
		}
	}
	for _, part := range []struct{ field, text string }{
		{"platform", h.Platform}, {"platformVersion", h.PlatformVersion}, {"architecture", h.Architecture},
		{"bitness", h.Bitness}, {"model", h.Model},
	} {
		if part.text != "" && !isHeaderText(part.text, maxHintText) {
			ps.add(code, field+"."+part.field, "must be printable ASCII, at most 128 bytes")
		}
	}
}

func (ps *launchProblems) place(g Geolocation) {
	for _, part := range []struct {
		field         string
		value, lo, hi float64
	}{
		{"latitude", g.Latitude, -90, 90}, {"longitude", g.Longitude, -180, 180}, {"accuracy", g.Accuracy, 0, maxAccuracy},
	} {
		if math.IsNaN(part.value) || part.value < part.lo || part.value > part.hi {
			ps.add("runtimes.invalid_geolocation", fieldLaunchConfig+"geolocation."+part.field,
				fmt.Sprintf("must be %g to %g", part.lo, part.hi))
		}
	}
}

// launchPermissions are the permissions that [OriginPermissions] may name.
func launchPermissions() []string {
	return []string{
		"geolocation", "notifications", "camera", "microphone", "clipboard-read", "clipboard-write", "midi",
		"background-sync", "sensors", "idle-detection", "local-fonts", "storage-access", "window-management",
	}
}

func (ps *launchProblems) permissions(list []OriginPermissions) {
	const code, field = "runtimes.invalid_permission", fieldLaunchConfig + "permissions"
	if len(list) > maxPermissionOrigins {
		ps.add(code, field, "at most 50 origins")
		return
	}
	known := launchPermissions()
	for i, p := range list {
		at := element(field, i)
		if canonical, err := origin.Parse(p.Origin); err != nil {
			ps.add(code, at+".origin", "must be an origin, such as https://app.example.com: "+err.Error())
		} else if slices.ContainsFunc(list[:i], func(o OriginPermissions) bool {
			before, err := origin.Parse(o.Origin)
			return err == nil && before == canonical
		}) {
			ps.add(code, at+".origin", "is listed twice")
		}
		if len(p.Grant)+len(p.Deny) == 0 {
			ps.add(code, at, "grants and denies nothing")
		}
		for j, name := range p.Grant {
			if !slices.Contains(known, name) {
				ps.add(code, element(at+".grant", j), "must be one of "+strings.Join(known, ", "))
			}
		}
		for j, name := range p.Deny {
			switch {
			case !slices.Contains(known, name):
				ps.add(code, element(at+".deny", j), "must be one of "+strings.Join(known, ", "))
			case slices.Contains(p.Grant, name):
				ps.add(code, element(at+".deny", j), "is granted too")
			}
		}
	}
}

func (ps *launchProblems) downloads(d LaunchDownloads) {
	const code, field = "runtimes.invalid_download_policy", fieldLaunchConfig + "downloads"
	switch d.Policy {
	case "", DownloadsAllow:
		if d.MaxBytes < 0 || d.MaxBytes > maxDownloadBytes {
			ps.add(code, field+".maxBytes", "must be 1 byte to 1 GiB")
		}
	case DownloadsDeny:
		if d.MaxBytes != 0 {
			ps.add(code, field+".maxBytes", "goes with the policy allow alone")
		}
	default:
		ps.add(code, field+".policy", "must be allow or deny")
	}
}

func (ps *launchProblems) proxy(p LaunchProxy) {
	const code, field = "runtimes.invalid_proxy", fieldLaunchConfig + "proxy"
	u, err := url.Parse(p.Server)
	switch {
	case strings.Contains(p.Server, "@"):
		ps.add("runtimes.proxy_password_in_url", field+".server",
			"must have no username and no password: put them in the vault and name the entry in vaultKey")
	case err != nil || !slices.Contains([]string{"http", "https", "socks5"}, u.Scheme) || u.Host == "" ||
		p.Server != u.Scheme+"://"+u.Host || !origin.IsHost(u.Hostname()) || !isPort(u):
		ps.add(code, field+".server", "must be scheme://host[:port], where scheme is http, https or socks5")
	}
	ps.hosts(code, "proxy.bypass", p.Bypass)
	if p.VaultKey != "" {
		ps.rule(code, field+".vaultKey", names.VaultKey(p.VaultKey))
	}
}

// isPort reports whether the port of an address is one, or is left out.
func isPort(u *url.URL) bool {
	if u.Port() == "" {
		return !strings.HasSuffix(u.Host, ":")
	}
	n, err := strconv.ParseUint(u.Port(), 10, 16)
	return err == nil && n > 0
}

// hosts checks a list of hosts that are named: "*" is no name.
func (ps *launchProblems) hosts(code, field string, list []string) {
	field = fieldLaunchConfig + field
	if len(list) > maxLaunchHosts {
		ps.add(code, field, "at most 50 hosts")
		return
	}
	for i, host := range list {
		if _, err := netip.ParseAddr(host); err == nil && origin.IsHost(host) {
			continue
		}
		if host == origin.EveryHost {
			ps.add(code, element(field, i), "must name hosts, not all of them")
			continue
		}
		ps.rule(code, element(field, i), origin.HostPattern(host))
	}
}

func (ps *launchProblems) headers(list []LaunchHeader) {
	const code, field = "runtimes.invalid_header", fieldLaunchConfig + "headers"
	if len(list) > maxLaunchHeaders {
		ps.add(code, field, "at most 20 headers")
		return
	}
	for i, h := range list {
		at := element(field, i)
		switch {
		case !isHeaderName(h.Name):
			ps.add(code, at+".name", "must be the name of a header field")
		case !settableHeader(h.Name):
			ps.add("runtimes.header_not_settable", at+".name",
				"cannot be set: it is of the connection, of the browser's own, or this server's")
		case h.VaultKey == "" && strings.EqualFold(h.Name, "Authorization"):
			ps.add("runtimes.header_not_secret", at+".value", "is a secret: put it in the vault and name the entry in vaultKey")
		}
		if len(h.Hosts) == 0 {
			ps.add("runtimes.invalid_header_hosts", at+".hosts", "must name a host")
		}
		ps.hosts("runtimes.invalid_header_hosts", element("headers", i)+".hosts", h.Hosts)
		switch {
		case h.VaultKey == "" && h.Prefix != "":
			ps.add(code, at+".prefix", "goes with a vaultKey alone")
		case h.VaultKey != "" && h.Value != "":
			ps.add(code, at+".value", "goes without a vaultKey")
		case h.VaultKey != "":
			ps.rule(code, at+".vaultKey", names.VaultKey(h.VaultKey))
			if h.Prefix != "" && !isHeaderText(strings.TrimSuffix(h.Prefix, " "), maxHeaderValue) {
				ps.add(code, at+".prefix", "must be printable ASCII, at most 4096 bytes")
			}
		case !isHeaderText(h.Value, maxHeaderValue):
			ps.add(code, at+".value", "must be printable ASCII without white space at its ends, at most 4096 bytes")
		}
	}
}

func (ps *launchProblems) life(code, field string, d, most time.Duration) {
	if d != 0 && (d < time.Second || d > most) {
		ps.add(code, fieldLaunchConfig+field, "must be 1,000 to "+strconv.FormatInt(millis(most), 10))
	}
}
