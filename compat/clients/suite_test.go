package clients

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// suite is the test suite of a client.
type suite struct {
	// name is that of its list in testdata.
	name string
	// module is its import path, setup the file of it that says where its pages are.
	module, setup string
	// least is the score that was reached: it only rises. short is how many that pass in a
	// plain Chromium fail in a runtime: it only falls.
	least, short int
	// environment is what tells the suite where its browser is: it gets the path of
	// the executable and a folder of its own.
	environment func(t *testing.T, executable, home string) []string
}

// suites are the clients that are measured.
var suites = []suite{{
	name:   "rod",
	module: "github.com/go-rod/rod",
	setup:  "setup_test.go",
	least:  207,
	short:  1,
	environment: func(t *testing.T, executable, home string) []string {
		t.Helper()
		// Where go-rod keeps the browser that it has loaded: it takes none that is elsewhere.
		text, err := exec.CommandContext(t.Context(), "go", "list", "-f", "{{.Dir}}",
			"github.com/go-rod/rod/lib/launcher").Output()
		require.NoError(t, err)
		source, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(text)), "revision.go"))
		require.NoError(t, err)
		revision := regexp.MustCompile(`RevisionDefault = (\d+)`).FindSubmatch(source)
		require.NotNil(t, revision)
		folder := filepath.Join(home, ".cache", "rod", "browser", "chromium-"+string(revision[1]))
		require.NoError(t, os.MkdirAll(folder, 0o755))
		require.NoError(t, os.Symlink(executable, filepath.Join(folder, "chrome")))
		return []string{"GODEBUG=tracebackancestors=1000"} // with which it looks for goroutines that it left
	},
}, {
	name:   "chromedp",
	module: "github.com/chromedp/chromedp",
	setup:  "chromedp_test.go",
	least:  204,
	environment: func(_ *testing.T, executable, _ string) []string {
		return []string{"CHROMEDP_TEST_RUNNER=" + executable}
	},
}}

// pagesAt is the variable of the environment with the address of a suite's pages.
const pagesAt = "BCTRL_CLIENTS_PAGES"

// program is a suite that is built and ready to run.
type program struct {
	suite
	path, folder string
	environment  []string
}

// build builds a suite in a folder of its own. It starts an executable as its browser.
func (s suite) build(t *testing.T, browser string, environment []string) *program {
	t.Helper()
	dir := t.TempDir()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", s.module).Output()
	require.NoError(t, err)
	source := strings.TrimSpace(string(out))

	p := &program{suite: s, path: filepath.Join(dir, "suite.test"), folder: filepath.Join(dir, "suite")}
	copyModule(t, source, p.folder)
	setup := filepath.Join(p.folder, s.setup)
	text, err := os.ReadFile(setup)
	require.NoError(t, err)
	const file, served = `"file://" + `, `os.Getenv("` + pagesAt + `") + `
	require.Equal(t, 1, bytes.Count(text, []byte(file)), "the suite says once where its pages are")
	require.NoError(t, os.WriteFile(setup, bytes.Replace(text, []byte(file), []byte(served), 1), 0o600))
	cmd := exec.CommandContext(t.Context(), "go", "test", "-c", "-vet=off", "-o", p.path, ".")
	cmd.Dir, cmd.Env = kept(t, p.folder, s.name, source), append(os.Environ(), "GOWORK=off")
	built, err := cmd.CombinedOutput()
	require.NoError(t, err, string(built))

	pages := httptest.NewServer(http.StripPrefix(p.folder, http.FileServer(http.Dir(p.folder))))
	t.Cleanup(pages.Close)
	bin := filepath.Join(dir, "bin") // for tests that look for a browser themselves
	require.NoError(t, os.Mkdir(bin, 0o700))
	for _, name := range []string{"headless_shell", "headless-shell", "chromium", "google-chrome"} {
		require.NoError(t, os.Symlink(browser, filepath.Join(bin, name)))
	}
	p.environment = append([]string{
		"PATH=" + bin + string(os.PathListSeparator) + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + dir,
		"LANG=C.UTF-8", pagesAt + "=" + pages.URL,
		// What goes elsewhere than to this machine does not get there.
		"HTTPS_PROXY=http://127.0.0.1:9", "NO_PROXY=127.0.0.1,localhost",
	}, environment...)
	p.environment = append(p.environment, s.environment(t, browser, dir)...)
	return p
}

// kept copies a suite to where it stays: go builds again what it finds in another folder.
func kept(t *testing.T, folder, name, source string) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	require.NoError(t, err)
	all := filepath.Join(cache, "bctrl-compat", "suites")
	require.NoError(t, os.MkdirAll(all, 0o700))
	fixed := filepath.Join(all, name+"-"+filepath.Base(source))
	if _, err := os.Stat(fixed); err == nil {
		return fixed
	}
	made, err := os.MkdirTemp(all, "new-")
	require.NoError(t, err)
	require.NoError(t, os.CopyFS(made, os.DirFS(folder)))
	if err := os.Rename(made, fixed); err != nil { // another has come first
		require.NoError(t, os.RemoveAll(made))
		require.DirExists(t, fixed)
	}
	return fixed
}

// copyModule copies a module out of the module cache, where go test changes no file.
func copyModule(t *testing.T, from, to string) {
	t.Helper()
	require.NoError(t, os.CopyFS(to, os.DirFS(from)))
	require.NoError(t, filepath.WalkDir(to, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		mode := os.FileMode(0o600)
		if d.IsDir() {
			mode = 0o700
		}
		return os.Chmod(path, mode)
	}))
}

// tests lists the tests of the suite.
func (p *program) tests(t *testing.T) []string {
	t.Helper()
	out, _ := p.start(t.Context(), "-test.list=^Test")
	names := regexp.MustCompile(`(?m)^Test\S+$`).FindAllString(out, -1)
	require.NotEmpty(t, names, out)
	return names
}

// hangsAfter is how long a suite may say nothing: a test of it waits for what does not come.
const hangsAfter = time.Minute

// start runs the suite's program once and returns what it prints. Where it hangs, that
// ends with where it does.
func (p *program) start(ctx context.Context, flags ...string) (string, error) {
	ctx, hangs := context.WithCancel(ctx)
	defer hangs()
	cmd := exec.CommandContext(ctx, p.path, flags...)
	cmd.Dir, cmd.Env = p.folder, p.environment
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGQUIT) } // which says where it is
	cmd.WaitDelay = 5 * time.Second
	out := &said{hangs: time.AfterFunc(hangsAfter, hangs)}
	defer out.hangs.Stop()
	cmd.Stdout, cmd.Stderr = out, out
	err := cmd.Run()
	return out.text.String(), err
}

// said is what a program prints.
type said struct {
	text  bytes.Buffer
	hangs *time.Timer
}

func (s *said) Write(b []byte) (int, error) {
	s.hangs.Reset(hangsAfter)
	return s.text.Write(b)
}

// What can become of a test.
const (
	passed  = "pass"
	failed  = "fail"
	unknown = "-" // it was not run
)

var (
	result  = regexp.MustCompile(`^--- (PASS|FAIL|SKIP): (\S+)`)
	running = regexp.MustCompile(`^=== RUN +(\S+)$`)
)

// run runs tests one after the other and says what became of each. A test that
// ends the program fails, and the others go on in another.
func (p *program) run(t *testing.T, tests []string) (results map[string]string, outputs map[string]string) {
	t.Helper()
	results, outputs = map[string]string{}, map[string]string{}
	for tests = slices.Clone(tests); len(tests) > 0; {
		out, err := p.start(t.Context(), "-test.v", "-test.parallel=1", "-test.timeout=20m",
			"-test.run=^("+strings.Join(tests, "|")+")$")
		last := ""
		var said strings.Builder
		for lines := bufio.NewScanner(strings.NewReader(out)); lines.Scan(); {
			line := lines.Text()
			if m := running.FindStringSubmatch(line); m != nil && !strings.Contains(m[1], "/") {
				last = m[1]
				said.Reset()
			}
			said.WriteString(line + "\n")
			if m := result.FindStringSubmatch(line); m != nil {
				results[m[2]] = strings.ToLower(m[1])
				outputs[m[2]] = said.String()
				if last == m[2] {
					last = ""
				}
			}
		}
		if exit, is := errors.AsType[*exec.ExitError](err); err != nil && !is {
			t.Fatalf("%s: %v %v", p.name, err, exit)
		}
		if last != "" {
			results[last], outputs[last] = failed, said.String()
		}
		before := len(tests)
		tests = slices.DeleteFunc(tests, func(name string) bool { return results[name] != "" })
		if len(tests) == before {
			t.Fatalf("%s runs none of %d tests: %s", p.name, before, out)
		}
	}
	return results, outputs
}
