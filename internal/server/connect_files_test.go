package server

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// fileDriver starts browsers whose clients are handed to the test, with their files.
type fileDriver struct {
	browser.Driver
	clients chan browser.ClientFiles
}

type fileBrowser struct {
	browser.Browser
	clients chan browser.ClientFiles
}

func (d fileDriver) Launch(ctx context.Context, s browser.Spec) (browser.Browser, error) {
	b, err := d.Driver.Launch(ctx, s)
	return fileBrowser{b, d.clients}, err
}

func (b fileBrowser) ServeCDP(ctx context.Context, conn browser.CDPConn) error {
	b.clients <- conn.(browser.ClientFiles) //nolint:forcetypeassert // the test fails without it
	<-ctx.Done()
	return ctx.Err()
}

// TestClientsOfABrowserGiveFilesOfTheirStorageAlone has the clients of an organization and of
// a token name files as their libraries send them.
func TestClientsOfABrowserGiveFilesOfTheirStorageAlone(t *testing.T) {
	h := newHarness(t)
	srv := h.live()
	clients := make(chan browser.ClientFiles)
	h.startWith(fileDriver{h.browsers, clients})
	ws := h.workspace("sales", bctrl.Mounts{Storage: &bctrl.StorageMount{Workspace: "exports"}})
	rt := h.launch(ws, "crm", nil)
	h.stored("exports", "reports/q1.pdf", "first")
	h.stored("other", "reports/q1.pdf", "of somebody else")
	path := []string{"workspaces", ws.ID, "runtimes", "crm", "connect"}
	client := func(connect func(out *wire.Connection)) browser.ClientFiles {
		var c wire.Connection
		connect(&c)
		_, address, _ := strings.Cut(c.URL.Reveal(), "/devtools/")
		conn, _, err := websocket.Dial(t.Context(), srv.URL+"/devtools/"+address, nil)
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.CloseNow() }) // the server may have been first
		return <-clients
	}
	whole := client(func(c *wire.Connection) { h.ok("GET", path, nil, c) })
	token := h.mint(ws.ID, "crm", object{"mounts": object{"storage": object{"access": "none"}}})
	narrowed := client(func(c *wire.Connection) {
		h.as(token.Expose(), func() { h.ok("GET", path, nil, c) })
	})
	const machine = "runtimes.machine_path"
	for _, c := range []struct {
		client          browser.ClientFiles
		name, code, why string
	}{
		{whole, "/storage/reports/q1.pdf", "", "as clients send it that make paths absolute"},
		{whole, "reports/q1.pdf", "", "as it stands in storage"},
		{whole, "/etc/passwd", machine, "a file of the server's"},
		{whole, "/", machine, "a folder of the server's"},
		{whole, "/storage", machine, "no file"},
		{whole, `C:\storage\q1.pdf`, machine, "a client on Windows"},
		{whole, `\\host\share\q1.pdf`, machine, "another machine"},
		{whole, "file:///etc/passwd", machine, "an address"},
		{whole, "/storage/../../etc/passwd", "storage.invalid_path", "no dots"},
		{whole, "/storage//etc/passwd", "storage.invalid_path", "no empty segment"},
		{whole, "../reports/q1.pdf", "storage.invalid_path", "no dots"},
		{whole, "", "storage.invalid_path", "no file"},
		{whole, "reports/q2.pdf", "storage.file_not_found", "it is not there"},
		{whole, "reports", "storage.file_not_found", "a folder"},
		{narrowed, "/storage/reports/q1.pdf", "storage.outside_mount", "the token has no storage"},
		{narrowed, "/storage/reports/q2.pdf", "storage.outside_mount", "nor learns what is there"},
		{narrowed, "/etc/passwd", machine, "a file of the server's"},
	} {
		file, err := c.client.OpenFile(t.Context(), c.name)
		if c.code == "" {
			require.NoError(t, err, c.why)
			require.Equal(t, "q1.pdf", file.Name)
			var text bytes.Buffer
			require.NoError(t, file.WriteTo(t.Context(), &text), c.why)
			require.Equal(t, "first", text.String(), c.why)
			continue
		}
		require.ErrorContains(t, err, c.code, c.why)
		require.NotContains(t, err.Error(), "passwd", "a path is not repeated")
	}
	refused := map[string]int{}
	for _, e := range h.log(bctrl.AuditFilter{Action: "storage.get"}) {
		require.Equal(t, rt.ID, e.RuntimeID)
		refused[e.Outcome]++
	}
	require.Equal(t, map[string]int{"ok": 2, machine: 7, "storage.outside_mount": 2}, refused, "each is in the log")

	h.ok("PATCH", []string{"workspaces", ws.ID}, object{"mounts": object{"storage": object{"access": "none"}}}, nil)
	_, err := whole.OpenFile(t.Context(), "reports/q1.pdf")
	require.ErrorContains(t, err, "storage.outside_mount", "what the workspace is lowered to counts at once")
	got := h.do("POST", []string{"workspaces", ws.ID, "runtimes", "crm", "stop"}, nil, nil)
	require.Equal(t, http.StatusOK, got.Status)
}
