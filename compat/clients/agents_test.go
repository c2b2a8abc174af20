package clients

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest"
)

// counter is a site where a name is greeted by what the page asks the server.
func counter(t *testing.T) string {
	t.Helper()
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/greeting" {
			_, _ = io.WriteString(w, "hello "+r.URL.Query().Get("name"))
			return
		}
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, `<title>counter</title><label>Name <input id=name></label>
			<button onclick="fetch('/greeting?name=' + document.querySelector('#name').value).then(r => r.text())
				.then(t => out.textContent = t)">Greet</button><p id=out></p>`)
	}))
	t.Cleanup(site.Close)
	return site.URL
}

// launched is the address of a runtime with a real browser. When the test ends it has to be
// none the worse.
func launched(t *testing.T, ws *bctrl.Workspace, alias, site string) (address string) {
	t.Helper()
	rt, err := ws.Runtimes.Browser(alias).Playwright(t.Context(), bctrl.Launch{})
	require.NoError(t, err)
	address, err = rt.ConnectURL(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := rt.Page.Goto(context.WithoutCancel(t.Context()), site)
		require.NoError(t, err)
	})
	return address
}

// installed is the path of a file below node_modules.
func installed(t *testing.T, path ...string) string {
	t.Helper()
	file, err := filepath.Abs(filepath.Join(append([]string{"js", "node_modules"}, path...)...))
	require.NoError(t, err)
	require.FileExists(t, file, "run scripts/install-sdks, as make compat does")
	return file
}

// node is the Node.js that compat/js has for what does not run on older ones.
func node(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "js", "node_modules", ".bin", "node"))
	require.NoError(t, err)
	require.FileExists(t, path, "run scripts/install-sdks, as make compat does")
	return path
}

// ref finds the name that a client gave an element in its outline of a page.
func ref(t *testing.T, outline, of string) string {
	t.Helper()
	found := regexp.MustCompile(of).FindStringSubmatch(outline)
	require.NotNil(t, found, "%s is not in %s", of, outline)
	return found[1]
}

// TestClientsOfAgentsDriveARuntimeUnchanged has each do the same: open a page, fill and
// press, read what came of it, look at requests and tabs, and take a picture. Each has a
// runtime of its own: @playwright/mcp and agent-browser both take the tab that is there,
// and in one browser would open pages and press buttons in it for each other.
func TestClientsOfAgentsDriveARuntimeUnchanged(t *testing.T) {
	site := counter(t)
	ws, err := bctrltest.New(t, bctrltest.WithBrowser()).Client().Workspaces.Create(t.Context(),
		bctrl.WorkspaceCreate{Name: "clients"})
	require.NoError(t, err)
	t.Run("@playwright/mcp", func(t *testing.T) {
		t.Parallel()
		address := launched(t, ws, "playwright", site)
		s := startTools(t, node(t), installed(t, "@playwright", "mcp", "cli.js"), "--cdp-endpoint", address,
			"--output-dir", t.TempDir())
		s.tool("browser_navigate", map[string]any{"url": site})
		page := s.tool("browser_snapshot", map[string]any{})
		s.tool("browser_type", map[string]any{"element": "Name", "target": ref(t, page, `textbox "Name" \[ref=(\w+)\]`),
			"ref": ref(t, page, `textbox "Name" \[ref=(\w+)\]`), "text": "Ada"})
		s.tool("browser_click", map[string]any{"element": "Greet", "target": ref(t, page, `button "Greet" \[ref=(\w+)\]`),
			"ref": ref(t, page, `button "Greet" \[ref=(\w+)\]`)})
		s.tool("browser_wait_for", map[string]any{"text": "hello Ada"})
		require.Contains(t, s.tool("browser_evaluate", map[string]any{"function": "() => document.title"}), "counter")
		all := map[string]any{"includeStatic": true, "static": true}
		require.Contains(t, s.tool("browser_network_requests", all), "/greeting?name=Ada")
		s.tool("browser_tabs", map[string]any{"action": "new", "url": site + "/second"})
		require.Contains(t, s.tool("browser_tabs", map[string]any{"action": "list"}), "/second")
		s.tool("browser_tabs", map[string]any{"action": "close"})
		require.Contains(t, s.tool("browser_take_screenshot", map[string]any{}), "[image]")
	})

	t.Run("chrome-devtools-mcp", func(t *testing.T) {
		t.Parallel()
		address := launched(t, ws, "devtools", site)
		s := startTools(t, node(t), installed(t, "chrome-devtools-mcp", "build", "src", "bin", "chrome-devtools-mcp.js"),
			"--wsEndpoint", address, "--usageStatistics=false")
		id, err := strconv.Atoi(ref(t, s.tool("new_page", map[string]any{"url": site}), `(?m)^(\d+): .*\[selected\]`))
		require.NoError(t, err)
		onPage := func(tool string, arguments map[string]any) string {
			t.Helper()
			arguments["pageId"] = id
			return s.tool(tool, arguments)
		}
		page := onPage("take_snapshot", map[string]any{})
		onPage("fill", map[string]any{"uid": ref(t, page, `uid=(\w+) textbox "Name"`), "value": "Ada"})
		onPage("click", map[string]any{"uid": ref(t, page, `uid=(\w+) button "Greet"`)})
		onPage("wait_for", map[string]any{"text": []string{"hello Ada"}})
		require.Contains(t, onPage("evaluate_script", map[string]any{"function": "() => document.title"}), "counter")
		require.Contains(t, onPage("list_network_requests", map[string]any{}), "/greeting?name=Ada")
		require.Contains(t, onPage("take_screenshot", map[string]any{}), "[image]")
		s.tool("new_page", map[string]any{"url": site + "/second"})
		require.Contains(t, s.tool("list_pages", map[string]any{}), "/second")
	})

	t.Run("agent-browser", func(t *testing.T) {
		t.Parallel()
		address := launched(t, ws, "agent-browser", site)
		env := environment(t)
		folder := t.TempDir()
		do := func(arguments ...string) string {
			t.Helper()
			ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, node(t), append([]string{installed(t, "agent-browser", "bin", "agent-browser.js")},
				arguments...)...)
			cmd.Env, cmd.Dir, cmd.WaitDelay = env, folder, 5*time.Second
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s: %s", arguments[0], strings.ReplaceAll(string(out), address, "[address]"))
			return string(out)
		}
		do("connect", address)
		defer do("close", "--all") // it has a process that goes on by itself
		do("open", site)
		page := do("snapshot", "-i")
		do("fill", "@"+ref(t, page, `textbox "Name" \[ref=(\w+)\]`), "Ada")
		do("click", "@"+ref(t, page, `button "Greet" \[ref=(\w+)\]`))
		do("wait", "--text", "hello Ada")
		require.Contains(t, do("eval", "document.title"), "counter")
		require.Contains(t, do("network", "requests"), "/greeting?name=Ada")
		do("tab", "new", site+"/second")
		require.Contains(t, do("tab"), "/second")
		do("screenshot", filepath.Join(folder, "page.png"))
		require.FileExists(t, filepath.Join(folder, "page.png"))
	})
}
