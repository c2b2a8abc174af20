package command

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/strictjson"
)

const launchHelp = `

--launch-config reads a launch configuration from a file of JSON, as the HTTP
API has it: headers for named hosts, client hints and what else has no flag.
Flags come on top of it.`

// launchFlags are the flags that say how a browser appears, how it reaches sites and
// how long it lasts.
type launchFlags struct {
	file                                         string
	config                                       bctrl.LaunchConfig
	colors, geolocation, proxy, proxyKey, memory string
	denyDownloads                                bool
	grants                                       []string
}

func newLaunchFlags(cmd *cobra.Command) *launchFlags {
	l := &launchFlags{}
	c, f := &l.config, cmd.Flags()
	f.StringVar(&l.file, "launch-config", "", "`file` with a launch configuration as JSON")
	f.IntVar(&c.Width, "width", 0, "width of the viewport in CSS pixels, with --height")
	f.IntVar(&c.Height, "height", 0, "height of the viewport in CSS pixels, with --width")
	f.Float64Var(&c.DeviceScaleFactor, "device-scale-factor", 0, "pixels of the screen that a CSS pixel has a side")
	f.BoolVar(&c.Mobile, "mobile", false, "lay pages out as a phone does")
	f.BoolVar(&c.Touch, "touch", false, "have a touch screen")
	f.StringVar(&c.Locale, "locale", "", "`tag` of the language, such as de-DE")
	f.StringVar(&c.Timezone, "timezone", "", "`name` of the time zone, such as Europe/Berlin")
	f.StringVar(&c.UserAgent, "user-agent", "", "what the browser calls itself")
	f.StringVar(&l.geolocation, "geolocation", "", "`latitude,longitude` that pages are told which --grant permits it")
	f.StringVar(&l.colors, "color-scheme", "", "light or dark")
	f.BoolVar(&c.ReducedMotion, "reduced-motion", false, "ask pages for less motion")
	f.StringArrayVar(&l.grants, "grant", nil, "`origin=permission,...` that its pages have, such as "+
		"https://maps.example.com=geolocation; repeatable")
	f.BoolVar(&l.denyDownloads, "deny-downloads", false, "let pages deliver no files")
	f.StringVar(&l.proxy, "proxy", "", "`address` of a proxy: http, https or socks5")
	f.StringVar(&l.proxyKey, "proxy-key", "", "vault `key` with the username and the password for the proxy")
	f.StringArrayVar(&c.IgnoreCertificateErrors, "ignore-certificate-errors", nil, "`host` whose certificate need not be "+
		"valid; repeatable")
	f.DurationVar(&c.IdleTimeout, "idle-timeout", 0, "stop once nobody has used it for so long, such as 10m")
	f.DurationVar(&c.MaxLife, "max-life", 0, "stop after so long, such as 8h")
	f.StringVar(&l.memory, "max-memory", "", "`size` that it may take of memory, such as 512MiB or 2GiB")
	f.BoolVar(&c.Headful, "headful", false, "show a window, on a display of its own")
	completeWords(cmd, "color-scheme", string(bctrl.ColorSchemeLight), string(bctrl.ColorSchemeDark))
	return l
}

// launchFlagNames are those of newLaunchFlags.
var launchFlagNames = []string{
	"launch-config", "width", "height", "device-scale-factor", "mobile", "touch", "locale", "timezone", "user-agent",
	"geolocation", "color-scheme", "reduced-motion", "grant", "deny-downloads", "proxy", "proxy-key",
	"ignore-certificate-errors", "idle-timeout", "max-life", "max-memory", "headful",
}

// configuration is what the flags say, on top of the file; nil where they say nothing.
func (l *launchFlags) configuration(cmd *cobra.Command) (*bctrl.LaunchConfig, error) {
	given := false
	for _, name := range launchFlagNames {
		given = given || cmd.Flags().Changed(name)
	}
	if !given {
		return nil, nil
	}
	c, err := l.fromFile()
	if err != nil {
		return nil, err
	}
	l.overlay(cmd, c)
	for _, given := range []struct {
		name string
		set  func(*bctrl.LaunchConfig) error
	}{
		{"geolocation", l.setPlace}, {"grant", l.setGrants}, {"max-memory", l.setMemory},
	} {
		if cmd.Flags().Changed(given.name) {
			if err := given.set(c); err != nil {
				return nil, err
			}
		}
	}
	if l.proxyKey != "" && c.Proxy == nil && l.proxy == "" {
		return nil, usagef("--proxy-key goes with --proxy")
	}
	if l.proxy != "" {
		c.Proxy = &bctrl.LaunchProxy{Server: l.proxy}
	}
	if l.proxyKey != "" {
		c.Proxy.VaultKey = l.proxyKey
	}
	return c, nil
}

func (l *launchFlags) fromFile() (*bctrl.LaunchConfig, error) {
	c := &bctrl.LaunchConfig{}
	if l.file == "" {
		return c, nil
	}
	text, err := os.ReadFile(l.file)
	if err != nil {
		return nil, usageError{err}
	}
	if err := strictjson.Unmarshal(text, c); err != nil {
		return nil, usageError{fmt.Errorf("%s is no launch configuration: %w", printable(l.file), err)}
	}
	return c, nil
}

// overlay puts the flags that were given in the place of what the file says.
func (l *launchFlags) overlay(cmd *cobra.Command, c *bctrl.LaunchConfig) {
	from := l.config
	for name, set := range map[string]func(){
		"width":               func() { c.Width = from.Width },
		"height":              func() { c.Height = from.Height },
		"device-scale-factor": func() { c.DeviceScaleFactor = from.DeviceScaleFactor },
		"mobile":              func() { c.Mobile = from.Mobile },
		"touch":               func() { c.Touch = from.Touch },
		"locale":              func() { c.Locale = from.Locale },
		"timezone":            func() { c.Timezone = from.Timezone },
		"user-agent":          func() { c.UserAgent, c.ClientHints = from.UserAgent, nil },
		"color-scheme":        func() { c.ColorScheme = bctrl.ColorScheme(l.colors) },
		"reduced-motion":      func() { c.ReducedMotion = from.ReducedMotion },
		"ignore-certificate-errors": func() {
			c.IgnoreCertificateErrors = append(c.IgnoreCertificateErrors, from.IgnoreCertificateErrors...)
		},
		"idle-timeout": func() { c.IdleTimeout = from.IdleTimeout },
		"max-life":     func() { c.MaxLife = from.MaxLife },
		"headful":      func() { c.Headful = from.Headful },
		"deny-downloads": func() {
			c.Downloads = nil
			if l.denyDownloads {
				c.Downloads = &bctrl.LaunchDownloads{Policy: bctrl.DownloadsDeny}
			}
		},
	} {
		if cmd.Flags().Changed(name) {
			set()
		}
	}
}

func (l *launchFlags) setPlace(c *bctrl.LaunchConfig) error {
	latitude, longitude, ok := strings.Cut(l.geolocation, ",")
	lat, errLat := strconv.ParseFloat(strings.TrimSpace(latitude), 64)
	long, errLong := strconv.ParseFloat(strings.TrimSpace(longitude), 64)
	if !ok || errLat != nil || errLong != nil {
		return usagef("--geolocation %s: want latitude,longitude, such as 52.52,13.40", printable(l.geolocation))
	}
	c.Geolocation = &bctrl.Geolocation{Latitude: lat, Longitude: long}
	return nil
}

func (l *launchFlags) setGrants(c *bctrl.LaunchConfig) error {
	for _, text := range l.grants {
		origin, names, ok := strings.Cut(text, "=")
		if !ok {
			return usagef("--grant %s: want origin=permission, such as https://maps.example.com=geolocation", printable(text))
		}
		c.Permissions = append(c.Permissions, bctrl.OriginPermissions{Origin: origin, Grant: strings.Split(names, ",")})
	}
	return nil
}

func (l *launchFlags) setMemory(c *bctrl.LaunchConfig) error {
	for _, unit := range []struct {
		name string
		size int64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}} {
		if number, ok := strings.CutSuffix(l.memory, unit.name); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 32)
			if err == nil && n > 0 {
				c.MaxMemoryBytes = n * unit.size
				return nil
			}
		}
	}
	return usagef("--max-memory %s: want a size such as 512MiB or 2GiB", printable(l.memory))
}

// launchLines tell of a launch what is not the default.
func launchLines(c *bctrl.LaunchConfig) (lines []pair) {
	if c == nil {
		return nil
	}
	if c.Width != 0 {
		lines = append(lines, pair{"Viewport", fmt.Sprintf("%dx%d", c.Width, c.Height)})
	}
	var device []string
	for _, one := range []struct {
		is   bool
		name string
	}{
		{c.Mobile, "mobile"}, {c.Touch, "touch"}, {c.Headful, "headful"}, {c.ReducedMotion, "reduced motion"},
		{c.ColorScheme != "", string(c.ColorScheme)},
		{c.DeviceScaleFactor != 0, "scale " + strconv.FormatFloat(c.DeviceScaleFactor, 'g', -1, 64)},
	} {
		if one.is {
			device = append(device, one.name)
		}
	}
	lines = append(lines, pair{"Device", strings.Join(device, ", ")}, pair{"Locale", c.Locale},
		pair{"Timezone", c.Timezone}, pair{"User agent", c.UserAgent})
	if g := c.Geolocation; g != nil {
		lines = append(lines, pair{"Geolocation", fmt.Sprintf("%g,%g", g.Latitude, g.Longitude)})
	}
	for _, p := range c.Permissions {
		lines = append(lines, pair{"Grants", p.Origin + " " + strings.Join(p.Grant, ",")})
	}
	if d := c.Downloads; d != nil {
		lines = append(lines, pair{"Downloads", string(d.Policy)})
	}
	if p := c.Proxy; p != nil {
		lines = append(lines, pair{"Proxy", p.Server})
	}
	for _, h := range c.Headers {
		lines = append(lines, pair{"Header", h.Name + " to " + strings.Join(h.Hosts, ", ")})
	}
	lines = append(lines, pair{"Any certificate", strings.Join(c.IgnoreCertificateErrors, ", ")},
		pair{"Idle timeout", lasting(c.IdleTimeout)}, pair{"Maximum life", lasting(c.MaxLife)})
	if c.MaxMemoryBytes != 0 {
		lines = append(lines, pair{"Memory", fmt.Sprintf("%d MiB", c.MaxMemoryBytes>>20)})
	}
	return lines
}

// lasting is a duration, or nothing of none.
func lasting(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}
