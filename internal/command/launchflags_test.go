package command

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

func TestALaunchIsConfiguredByAFileAndFlagsOnTopOfIt(t *testing.T) {
	d := furnished(t)
	require.NoError(t, os.WriteFile("launch.json", []byte(`{"locale": "de-DE", "timezone": "Europe/Berlin", "headers": `+
		`[{"name": "X-Stage", "hosts": ["app.example.com"], "value": "blue"}]}`), 0o600))
	require.NoError(t, os.WriteFile("wrong.json", []byte(`{"zoom": 2}`), 0o600))
	var rt bctrl.RuntimeInfo
	require.NoError(t, json.Unmarshal([]byte(d.do("runtime", "launch", "sales/flags", "--launch-config", "launch.json",
		"--locale", "fr", "--geolocation", "52.5,13.25", "--grant", "https://a.example.com=geolocation,midi",
		"--max-memory", "2GiB", "--max-life", "8h", "--deny-downloads", "--json")), &rt))
	c := rt.Launch.Config
	require.Equal(t, "fr", c.Locale, "a flag comes on top")
	require.Equal(t, "Europe/Berlin", c.Timezone)
	require.Equal(t, "blue", c.Headers[0].Value)
	require.Equal(t, []bctrl.OriginPermissions{{Origin: "https://a.example.com", Grant: []string{"geolocation", "midi"}}},
		c.Permissions)
	require.EqualValues(t, 2<<30, c.MaxMemoryBytes)
	require.Equal(t, bctrl.DownloadsDeny, c.Downloads.Policy)
	require.Contains(t, d.do("runtime", "get", "sales/flags"), "X-Stage to app.example.com")

	for _, c := range []struct {
		why  string
		args []string
		says string
	}{
		{"an unknown option", []string{"--launch-config", "wrong.json"}, "zoom"},
		{"no file", []string{"--launch-config", "none.json"}, "none.json"},
		{"the flag is named", []string{"--locale", "de_DE"}, "--locale"},
		{"the flag is named", []string{"--idle-timeout", "1ms"}, "--idle-timeout"},
		{"no place", []string{"--geolocation", "Berlin"}, "want latitude,longitude"},
		{"no size", []string{"--max-memory", "much"}, "want a size"},
		{"no permission", []string{"--grant", "geolocation"}, "want origin=permission"},
		{"a key of no proxy", []string{"--proxy-key", "proxies/eu"}, "goes with --proxy"},
		{"of two always one", []string{"--max-memory", "much", "--geolocation", "Berlin"}, "want latitude,longitude"},
	} {
		for range 10 {
			got := d.run("", append([]string{"runtime", "launch", "sales/wrong"}, c.args...)...)
			require.Equal(t, exitUsage, got.code, "%s: %s", c.why, got.stderr)
			require.Contains(t, got.stderr, c.says, c.why)
		}
	}
}
