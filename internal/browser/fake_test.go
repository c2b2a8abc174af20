package browser

import (
	"bytes"
	"context"
	"image/png"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFakeKeepsThePromisesOfADriver(t *testing.T) {
	var driver Fake
	b, err := driver.Launch(t.Context(), Spec{ID: "a"})
	require.NoError(t, err)
	_, err = driver.Launch(t.Context(), Spec{ID: "a"})
	require.Error(t, err, "one browser a runtime")
	require.Equal(t, []string{"a"}, driver.Running())

	page, err := b.Page(t.Context())
	require.NoError(t, err)
	require.NoError(t, page.Goto(t.Context(), "https://app.example/", ""))
	require.ErrorContains(t, page.Goto(t.Context(), "file:///etc/passwd", ""), "page.url_refused", "as a real one says it")
	seen, err := page.Observe(t.Context())
	require.NoError(t, err)
	require.Equal(t, "https://app.example/", seen.URL, "the refused address changed nothing")
	shot, err := page.Screenshot(t.Context(), true)
	require.NoError(t, err)
	_, err = png.Decode(bytes.NewReader(shot))
	require.NoError(t, err)
	require.ErrorIs(t, page.Click(t.Context(), "e1", Click{}), errFakeRef)
	require.ErrorIs(t, b.ServeCDP(t.Context(), nil), errFakeCDP)

	require.NoError(t, b.Stop(t.Context()))
	require.NoError(t, b.Stop(t.Context()), "twice")
	<-b.Done()
	require.NoError(t, b.Err(), "a stop is no crash")
	require.ErrorIs(t, page.Goto(t.Context(), "https://app.example/", ""), errFakeStopped)
	require.Empty(t, driver.Running())
}

func TestFakeCrashIsSeen(t *testing.T) {
	var driver Fake
	b, err := driver.Launch(t.Context(), Spec{ID: "a"})
	require.NoError(t, err)
	require.False(t, driver.Crash("b"))
	require.True(t, driver.Crash("a"))
	<-b.Done()
	require.ErrorIs(t, b.Err(), errFakeCrash)
	require.NoError(t, b.Stop(context.Background()))
	require.ErrorIs(t, b.Err(), errFakeCrash, "a later stop does not hide it")
	_, err = driver.Launch(t.Context(), Spec{ID: "a"})
	require.NoError(t, err, "the id is free again")
}

func TestOnlyWebAddressesMayBeOpened(t *testing.T) {
	for _, c := range []struct {
		url, why     string
		page, client bool
	}{
		{"https://app.example/x?y#z", "the web", true, true},
		{"http://127.0.0.1:8080/", "the proxy decides about addresses", true, true},
		{"HTTPS://app.example/", "schemes have no case", true, true},
		{"about:blank", "the empty page", true, true},
		{"data:text/html,<p>a b", "made by the client", false, true},
		{"blob:https://app.example/1", "made by a page", false, true},
		{"file:///etc/shadow", "the machine", false, false},
		{"FILE:///etc/shadow", "the machine", false, false},
		{" file:///etc/shadow", "Chromium trims", false, false},
		{"fi\nle:///etc/shadow", "Chromium drops newlines", false, false},
		{"fi\tle:///etc/shadow", "Chromium drops tabs", false, false},
		{"\x00file:///etc/shadow", "Chromium trims control characters", false, false},
		{"view-source:file:///etc/shadow", "a scheme around another", false, false},
		{"view-source:https://app.example/", "a scheme around another", false, false},
		{"filesystem:https://app.example/x", "not the web", false, false},
		{"chrome://settings", "the browser", false, false},
		{"chrome-untrusted://x", "the browser", false, false},
		{"devtools://devtools/bundled/inspector.html", "the browser", false, false},
		{"about:srcdoc", "no page of its own", false, false},
		{"about:crash", "ends the tab", false, false},
		{"javascript:alert(1)", "a script", false, false},
		{"ftp://app.example/", "not through the proxy", false, false},
		{"ſ://x", "no letter folds into a scheme", false, false},
		{"app.example", "no scheme", false, false},
		{"/etc/shadow", "a path", false, false},
		{"", "nothing", false, false},
	} {
		t.Run(c.url, func(t *testing.T) {
			require.Equal(t, c.page, CheckPageURL(c.url) == nil, "an agent: %s", c.why)
			require.Equal(t, c.client, CheckClientURL(c.url) == nil, "a client: %s", c.why)
		})
	}
}
