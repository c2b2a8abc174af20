//go:build unix

package chromium

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"

	"github.com/bctrl-go/bctrl"
)

// How a browser appears to sites is on its command line where Chromium takes it
// there: it then holds for every process from the first request on. The rest is set
// in each tab, frame and worker before it runs: see emulator.

// viewport is the size of the window's inside in CSS pixels.
func viewport(c bctrl.LaunchConfig) (width, height int) {
	if c.Width <= 0 || c.Height <= 0 {
		return defaultWidth, defaultHeight
	}
	return c.Width, c.Height
}

// appearanceFlags are the part of the command line that says how the browser appears.
// keyHash is of the key that its proxy has in the place of sites; empty is none.
func appearanceFlags(c bctrl.LaunchConfig, keyHash string) (flags []string) {
	add := func(when bool, flag string) {
		if when {
			flags = append(flags, flag)
		}
	}
	add(c.DeviceScaleFactor != 0,
		"--force-device-scale-factor="+strconv.FormatFloat(c.DeviceScaleFactor, 'g', -1, 64))
	add(c.Locale != "", "--lang="+c.Locale)
	flags = append(flags, "--accept-lang="+acceptLanguage(c))
	add(c.UserAgent != "", "--user-agent="+c.UserAgent)
	// 0 is dark and 1 is light (mojom::PreferredColorScheme).
	add(c.ColorScheme == bctrl.ColorSchemeDark, "--blink-settings=preferredColorScheme=0")
	add(c.ReducedMotion, "--force-prefers-reduced-motion")
	add(keyHash != "", "--ignore-certificate-errors-spki-list="+keyHash)
	return flags
}

// languagesOf are what a browser of a locale prefers: "de-DE" and "de".
func languagesOf(locale string) []string {
	language, _, regional := strings.Cut(locale, "-")
	if !regional {
		return []string{locale}
	}
	return []string{locale, language}
}

// defaultLocale is that of a launch that names none.
const defaultLocale = "en-US"

// acceptLanguage is what a browser says of languages on its command line. One with windows
// takes a list and weighs it for what it sends. The headless shell sends what it is given,
// so it is given what is to be sent, and the list for pages by the emulator.
func acceptLanguage(c bctrl.LaunchConfig) string {
	languages := languagesOf(cmp.Or(c.Locale, defaultLocale))
	switch {
	case c.Locale == "":
		return defaultLocale // there is no emulator for the rest of the list
	case c.Headful:
		return strings.Join(languages, ",")
	}
	return strings.Join(languages, ",") + strings.Repeat(";q=0.9", len(languages)-1) // there are two at most
}

// clientHints are what goes with a user agent: those that were asked for, else what
// Chrome of that user agent says. Nil is none, as of a browser that has no such thing.
func clientHints(c bctrl.LaunchConfig) *emulation.UserAgentMetadata {
	if h := c.ClientHints; h != nil {
		return &emulation.UserAgentMetadata{
			Brands:          brandsOf(h.Brands),
			FullVersionList: brandsOf(h.FullVersionList),
			Platform:        h.Platform,
			PlatformVersion: h.PlatformVersion,
			Architecture:    h.Architecture,
			Bitness:         h.Bitness,
			Model:           h.Model,
			Mobile:          h.Mobile,
		}
	}
	_, rest, isChrome := strings.Cut(c.UserAgent, "Chrome/")
	if !isChrome {
		return nil
	}
	full, _, _ := strings.Cut(rest, " ")
	major, _, _ := strings.Cut(full, ".")
	hints := &emulation.UserAgentMetadata{Mobile: strings.Contains(c.UserAgent, "Mobile")}
	for _, brand := range []string{"Chromium", "Google Chrome"} {
		hints.Brands = append(hints.Brands, &emulation.UserAgentBrandVersion{Brand: brand, Version: major})
		hints.FullVersionList = append(hints.FullVersionList, &emulation.UserAgentBrandVersion{Brand: brand, Version: full})
	}
	for _, platform := range []struct{ in, name string }{
		{"Android", "Android"}, {"Windows", "Windows"}, {"Mac OS X", "macOS"}, {"CrOS", "Chrome OS"}, {"Linux", "Linux"},
	} {
		if strings.Contains(c.UserAgent, platform.in) {
			hints.Platform = platform.name
			break
		}
	}
	return hints
}

func brandsOf(list []bctrl.BrandVersion) []*emulation.UserAgentBrandVersion {
	var brands []*emulation.UserAgentBrandVersion
	for _, b := range list {
		brands = append(brands, &emulation.UserAgentBrandVersion{Brand: b.Brand, Version: b.Version})
	}
	return brands
}

// permission is one permission of one origin.
type permission struct {
	origin     string
	descriptor cdpbrowser.PermissionDescriptor
	granted    bool
}

func permissionsOf(c bctrl.LaunchConfig) (list []permission) {
	for _, of := range c.Permissions {
		for _, name := range of.Grant {
			list = append(list, permissionsNamed(of.Origin, name, true)...)
		}
		for _, name := range of.Deny {
			list = append(list, permissionsNamed(of.Origin, name, false)...)
		}
	}
	return list
}

// permissionsNamed are what Chromium calls a permission of a launch configuration.
func permissionsNamed(origin, name string, granted bool) (list []permission) {
	names := []string{name}
	if name == "sensors" {
		names = []string{"accelerometer", "gyroscope", "magnetometer", "ambient-light-sensor"}
	}
	for _, name := range names {
		list = append(list, permission{origin, cdpbrowser.PermissionDescriptor{Name: name}, granted})
	}
	return list
}

// setPermissions permits the pages of a browser context what the launch said; "" is the
// context that the browser began with.
func (b *instance) setPermissions(ctx context.Context, of cdp.BrowserContextID) error {
	for _, p := range b.permissions {
		setting := cdpbrowser.PermissionSettingDenied
		if p.granted {
			setting = cdpbrowser.PermissionSettingGranted
		}
		err := b.mux.Call(ctx, "Browser.setPermission", cdpbrowser.SetPermissionParams{
			Permission:       &p.descriptor,
			Setting:          setting,
			Origin:           p.origin,
			BrowserContextID: of,
		}, nil)
		if err != nil {
			return fmt.Errorf("set a permission: %w", err)
		}
	}
	return nil
}
