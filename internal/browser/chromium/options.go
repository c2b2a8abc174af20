package chromium

import "time"

// Options configure [New]. The zero value is fine.
type Options struct {
	// Path is the browser's program; empty looks for one: see [browser.Locate].
	Path string
	// User runs the browsers when the server is root; empty is "nobody". When
	// the server is not root, browsers run as the server's own user.
	User string
	// TempDir is where browsers keep what ends with them; empty is
	// [os.TempDir]. User must be able to reach it.
	TempDir string
	// ActionTimeout bounds every action on a page; zero is the default of
	// [page.Surroundings].
	ActionTimeout time.Duration
}
