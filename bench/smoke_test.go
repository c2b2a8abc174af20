package main

import (
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestMain lets the tests' program be all that the benchmarks start of themselves.
func TestMain(m *testing.M) {
	for _, name := range []string{serveBare, serveMinimal, serveProfiled, serveBroker, serveProxy, serveNode} {
		if os.Getenv(name) != "" {
			main()
			return
		}
	}
	os.Exit(m.Run())
}

// TestEveryBenchmarkRunsAndPrintsItsRows measures with the smallest sizes, so that
// what measures does not rot. What it finds out of a busy machine is not looked at.
func TestEveryBenchmarkRunsAndPrintsItsRows(t *testing.T) {
	everything, err := beginning("")
	if err != nil {
		t.Fatal(err)
	}
	p := plan{
		each:    5 * time.Millisecond,
		rounds:  1,
		entries: []int{pageSize},
		callers: []int{1, 2},
		only:    everything,
		ready:   1,
		upload:  1 << 20,
		dir:     t.TempDir(),
		away:    time.Millisecond,
		smoke:   true,
	}
	_, noProgram := exec.LookPath(openBaoProgram)
	var out bytes.Buffer
	if err := p.run(t.Context(), &out); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	if leftOut := strings.Contains(out.String(), openBaoLeftOut); leftOut != (noProgram != nil) {
		t.Errorf("OpenBao is left out: %v, looking for its program: %v", leftOut, noProgram)
	}
	for _, table := range []struct {
		title string
		rows  []string
	}{
		{"The SDK, and plain net/http",
			[]string{"vault set", "vault get", "TOTP code", "list 1000 keys", "AI credential get"}},
		{"Decided without a request", []string{"narrow ordinary mounts", "decide on a key among 1000 prefixes"}},
		{"Calls to a provider", []string{"invoke", "passed through", "passed through, 1 MiB back"}},
		{"Servers that share a database, on this machine", nodeRows()},
		{"Servers that share a database which is", nodeRows()},
		{"Start and end of a command",
			[]string{"bctrl --version / a program that does nothing", "bctrl --version / a copy of it",
				"bctrl secrets create / curl"}},
		{"A browser by playwright-core", append(slices.Clone(fourSteps), "together")},
		{"A step of an agent", []string{"chromedp: click, read the accessibility tree", "agent: click, wait, look, record"}},
		{"Tables of more and more rows", []string{"10"}},
		{"Calls a second; times", []string{"vault set", "vault get", "TOTP code", "list 1000 keys", "AI credential get",
			"browse 1000 files", "browse folders"}},
		{"Servers that are asked the same", peerRows(noProgram == nil)},
		{"MiB a second", []string{"upload 1 MiB", "download 1 MiB", "download, both check SHA-256 of 1 MiB"}},
	} {
		_, text, found := strings.Cut(out.String(), "\n"+table.title)
		if !found {
			t.Errorf("there is no table %q", table.title)
			continue
		}
		_, text, _ = strings.Cut(text, "\n\n") // the rest of the title
		text, _, _ = strings.Cut(text, "\n\n")
		for _, row := range table.rows {
			// A name, then numbers. One that cannot be a measurement is one by nothing.
			if !regexp.MustCompile(`(?m)^\s*` + regexp.QuoteMeta(row) + `(\s+[-+]?[\d.]+( %)?)+\s*$`).MatchString(text) {
				t.Errorf("%q has no row %q of numbers:\n%s", table.title, row, text)
			}
		}
	}
}

// peerRows are those of a server and its peers, of which OpenBao may be left out.
func peerRows(openBao bool) (rows []string) {
	servers := []string{"ours", "minimal", "bare"}
	if openBao {
		servers = append(servers, "OpenBao")
	}
	for _, cost := range peerCosts() {
		for _, server := range servers {
			rows = append(rows, peerRow(cost.name, server))
		}
	}
	return rows
}

// nodeRows are those of servers that share a database.
func nodeRows() (rows []string) {
	for _, cost := range nodeCosts() {
		for _, on := range []string{"SQLite", "PostgreSQL", "2 nodes", "3 nodes"} {
			rows = append(rows, cost.name+", "+on)
		}
	}
	return rows
}
