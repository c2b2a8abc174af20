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

	"github.com/bctrl-go/bctrl"
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

// score counts the tests that pass in a plain Chromium, and of those in a runtime.
func score(rows []row) string {
	plain, both := 0, 0
	for _, r := range rows {
		if r.plain == passed {
			plain++
			if r.runtime == passed {
				both++
			}
		}
	}
	return fmt.Sprintf("%d of the %d that pass in a plain Chromium", both, plain)
}

// sampleOf is how many tests of each suite run where nobody asked for all.
const sampleOf = 12

// TestSuitesOfBrowserClientsPassInARuntime holds each suite to its list. A test that
// fails is tried again, alone, since the suites' own deadlines are those of a machine
// with nothing else to do.
func TestSuitesOfBrowserClientsPassInARuntime(t *testing.T) {
	all, plain, record := os.Getenv("BCTRL_CLIENTS") != "", os.Getenv("BCTRL_CLIENTS_PLAIN") != "",
		os.Getenv("BCTRL_CLIENTS_RECORD") != ""
	for _, s := range suites {
		t.Run(s.name, func(t *testing.T) {
			browser := plainBrowser + "=" + chromium(t)
			if !plain {
				client := bctrltest.New(t, bctrltest.WithBrowser()).Client()
				ws, err := client.Workspaces.Create(t.Context(), bctrl.WorkspaceCreate{Name: "suite"})
				require.NoError(t, err)
				browser = browsersAt + "=" + serveBrowsers(t, ws)
			}
			p := s.build(t, browser)
			rows := map[string]row{}
			for _, r := range s.read(t) {
				rows[r.name] = r
			}
			tests := p.tests(t)
			if only := os.Getenv("BCTRL_CLIENTS_ONLY"); only != "" {
				tests = strings.Fields(only)
			} else if !all {
				tests = slices.DeleteFunc(tests, func(name string) bool { return rows[name].runtime != passed })
				tests = spread(tests, sampleOf)
			}
			results, outputs := p.run(t, tests)
			for range 2 {
				for _, name := range tests {
					if results[name] == failed {
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
				case now == passed && *was != passed && !record:
					t.Logf("%s passes now: record it", name)
				}
				*was = results[name]
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

// spread takes n of the names, from all over the list.
func spread(names []string, n int) []string {
	if len(names) <= n {
		return names
	}
	var some []string
	for i := range n {
		some = append(some, names[i*len(names)/n])
	}
	return some
}
