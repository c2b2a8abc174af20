package bctrl

import (
	"math"
	"time"

	"github.com/bctrl-go/bctrl/internal/strictjson"
)

// LaunchConfig says how a runtime's browser appears to sites, how it reaches them
// and how long it lasts. It holds for every tab, popup, frame and worker, whoever
// drives the browser, from the first request on. What a program that connects over
// the DevTools protocol sets afterwards for its own tabs is its own. The zero value
// is the server's default.
type LaunchConfig struct {
	// Width and Height of the viewport in CSS pixels, 320 to 3840, one not
	// without the other; both zero are 1280 by 800.
	Width  int `json:"width,omitempty"`
	Height int `json:"height,omitempty"`
	// DeviceScaleFactor is how many pixels of the screen a CSS pixel has a
	// side, 0.5 to 4; zero is 1.
	DeviceScaleFactor float64 `json:"deviceScaleFactor,omitempty"`
	// Mobile lays pages out as phones do, by their viewport element.
	Mobile bool `json:"mobile,omitempty"`
	// Touch gives pages a touch screen.
	Touch bool `json:"touch,omitempty"`

	// Locale is a BCP 47 tag, such as "de-DE": of Accept-Language, of
	// navigator.language and of Intl.
	Locale string `json:"locale,omitempty"`
	// Timezone is a name of the IANA database, such as "Europe/Berlin".
	Timezone string `json:"timezone,omitempty"`
	// UserAgent is what the browser calls itself. ClientHints go with it; nil
	// derives them from it.
	UserAgent   string       `json:"userAgent,omitempty"`
	ClientHints *ClientHints `json:"clientHints,omitempty"`
	// Geolocation is where the browser is, told to the pages that Permissions
	// grant "geolocation".
	Geolocation *Geolocation `json:"geolocation,omitempty"`
	ColorScheme ColorScheme  `json:"colorScheme,omitempty"`
	// ReducedMotion asks pages for less of it.
	ReducedMotion bool                `json:"reducedMotion,omitempty"`
	Permissions   []OriginPermissions `json:"permissions,omitempty"`
	Downloads     *LaunchDownloads    `json:"downloads,omitempty"`
	Proxy         *LaunchProxy        `json:"proxy,omitempty"`
	Headers       []LaunchHeader      `json:"headers,omitempty"`
	// IgnoreCertificateErrors names the hosts whose certificates need not be
	// valid, as [LaunchHeader.Hosts] does.
	IgnoreCertificateErrors []string `json:"ignoreCertificateErrors,omitempty"`

	// IdleTimeout stops the runtime once nobody has used it for so long, a
	// second to 24 hours; zero is never. It is in use while a call runs in it
	// or a program is connected to it.
	IdleTimeout time.Duration `json:"-"`
	// MaxLife stops the runtime after so long, a second to 7 days; zero is
	// never.
	MaxLife time.Duration `json:"-"`
	// MaxMemoryBytes bounds the memory of the browser with all its processes,
	// 128 MiB to 64 GiB; zero is unbounded. A runtime that exceeds it fails.
	MaxMemoryBytes int64 `json:"maxMemoryBytes,omitempty"`
	// Headful shows the browser's window on a display of its own, which needs
	// a whole Chromium and Xvfb on the server.
	Headful bool `json:"headful,omitempty"`
}

// ClientHints are what sites are told of the browser beside its user agent: the
// Sec-CH-UA headers and navigator.userAgentData.
type ClientHints struct {
	Brands          []BrandVersion `json:"brands,omitempty"`
	FullVersionList []BrandVersion `json:"fullVersionList,omitempty"`
	// Platform is "Windows", "macOS", "Linux", "Android" and the like.
	Platform        string `json:"platform,omitempty"`
	PlatformVersion string `json:"platformVersion,omitempty"`
	Architecture    string `json:"architecture,omitempty"`
	Bitness         string `json:"bitness,omitempty"`
	Model           string `json:"model,omitempty"`
	Mobile          bool   `json:"mobile,omitempty"`
}

// BrandVersion is a brand of a browser and its version.
type BrandVersion struct {
	Brand   string `json:"brand"`
	Version string `json:"version"`
}

// Geolocation is a place on earth.
type Geolocation struct {
	// Latitude is -90 to 90, Longitude -180 to 180, in degrees.
	Latitude  float64 `json:"latitude"`
	Longitude float64 `json:"longitude"`
	// Accuracy is in metres, at most 100,000; zero is 10.
	Accuracy float64 `json:"accuracy,omitempty"`
}

// UnmarshalJSON reads a place. One without a latitude or a longitude is none that Validate takes.
func (g *Geolocation) UnmarshalJSON(data []byte) error {
	type fields Geolocation
	of := fields{Latitude: math.NaN(), Longitude: math.NaN()}
	if err := strictjson.Unmarshal(data, &of); err != nil {
		return err
	}
	*g = Geolocation(of)
	return nil
}

// ColorScheme is whether pages are asked to be light or dark.
type ColorScheme string

// The colour schemes; empty is light.
const (
	ColorSchemeLight ColorScheme = "light"
	ColorSchemeDark  ColorScheme = "dark"
)

// OriginPermissions are what the pages of an origin may do without asking, and what
// they may not: "geolocation", "notifications", "camera", "microphone",
// "clipboard-read", "clipboard-write", "midi", "background-sync", "sensors",
// "idle-detection", "local-fonts", "storage-access" or "window-management".
type OriginPermissions struct {
	Origin string   `json:"origin"`
	Grant  []string `json:"grant,omitempty"`
	Deny   []string `json:"deny,omitempty"`
}

// DownloadPolicy is whether pages may deliver files.
type DownloadPolicy string

// The policies of downloads; empty is allow.
const (
	DownloadsAllow DownloadPolicy = "allow"
	DownloadsDeny  DownloadPolicy = "deny"
)

// LaunchDownloads bound what pages deliver into the mounted storage.
type LaunchDownloads struct {
	Policy DownloadPolicy `json:"policy,omitempty"`
	// MaxBytes bounds one file, 1 byte to 1 GiB; zero is 1 GiB. A larger one is
	// cancelled.
	MaxBytes int64 `json:"maxBytes,omitempty"`
}

// LaunchProxy is a proxy that the browser reaches sites by. The server's policy of
// addresses and the web mount hold for what is behind it as well: names are resolved
// by the server, and the proxy is asked for the address that was found.
type LaunchProxy struct {
	// Server is scheme://host[:port], where scheme is http, https or socks5. It
	// has no password in it.
	Server string `json:"server"`
	// Bypass names hosts that are reached directly, as [LaunchHeader.Hosts]
	// does.
	Bypass []string `json:"bypass,omitempty"`
	// VaultKey names the vault entry with the username and the password of the
	// proxy. The runtime's mounts must permit it.
	VaultKey string `json:"vaultKey,omitempty"`
}

// LaunchHeader is a header field that is added to every request to some hosts, also
// of a redirect, and to no other. It takes the place of the page's own. Requests get
// it on their way out of the browser: neither pages nor connected programs see it.
type LaunchHeader struct {
	// Hosts are "example.com", or "*.example.com" for all strictly below it, or
	// an IP address.
	Hosts []string `json:"hosts"`
	Name  string   `json:"name"`
	// Value is sent as it is. It is no secret: whoever may read the runtime sees
	// it.
	Value string `json:"value,omitempty"`
	// VaultKey names the vault entry whose password is sent behind Prefix, such
	// as "Bearer ". The runtime's mounts must permit it, at each request, and
	// so must its origins where it has some; without, it is sent over https
	// alone. No host of [LaunchConfig.IgnoreCertificateErrors] gets it.
	VaultKey string `json:"vaultKey,omitempty"`
	Prefix   string `json:"prefix,omitempty"`
}

// The parts of a configuration that its fields do not write themselves.
type launchConfigFields LaunchConfig

type launchConfigWire struct {
	launchConfigFields
	// Width and Height are zero where a caller wrote that, nil where none did.
	Width         *int  `json:"width,omitempty"`
	Height        *int  `json:"height,omitempty"`
	IdleTimeoutMs int64 `json:"idleTimeoutMs,omitempty"`
	MaxLifeMs     int64 `json:"maxLifeMs,omitempty"`
}

// MarshalJSON writes durations as idleTimeoutMs and maxLifeMs.
func (c LaunchConfig) MarshalJSON() ([]byte, error) {
	w := launchConfigWire{
		launchConfigFields: launchConfigFields(c),
		IdleTimeoutMs:      millis(c.IdleTimeout),
		MaxLifeMs:          millis(c.MaxLife),
	}
	if c.Width != 0 || c.Height != 0 {
		w.Width, w.Height = &c.Width, &c.Height
	}
	return strictjson.Marshal(w)
}

// UnmarshalJSON reads what MarshalJSON writes. It refuses unknown fields, and a
// width or a height of zero that somebody has written.
func (c *LaunchConfig) UnmarshalJSON(data []byte) error {
	var w launchConfigWire
	if err := strictjson.Unmarshal(data, &w); err != nil {
		return err
	}
	*c = LaunchConfig(w.launchConfigFields)
	c.IdleTimeout, c.MaxLife = fromMillis(w.IdleTimeoutMs), fromMillis(w.MaxLifeMs)
	for _, side := range []struct {
		from *int
		to   *int
	}{{w.Width, &c.Width}, {w.Height, &c.Height}} {
		if side.from == nil {
			continue
		}
		if *side.to = *side.from; *side.to == 0 {
			*side.to = -1 // which Validate refuses
		}
	}
	return nil
}
