package compat

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPlaywrightDrivesARuntimeBesideTheAgent has it come twice, by one address.
func TestPlaywrightDrivesARuntimeBesideTheAgent(t *testing.T) {
	site := office(t)
	rt := usedRuntime(t, site)
	seen := list("hello Ada", "false", "true", "office", "report.csv", nil, "a.txt: of a.txt, b.txt: of b.txt",
		"c.txt: of c.txt", "PNG", "PNG")
	for i := range 2 {
		address, err := rt.ConnectURL(t.Context())
		require.NoError(t, err)
		require.Equal(t, map[string]any{"shared": seen, "own": seen, "set": list("Mine/1", 400.0, "granted"),
			"intercepted": list("mine", "changed", "gone", 200.0)},
			run(t, "js/playwright.mjs", given{Base: site, Key: address}))
		downloads(t, rt, 2*i+2)
		atWork(t, rt, site)
	}
}

// TestPuppeteerDrivesARuntimeBesideTheAgent has it come twice, by one address.
func TestPuppeteerDrivesARuntimeBesideTheAgent(t *testing.T) {
	site := office(t)
	rt := usedRuntime(t, site)
	seen := list("hello Ada", "false", "true", "office", "q1.txt: first", "q1.txt: first",
		"runtimes.machine_path", "PNG", "PNG")
	for i := range 2 {
		address, err := rt.ConnectURL(t.Context())
		require.NoError(t, err)
		require.Equal(t, map[string]any{"shared": seen, "own": seen, "set": list(2.0, 375.0),
			"intercepted": list("mine", "office", "gone", 200.0), "inspected": list(true, true, true)},
			run(t, "js/puppeteer.mjs", given{Base: site, Key: address}))
		downloads(t, rt, 2*i+2)
		atWork(t, rt, site)
	}
}
