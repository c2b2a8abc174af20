package server

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/server/files"
)

// lowering is a workspace with one runtime, and the ways in which what the
// runtime has underway stops being permitted.
type lowering struct {
	*harness
	srv *httptest.Server
	ws  bctrl.WorkspaceInfo
	rt  bctrl.RuntimeInfo
	// token is a runtime token of rt.
	tokenID, token string
}

func newLowering(t *testing.T, provider string) *lowering {
	return newLoweringWith(t, provider, func(h *harness) browser.Driver { return h.browsers })
}

// newLoweringWith is newLowering with a driver of the test's own.
func newLoweringWith(
	t *testing.T, provider string, driver func(*harness) browser.Driver, change ...func(*Config),
) *lowering {
	h := newHarness(t, change...)
	h.startWith(driver(h))
	l := &lowering{harness: h, srv: h.live()}
	body := openAI("mine")
	body["baseUrl"] = provider
	h.ok("POST", []string{"ai-credentials"}, body, nil)
	h.ok("PUT", []string{"vault", "prod/crm"}, object{"username": "bot", "password": "p",
		"origins": []string{"https://crm.example.com"}}, nil)
	h.ok("POST", []string{"workspaces"}, object{"name": "w", "mounts": l.mounts("s")}, &l.ws)
	l.launchAgain()
	return l
}

func (l *lowering) launchAgain() {
	l.Helper()
	path := []string{"workspaces", l.ws.ID, "runtimes"}
	l.ok("POST", path, object{"alias": "r", "kind": "browser", "driver": "stagehand", "launch": object{}}, &l.rt)
	var minted struct{ ID, Token string }
	l.ok("POST", append(path, "r", "tokens"), object{}, &minted)
	l.tokenID, l.token = minted.ID, minted.Token
}

func (l *lowering) mounts(namespace string) object {
	return object{"storage": object{"workspace": namespace}, "ai": object{"allow": []string{"mine"}},
		"vault": object{"allow": []string{"prod/"}}}
}

// to replaces the workspace's mounts.
func (l *lowering) to(mounts object) {
	l.Helper()
	l.ok("PATCH", []string{"workspaces", l.ws.ID}, object{"mounts": mounts}, nil)
}

// changes are what ends a runtime's upload, each with the answer it gets.
func (l *lowering) changes() map[string]struct {
	do     func()
	status int
} {
	type change = struct {
		do     func()
		status int
	}
	return map[string]change{
		"the workspace has another namespace": {func() { l.to(l.mounts("other")) }, 403},
		"the workspace has no storage":        {func() { l.to(object{"storage": object{"access": "none"}}) }, 403},
		"the token is revoked":                {func() { l.ok("DELETE", []string{"tokens", l.tokenID}, nil, nil) }, 401},
		"the runtime is stopped": {func() {
			l.ok("POST", []string{"workspaces", l.ws.ID, "runtimes", "r", "stop"}, nil, nil)
		}, 401},
		"the browser crashes": {func() {
			require.True(l, l.browsers.Crash(l.rt.ID))
			l.settled(func() bool {
				return strings.Contains(string(l.do("GET", []string{"workspaces", l.ws.ID, "runtimes", "r"}, nil, nil).Body),
					`"failed"`)
			}, "the crash is seen")
		}, 401},
		"the workspace is deleted": {func() {
			got := l.do("DELETE", []string{"workspaces", l.ws.ID}, map[string][]string{"force": {"true"}}, nil)
			require.Equal(l, http.StatusOK, got.Status, "%s", got.Body)
		}, 401},
	}
}

// open starts a request of the runtime that stands still.
func (l *lowering) open(method, path string, lines ...string) (net.Conn, *bufio.Reader) {
	l.Helper()
	head := []string{method + " " + target(file("s", path), nil) + " HTTP/1.1", "Host: x",
		"Authorization: Bearer " + l.token}
	return l.dial(l.srv, append(append(head, lines...), "")...)
}

// soon fails the test when what follows a change takes longer than a second.
func soon(t *testing.T, why string, what func()) {
	t.Helper()
	begun := time.Now()
	what()
	require.Less(t, time.Since(begun), time.Second, why)
}

func TestAnUploadEndsWhenItIsNoLongerPermitted(t *testing.T) {
	names := (&lowering{}).changes()
	for name := range names {
		t.Run(name, func(t *testing.T) {
			l := newLowering(t, "http://127.0.0.1:9/v1")
			conn, answers := l.open("PUT", "big", "Content-Length: 1000", "", "the beginning")
			require.NoError(t, conn.SetReadDeadline(time.Now().Add(10*time.Second)))
			l.settled(func() bool { return l.server.Underway() == 1 }, "the upload has begun")
			c := l.changes()[name]
			c.do()
			soon(t, "in flight ends within a second", func() {
				resp, err := http.ReadResponse(answers, nil)
				require.NoError(t, err)
				defer resp.Body.Close()
				body, err := io.ReadAll(resp.Body)
				require.NoError(t, err)
				require.Equal(t, c.status, resp.StatusCode, "%s", body)
			})
			l.settled(func() bool { return l.server.Underway() == 0 }, "nothing is left of it")
			require.Equal(t, http.StatusNotFound, l.do("GET", file("s", "big"), nil, nil).Status, "nothing was stored")
		})
	}
}

func TestAnUploadThatIsStillPermittedGoesOn(t *testing.T) {
	l := newLowering(t, "http://127.0.0.1:9/v1")
	conn, answers := l.open("PUT", "f", "Content-Length: 10", "", "123")
	l.settled(func() bool { return l.server.Underway() == 1 }, "the upload has begun")
	l.to(object{"storage": object{"workspace": "s"}}) // less of everything else
	l.ok("PATCH", []string{"ai-credentials", "mine"}, object{"enabled": false}, nil)
	l.made("another", object{})
	_, err := io.WriteString(conn, "45678")
	require.NoError(t, err)
	resp, err := http.ReadResponse(answers, nil)
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusOK, resp.StatusCode, "%s", body)
	require.Equal(t, "123\r\n45678", string(l.do("GET", file("s", "f"), nil, nil).Body))
}

func TestADownloadBreaksOffWhenItIsNoLongerPermitted(t *testing.T) {
	const size = 64 << 20 // more than the buffers on the way
	names := (&lowering{}).changes()
	for name := range names {
		t.Run(name, func(t *testing.T) {
			l := newLowering(t, "http://127.0.0.1:9/v1")
			_, err := l.server.files.Put(t.Context(), l.org(), files.Incoming{Namespace: "s", Path: "big",
				Source: bctrl.SourceUpload},
				io.LimitReader(zeros{}, size), audit.Event{Org: l.org(), Action: "test"})
			require.NoError(t, err)
			conn, answers := l.open("GET", "big", "", "")
			resp, err := http.ReadResponse(answers, nil)
			require.NoError(t, err)
			defer resp.Body.Close()
			require.Equal(t, http.StatusOK, resp.StatusCode)
			l.changes()[name].do()
			soon(t, "in flight ends within a second", func() {
				l.settled(func() bool { return l.server.Underway() == 0 }, "the request has ended, though nobody reads")
			})
			require.NoError(t, conn.SetReadDeadline(time.Now().Add(10*time.Second)))
			n, err := io.Copy(io.Discard, resp.Body)
			require.Error(t, err, "it broke off")
			require.Less(t, n, int64(size))
			var denied bool
			for _, e := range l.events() {
				denied = denied || e.Action == string(bctrl.GetStorage) && e.Decision == audit.Denied
			}
			require.True(t, denied, "the log has it")
		})
	}
}

// zeros is as many zeros as are asked for.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// TestARequestIsDecidedByTheMountsOfThatMoment lowers a workspace between the
// beginning of a request, when its caller is looked up, and its decision, which
// waits for a field of the form.
func TestARequestIsDecidedByTheMountsOfThatMoment(t *testing.T) {
	l := newLowering(t, "http://127.0.0.1:9/v1")
	fields := strings.Join([]string{"--b", `Content-Disposition: form-data; name="workspace"`, "", "s", "--b", ""}, "\r\n")
	rest := strings.Join([]string{
		`Content-Disposition: form-data; name="path"`, "", "f", "--b",
		`Content-Disposition: form-data; name="file"; filename="f"`, "", "x", "--b--", "",
	}, "\r\n")
	conn, answers := l.dial(l.srv, "POST /v1/storage/objects HTTP/1.1", "Host: x", "Authorization: Bearer "+l.token,
		"Content-Type: multipart/form-data; boundary=b", "Content-Length: "+strconv.Itoa(len(fields)+len(rest)), "", fields)
	l.settled(func() bool { return l.server.Underway() == 1 }, "it has begun")
	l.to(l.mounts("other"))
	_, err := io.WriteString(conn, rest)
	require.NoError(t, err)
	resp, err := http.ReadResponse(answers, nil)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusForbidden, resp.StatusCode)
}

// silentProvider is a model provider that never answers. asked gets a value
// for each question, left one for each that its client gave up.
func silentProvider(t *testing.T) (url string, asked, left chan struct{}) {
	asked, left = make(chan struct{}, 100), make(chan struct{}, 100)
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // so that the server watches the connection
		asked <- struct{}{}
		<-r.Context().Done()
		left <- struct{}{}
	}))
	t.Cleanup(srv.Close)
	return srv.URL + "/v1", asked, left
}

func TestAQuestionToAModelEndsWhenItIsNoLongerPermitted(t *testing.T) {
	changes := map[string]struct {
		code string
		do   func(l *lowering)
	}{
		"the workspace is lowered": {"ai.outside_mount", func(l *lowering) {
			l.to(object{"ai": object{"allow": []string{}}})
		}},
		"the credential is disabled": {"ai.disabled", func(l *lowering) {
			l.ok("PATCH", []string{"ai-credentials", "mine"}, object{"enabled": false}, nil)
		}},
		"the credential is deleted": {"ai.not_found", func(l *lowering) {
			got := l.do("DELETE", []string{"ai-credentials", "mine"}, map[string][]string{"force": {"true"}}, nil)
			require.Equal(l, http.StatusOK, got.Status)
		}},
	}
	asks := map[string]func(l *lowering) answer{
		"by an agent": func(l *lowering) answer {
			return l.do("POST", []string{"workspaces", l.ws.ID, "execute"}, nil,
				object{"runtime": "r", "steps": []object{{"call": "stagehand.act", "args": object{"instruction": "x"}}}})
		},
		"by a test of the credential": func(l *lowering) answer {
			return l.do("POST", []string{"ai-credentials", "mine", "test"}, nil, nil, as(l.rt)...)
		},
	}
	for how, ask := range asks {
		for name, c := range changes {
			t.Run(how+", "+name, func(t *testing.T) {
				url, asked, left := silentProvider(t)
				l := newLowering(t, url)
				answers := make(chan answer, 1)
				go func() { answers <- ask(l) }()
				<-asked
				c.do(l)
				soon(t, "in flight ends within a second", func() {
					<-left
					require.Contains(t, string((<-answers).Body), `"code":"`+c.code+`"`)
				})
				require.Zero(t, l.server.Underway())
			})
		}
	}
}

func TestAFilledLoginIsNotSentOnceItIsNoLongerPermitted(t *testing.T) {
	l := newAgents(t)
	ctx := t.Context()
	use := func() browser.Fill {
		fill := l.filled()
		require.NoError(t, fill.StillPermitted(ctx))
		return fill
	}
	fill := use()
	l.to(object{"vault": object{"allow": []string{"prod/"}, "deny": []string{"prod/crm"}}})
	require.ErrorIs(t, fill.StillPermitted(ctx), bctrl.ErrOutsideMount)
	events := l.events()
	last := events[len(events)-1]
	require.Equal(t, audit.Denied, last.Decision)
	require.Equal(t, "prod/crm", last.Object)
	require.ErrorIs(t, fill.StillPermitted(ctx), bctrl.ErrOutsideMount)
	require.Len(t, l.events(), len(events), "a page that sends it again does not fill the log")
	l.to(l.mounts("s"))
	require.NoError(t, fill.StillPermitted(ctx), "a decision of each moment")
	l.ok("PUT", []string{"vault", "prod/crm"}, object{"password": "rotated"}, nil)
	require.NoError(t, fill.StillPermitted(ctx), "the same login, changed")
	l.ok("DELETE", []string{"vault", "prod/crm"}, nil, nil)
	l.ok("PUT", []string{"vault", "prod/crm"}, object{"password": "another"}, nil)
	require.ErrorIs(t, fill.StillPermitted(ctx), bctrl.ErrNotFound, "another login under its key is not what was filled")
	fill = use()
	l.ok("POST", []string{"workspaces", l.ws.ID, "runtimes", "r", "stop"}, nil, nil)
	require.ErrorIs(t, fill.StillPermitted(ctx), bctrl.ErrConflict)
}

// specDriver tells what it was asked to start.
type specDriver struct {
	browser.Driver
	specs chan browser.Spec
}

func (d specDriver) Launch(ctx context.Context, spec browser.Spec) (browser.Browser, error) {
	d.specs <- spec
	return d.Driver.Launch(ctx, spec)
}

func TestAFileOfARuntimeIsNotStoredOnceItIsNoLongerPermitted(t *testing.T) {
	specs := make(chan browser.Spec, 1)
	l := newLoweringWith(t, "http://127.0.0.1:9/v1", func(h *harness) browser.Driver {
		return specDriver{h.browsers, specs}
	})
	lower := readFunc(func([]byte) (int, error) { l.to(l.mounts("other")); return 0, io.EOF })
	content := io.MultiReader(iotest.OneByteReader(strings.NewReader("half")), lower, strings.NewReader("the rest"))
	kept, err := (<-specs).OnDownload(t.Context(), browser.Download{
		Filename: "report.csv",
		Open:     func() (io.ReadCloser, error) { return io.NopCloser(content), nil },
	})
	require.ErrorIs(t, err, bctrl.ErrOutsideMount)
	require.Empty(t, kept)
	require.Zero(t, l.kept())
}

func TestARuntimeThatStopsItselfHearsThatItHas(t *testing.T) {
	l := newLowering(t, "http://127.0.0.1:9/v1")
	for range 20 {
		got := l.send("POST", target([]string{"workspaces", l.ws.ID, "runtimes", "r", "stop"}, nil), nil, "Authorization",
			"Bearer "+l.token)
		require.Equal(t, http.StatusOK, got.Status, "%s", got.Body)
		require.Contains(t, string(got.Body), `"status":"stopped"`)
		l.launchAgain()
	}
}
