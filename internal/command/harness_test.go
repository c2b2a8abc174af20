package command

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest"
	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
)

// place is where a server under test keeps what it has, and the program that
// it runs.
type place struct {
	data, key, program string
	args               []string
	// database is the URL of its PostgreSQL database; empty is a file of data.
	database string
}

func newPlace(t *testing.T) place {
	t.Helper()
	dir := t.TempDir()
	return place{data: filepath.Join(dir, "data"), key: filepath.Join(dir, "config", "key"), program: os.Args[0]}
}

// built runs the command as users build it, which starts in a fifth of the
// time that one with the race detector takes.
func (p place) built(t *testing.T) place {
	t.Helper()
	builtProgram.once.Do(builtProgram.make)
	require.NoError(t, builtProgram.err)
	p.program = filepath.Join(builtProgram.dir, "bctrl")
	return p
}

// builtProgram is the command, built once for all tests. [tests] removes its directory.
var builtProgram onceBuilt

type onceBuilt struct {
	once sync.Once
	dir  string
	err  error
}

func (b *onceBuilt) make() {
	if b.dir, b.err = os.MkdirTemp("", "bctrl-command-"); b.err != nil {
		return
	}
	out, err := exec.Command("go", "build", "-race=false", "-o", b.dir, "../../cmd/bctrl").CombinedOutput()
	if err != nil {
		b.err = fmt.Errorf("building the command: %w\n%s", err, out)
	}
}

// command is `bctrl serve` over the place, on a free port. Env is added to an
// environment that says nothing about bctrl.
func (p place) command(t *testing.T, env ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(p.program, "serve", "--data-dir", p.data, "--key-file", p.key, "--address", "127.0.0.1:0")
	cmd.Args = append(cmd.Args, p.args...)
	if p.database != "" {
		cmd.Args = append(cmd.Args, "--database", p.database)
	}
	cmd.Env = append(cmd.Environ(), asRealCommand+"=1")
	for _, name := range []string{"BCTRL_DATA_DIR", "BCTRL_KEY_FILE", "BCTRL_KEY", "BCTRL_ADDRESS"} {
		cmd.Env = append(cmd.Env, name+"=")
	}
	cmd.Env = append(cmd.Env, env...)
	return cmd
}

// process is a running server.
type process struct {
	t   *testing.T
	cmd *exec.Cmd
	// url is where it listens, metrics where it shows them, if at all.
	url, metrics string
	// firstKey is the organization key that it printed; empty unless this is
	// its first run.
	firstKey string
	stderr   *bytes.Buffer
}

// start runs the server until it says where it listens. It is killed when the
// test ends, if it still runs.
func (p place) start(t *testing.T, env ...string) *process {
	t.Helper()
	return begin(t, p.command(t, env...))
}

// begin is [place.start] of a command, whose standard error is kept unless it goes elsewhere.
func begin(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	srv := &process{t: t, cmd: cmd, stderr: &bytes.Buffer{}}
	if cmd.Stderr == nil {
		cmd.Stderr = srv.stderr
	}
	out, err := srv.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, srv.cmd.Start())
	t.Cleanup(srv.kill)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		if key, ok := strings.CutPrefix(line, "export BCTRL_API_KEY="); ok {
			srv.firstKey = key
		}
		if url, ok := strings.CutPrefix(line, "Metrics on "); ok {
			srv.metrics = url
		}
		if url, ok := strings.CutPrefix(line, "Listening on "); ok {
			srv.url = url
			return srv
		}
	}
	_ = srv.cmd.Wait()
	require.FailNow(t, "the server did not start", srv.stderr.String())
	return nil
}

// kill ends the process as a crash does, at once and without a word.
func (s *process) kill() {
	if s.cmd.ProcessState == nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
	}
}

// terminate asks the process to stop, and requires that it ends well.
func (s *process) terminate() {
	s.t.Helper()
	require.NoError(s.t, s.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(s.t, s.cmd.Wait(), s.stderr.String())
}

// client is an SDK client of the process, which sends each call once.
func (s *process) client(key string) *bctrl.Client {
	s.t.Helper()
	c, err := bctrl.New(bctrl.WithBaseURL(s.url), bctrl.WithAPIKey(bctrl.NewSecret(key)), bctrl.WithMaxRetries(0))
	require.NoError(s.t, err)
	s.t.Cleanup(c.CloseIdleConnections)
	return c
}

// refused runs a server that must not start, and returns what it says.
func (p place) refused(t *testing.T, args []string, env ...string) string {
	t.Helper()
	cmd := p.command(t, env...)
	cmd.Args = append(cmd.Args, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit, "the server ran")
	require.Equal(t, 1, exit.ExitCode(), stderr.String())
	return stderr.String()
}

// desk is where somebody sits: a server that has something on it, and a
// directory with files.
type desk struct {
	t      *testing.T
	srv    *bctrltest.Server
	client *bctrl.Client
}

// at sets the environment to a server without anything on it, and the working
// directory to an empty one.
func at(t *testing.T) *desk {
	t.Helper()
	return atWith(t, func(turn modeltest.Turn) modeltest.Call {
		switch {
		case slices.Contains(turn.Tools, "candidates"):
			return modeltest.Candidates()
		case slices.Contains(turn.Tools, "extracted"):
			if strings.Contains(turn.Task, "extraction") {
				return modeltest.Extracted(map[string]any{"extraction": "A page."})
			}
			return modeltest.Extracted(map[string]any{"total": json.Number("120.50")})
		case strings.Contains(turn.Task, "List the open deals"):
			return modeltest.DoneWith(true, "There is one.", map[string]any{"total": json.Number("120.50")})
		case strings.Contains(turn.Task, "Open the site") && len(turn.Calls) == 0:
			return modeltest.Navigate("https://www.example.com/")
		}
		return modeltest.Done(!strings.Contains(turn.Task, "impossible"), "As you said.")
	})
}

// atWith is at a server with a model of the test's own.
func atWith(t *testing.T, model func(modeltest.Turn) modeltest.Call, more ...bctrltest.Option) *desk {
	t.Helper()
	srv := bctrltest.New(t, append(more, bctrltest.WithModel(model),
		bctrltest.WithProvider("api.github.com", http.HandlerFunc(github)), bctrltest.WithProvider("api.openai.com",
			http.HandlerFunc(openai)))...)
	t.Chdir(t.TempDir())
	t.Setenv("BCTRL_API_KEY", srv.APIKey().Expose())
	t.Setenv("BCTRL_BASE_URL", srv.URL)
	t.Setenv("BCTRL_DATA_DIR", "no-data-here") // `keys` must ask the server
	return &desk{t, srv, srv.Client()}
}

// github and openai stand in for those providers.
func github(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if r.URL.Path != "/repos/acme/site" || r.Header.Get("Authorization") != "Bearer ghp_hunter" {
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"message":"Not Found"}`)
		return
	}
	_, _ = io.WriteString(w, `{"full_name":"acme/site","private":false,"owner":{"login":"acme","id":7},`+
		`"topics":["go","web"],"description":"The site.\nIn two lines."}`)
}

func openai(w http.ResponseWriter, r *http.Request) {
	kind, size := r.Header.Get("Content-Type"), 0
	if body, err := io.ReadAll(r.Body); err == nil {
		size = len(body)
	}
	switch {
	case strings.HasSuffix(r.URL.Path, "/transcriptions") && strings.HasPrefix(kind, "multipart/form-data"):
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"text":"Hello."}`)
	case kind != "application/json" || size == 0:
		w.WriteHeader(http.StatusBadRequest)
	default:
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"choices":[{"message":{"role":"assistant","content":"# Hello\n\nHow are `+
			`you?"}}],"usage":{"total_tokens":9}}`)
	}
}

const seed = "JBSWY3DPEHPK3PXP"

// furnished puts on the server and into the directory what the examples in
// the manual speak of.
func furnished(t *testing.T) *desk {
	t.Helper()
	d := at(t)
	d.furnish()
	return d
}

func (d *desk) furnish() {
	t := d.t
	t.Helper()
	ctx := t.Context()
	for _, id := range []string{"openai-prod", "openai-old"} {
		_, err := d.client.AICredentials.Create(ctx, d.srv.ModelCredential(id))
		require.NoError(t, err)
	}
	login := bctrl.VaultCredential{
		Username: "bot@example.com",
		Password: bctrl.NewSecret("hunter2"),
		TOTP:     bctrl.NewSecret(seed),
		Origins:  []string{"https://login.salesforce.com"},
	}
	_, err := d.client.Vault.Set(ctx, "prod/crm/salesforce", login)
	require.NoError(t, err)
	_, err = d.client.Vault.Set(ctx, "prod/crm/admin/root", bctrl.VaultCredential{Password: bctrl.NewSecret("hunter3")})
	require.NoError(t, err)
	for path, content := range map[string]string{"exports/q1.csv": "month,sum\n1,100\n", "old/a.txt": "a",
		"old/b.txt": "b"} {
		_, err := d.client.Storage("sales").Upload(ctx, path, strings.NewReader(content))
		require.NoError(t, err)
	}
	ws, err := d.client.Workspaces.Create(ctx, bctrl.WorkspaceCreate{Name: "sales", Mounts: bctrl.Mounts{
		AI:      &bctrl.AIMount{Allow: []string{"openai-prod"}},
		Vault:   &bctrl.VaultMount{Allow: []string{"prod/crm/"}, Deny: []string{"prod/crm/admin/"}},
		Storage: &bctrl.StorageMount{Workspace: "sales"},
	}})
	require.NoError(t, err)
	_, err = d.client.Workspaces.Create(ctx, bctrl.WorkspaceCreate{Name: "old"})
	require.NoError(t, err)
	_, err = ws.Runtimes.Browser("crm").Stagehand(ctx, bctrl.Launch{Record: true})
	require.NoError(t, err)
	_, err = d.client.Secrets.Create(ctx, bctrl.SecretCreate{
		Name:    "GITHUB_TOKEN",
		Value:   bctrl.NewSecret("ghp_hunter"),
		Scope:   bctrl.InWorkspace("sales"),
		Aliases: []string{"gh"},
	})
	require.NoError(t, err)
	key, err := d.client.Secrets.Create(ctx, bctrl.SecretCreate{Name: "ACME_KEY",
		Value: d.srv.ModelCredential("any").APIKey, Scope: bctrl.Global()})
	require.NoError(t, err)
	ref := "vault:secret:" + key.ID
	_, err = d.client.Credentials.Create(ctx, bctrl.CredentialCreate{
		ID:        "acme-key",
		Provider:  "acme",
		SecretRef: ref,
		Scope:     bctrl.Global(),
		Hosts:     []string{"api.acme.example"},
		Auth:      &bctrl.CredentialAuth{Type: bctrl.AuthHeader, Headers: map[string]string{"X-Api-Key": "{secret}"}},
	})
	require.NoError(t, err)
	_, err = d.client.Capabilities.Create(ctx, bctrl.CapabilityCreate{ID: "acme/orders", Methods: []string{"GET", "POST"},
		Paths: []string{"/v1/orders"}})
	require.NoError(t, err)
	for _, b := range []bctrl.Binding{
		{Capability: "openai/chat-completions", SecretRef: ref, Scope: bctrl.Global()},
		{Credential: "openai-prod", SecretRef: ref, Scope: bctrl.InWorkspace("sales")},
	} {
		_, err = d.client.Capabilities.Bind(ctx, b)
		require.NoError(t, err)
	}
	for name, content := range map[string]string{
		".env":       "# for tests\nexport OPENAI_API_KEY='sk-env'\nGITHUB_TOKEN=ghp_env\nSLACK_BOT_TOKEN=\n",
		"report.csv": "a,b\n", "key.txt": "sk-from-a-file\n", "id_ed25519": "-----BEGIN\nlines\n-----END\n",
		"deals.json":  `{"type": "object", "properties": {"total": {"type": "number"}}, "required": ["total"]}`,
		"mounts.json": `{"vault": {"allow": ["prod/crm/"], "deny": ["prod/crm/admin/"]}, "storage": {"workspace": "sales"}}`,
	} {
		require.NoError(t, os.WriteFile(name, []byte(content), 0o600))
	}
}

// runIn runs a command line in this process.
func runIn(ctx context.Context, in io.Reader, args ...string) ran {
	var stdout, stderr bytes.Buffer
	code := Program{}.execute(ctx, args, in, &stdout, &stderr)
	return ran{stdout.String(), stderr.String(), code}
}

// run runs a command line with a standard input.
func (d *desk) run(in string, args ...string) ran {
	d.t.Helper()
	return runIn(d.t.Context(), strings.NewReader(in), args...)
}

// do runs a command line, which must end well, and returns what it printed.
func (d *desk) do(args ...string) string {
	d.t.Helper()
	return d.run("", args...).good(d.t)
}

// ran is how a command ended.
type ran struct {
	stdout, stderr string
	code           int
}

// good requires that a command went well and returns what it printed.
func (r ran) good(t *testing.T) string {
	t.Helper()
	require.Zero(t, r.code, r.stderr)
	return r.stdout
}

// ids are the first column of a list.
func ids(list string) (out []string) {
	for _, line := range strings.Split(strings.TrimSpace(list), "\n")[1:] {
		out = append(out, strings.Fields(line)[0])
	}
	return out
}
