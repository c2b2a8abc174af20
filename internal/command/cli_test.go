package command

import (
	"context"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
)

func TestExitCodesAndOneLineSayWhatWentWrong(t *testing.T) {
	d := furnished(t)
	for _, test := range []struct {
		why, in string
		args    string
		env     string
		code    int
		says    string
	}{
		{
			why:  "no key",
			args: "vault list",
			env:  "BCTRL_API_KEY=",
			code: exitUsage,
			says: "BCTRL_API_KEY is not set",
		},
		{
			why:  "no key, before a password is typed",
			args: "vault set a/b",
			env:  "BCTRL_API_KEY=",
			code: exitUsage,
			says: "BCTRL_API_KEY is not set",
		},
		{
			why:  "another server's key",
			args: "vault list",
			env:  "BCTRL_API_KEY=bctrl_wrong",
			code: exitDenied,
			says: "does not take the key in BCTRL_API_KEY",
		},
		{
			why:  "no server",
			args: "vault list --base-url http://127.0.0.1:1",
			code: exitFailed,
			says: "start one with 'bctrl serve'",
		},
		{
			why:  "an address that is none",
			args: "vault list --base-url nowhere",
			code: exitUsage,
			says: "base URL",
		},
		{
			why:  "a command that is none",
			args: "vualt list",
			code: exitUsage,
			says: "did you mean vault?",
		},
		{
			why:  "a subcommand that is none",
			args: "vault lst",
			code: exitUsage,
			says: "did you mean",
		},
		{
			why:  "a flag that is none",
			args: "vault list --prefix x",
			code: exitUsage,
			says: "unknown flag: --prefix (see 'bctrl vault list --help')",
		},
		{
			why:  "an argument too few",
			args: "vault get",
			code: exitUsage,
			says: "bctrl vault get <key>",
		},
		{
			why:  "an argument too many",
			args: "vault get a b",
			code: exitUsage,
			says: "bctrl vault get <key>",
		},
		{
			why:  "a field that is none",
			args: "vault list --output key,names",
			code: exitUsage,
			says: `--output "names"`,
		},
		{
			why:  "a key that is none",
			args: "vault get a//b",
			code: exitUsage,
			says: "vault.invalid_key",
		},
		{
			why:  "a missing key",
			args: "vault get a/b",
			code: exitNotFound,
			says: "vault key a/b: vault.secret_not_found",
		},
		{
			why:  "a missing key's code",
			args: "vault totp a/b",
			code: exitNotFound,
			says: "vault.secret_not_found",
		},
		{
			why:  "a missing workspace",
			args: "workspace get nope",
			code: exitNotFound,
			says: "workspace nope: workspaces.not_found",
		},
		{
			why:  "a missing runtime",
			args: "runtime stop sales/nope",
			code: exitNotFound,
			says: "runtime sales/nope: runtimes.not_found",
		},
		{
			why:  "a missing file",
			args: "storage cat sales:nope",
			code: exitNotFound,
			says: "sales:nope: storage.file_not_found",
		},
		{
			why:  "the help of a command that is none",
			args: "help vault lst",
			code: exitUsage,
			says: `there is no command "bctrl vault lst"`,
		},
		{
			why:  "the help of a command with more behind it",
			args: "help vault list x",
			code: exitUsage,
			says: `there is no command "bctrl vault list x"`,
		},
		{
			why:  "the help of a shell that is none",
			args: "help completion bsh",
			code: exitUsage,
			says: `there is no command "bctrl completion bsh"`,
		},
		{
			why:  "more than a shell",
			args: "completion bash x",
			code: exitUsage,
			says: "want: bctrl completion bash",
		},
		{
			why:  "a kind of authentication that is none, with a flag of the one that was meant",
			args: "credential create x --provider github --auth heder --header-name X",
			code: exitUsage,
			says: "--auth is none of header",
		},
		{
			why:  "a shell that is none, whose help would be run as its script",
			args: "completion bsh",
			code: exitUsage,
			says: "did you mean bash or",
		},
		{
			why:  "a time in the words of the command line",
			args: "runtime live sales/crm --ttl 1s",
			code: exitUsage,
			says: ": --ttl",
		},
		{
			why:  "that of a token, which the SDK checks",
			args: "token mint sales/crm --ttl 1000h",
			code: exitUsage,
			says: ": --ttl",
		},
		{
			why:  "an origin that may hold a view, too",
			args: "runtime live sales/crm --embed nowhere",
			code: exitUsage,
			says: ": --embed",
		},
		{
			why:  "less than no events",
			args: "updates -n -1",
			code: exitUsage,
			says: "--lines -1: want 0 or more",
		},
		{
			why:  "a file to stage that is not there",
			args: "runtime stage sales/crm nope.csv",
			code: exitUsage,
			says: "nope.csv",
		},
		{
			why:  "a directory to stage",
			args: "runtime stage sales/crm .",
			code: exitUsage,
			says: "is a directory",
		},
		{
			why:  "a part of an authentication that nobody named",
			args: "credential create a --provider github --secret-ref vault:secret:x --header-name X-Key",
			code: exitUsage,
			says: "--header-name goes with --auth header or hmac",
		},
		{
			why:  "a part of another kind of authentication",
			args: "credential create a --provider acme --secret-ref vault:secret:x --auth header --query-param k",
			code: exitUsage,
			says: "--query-param goes with --auth query",
		},
		{
			why:  "a missing credential",
			args: "ai disable nope",
			code: exitNotFound,
			says: "AI credential nope: ai.not_found",
		},
		{
			why:  "a taken name",
			args: "workspace create sales",
			code: exitFailed,
			says: "workspaces.exists",
		},
		{
			why:  "a runtime above its workspace",
			args: "runtime launch sales/wide --allow-vault prod/",
			code: exitDenied,
			says: `--allow-vault "prod/" would permit prod/0`,
		},
		{
			why:  "an act above its runtime",
			args: "runtime act sales/crm hello --raw-reads",
			code: exitDenied,
			says: "mounts.scope_widening",
		},
		{
			why:  "mounts that are none",
			args: "workspace create x --allow-vault a//b",
			code: exitUsage,
			says: `--allow-vault "a//b"`,
		},
		{
			why:  "flags beside a file of mounts",
			args: "workspace create x --mounts mounts.json --ai a",
			code: exitUsage,
			says: "--mounts says all mounts",
		},
		{
			why:  "flags that contradict each other",
			args: "runtime launch sales/x --no-vault --allow-vault prod/crm/",
			code: exitUsage,
			says: "--no-vault and --allow-vault contradict",
		},
		{
			why:  "a driver that is none",
			args: "runtime launch sales/x --driver lynx",
			code: exitUsage,
			says: "stagehand, playwright, puppeteer",
		},
		{
			why:  "no runtime's name",
			args: "runtime get sales",
			code: exitUsage,
			says: "workspace/alias",
		},
		{why: "an action that is denied", args: "access explain vault.use prod/crm/admin/root --workspace sales",
			code: exitDenied},
		{
			why:  "a verb that is none",
			args: "access explain vault.see a --workspace sales",
			code: exitUsage,
			says: "vault.readRaw",
		},
		{
			why:  "no mounts to ask",
			args: "access explain vault.use a",
			code: exitUsage,
			says: "--workspace",
		},
		{
			why:  "a dot without a token",
			args: "runtime get .",
			code: exitUsage,
			says: "workspace/alias",
		},
		{
			why:  "no token",
			args: "token inspect",
			in:   "hunter2\n",
			code: exitUsage,
			says: "tokens.malformed",
		},
		{
			why:  "a token as it is",
			args: "token attenuate",
			in:   "hunter2\n",
			code: exitUsage,
			says: "nothing to weaken",
		},
		{
			why:  "a token and mounts from one input",
			args: "token attenuate --mounts -",
			in:   "hunter2\n",
			code: exitUsage,
			says: "name a file",
		},
		{
			why:  "a token above its runtime",
			args: "token mint sales/crm --allow-vault prod/",
			code: exitDenied,
			says: "would permit prod/0",
		},
		{
			why:  "a copy on this machine",
			args: "storage cp report.csv other.csv",
			code: exitUsage,
			says: "namespace:path",
		},
		{
			why:  "an upload over a file",
			args: "storage cp report.csv sales:exports/q1.csv",
			code: exitFailed,
			says: "--force",
		},
		{
			why:  "a download over a file",
			args: "storage cp sales:exports/q1.csv report.csv",
			code: exitFailed,
			says: "--force",
		},
		{
			why:  "a download into nowhere",
			args: "storage cp sales:exports/q1.csv nowhere/",
			code: exitUsage,
			says: "no such directory",
		},
		{
			why:  "an upload of nothing",
			args: "storage cp nothing.csv sales:",
			code: exitUsage,
			says: "nothing.csv",
		},
		{
			why:  "a folder",
			args: "storage cp sales:exports/ .",
			code: exitUsage,
			says: "folder",
		},
		{
			why:  "an agent that fails",
			args: "runtime act sales/crm impossible",
			code: exitFailed,
			says: "did not succeed",
		},
		{
			why:  "an agent that fails its task",
			args: "runtime agent sales/crm impossible",
			code: exitFailed,
			says: "did not succeed",
		},
		{
			why:  "a schema that is no JSON",
			args: "runtime extract sales/crm hello --schema report.csv",
			code: exitUsage,
			says: "report.csv holds no JSON Schema",
		},
		{
			why:  "a schema that is nowhere",
			args: "runtime agent sales/crm hello --schema nothing.json",
			code: exitUsage,
			says: "nothing.json",
		},
		{
			why:  "a shell's mistake",
			args: "runtime shell sales/crm",
			in:   "mounts\nfly\n",
			code: exitUsage,
			says: "line 2: fly is no action",
		},
		{
			why:  "an empty password",
			args: "vault set a/b",
			code: exitUsage,
			says: "the password is empty",
		},
		{
			why:  "a second line",
			args: "vault set a/b",
			in:   "hunter2\nurl: example.com\n",
			code: exitUsage,
			says: "password on a line",
		},
		{
			why:  "no second line",
			args: "vault set a/b --totp",
			in:   "hunter2\n",
			code: exitUsage,
			says: "TOTP seed",
		},
		{
			why:  "more than a secret",
			args: "vault set a/b --multiline",
			in:   strings.Repeat("x", maxSecret+1),
			code: exitUsage,
			says: "longer than 64.0 KiB",
		},
	} {
		t.Run(test.why, func(t *testing.T) {
			if name, value, ok := strings.Cut(test.env, "="); ok {
				t.Setenv(name, value)
			}
			got := d.run(test.in, strings.Fields(test.args)...)
			require.Equal(t, test.code, got.code, got.stderr)
			require.Contains(t, got.stderr, test.says)
			require.NotContains(t, got.stderr, "hunter2")
			if test.says != "" {
				require.Equal(t, 1, strings.Count(got.stderr, "\n"), "one line: %s", got.stderr)
				require.True(t, strings.HasPrefix(got.stderr, "bctrl: ") && !strings.Contains(got.stderr, "/v1/"), got.stderr)
			}
		})
	}
}

func TestAnInterruptHasItsOwnExitCode(t *testing.T) {
	d := at(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	got := runIn(ctx, strings.NewReader(""), "vault", "list")
	require.Equal(t, exitInterrupted, got.code)
	require.Equal(t, "bctrl: interrupted\n", got.stderr)
	_ = d
}

func TestAnInterruptEndsAnUploadWhosePipeIsSilent(t *testing.T) {
	d := at(t)
	ctx, cancel := context.WithCancel(t.Context())
	in, pipe := io.Pipe()
	defer pipe.Close()
	go func() {
		_, _ = io.WriteString(pipe, "the beginning") // returns once it was read
		cancel()
	}()
	got := runIn(ctx, in, "storage", "cp", "-", "files:endless")
	require.Equal(t, exitInterrupted, got.code, got.stderr)
	require.Empty(t, d.do("storage", "ls", "files"))
}

func TestNoFlagTakesASecret(t *testing.T) {
	for _, cmd := range leaves(Program{}.root()) {
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Value.Type() == "bool" || slices.Contains([]string{"secret-ref", "token-endpoint", "password-template"},
				f.Name) || strings.HasPrefix(f.Name, "max-") && strings.HasPrefix(f.Value.Type(), "int") {
				return // none is a secret: they say where one is, where one goes, or how many tokens of a model
			}
			for _, secret := range []string{"password", "secret", "totp", "seed", "api-key", "token"} {
				require.NotContains(t, f.Name, secret, cmd.CommandPath())
			}
			require.NotEqual(t, "key", f.Name, cmd.CommandPath())
		})
	}
}
