//go:build unix

package chromium

import (
	"fmt"
	"strings"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/egress"
)

// Sizes of the viewport when a [browser.Spec] names none.
const (
	defaultWidth  = 1280
	defaultHeight = 800
)

// offFeatures are the parts of Chromium that talk to somebody nobody asked
// for, that change pages under an agent, or that keep pages whole which were left: one of a
// host that is not permitted any more would come back without a request.
var offFeatures = []string{
	"AutofillServerCommunication", "BackForwardCache", "CertificateTransparencyComponentUpdater",
	"DialMediaRouteProvider", "DnsOverHttps", "HttpsUpgrades", "InterestFeedContentSuggestions", "MediaRouter",
	"OptimizationHints", "PrivacySandboxSettings4", "Translate", "WebRtcHideLocalIpsWithMdns",
}

// arguments returns the command line of a browser. There is no --no-sandbox
// in it, and no way to put it there.
func arguments(spec browser.Spec, dirs dirs, proxy *egress.Proxy) []string {
	width, height := viewport(spec.Config)
	shown := "--headless"
	if spec.Config.Headful {
		shown = "--ozone-platform=x11"
		width, height = width+windowFrame, height+windowFrame
	}
	return append([]string{
		shown,
		"--remote-debugging-pipe",
		"--user-data-dir=" + dirs.data,
		fmt.Sprintf("--window-size=%d,%d", width, height),

		// All traffic goes through the proxy, loopback included; a name that
		// is resolved in the browser after all resolves to nothing.
		"--proxy-server=" + proxy.URL(),
		"--proxy-bypass-list=<-loopback>",
		"--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
		"--disable-quic",
		"--dns-prefetch-disable",
		"--force-webrtc-ip-handling-policy=disable_non_proxied_udp",

		// What Chromium does on its own, which nobody asked for.
		"--disable-features=" + strings.Join(offFeatures, ","),
		"--disable-background-networking",
		"--disable-breakpad",
		"--disable-client-side-phishing-detection",
		"--disable-component-update",
		"--disable-crash-reporter",
		"--disable-default-apps",
		"--disable-domain-reliability",
		"--disable-extensions",
		"--disable-field-trial-config",
		"--disable-print-preview",
		"--disable-search-engine-choice-screen",
		"--disable-sync",
		"--metrics-recording-only",
		"--no-default-browser-check",
		"--no-first-run",
		"--no-pings",
		"--no-service-autorun",
		"--password-store=basic",
		"--safebrowsing-disable-auto-update",
		"--use-mock-keychain",

		// A page works the same whether or not it is in front.
		"--disable-background-timer-throttling",
		"--disable-backgrounding-occluded-windows",
		"--disable-renderer-backgrounding",
		"--disable-hang-monitor",
		"--disable-prompt-on-repost",
		"--force-color-profile=srgb",
		"--hide-scrollbars",
		"--mute-audio",

		// /dev/shm is 64 MiB in most containers.
		"--disable-dev-shm-usage",
	}, append(appearanceFlags(spec.Config, proxy.KeyHash()), "about:blank")...)
}

// environment returns all that the browser inherits: nothing of the server's
// own, which holds keys.
func environment(spec browser.Spec, dirs dirs) []string {
	inherited := environmentOf(dirs)
	if zone := spec.Config.Timezone; zone != "" {
		inherited = append(inherited, "TZ="+zone)
	}
	return inherited
}

// environmentOf is what every program that runs in dirs inherits.
func environmentOf(dirs dirs) []string {
	return []string{
		"PATH=/usr/local/bin:/usr/bin:/bin",
		"LANG=C.UTF-8",
		"HOME=" + dirs.home,
		"TMPDIR=" + dirs.temp,
		// Without these each start waits for a bus that it has no use for, and complains.
		"DBUS_SESSION_BUS_ADDRESS=disabled:",
		"DBUS_SYSTEM_BUS_ADDRESS=disabled:",
	}
}
