package command

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/blob/s3test"
	"github.com/bctrl-go/bctrl/internal/store/pgtest"
)

var update = flag.Bool("update", false, "write what the examples print into testdata/examples")

// leaves are the commands that do something, and not only hold others.
func leaves(cmd *cobra.Command) (all []*cobra.Command) {
	if cmd.Name() == "completion" || cmd.Name() == "help" {
		return nil // cobra's own
	}
	if !cmd.HasSubCommands() || cmd.HasExample() { // some of those that hold others do something, too
		all = append(all, cmd)
	}
	for _, sub := range cmd.Commands() {
		all = append(all, leaves(sub)...)
	}
	return all
}

// denials are examples that ask about what is denied: the answer is in the
// exit code, too.
var denials = map[string]bool{"bctrl access explain vault.readRaw prod/crm/salesforce --workspace sales": true}

// reading are the names of commands that change nothing, whose examples are
// run on one server.
var reading = []string{"list", "get", "describe", "bindings", "state", "ls", "cat", "url", "totp", "test", "connect",
	"explain", "mint", "inspect", "attenuate"}

// TestEveryExampleOfTheManualWorks runs each line of each command's examples
// on a furnished server, and compares what is printed with what is kept in
// testdata/examples (written anew with -update).
func TestEveryExampleOfTheManualWorks(t *testing.T) {
	kept, err := filepath.Abs(filepath.Join("testdata", "examples"))
	require.NoError(t, err)
	shared := furnished(t)
	printed := map[string]*strings.Builder{}
	for _, cmd := range leaves(Program{}.root()) {
		noun := strings.Fields(cmd.CommandPath())[1]
		if printed[noun] == nil {
			printed[noun] = &strings.Builder{}
		}
		t.Run(cmd.CommandPath(), func(t *testing.T) {
			require.NotEmpty(t, cmd.Example, "a command of the manual has an example")
			d := shared
			if !slices.Contains(reading, cmd.Name()) || noun == "operation" { // which leaves files
				d = furnished(t)
			}
			for line := range strings.Lines(cmd.Example) {
				line = strings.TrimSpace(line)
				t.Run(line, func(t *testing.T) {
					require.Contains(t, line, cmd.CommandPath(), "an example is of its own command")
					got := (&desk{t, d.srv, d.client}).example(line)
					want := 0
					if denials[line] {
						want = exitDenied
					}
					if line == "bctrl node drain" { // the server of the examples is alone
						want = 1
					}
					require.Equal(t, want, got.code, got.stderr)
					require.NotEmpty(t, got.stdout+got.stderr, "it says what it did")
					printed[noun].WriteString("$ " + line + "\n" + steady(got.stdout) + steady(got.stderr) + "\n")
				})
			}
		})
	}
	for noun, text := range printed {
		file := filepath.Join(kept, noun+".txt")
		if *update {
			require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
			require.NoError(t, os.WriteFile(file, []byte(text.String()), 0o644))
		}
		want, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, string(want), text.String(), "%s: where it should, run the test with -update", noun)
	}
}

// someKey stands in the manual for the id of a key.
const someKey = "01980a4e-6a3c-7f1e-8c1d-3b2a5d9e4f60"

// example runs a line of a manual as a shell would: the last command of a
// pipe, what stands in $(…), a file as standard input, quotes and variables.
func (d *desk) example(line string) ran {
	d.t.Helper()
	d.t.Setenv("SF_PASSWORD", "hunter2")
	d.t.Setenv("ANTHROPIC_API_KEY", "sk-ant")
	d.t.Setenv("GITHUB_TOKEN", "ghp_env")
	switch {
	case strings.HasPrefix(line, "bctrl keys revoke"):
		d.do("keys", "create", "--label", "other")
		line = strings.ReplaceAll(line, someKey, ids(d.do("keys", "list"))[0])
	case strings.Contains(line, "bctrl webhook "):
		d.do("webhook", "add", "http://localhost:9/in", "--type", "webhook.disabled")
		id := strings.Fields(d.do("webhook", "list", "--output", "id"))[0]
		if strings.Contains(line, "$DELIVERY") {
			d.t.Setenv("DELIVERY", strings.TrimSpace(d.do("webhook", "test", id, "--output", "id")))
		}
		line = strings.ReplaceAll(line, someKey, id)
	case strings.HasPrefix(line, "bctrl runtime connections"), strings.HasPrefix(line, "bctrl runtime disconnect"):
		d.do("runtime", "connect", "sales/crm")
		line = strings.ReplaceAll(line, someKey, ids(d.do("runtime", "connections", "sales/crm"))[0])
	case strings.Contains(line, "bctrl operation "):
		line = strings.ReplaceAll(line, someKey, operationOf(d.t, d.do("runtime", "agent", "sales/crm", "Open the site")))
	case strings.HasPrefix(line, "bctrl token revoke"):
		token := d.do("token", "mint", "sales/crm")
		line = strings.ReplaceAll(line, someKey,
			strings.TrimSpace(d.run(token, "token", "inspect", "--output", "id").good(d.t)))
	case strings.Contains(line, "bctrl secrets ") && strings.Contains(line, someKey):
		line = strings.ReplaceAll(line, someKey, strings.Fields(d.do("secrets", "list", "--workspace-id", "sales", "--output",
			"id"))[0])
	case strings.Contains(line, "vault:secret:$ID"):
		d.t.Setenv("ID", strings.TrimSpace(d.do("secrets", "list", "--name", "ACME_KEY", "--output", "id")))
	case strings.Contains(line, " openai/") && !strings.Contains(line, "capability"):
		_, err := d.client.Secrets.Create(d.t.Context(), bctrl.SecretCreate{Name: "OPENAI_API_KEY",
			Value: bctrl.NewSecret("sk-hunter"), Scope: bctrl.InWorkspace("sales")})
		require.True(d.t, err == nil || errors.Is(err, bctrl.ErrConflict), "%v", err)
		require.NoError(d.t, os.WriteFile("question.json", []byte(`{"messages": []}`), 0o600))
		require.NoError(d.t, os.WriteFile("call.wav", []byte("RIFF"), 0o600))
	case strings.Contains(line, "/etc/bctrl/providers"):
		line = strings.ReplaceAll(line, "/etc/bctrl/providers", d.t.TempDir())
		prices := filepath.Join(d.t.TempDir(), "prices.json")
		require.NoError(d.t, os.WriteFile(prices, []byte(
			`{"prices": [{"provider": "openai", "model": "*", "input": 1, "output": 1}]}`), 0o600))
		line = strings.ReplaceAll(line, "/etc/bctrl/prices.json", prices)
	case strings.Contains(line, "--node-address"):
		server := s3test.Start(d.t)
		server.Setenv(d.t)
		server.Bucket(d.t, "bctrl-files")
		file := filepath.Join(d.t.TempDir(), "database")
		require.NoError(d.t, os.WriteFile(file, []byte(pgtest.Fresh(d.t, "")+"\n"), 0o600))
		d.t.Setenv("AWS_ENDPOINT_URL", server.Endpoint)
		d.t.Setenv("AWS_REGION", s3test.Region)
		line = strings.NewReplacer("/etc/bctrl/database", file, "10.1.2.3:7443", "127.0.0.1:0").Replace(line)
	case strings.Contains(line, "--files"), strings.Contains(line, "--to-files"):
		server := s3test.Start(d.t)
		server.Setenv(d.t)
		server.Bucket(d.t, "bctrl-files")
		line = strings.NewReplacer("https://s3.example.com", server.Endpoint, "eu-1", s3test.Region).Replace(line)
		if strings.HasPrefix(line, "bctrl move") {
			d.leftData()
		}
	case strings.Contains(line, "/etc/bctrl/database"):
		if strings.HasPrefix(line, "bctrl move") {
			d.leftData()
		}
		file := filepath.Join(d.t.TempDir(), "database")
		require.NoError(d.t, os.WriteFile(file, []byte(pgtest.Fresh(d.t, "")+"\n"), 0o600))
		line = strings.ReplaceAll(line, "/etc/bctrl/database", file)
	case strings.HasPrefix(line, "bctrl audit accept"), strings.HasPrefix(line, "bctrl migrate --check"):
		d.leftData()
	case strings.HasPrefix(line, "bctrl unlock"):
		d.do("lock")
	case strings.HasPrefix(line, "bctrl profile "):
		d.profiles(line)
	case strings.HasSuffix(line, "< passphrase.txt"):
		require.NoError(d.t, os.WriteFile("passphrase.txt", []byte("correct horse battery staple\n"), 0o600))
	case strings.HasSuffix(line, "< token.txt"):
		require.NoError(d.t, os.WriteFile("token.txt",
			[]byte(d.do("token", "mint", "sales/crm", "--allow-vault", "prod/crm/")), 0o600))
	}
	if _, inner, ok := strings.Cut(line, "$("); ok {
		line = strings.TrimSuffix(inner, ")")
	}
	var in string
	before, command, piped := strings.Cut(line, " | ")
	if !piped {
		before, command = "", line
	}
	command, file, reads := strings.Cut(command, " < ")
	args := shellWords(d.t, command)
	switch {
	case piped:
		in = printf(shellWords(d.t, before))
	case reads:
		content, err := os.ReadFile(file)
		require.NoError(d.t, err)
		in = string(content)
	default:
		in = typed(command)
	}
	require.Equal(d.t, "bctrl", args[0])
	switch {
	case args[1] == "serve":
		return d.serves(in, args[1:])
	case strings.HasPrefix(command, "bctrl runtime bridge "):
		return d.bridges(args[1:])
	}
	return d.run(in, args[1:]...)
}

// profiles makes what the examples of profiles work with.
func (d *desk) profiles(line string) {
	d.t.Helper()
	ctx := d.t.Context()
	for _, id := range []string{"sf-bot", "old-bot"} {
		_, err := d.client.Profiles.Create(ctx, bctrl.BrowserProfileCreate{ID: id, Label: "a bot"})
		require.True(d.t, err == nil || errors.Is(err, bctrl.ErrConflict), "%v", err)
	}
	if strings.HasPrefix(line, "bctrl profile save") {
		ws, err := d.client.Workspaces.GetByName(ctx, "sales")
		require.NoError(d.t, err)
		_, err = ws.Runtimes.Browser("kept").Stagehand(ctx, bctrl.Launch{Mode: bctrl.ModeProfile, ProfileID: "sf-bot"})
		require.NoError(d.t, err)
	}
	require.NoError(d.t, os.WriteFile("passphrase.txt", []byte("correct horse battery staple\n"), 0o600))
	require.NoError(d.t, os.WriteFile("cookies.json",
		[]byte(`[{"name": "sid", "value": "v", "domain": "app.example.com", "path": "/"}]`), 0o600))
	if strings.HasPrefix(line, "bctrl profile import sf-bot sf-bot.cookies") {
		export, err := d.client.Profiles.ExportCookies(ctx, "sf-bot", bctrl.NewSecret("correct horse battery staple"))
		require.NoError(d.t, err)
		require.NoError(d.t, os.WriteFile("sf-bot.cookies", export.Bundle, 0o600))
	}
}

// typed is what somebody types when asked.
func typed(command string) string {
	switch {
	case strings.Contains(command, "vault set") && strings.Contains(command, "--totp"):
		return "hunter2\n" + seed + "\n"
	case strings.Contains(command, "vault set"):
		return "hunter2\n"
	case strings.Contains(command, "ai add"), strings.Contains(command, "--key"),
		strings.Contains(command, "secrets create"), strings.Contains(command, "secrets rotate"):
		return "sk-typed\n"
	case strings.Contains(command, "shell"):
		return "mounts\nvault\nexit\n"
	}
	return ""
}

// shellWords splits a command into its words.
func shellWords(t *testing.T, command string) (all []string) {
	t.Helper()
	word := regexp.MustCompile(`'([^']*)'|"([^"]*)"|(\S+)`)
	for _, m := range word.FindAllStringSubmatch(command, -1) {
		all = append(all, m[1]+os.ExpandEnv(m[2]+m[3]))
	}
	require.NotEmpty(t, all)
	return all
}

// printf does what the command of this name does with such formats as are in
// the manual.
func printf(args []string) string {
	text := strings.ReplaceAll(args[1], `\n`, "\n")
	for _, arg := range args[2:] {
		text = strings.Replace(text, "%s", arg, 1)
	}
	return text
}

// serves runs a server until it listens. Where it listens and what it keeps
// are made free ones of the test.
func (d *desk) serves(in string, args []string) ran {
	dir := d.t.TempDir()
	args = append(args, "--address", "127.0.0.1:0", "--data-dir", filepath.Join(dir, "data"), "--key-file",
		filepath.Join(dir, "key"))
	ctx, stop := context.WithCancel(d.t.Context())
	defer stop()
	out := &until{text: "Listening on", then: stop}
	var stderr bytes.Buffer
	code := Program{}.execute(ctx, args, strings.NewReader(in), out, &stderr)
	return ran{out.String(), "", code}
}

// bridges runs a bridge until it has said where it is. Its port is made a free one.
func (d *desk) bridges(args []string) ran {
	ctx, stop := context.WithCancel(d.t.Context())
	defer stop()
	if i := slices.Index(args, "9222"); i >= 0 {
		args[i] = "0"
	}
	out, stderr := &until{text: "/devtools/browser/", then: stop}, &until{text: "/devtools/browser/", then: stop}
	code := Program{}.execute(ctx, args, strings.NewReader(""), out, stderr)
	return ran{out.String(), stderr.String(), code}
}

// until calls then when a text was written.
type until struct {
	mu   sync.Mutex
	all  strings.Builder
	text string
	then func()
}

func (u *until) Write(p []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.all.Write(p)
	if strings.Contains(u.all.String(), u.text) {
		u.then()
	}
	return len(p), nil
}

func (u *until) String() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.all.String()
}

// changing is what differs from run to run.
var changing = []struct{ from, to string }{
	{`[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}`, someKey},
	{`20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`, "2026-01-02T15:04:05Z"},
	{`\b(github|openai|anthropic)-[0-9a-f]{8}\b`, "$1-5d9e4f60"},
	{`staged/crm/[A-Z2-7]{26}/`, "staged/crm/…/"},
	{`screenshots/[^\s"]*`, "screenshots/….png"},
	{`http://127\.0\.0\.1:\d+`, "http://127.0.0.1:8787"},
	{`http://127\.0\.0\.1:\d+/embed/(live|recording)/[\w-]+`, "http://127.0.0.1:8787/embed/$1/…"},
	{`ws://127\.0\.0\.1:\d+/devtools/browser/[\w-]+`, "ws://127.0.0.1:8787/devtools/browser/…"},
	{`/v1/downloads/[\w-]+/`, "/v1/downloads/…/"},
	{`bctrl_rt_[\w-]{40,}`, "bctrl_rt_…"},
	{`whsec_[A-Za-z0-9+/=]{20,}`, "whsec_…"},
	{`bctrl_[\w-]{40,}`, "bctrl_…"},
	{`(?m)^\d{6}$`, "287082"},
	{`/\S*/(data|key)\b`, "/…/$1"},
	{`SHA-256:  \w+`, "SHA-256:  …"},
	{`\d+ calls, \d+ tokens in, \d+ out`, "1 calls, 1000 tokens in, 10 out"},
	{`Latency:   \S+`, "Latency:   12ms"},
	{`(, |  )\d+(\.\d+)?m?s\b`, "${1}12ms"},
	{`on \d+ [A-Z][a-z]+ 20\d\d:`, "on 2 January 2026:"},
	{`(?m)^Key:( +)[0-9a-f]{16}$`, "Key:${1}3f1c9a7be2d05486"},
	{`(?m)^(Entries|Records|Checkpoints|Signed up to):( +)\d+$`, "$1:${2}42"},
	{`(?m)^(Version|Needed)( +)\d+$`, "$1${2}42"},
	{`(has version|schema, version|up to entry) \d+`, "$1 42"},
	{`\d+ rows in \d+ tables`, "1000 rows in 25 tables"},
	{`"(events|records|checkpoints|signed|seq)":( ?)\d+`, `"$1":${2}42`},
	{`"(hash|publicKey|keyId)":( ?)"[^"]*"`, `"$1":${2}"…"`},
}

// steady puts something that stays in place of what differs from run to run.
func steady(text string) string {
	for _, c := range changing {
		text = regexp.MustCompile(c.from).ReplaceAllString(text, c.to)
	}
	return text
}

func TestTheManualIsComplete(t *testing.T) {
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		if cmd.Name() == "completion" || cmd.Name() == "help" {
			return
		}
		require.NotEmpty(t, cmd.Short, cmd.CommandPath())
		require.False(t, strings.HasSuffix(cmd.Short, "."), "%s: a list of commands is no list of sentences",
			cmd.CommandPath())
		require.NotEmpty(t, cmd.Long, cmd.CommandPath())
		for _, part := range []struct {
			text  string
			width int
		}{{cmd.Long, 80}, {cmd.Example, 120}} {
			for line := range strings.Lines(part.text) {
				assert.LessOrEqual(t, len([]rune(strings.TrimRight(line, "\n"))), part.width, "%s: %s", cmd.CommandPath(), line)
			}
		}
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk(Program{}.root())
}
