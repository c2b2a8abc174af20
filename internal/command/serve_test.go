package command

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/seal"
)

func TestTheFirstRunPrintsItsKeyOnce(t *testing.T) {
	where := newPlace(t)
	srv := where.start(t)
	key := srv.firstKey
	require.NotEmpty(t, key)
	_, err := srv.client(key).Vault.Set(t.Context(), "a/b", bctrl.VaultCredential{Password: bctrl.NewSecret("kept")})
	require.NoError(t, err)
	srv.terminate()

	srv = where.start(t)
	require.Empty(t, srv.firstKey, "a second run must not show a key")
	got, err := srv.client(key).Vault.Get(t.Context(), "a/b")
	require.NoError(t, err)
	require.True(t, got.Password.Equal(bctrl.NewSecret("kept")))
	srv.terminate()
}

// TestAFirstKeyThatCannotBeShownIsSaid: there is data then, of which nobody has a key.
func TestAFirstKeyThatCannotBeShownIsSaid(t *testing.T) {
	where := newPlace(t)
	cmd := where.command(t)
	read, write, err := os.Pipe()
	require.NoError(t, err)
	defer write.Close()
	require.NoError(t, read.Close())
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = write, &said
	require.Error(t, cmd.Run())
	require.Equal(t, exitFailed, cmd.ProcessState.ExitCode(), said.String())
	require.Contains(t, said.String(), "bctrl keys create")
	where.commands(t, &process{}, "")("", "keys", "create").good(t)
}

// TestALogThatNobodyReadsEndsNoServer: tee ends at Ctrl-C, before the server whose log it reads.
func TestALogThatNobodyReadsEndsNoServer(t *testing.T) {
	where := newPlace(t)
	where.args = []string{"--verbose"}
	cmd := where.command(t)
	read, write, err := os.Pipe()
	require.NoError(t, err)
	cmd.Stderr = write
	srv := begin(t, cmd)
	require.NoError(t, errors.Join(read.Close(), write.Close()))
	_, err = srv.client(srv.firstKey).Vault.Set(t.Context(), "k", bctrl.VaultCredential{})
	require.NoError(t, err)
	srv.terminate()
}

func TestNobodyElseCanReadTheData(t *testing.T) {
	old := syscall.Umask(0) // the modes must be the server's doing
	defer syscall.Umask(old)
	where := newPlace(t)
	srv := where.start(t)
	c := srv.client(srv.firstKey)
	_, err := c.Vault.Set(t.Context(), "a/b", bctrl.VaultCredential{Password: bctrl.NewSecret("x")})
	require.NoError(t, err)
	_, err = c.Storage("files").Upload(t.Context(), "a.txt", strings.NewReader("content"))
	require.NoError(t, err)
	files := 0
	for _, root := range []string{where.data, filepath.Dir(where.key)} {
		require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			require.NoError(t, err)
			info, err := entry.Info()
			require.NoError(t, err)
			files++
			require.Zero(t, info.Mode().Perm()&0o077, "%s has mode %s", path, info.Mode())
			return nil
		}))
	}
	require.Greater(t, files, 8, "database, its log and memory, the lock, a file, the key and their directories")
	srv.terminate()
}

func TestServeRefusesWhatWouldDoHarm(t *testing.T) {
	running := newPlace(t)
	srv := running.start(t)
	taken := strings.TrimPrefix(srv.url, "http://")
	fresh := func(*testing.T) place { return newPlace(t) }
	inUse := func(*testing.T) place { return running }
	stopped := func(t *testing.T) place {
		t.Helper()
		p := newPlace(t)
		p.start(t).terminate()
		return p
	}

	for _, test := range []struct {
		name  string
		why   string
		place func(*testing.T) place
		args  func(place) []string
		env   []string
		says  []string
	}{
		{
			name:  "a second server",
			why:   "two writers would tear the data and the audit chain",
			place: inUse,
			says:  []string{"another server uses this data directory", running.data},
		},
		{
			name:  "a taken port",
			why:   "it must change nothing on disk",
			place: fresh,
			args:  func(place) []string { return []string{"--address", taken} },
			says:  []string{taken + " is taken", "--address"},
		},
		{
			name: "a lost key file",
			why:  "a new key beside old data would hide that the old one is lost",
			place: func(t *testing.T) place {
				t.Helper()
				p := stopped(t)
				require.NoError(t, os.Remove(p.key))
				return p
			},
			says: []string{"key file", "missing"},
		},
		{
			name: "another key",
			why:  "half of the data would be sealed under each",
			place: func(t *testing.T) place {
				t.Helper()
				p := stopped(t)
				require.NoError(t, os.Remove(p.key))
				_, err := seal.CreateFile(p.key)
				require.NoError(t, err)
				return p
			},
			says: []string{"wrong key"},
		},
		{
			name:  "a key in the environment that is none",
			why:   "it is named, and never quoted",
			place: fresh,
			env:   []string{"BCTRL_KEY=hunter2-not-a-key"},
			says:  []string{"BCTRL_KEY", "not a bctrl key"},
		},
		{
			name:  "a key file inside the data",
			why:   "whoever copies the data would have the key",
			place: fresh,
			args:  func(p place) []string { return []string{"--key-file", filepath.Join(p.data, "key")} },
			says:  []string{"inside the data directory"},
		},
		{
			name: "a key file that others can read",
			why:  "it may have been read",
			place: func(t *testing.T) place {
				t.Helper()
				p := stopped(t)
				require.NoError(t, os.Chmod(p.key, 0o644))
				return p
			},
			says: []string{"chmod 600"},
		},
		{
			name: "a key file inside the data by a link",
			why:  "it lies there, whatever it is called",
			place: func(t *testing.T) place {
				t.Helper()
				p := newPlace(t)
				require.NoError(t, os.Symlink(t.TempDir(), p.data))
				return p
			},
			args: func(p place) []string {
				real, err := os.Readlink(p.data)
				require.NoError(t, err)
				return []string{"--key-file", filepath.Join(real, "below", "key")}
			},
			says: []string{"inside the data directory"},
		},
		{
			name: "a lost head of the log",
			why:  "nobody can tell whether the log was cut, but whoever lost the file knows",
			place: func(t *testing.T) place {
				t.Helper()
				p := stopped(t)
				require.NoError(t, os.Remove(p.key+".head"))
				return p
			},
			says: []string{"is missing", "bctrl audit accept"},
		},
		{
			name: "a database that is none",
			why:  "it is said which file that is",
			place: func(t *testing.T) place {
				t.Helper()
				p := newPlace(t)
				require.NoError(t, os.Mkdir(p.data, 0o700))
				database := filepath.Join(p.data, "bctrl.db")
				require.NoError(t, os.WriteFile(database, bytes.Repeat([]byte("x"), 8192), 0o600))
				return p
			},
			says: []string{filepath.Join("data", "bctrl.db"), "not a database"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := test.place(t)
			var args []string
			if test.args != nil {
				args = test.args(p)
			}
			said := p.refused(t, args, test.env...)
			for _, want := range test.says {
				require.Contains(t, said, want, test.why)
			}
			require.NotContains(t, said, "hunter2")
			require.Equal(t, 1, strings.Count(said, "\n"), "one line: %s", said)
		})
	}

	// None of them disturbed the server that runs.
	_, err := srv.client(srv.firstKey).Vault.Set(t.Context(), "still/here", bctrl.VaultCredential{})
	require.NoError(t, err)
	srv.terminate()
}

func TestATakenPortLeavesNothingBehind(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	where := newPlace(t)
	where.refused(t, []string{"--address", l.Addr().String()})
	require.NoFileExists(t, where.key)
	require.NoDirExists(t, where.data)
}

func TestAMistakeOnTheCommandLineIsExitCode2(t *testing.T) {
	for _, args := range [][]string{
		{"--no-such-flag", "x"}, {"--allow-address", "10.0.0.0/33"}, {"--allow-address", "localhost"},
		{"--allow-address", "::ffff:10.0.0.1"}, {"--allow-address", "::ffff:10.0.0.0/104"},
		{"--allow-address", "fe80::1%eth0"},
		{"--public-url", "bctrl.example.com"}, {"extra"},
		// Variables that are not set: the data would be elsewhere, or new.
		{"--data-dir", ""}, {"--key-file", ""}, {"--database-file", ""}, {"--files", ""}, {"--node-address", ""},
		{"--address", ""},
	} {
		where := newPlace(t)
		cmd := where.command(t)
		cmd.Args = append(cmd.Args, args...)
		out, err := cmd.CombinedOutput()
		require.Error(t, err)
		require.Equal(t, 2, cmd.ProcessState.ExitCode(), "%v: %s", args, out)
		require.NoDirExists(t, where.data)
	}
}

// TestUsersProvidersAreCheckedBeforeAnythingIsMade: half a set of rules is no
// rule.
func TestUsersProvidersAreCheckedBeforeAnythingIsMade(t *testing.T) {
	dir := t.TempDir()
	const acme = `{"id": "acme", "name": "Acme", "docs": "https://docs.acme.example", "hosts": ["api.acme.example"],
		"auth": {"type": "header", "headers": {"X-Key": "{apiKey}"}}, 
		"secrets": [{"name": "ACME_API_KEY", "field": "apiKey"}],
		"capabilities": [{"id": "acme/orders", "description": "Orders", "methods": ["GET"], "paths": ["/orders"]}]}`
	require.NoError(t, os.WriteFile(filepath.Join(dir, "acme.json"), []byte(acme), 0o600))
	where := newPlace(t)
	where.args = []string{"--providers", dir}
	where.start(t).terminate()

	require.NoError(t, os.WriteFile(filepath.Join(dir, "globex.json"), []byte(acme), 0o600))
	for _, providers := range []string{dir, filepath.Join(dir, "none")} {
		where = newPlace(t)
		said := where.refused(t, []string{"--providers", providers})
		require.Contains(t, said, "provider")
		require.NotContains(t, said, "acme.json", "only the wrong one is named")
		require.NoDirExists(t, where.data)
		require.NoFileExists(t, where.key)
	}
}

// TestAPriceTableIsCheckedBeforeAnythingIsMade: budgets by half a table would be none.
func TestAPriceTableIsCheckedBeforeAnythingIsMade(t *testing.T) {
	prices := filepath.Join(t.TempDir(), "prices.json")
	for _, c := range []struct{ table, says string }{
		{`{"prices":[{"provider":"openai","model":"gpt-5*","input":1}]}`, `prices[0] (openai "gpt-5*"): output is missing`},
		{`{`, "not a usable price table"},
	} {
		require.NoError(t, os.WriteFile(prices, []byte(c.table), 0o600))
		where := newPlace(t)
		require.Contains(t, where.refused(t, []string{"--prices", prices}), c.says)
		require.NoDirExists(t, where.data)
	}
	require.NoError(t, os.WriteFile(prices,
		[]byte(`{"prices":[{"provider":"openai","model":"gpt-5*","input":1,"output":10}]}`), 0o600))
	where := newPlace(t)
	where.args = []string{"--prices", prices}
	where.start(t).terminate()
}

// TestStoppingFinishesWhatRuns stops the server in the middle of a request,
// which must be answered and its effect kept.
func TestStoppingFinishesWhatRuns(t *testing.T) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP) // so that the server does not inherit that it is ignored, as below nohup
	defer signal.Stop(hangup)
	for _, c := range []struct {
		why string
		end os.Signal
	}{
		{"it is told to stop", syscall.SIGTERM},
		{"its terminal is closed", syscall.SIGHUP},
	} {
		t.Run(c.why, func(t *testing.T) { stopsInTheMiddle(t, c.end) })
	}
}

func stopsInTheMiddle(t *testing.T, end os.Signal) {
	where := newPlace(t)
	srv := where.start(t)
	key, host := srv.firstKey, strings.TrimPrefix(srv.url, "http://")
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", host)
	require.NoError(t, err)
	defer conn.Close()
	body := `{"username":"in flight"}`
	_, err = fmt.Fprintf(conn, "PUT /v1/vault/late HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: "+
		"application/json\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", host, key, len(body))
	require.NoError(t, err)
	answers := bufio.NewReader(conn)
	first, err := http.ReadResponse(answers, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusContinue, first.StatusCode, "now the handler reads the body")

	require.NoError(t, srv.cmd.Process.Signal(end))
	require.Eventually(t, func() bool { // until it takes nobody else
		other, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", host)
		if err == nil {
			other.Close()
		}
		return err != nil
	}, 10*time.Second, time.Millisecond)
	_, err = io.WriteString(conn, body)
	require.NoError(t, err)
	answer, err := http.ReadResponse(answers, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, answer.StatusCode)
	require.NoError(t, answer.Body.Close())
	require.NoError(t, srv.cmd.Wait(), srv.stderr.String())

	srv = where.start(t)
	got, err := srv.client(key).Vault.Get(t.Context(), "late")
	require.NoError(t, err)
	require.Equal(t, "in flight", got.Username)
	srv.terminate()
}

// TestTheAddressThatIsPrintedIsOneThatProgramsTake: none is http to another
// machine, which they refuse.
func TestTheAddressThatIsPrintedIsOneThatProgramsTake(t *testing.T) {
	for _, c := range []struct{ listens, public, prints, why string }{
		{"127.0.0.1:8787", "", "http://127.0.0.1:8787", "as it is by default"},
		{"[::1]:8787", "", "http://[::1]:8787", "loopback of IPv6"},
		{"0.0.0.0:8787", "", "http://127.0.0.1:8787", "every address"},
		{"[::]:8787", "", "http://127.0.0.1:8787", "every address of both"},
		{"10.1.2.3:8787", "", "<", "another machine's view, which needs TLS"},
		{"10.1.2.3:8787", "https://bctrl.example.com/x", "https://bctrl.example.com/x", "published with TLS"},
		{"0.0.0.0:8787", "http://bctrl.example.com", "<", "published without"},
		{"0.0.0.0:8787", "http://localhost:9000", "http://localhost:9000", "a proxy of this machine"},
	} {
		at, err := net.ResolveTCPAddr("tcp", c.listens)
		require.NoError(t, err)
		var public *url.URL
		if c.public != "" {
			public, err = url.Parse(c.public)
			require.NoError(t, err)
		}
		printed := baseURL(at, public)
		require.True(t, strings.HasPrefix(printed, c.prints), "%s: %s", c.why, printed)
		if c.prints == "<" {
			require.Contains(t, printed, "https", c.why)
			continue
		}
		_, err = bctrl.New(bctrl.WithBaseURL(printed), bctrl.WithAPIKey(bctrl.NewSecret("bctrl_x")))
		require.NoError(t, err, c.why)
	}
	for listens, want := range map[string]bool{"127.0.0.1:1": false, "[::1]:1": false, "0.0.0.0:1": true, "[::]:1": true,
		"10.1.2.3:1": true} {
		at, err := net.ResolveTCPAddr("tcp", listens)
		require.NoError(t, err)
		require.Equal(t, want, exposed(at), listens)
	}
}

// TestOperatorsReadMetricsWhereCallersDoNot: where the server answers callers there are
// none, and no port for them unless it is asked for.
func TestOperatorsReadMetricsWhereCallersDoNot(t *testing.T) {
	where := newPlace(t)
	where.args = []string{"--admin-address", "127.0.0.1:0"}
	srv := where.start(t)
	get := func(url string) (int, string) {
		t.Helper()
		rq, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		require.NoError(t, err)
		rs, err := http.DefaultTransport.RoundTrip(rq)
		require.NoError(t, err)
		defer rs.Body.Close()
		text, err := io.ReadAll(rs.Body)
		require.NoError(t, err)
		return rs.StatusCode, string(text)
	}
	status, text := get(srv.metrics)
	require.Equal(t, http.StatusOK, status)
	for _, name := range []string{
		"bctrl_runtimes 0", "bctrl_webhook_deliveries_waiting 0", "bctrl_locked 0", "bctrl_audit_events",
		"bctrl_audit_signed",
		"bctrl_store_commit_duration_seconds_count",
		"process_resident_memory_bytes", "go_goroutines",
	} {
		require.True(t, strings.Contains("\n"+text, "\n"+name), name)
	}
	admin := strings.TrimSuffix(srv.metrics, "/metrics")
	for url, want := range map[string]int{
		admin + "/readyz": http.StatusOK, admin + "/healthz": http.StatusOK, admin + "/v1/openapi.json": http.StatusNotFound,
		srv.url + "/metrics": http.StatusNotFound,
	} {
		status, _ := get(url)
		require.Equal(t, want, status, url)
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	srv.terminate()

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	fresh := newPlace(t)
	require.Contains(t, fresh.refused(t, []string{"--admin-address", taken.Addr().String()}), "--admin-address")
	require.NoDirExists(t, fresh.data)
}
