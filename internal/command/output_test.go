package command

import (
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

func TestASecretIsPrintedWhereItIsAskedForAlone(t *testing.T) {
	d := furnished(t)
	everything := d.do("vault", "list", "--json") + d.do("vault", "get", "prod/crm/salesforce", "--json") + d.do("vault",
		"get", "prod/crm/salesforce") +
		d.do("ai", "list", "--json") + d.do("vault", "get", "prod/crm/salesforce", "--output", "key,password,totp")
	require.NotContains(t, everything, "hunter2")
	require.NotContains(t, everything, seed)
	require.Equal(t, "hunter2\t"+seed+"\n", d.do("vault", "get", "prod/crm/salesforce", "--reveal", "--output",
		"password,totp"))
	require.Contains(t, d.do("vault", "get", "prod/crm/salesforce", "--reveal", "--json"), `"password": "hunter2"`)

	key := "-----BEGIN\nlines\n-----END\n"
	require.Zero(t, d.run(key, "vault", "set", "ssh/key", "--multiline").code)
	got, err := d.client.Vault.Get(t.Context(), "ssh/key")
	require.NoError(t, err)
	require.True(t, got.Password.Equal(bctrl.NewSecret(key)), "to the last line end")

	require.Zero(t, d.run("from windows\r\n", "vault", "set", "a/b").code)
	got, err = d.client.Vault.Get(t.Context(), "a/b")
	require.NoError(t, err)
	require.True(t, got.Password.Equal(bctrl.NewSecret("from windows")))
}

func TestNothingThatIsStoredSteersTheTerminal(t *testing.T) {
	d := at(t)
	evil := "\x1b]0;owned\x07 \u202egnp.exe \u009b31m \n fake\tcell"
	_, err := d.client.Vault.Set(t.Context(), "a/b", bctrl.VaultCredential{Label: evil, Username: evil, Notes: evil})
	require.NoError(t, err)
	for _, args := range []string{
		"vault list", "vault get a/b", "vault get a/b --reveal", "vault get a/b --json", "vault get a/b --reveal --json",
		"vault list --json", "vault list --output username,label", "vault get a/b --reveal --output notes",
	} {
		out := d.do(strings.Fields(args)...)
		for _, bad := range []string{"\x1b", "\x07", "\u202e", "\u009b", "\n fake", "fake\t"} {
			require.NotContains(t, out, bad, args)
		}
	}
	var all []bctrl.VaultEntry
	require.NoError(t, json.Unmarshal([]byte(d.do("vault", "list", "--json")), &all))
	require.Equal(t, evil, all[0].Label, "a program gets what is stored")
}

func TestJSONIsWhatTheAPIHas(t *testing.T) {
	d := furnished(t)
	var ws bctrl.WorkspaceInfo
	require.NoError(t, json.Unmarshal([]byte(d.do("workspace", "get", "sales", "--json")), &ws))
	got, err := d.client.Workspaces.GetByName(t.Context(), "sales")
	require.NoError(t, err)
	require.Equal(t, got.WorkspaceInfo, ws)

	require.JSONEq(t, `[]`, d.do("vault", "list", "nowhere/", "--json"))
	require.JSONEq(t, `{"name": "sales", "mounts.storage": {"workspace": "sales"}}`,
		d.do("workspace", "get", "sales", "--json", "--output", "name,mounts.storage"))
	require.Equal(t, "sales\tsales\n", d.do("workspace", "get", "sales", "--output", "name,mounts.storage.workspace"))
	require.Equal(t, ws.ID+"\n", d.do("ws", "get", ws.ID, "--output", "id"), "by its id, too")
}

// TestAListThatBreaksOffIsNoJSON: a program must not take a part for all.
func TestAListThatBreaksOffIsNoJSON(t *testing.T) {
	broken := func(yield func(bctrl.VaultEntry, error) bool) {
		if yield(bctrl.VaultEntry{Key: "a"}, nil) {
			yield(bctrl.VaultEntry{}, errors.New("the server is gone"))
		}
	}
	var out strings.Builder
	cmd := &cobra.Command{}
	cmd.SetOut(&out)
	require.Error(t, list(&cli{json: true}, cmd, iter.Seq2[bctrl.VaultEntry, error](broken)))
	require.Contains(t, out.String(), `"key": "a"`)
	require.False(t, json.Valid([]byte(out.String())))
}

func TestADownloadIsWholeOrNotThere(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "q1.csv")
	half := io.MultiReader(strings.NewReader("half"), iotest.ErrReader(errors.New("cut")))
	holds := func(want string) {
		t.Helper()
		entries, err := os.ReadDir(dir)
		require.NoError(t, err)
		if want == "" {
			require.Empty(t, entries)
			return
		}
		require.Len(t, entries, 1, "no part is left")
		got, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, want, string(got))
	}

	require.ErrorContains(t, writeWhole(file, half, false), "cut")
	holds("")
	require.NoError(t, writeWhole(file, strings.NewReader("first"), false))
	holds("first")
	require.ErrorContains(t, writeWhole(file, strings.NewReader("second"), false), "--force")
	holds("first")
	require.ErrorContains(t, writeWhole(file, io.MultiReader(strings.NewReader("half"),
		iotest.ErrReader(errors.New("cut"))), true), "cut")
	holds("first")
	require.NoError(t, writeWhole(file, strings.NewReader("second"), true))
	holds("second")
}

func TestACopyThereAndBackIsTheSame(t *testing.T) {
	d := at(t)
	content := strings.Repeat("0123456789abcdef", 100000)
	require.NoError(t, os.WriteFile("a.bin", []byte(content), 0o600))
	d.do("storage", "cp", "a.bin", "files:x/y/")
	d.do("storage", "cp", "files:x/y/a.bin", "b.bin")
	got, err := os.ReadFile("b.bin")
	require.NoError(t, err)
	require.Equal(t, content, string(got))
	require.Equal(t, content, d.do("storage", "cp", "files:x/y/a.bin", "-"))
	require.Equal(t, content, d.do("storage", "cat", "files:x/y/a.bin"))

	require.NoError(t, os.WriteFile("a:b", []byte("colon"), 0o600))
	d.do("storage", "cp", "./a:b", "files:")
	require.Equal(t, "a:b\tcolon\n", d.do("storage", "ls", "files:a", "--output", "path")[:3]+"\t"+d.do("storage", "cat",
		"files:a:b")+"\n")

	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get(strings.TrimSpace(d.do("storage",
		"url", "files:x/y/a.bin", "--ttl", "1m")))
	require.NoError(t, err)
	defer resp.Body.Close()
	linked, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, content, string(linked))
}

func TestMountFlagsSayMounts(t *testing.T) {
	d := furnished(t)
	for _, test := range []struct{ flags, want string }{
		{"", `{"storage":{"workspace":"x"}}`},
		{"--no-storage", `{"storage":{"access":"none"}}`},
		{"--no-ai --no-vault --no-capabilities --storage shared",
			`{"ai":{"allow":[]},"vault":{"allow":[]},"storage":{"workspace":"shared"},"capabilities":{"allow":[]}}`},
		{"--ai openai-prod,openai-old --ai-default openai=openai-old",
			`{"ai":{"allow":["openai-prod","openai-old"],"defaults":{"openai":"openai-old"}},"storage":{"workspace":"x"}}`},
		{"--allow-vault a --allow-vault b/ --deny-vault b/c/ --raw-reads",
			`{"vault":{"allow":["a","b/"],"deny":["b/c/"],"allowRawReads":true},"storage":{"workspace":"x"}}`},
		{"--allow-vault / --raw-reads=false", `{"vault":{"allow":["/"],"allowRawReads":false},"storage":{"workspace":"x"}}`},
		{"--capability github/,slack/post",
			`{"storage":{"workspace":"x"},"capabilities":{"allow":["github/","slack/post"]}}`},
		{"--allow-host *.example.com,a.test --deny-host x.example.com",
			`{"storage":{"workspace":"x"},"web":{"allow":["*.example.com","a.test"],"deny":["x.example.com"]}}`},
		{"--no-web", `{"storage":{"workspace":"x"},"web":{"allow":[]}}`},
		{"--mounts mounts.json",
			`{"vault":{"allow":["prod/crm/"],"deny":["prod/crm/admin/"]},"storage":{"workspace":"sales"}}`},
	} {
		got := d.do(append([]string{"workspace", "create", "x", "--output", "mounts"}, strings.Fields(test.flags)...)...)
		require.JSONEq(t, test.want, got, test.flags)
		d.do("workspace", "delete", "x")
	}
	mounts := d.do("workspace", "get", "sales", "--output", "mounts")
	require.JSONEq(t, mounts, d.run(mounts, "workspace", "create", "copy", "--mounts", "-", "--output", "mounts").good(t),
		"what it prints it reads")

	got := d.do("workspace", "update", "sales", "--no-storage", "--output", "mounts")
	require.JSONEq(t, `{"ai":{"allow":["openai-prod"]},"vault":{"allow":["prod/crm/"],"deny":["prod/crm/admin/"]},
		"storage":{"access":"none"}}`, got, "what no flag speaks of stays")
}

func TestExplainSaysTheLevel(t *testing.T) {
	d := furnished(t)
	require.NoError(t, os.WriteFile("lower.json", []byte(`{"vault": {"allow": ["prod/crm/hubspot"]}}`), 0o600))
	require.NoError(t, os.WriteFile("wide.json", []byte(`{"vault": {"allow": ["/"]}}`), 0o600))
	explain := func(flags string) ran {
		return d.run("", append([]string{"access", "explain", "vault.use", "prod/crm/salesforce", "--output",
			"allowed,level,field"}, strings.Fields(flags)...)...)
	}
	require.Equal(t, "true\t0\tmounts.vault.allow[0]\n", explain("--mounts mounts.json").stdout)
	require.Equal(t, "false\t1\tmounts.vault.allow\n", explain("--mounts mounts.json --mounts lower.json").stdout)
	require.Equal(t, "false\t1\tmounts.vault.allow\n", explain("--workspace sales --mounts lower.json").stdout)
	require.Equal(t, "false\t2\tmounts.vault.allow\n", explain("--runtime sales/crm --mounts lower.json").stdout)
	require.Equal(t, exitDenied, explain("--workspace sales --mounts wide.json").code, "a level that widens")
}

// TestATokenWorksAndWeakens walks a token from the organization to its holder,
// who weakens it and can do no more than it says.
func TestATokenWorksAndWeakens(t *testing.T) {
	d := furnished(t)
	token := d.do("token", "mint", "sales/crm", "--ttl", "10m")
	for _, mounts := range []string{"--allow-vault /", "--raw-reads"} {
		require.Zero(t, d.run(token, append([]string{"token", "attenuate"}, strings.Fields(mounts)...)...).code,
			"what it inherits it does not know: the server holds it")
	}
	weaker := d.run(token, "token", "attenuate", "--no-vault", "--ttl", "5m").good(t)
	require.NotEqual(t, token, weaker)
	require.Equal(t, exitDenied, d.run(weaker, "token", "attenuate", "--allow-vault", "prod/crm/salesforce").code)
	require.Equal(t, exitDenied, d.run(weaker, "token", "attenuate", "--ttl", "6m").code)
	id := d.run(token, "token", "inspect", "--output", "id").good(t)
	require.Equal(t, id, d.run(weaker, "token", "inspect", "--output", "id").good(t))

	organization := d.srv.APIKey().Expose()
	t.Setenv("BCTRL_API_KEY", strings.TrimSpace(token))
	require.Equal(t, "crm\n", d.do("runtime", "get", ".", "--output", "alias"))
	require.Equal(t, "prod/crm/salesforce\n", d.do("vault", "list", "--output", "key"), "and not the denied one")
	d.do("access", "explain", "vault.use", "prod/crm/salesforce", "--runtime", ".")
	for _, args := range []string{"vault get prod/crm/salesforce --reveal", "vault delete prod/crm/salesforce",
		"workspace list", "keys create", "token mint ."} {
		require.Equal(t, exitDenied, d.run("", strings.Fields(args)...).code, args)
	}
	t.Setenv("BCTRL_API_KEY", strings.TrimSpace(weaker))
	got := d.run("", "access", "explain", "vault.use", "prod/crm/salesforce", "--runtime", ".")
	require.Equal(t, exitDenied, got.code)
	require.Contains(t, got.stdout, "below the runtime, mounts.vault.allow")

	t.Setenv("BCTRL_API_KEY", organization)
	d.do("token", "revoke", strings.TrimSpace(id))
	t.Setenv("BCTRL_API_KEY", strings.TrimSpace(weaker))
	require.Equal(t, exitDenied, d.run("", "runtime", "get", ".").code, "revoked with what it was made out of")
}

func TestCompletionKnowsWhatTheServerHas(t *testing.T) {
	d := furnished(t)
	for _, test := range []struct {
		typed string
		want  []string
	}{
		{"workspace get ", []string{"old", "sales"}},
		{"workspace get s", []string{"sales"}},
		{"runtime get s", []string{"sales/"}},
		{"runtime get sales/", []string{"sales/crm"}},
		{"vault get prod/crm/s", []string{"prod/crm/salesforce"}},
		{"ai test openai-", []string{"openai-old", "openai-prod"}},
		{"storage cat sales:", []string{"sales:exports/", "sales:old/"}},
		{"storage cat sales:exports/", []string{"sales:exports/q1.csv"}},
		{"runtime launch sales/x --driver p", []string{"playwright", "puppeteer"}},
		{"access explain ai", []string{"ai.use"}},
		{"access explain ai.use openai-p", []string{"openai-prod"}},
		{"workspace list --output name,v", []string{"name,version"}},
	} {
		words := strings.Split(test.typed, " ")
		out := strings.Split(strings.TrimSpace(d.do(append([]string{"__completeNoDesc"}, words...)...)), "\n")
		require.Equal(t, test.want, out[:len(out)-1], test.typed)
	}
	t.Setenv("BCTRL_API_KEY", "")
	require.Equal(t, ":4\n", d.do("__completeNoDesc", "workspace", "get", ""), "no error in the middle of a command line")
}

func TestANewEndpointAsksForTheKeyAgain(t *testing.T) {
	d := furnished(t)
	got := d.run("", "ai", "update", "openai-prod", "--endpoint", "https://evil.example.com/v1")
	require.Equal(t, exitUsage, got.code)
	require.Contains(t, got.stderr, "--key")
	d.run("sk-new\n", "ai", "update", "openai-prod", "--endpoint", "https://llm.example.com/v1", "--key").good(t)
}
