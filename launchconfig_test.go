package bctrl

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/strictjson"
)

// launchHeader is a launch with one header for a host.
func launchHeader(h LaunchHeader) LaunchConfig {
	if h.Hosts == nil {
		h.Hosts = []string{"app.example.com"}
	}
	return LaunchConfig{Headers: []LaunchHeader{h}}
}

func launchProxy(server string) LaunchConfig {
	return LaunchConfig{Proxy: &LaunchProxy{Server: server}}
}

// refusedLaunches are configurations with one thing wrong.
var refusedLaunches = []struct {
	why         string
	config      LaunchConfig
	code, field string
}{
	{"a viewport without a height", LaunchConfig{Width: 800}, "runtimes.invalid_viewport", "height"},
	{"a viewport that is too large", LaunchConfig{Width: 800, Height: 3841}, "runtimes.invalid_viewport", "height"},
	{"a viewport less than nothing", LaunchConfig{Width: -1, Height: 600}, "runtimes.invalid_viewport", "width"},
	{"a scale that no screen has", LaunchConfig{DeviceScaleFactor: 5}, "runtimes.invalid_device_scale",
		"deviceScaleFactor"},
	{"no number", LaunchConfig{DeviceScaleFactor: math.NaN()}, "runtimes.invalid_device_scale", "deviceScaleFactor"},
	{"the form of POSIX", LaunchConfig{Locale: "de_DE"}, "runtimes.invalid_locale", "locale"},
	{"no language", LaunchConfig{Locale: "xx-DE"}, "runtimes.invalid_locale", "locale"},
	{"a name and no tag", LaunchConfig{Locale: "german"}, "runtimes.invalid_locale", "locale"},
	{"a region of three letters", LaunchConfig{Locale: "de-DEU"}, "runtimes.invalid_locale", "locale"},
	{"a variant twice", LaunchConfig{Locale: "de-1996-1996"}, "runtimes.invalid_locale", "locale"},
	{"no time zone", LaunchConfig{Timezone: "Mars/Olympus"}, "runtimes.invalid_timezone", "timezone"},
	{"the machine's own", LaunchConfig{Timezone: "Local"}, "runtimes.invalid_timezone", "timezone"},
	{"a path", LaunchConfig{Timezone: "../zoneinfo/UTC"}, "runtimes.invalid_timezone", "timezone"},
	{"a line end", LaunchConfig{UserAgent: "Mine\r\nX: y"}, "runtimes.invalid_user_agent", "userAgent"},
	{"a long user agent", LaunchConfig{UserAgent: strings.Repeat("x", 1025)}, "runtimes.invalid_user_agent", "userAgent"},
	{"hints of nobody", LaunchConfig{ClientHints: &ClientHints{Platform: "Linux"}}, "runtimes.invalid_client_hints",
		"clientHints"},
	{"a brand without a version", LaunchConfig{UserAgent: "x", ClientHints: &ClientHints{
		Brands: []BrandVersion{{Brand: "b"}}}},
		"runtimes.invalid_client_hints", "clientHints.brands[0]"},
	{"north of the pole", LaunchConfig{Geolocation: &Geolocation{Latitude: 91}}, "runtimes.invalid_geolocation",
		"geolocation.latitude"},
	{"no scheme of colours", LaunchConfig{ColorScheme: "sepia"}, "runtimes.invalid_color_scheme", "colorScheme"},
	{"an unknown permission", LaunchConfig{Permissions: []OriginPermissions{
		{Origin: "https://app.example.com", Grant: []string{"root"}}}}, "runtimes.invalid_permission",
		"permissions[0].grant[0]"},
	{"a permission of no origin", LaunchConfig{Permissions: []OriginPermissions{{Origin: "app", Grant: []string{"midi"}}}},
		"runtimes.invalid_permission", "permissions[0].origin"},
	{"granted and denied", LaunchConfig{Permissions: []OriginPermissions{{
		Origin: "https://app.example.com", Grant: []string{"midi"}, Deny: []string{"midi"}}}},
		"runtimes.invalid_permission", "permissions[0].deny[0]"},
	{"no policy", LaunchConfig{Downloads: &LaunchDownloads{Policy: "ask"}}, "runtimes.invalid_download_policy",
		"downloads.policy"},
	{"a size of what is denied", LaunchConfig{Downloads: &LaunchDownloads{Policy: DownloadsDeny, MaxBytes: 1}},
		"runtimes.invalid_download_policy", "downloads.maxBytes"},
	{"a password in a proxy's address", launchProxy("http://me:canary@proxy.example.com"),
		"runtimes.proxy_password_in_url", "proxy.server"},
	{"a scheme that proxies have not", launchProxy("ftp://proxy.example.com"), "runtimes.invalid_proxy", "proxy.server"},
	{"no scheme", launchProxy("proxy.example.com:3128"), "runtimes.invalid_proxy", "proxy.server"},
	{"a path", launchProxy("http://proxy.example.com/pac"), "runtimes.invalid_proxy", "proxy.server"},
	{"no port", launchProxy("http://proxy.example.com:0"), "runtimes.invalid_proxy", "proxy.server"},
	{"no vault key", LaunchConfig{Proxy: &LaunchProxy{Server: "socks5://proxy.example.com", VaultKey: "/x"}},
		"runtimes.invalid_proxy", "proxy.vaultKey"},
	{"no host", LaunchConfig{Proxy: &LaunchProxy{
		Server: "http://proxy.example.com", Bypass: []string{"http://a.example"}}},
		"runtimes.invalid_proxy", "proxy.bypass[0]"},
	{"a header of the connection", launchHeader(LaunchHeader{Name: "Host", Value: "x"}), "runtimes.header_not_settable",
		"headers[0].name"},
	{"a header that is the jar's", launchHeader(LaunchHeader{Name: "cookie", Value: "x"}), "runtimes.header_not_settable",
		"headers[0].name"},
	{"a hop-by-hop header", launchHeader(LaunchHeader{Name: "Transfer-Encoding", Value: "x"}),
		"runtimes.header_not_settable", "headers[0].name"},
	{"a header of ours", launchHeader(LaunchHeader{Name: "BCTRL-Mounts", Value: "x"}), "runtimes.header_not_settable",
		"headers[0].name"},
	{"no name", launchHeader(LaunchHeader{Name: "X Y", Value: "x"}), "runtimes.invalid_header", "headers[0].name"},
	{"a line end in a value", launchHeader(LaunchHeader{Name: "X-A", Value: "x\ny"}), "runtimes.invalid_header",
		"headers[0].value"},
	{"a secret in clear", launchHeader(LaunchHeader{Name: "Authorization", Value: "Bearer canary"}),
		"runtimes.header_not_secret", "headers[0].value"},
	{"two values", launchHeader(LaunchHeader{Name: "X-A", Value: "x", VaultKey: "k"}), "runtimes.invalid_header",
		"headers[0].value"},
	{"a header of no host", launchHeader(LaunchHeader{Name: "X-A", Value: "x", Hosts: []string{}}),
		"runtimes.invalid_header_hosts", "headers[0].hosts"},
	{"a header of every host", launchHeader(LaunchHeader{Name: "X-A", Value: "x", Hosts: []string{"*"}}),
		"runtimes.invalid_header_hosts", "headers[0].hosts[0]"},
	{"every certificate", LaunchConfig{IgnoreCertificateErrors: []string{"*"}}, "runtimes.invalid_certificate_hosts",
		"ignoreCertificateErrors[0]"},
	{"less than a second", LaunchConfig{IdleTimeout: time.Millisecond}, "runtimes.invalid_idle_timeout", "idleTimeoutMs"},
	{"less than nothing", LaunchConfig{MaxLife: -time.Hour}, "runtimes.invalid_max_life", "maxLifeMs"},
	{"longer than a week", LaunchConfig{MaxLife: 8 * 24 * time.Hour}, "runtimes.invalid_max_life", "maxLifeMs"},
	{"less memory than any browser has", LaunchConfig{MaxMemoryBytes: 1}, "runtimes.invalid_memory", "maxMemoryBytes"},
}

func TestALaunchThatIsWrongIsRefusedBeforeAnyRequest(t *testing.T) {
	f := crmServer(nil)
	ws, err := clientOn(t, f).Workspaces.Get(t.Context(), "ws-1")
	require.NoError(t, err)
	before := len(f.requests())
	launcher := ws.Runtimes.Browser("crm")
	for _, tc := range refusedLaunches {
		_, err := launcher.Stagehand(t.Context(), Launch{Config: &tc.config})
		e, ok := errors.AsType[*Error](err)
		require.True(t, ok, tc.why)
		require.Equal(t, tc.code, e.Code, tc.why)
		require.Equal(t, fieldLaunchConfig+tc.field, e.Field, tc.why)
		require.False(t, strings.Contains(err.Error(), "canary"), "a refusal repeats what was given: %s", tc.why)
	}
	_, err = launcher.Stagehand(t.Context(), Launch{Config: &LaunchConfig{
		Proxy: &LaunchProxy{Server: "http://proxy.example.com", VaultKey: "outside/proxy"},
	}})
	require.ErrorIs(t, err, ErrOutsideMount, "a secret that the mounts do not permit")
	require.Len(t, f.requests(), before)
}

func TestALaunchConfigurationIsReadAsItIsWritten(t *testing.T) {
	whole, ok := filled[LaunchConfig]().(LaunchConfig)
	require.True(t, ok)
	whole.IdleTimeout, whole.MaxLife = time.Minute, time.Hour
	text, err := json.Marshal(whole)
	require.NoError(t, err)
	var read LaunchConfig
	require.NoError(t, strictjson.Unmarshal(text, &read))
	require.Equal(t, whole, read)
	for _, tc := range []struct{ why, text, field string }{
		{"an unknown option", `{"config":{"zoom":2}}`, "config.zoom"},
		{"one inside another", `{"config":{"proxy":{"server":"x","password":"canary"}}}`, "config.proxy.password"},
		{"null", `{"config":{"geolocation":null}}`, "config.geolocation"},
	} {
		var l Launch
		refused, ok := errors.AsType[*strictjson.Error](strictjson.Unmarshal([]byte(tc.text), &l))
		require.True(t, ok, tc.why)
		require.Equal(t, tc.field, refused.Field, tc.why)
	}
	var l Launch
	require.NoError(t, strictjson.Unmarshal([]byte(`{"config":{"width":0,"height":0}}`), &l))
	require.Error(t, l.Validate(), "a viewport of no size that somebody has written")
	for _, part := range []string{"latitude", "longitude"} {
		var l Launch
		require.NoError(t, strictjson.Unmarshal([]byte(`{"config":{"geolocation":{"`+part+`":13.4}}}`), &l))
		require.Error(t, l.Validate(), "a %s is no place", part)
	}
}

func TestWhatALocaleAndATimezoneAre(t *testing.T) {
	for _, locale := range []string{"de", "de-DE", "zh-Hant-TW", "es-419", "sr-Latn", "gsw-CH", "de-DE-1996", "EN-us"} {
		require.NoError(t, Launch{Config: &LaunchConfig{Locale: locale}}.Validate(), locale)
	}
	for _, zone := range []string{"UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+3"} {
		require.NoError(t, Launch{Config: &LaunchConfig{Timezone: zone}}.Validate(), zone)
	}
}
