package browsertest

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/browser"
)

// Plain starts the browser that runtimes start, by itself: nothing stands between it and the
// client that is returned, and nobody else is there. It ends with its test.
func Plain(t *testing.T, flags ...string) *Outsider {
	t.Helper()
	path, err := browser.Locate("")
	require.NoError(t, err)
	in, toBrowser, err := os.Pipe()
	require.NoError(t, err)
	fromBrowser, out, err := os.Pipe()
	require.NoError(t, err)
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), path, append([]string{
		"--headless", "--no-sandbox", "--remote-debugging-pipe", "--user-data-dir=" + t.TempDir(),
		"--window-size=1280,800", "--no-first-run", "--disable-background-networking", "--disable-dev-shm-usage",
		"--hide-scrollbars", "--mute-audio", "--disable-crash-reporter", "--disable-breakpad",
	}, append(flags, "about:blank")...)...)
	cmd.ExtraFiles = []*os.File{in, out} // 3 and 4
	require.NoError(t, cmd.Start())
	require.NoError(t, in.Close())
	require.NoError(t, out.Close())
	pipe := &pipeConn{in: bufio.NewReaderSize(fromBrowser, 1<<20), out: toBrowser}
	o := newOutsider(t, t.Context(), pipe)
	var once sync.Once
	o.Leave = func() {
		once.Do(func() {
			// It is waited for, so that nothing is left that writes to its folder.
			_, _ = o.Root.Post(context.Background(), cdpbrowser.CommandClose, nil)
			hangs := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
			_ = cmd.Wait() // how it ended is of no interest
			hangs.Stop()
			require.NoError(t, toBrowser.Close())
			<-o.Conn.Done()
			require.NoError(t, fromBrowser.Close())
		})
	}
	t.Cleanup(o.Leave)
	return o
}

// pipeConn is the DevTools pipe of a browser as a [browser.CDPConn]. It ends with the browser.
type pipeConn struct {
	in  *bufio.Reader
	out *os.File
}

func (p *pipeConn) Read(context.Context) ([]byte, error) {
	msg, err := p.in.ReadBytes(0)
	if err != nil {
		return nil, err
	}
	return msg[:len(msg)-1], nil
}

func (p *pipeConn) Write(_ context.Context, msg []byte) error {
	_, err := p.out.Write(append(msg, 0))
	return err
}
