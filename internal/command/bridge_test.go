package command

import (
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A client that starts the command as its browser reads where it is as Chromium says it,
// and the runtime that was launched for it is gone with it.
func TestABridgeIsABrowserToThoseWhoStartOne(t *testing.T) {
	d := furnished(t)
	for _, line := range []string{
		"runtime bridge sales --launch -- --headless --remote-debugging-port=0 about:blank",
		"runtime bridge sales/mine --launch -- --remote-debugging-port=0",
		"runtime bridge sales/crm --",
	} {
		ran := d.bridges(strings.Fields(line + " --user-data-dir=/x"))
		require.Zero(t, ran.code, ran.stderr)
		require.Empty(t, ran.stdout)
		require.Regexp(t, `(?m)^DevTools listening on ws://127\.0\.0\.1:\d+/devtools/browser/[0-9a-f]{64}$`, ran.stderr)
	}
	ran := d.bridges([]string{"runtime", "bridge", "sales/crm"})
	require.Regexp(t, `^ws://127\.0\.0\.1:\d+/devtools/browser/[0-9a-f]{64}\n$`, ran.stdout)
	require.Empty(t, ran.stderr)
	list := d.do("runtime", "list", "sales", "--output", "alias,status")
	require.Regexp(t, `(?m)^bridge-\w+\tstopped$`, list)
	require.Contains(t, list, "mine\tstopped")
	require.Contains(t, list, "crm\tactive")
}

func TestWhatABridgeCannotBeIsSaid(t *testing.T) {
	d := furnished(t)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	taken := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	for _, tc := range []struct {
		line, says string
		code       int
	}{
		{"runtime bridge", "want: bctrl runtime bridge", exitUsage},
		{"runtime bridge sales/crm more", "want: bctrl runtime bridge", exitUsage},
		{"runtime bridge -- --headless", "want: bctrl runtime bridge", exitUsage},
		{"runtime bridge sales", "want a runtime", exitUsage},
		{"runtime bridge sales/none", "runtimes.not_found", exitNotFound},
		{"runtime bridge none --launch", "workspace none", exitNotFound},
		{"runtime bridge sales/crm -- --remote-debugging-port=x", "want a number", exitUsage},
		{"runtime bridge sales/crm --port " + taken, "is taken", exitFailed},
	} {
		ran := d.run("", strings.Fields(tc.line)...)
		require.Equal(t, tc.code, ran.code, tc.line+ran.stderr)
		require.Contains(t, ran.stderr, tc.says, tc.line)
	}
}
