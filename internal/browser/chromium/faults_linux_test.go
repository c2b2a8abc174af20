package chromium

import (
	"context"
	"errors"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
)

func TestAPageWhoseProcessDiesEndsNothingElse(t *testing.T) {
	t.Parallel()
	site := browsertest.ServePage(t, "<title>site</title>")
	b := launch(t, browser.Spec{ID: "renderer", Egress: browsertest.Loopback()})
	page, err := b.Page(t.Context())
	require.NoError(t, err)
	require.NoError(t, page.Goto(t.Context(), site, ""))
	killRenderers(t, b)
	require.Eventually(t, func() bool {
		again, err := b.Page(t.Context())
		return err == nil && again.Goto(t.Context(), site, "") == nil
	}, 30*time.Second, 50*time.Millisecond, "the browser works on, in another tab")
	require.NoError(t, b.Err())
}

// killRenderers ends the processes of the pages.
func killRenderers(t *testing.T, b *instance) {
	t.Helper()
	for pid, cmdline := range group(t, b.proc.pid()) {
		if strings.Contains(cmdline, "--type=renderer") {
			require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
		}
	}
}

// TestACrashSaysSo has a page crash in the middle of actions that wait for it. Each says what
// happened, and the next one has a tab to work in.
func TestACrashSaysSo(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	b := launch(t, browser.Spec{ID: "crashes", Egress: browsertest.Loopback()})
	p, err := b.Page(ctx)
	require.NoError(t, err)
	asked := make(chan struct{})
	s := browsertest.NewSite(t, map[string]string{"/": `<input aria-label=Text><script>
const ask = () => { const x = new XMLHttpRequest(); x.open('GET', '/asks', false); x.send() };
document.querySelector('input').oninput = onbeforeprint = ask</script>`})
	s.Handlers["/asks"] = func(_ http.ResponseWriter, r *http.Request) {
		select {
		case asked <- struct{}{}:
			<-r.Context().Done()
		case <-r.Context().Done():
		}
	}
	for _, c := range []struct {
		why    string
		action func(*browser.Observation) error
	}{
		{"a navigation", func(*browser.Observation) error { return p.Goto(ctx, s.URL+"/asks", "") }},
		{"printing", func(*browser.Observation) error { _, err := p.PDF(ctx, browser.Printing{}); return err }},
		{"typing", func(obs *browser.Observation) error { return p.Type(ctx, obs.Elements[0].Ref, "text") }},
		{"a fill", func(obs *browser.Observation) error {
			return p.Fill(ctx, obs.Elements[0].Ref, browsertest.Login("totp", "048151", s.URL))
		}},
	} {
		obs := browsertest.Open(ctx, t, p, s.URL+"/")
		failed := make(chan error, 1)
		go func() { failed <- c.action(obs) }()
		<-asked
		killRenderers(t, b)
		require.ErrorContains(t, <-failed, "page.crashed", c.why)
		require.NoError(t, p.Goto(ctx, s.URL+"/", ""), "%s: the next action has a tab at once", c.why)
	}
}

// killed is a process that got SIGKILL.
func killed(t *testing.T) *process {
	t.Helper()
	cmd := exec.Command("sleep", "600")
	require.NoError(t, cmd.Start())
	require.NoError(t, cmd.Process.Kill())
	p := &process{cmd: cmd, stderr: &stderrTail{}, exited: make(chan struct{})}
	p.err = cmd.Wait()
	return p
}

func TestABrowserThatEndedSaysWhy(t *testing.T) {
	const full, free = "/proc", "/" // the first has room for nothing
	for _, tc := range []struct {
		why   string
		dir   string
		kills int64 // beside those that were there
		want  error
	}{
		{"the system ended a process meanwhile", free, -1, browser.ErrSystemMemory},
		{"the system ended none", free, 0, browser.ErrKilled},
		{"nothing is left of the disk", full, 0, browser.ErrDiskFull},
	} {
		b := &instance{dirs: dirs{root: tc.dir}, proc: killed(t)}
		b.oomKills.Store(oomKills() + tc.kills)
		got := b.whyEnded(false)
		for _, err := range []error{browser.ErrSystemMemory, browser.ErrKilled, browser.ErrDiskFull} {
			require.Equal(t, err == tc.want, errors.Is(got, err), "%s: %v", tc.why, got)
		}
		require.NotErrorIs(t, b.whyEnded(true), browser.ErrKilled, "the server killed it")
	}
	require.Equal(t, int64(12), oomKillsIn("pgfault 3\noom_kill 12\noom_kill_other 4\n"))
	require.Zero(t, oomKillsIn("oom_kill_other 4\noom_kill x\n"), "an old kernel does not say")
}
