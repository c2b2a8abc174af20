package clients

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/bctrltest"
)

// row is what is known of a test of a suite.
type row struct {
	name string
	// plain is what becomes of it in a plain Chromium, runtime in a runtime.
	plain, runtime string
	// why they differ, or why it fails in both.
	why string
}

// list is the file of a suite's rows: name, plain, runtime, why.
func (s suite) list() string { return filepath.Join("testdata", s.name+".txt") }

// read reads the list of a suite; there are comments in it too.
func (s suite) read(t *testing.T) []row {
	t.Helper()
	text, err := os.ReadFile(s.list())
	require.NoError(t, err)
	var rows []row
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 3 || fields[0] == "#" {
			continue
		}
		rows = append(rows, row{fields[0], fields[1], fields[2], strings.Join(fields[3:], " ")})
	}
	return rows
}

// write writes the list of a suite.
func (s suite) write(t *testing.T, rows []row) {
	t.Helper()
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Tests of %s: in a plain Chromium, in a runtime, why. See doc.go.\n", s.module)
	fmt.Fprintf(&b, "# %s\n\n", score(rows))
	slices.SortFunc(rows, func(a, b row) int { return strings.Compare(a.name, b.name) })
	for _, r := range rows {
		line := fmt.Sprintf("%-50s %-4s %-4s %s", r.name, cmp.Or(r.plain, unknown), cmp.Or(r.runtime, unknown), r.why)
		fmt.Fprintln(&b, strings.TrimSpace(line))
	}
	require.NoError(t, os.WriteFile(s.list(), b.Bytes(), 0o600))
}

// aboutTheProcess begins the reason of a test that is about the process of a browser and
// not about what it does: what it prints, its environment, its profile's folder. A runtime
// has none of its client's, so these are counted apart.
const aboutTheProcess = "about the process: "

// count is how many tests pass in a plain Chromium, and of those in a runtime.
type count struct{ plain, both int }

func (c count) String() string { return fmt.Sprintf("%d of the %d", c.both, c.plain) }

// counts counts the tests of the browser, and those that are about its process.
func counts(rows []row) (browser, process count) {
	for _, r := range rows {
		of := &browser
		if strings.HasPrefix(r.why, aboutTheProcess) {
			of = &process
		}
		if r.plain == passed {
			of.plain++
			if r.runtime == passed {
				of.both++
			}
		}
	}
	return browser, process
}

// score says how many tests that pass in a plain Chromium pass in a runtime.
func score(rows []row) string {
	browser, process := counts(rows)
	text := browser.String() + " that pass in a plain Chromium"
	if process.plain > 0 {
		text += fmt.Sprintf("; %s that are about its process", process)
	}
	return text
}

// sampleOf is how many tests of each suite run where nobody asked for all.
const sampleOf = 8

// TestSuitesOfBrowserClientsPassInARuntime holds each suite to its list. A test that
// fails is tried again, alone, since the suites' own deadlines are those of a machine
// with nothing else to do; so is one that passed once and now leaves itself out, as one
// does for which threads are not scheduled as it needs.
func TestSuitesOfBrowserClientsPassInARuntime(t *testing.T) {
	all, plain, record := os.Getenv("BCTRL_CLIENTS") != "", os.Getenv("BCTRL_CLIENTS_PLAIN") != "",
		os.Getenv("BCTRL_CLIENTS_RECORD") != ""
	bctrlAt := ""
	if !plain {
		bctrlAt = command(t)
	}
	for _, s := range suites {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			var browser string
			var environment []string
			if plain {
				browser = executable(t, chromium(t)+" --no-sandbox")
			} else {
				browser, environment = bridged(t, bctrlAt, bctrltest.New(t, bctrltest.WithBrowser()), "suite")
			}
			p := s.build(t, browser, environment)
			rows := map[string]row{}
			for _, r := range s.read(t) {
				rows[r.name] = r
			}
			var tests []string
			if only := os.Getenv("BCTRL_CLIENTS_ONLY"); only != "" {
				tests = strings.Fields(only)
			} else if all {
				tests = p.tests(t)
			} else {
				tests = sample(s.read(t))
			}
			results, outputs := p.run(t, tests)
			for range 2 {
				for _, name := range tests {
					if results[name] == failed || results[name] != passed && rows[name].runtime == passed {
						again, out := p.run(t, []string{name})
						results[name], outputs[name] = again[name], out[name]
					}
				}
			}
			for _, name := range tests {
				r := rows[name]
				r.name = name
				was := &r.runtime
				if plain {
					was = &r.plain
				}
				switch now := results[name]; {
				case now == failed && *was == passed && !record:
					t.Errorf("%s passed once:\n%s", name, outputs[name])
				case now == failed:
					t.Logf("%s:\n%s", name, outputs[name])
				case now != passed && *was == passed && !record:
					t.Logf("%s passed once, and left itself out each time:\n%s", name, outputs[name])
				case now == passed && *was != passed && !record:
					t.Logf("%s passes now: record it", name)
				}
				*was = results[name]
				if r.plain == passed && r.runtime == passed {
					r.why = ""
				}
				rows[name] = r
			}
			var now []row
			for _, r := range rows {
				now = append(now, r)
			}
			t.Logf("%s: %s", s.name, score(now))
			if record {
				s.write(t, now)
			}
		})
	}
}

// sample takes some of the tests that pass, from all over the list.
func sample(rows []row) (names []string) {
	rows = slices.DeleteFunc(rows, func(r row) bool { return r.runtime != passed })
	for i := range sampleOf {
		names = append(names, rows[i*len(rows)/sampleOf].name)
	}
	return names
}

// TestScoresDoNotFall holds the lists themselves to what they have been.
func TestScoresDoNotFall(t *testing.T) {
	for _, s := range suites {
		rows := s.read(t)
		browser, _ := counts(rows)
		require.GreaterOrEqual(t, browser.both, s.least, s.name)
		require.LessOrEqual(t, browser.plain-browser.both, s.short, s.name)
		for _, r := range rows {
			require.Equal(t, r.plain != passed || r.runtime != passed, r.why != "", "%s says why it differs or fails", r.name)
		}
	}
}
