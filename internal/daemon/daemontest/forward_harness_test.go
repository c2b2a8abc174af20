package daemontest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/daemon"
)

// hanging is an address that never loads.
const hanging = "https://hanging.example/"

// echoes starts fake browsers that answer DevTools clients with what these say, and whose
// page hangs on the way to one address.
type echoes struct {
	*browser.Fake
	began, ended chan struct{} // an element each time that a page hangs, and is left
}

func newEchoes() *echoes {
	return &echoes{Fake: &browser.Fake{}, began: make(chan struct{}, 10), ended: make(chan struct{}, 10)}
}

func (e *echoes) Launch(ctx context.Context, spec browser.Spec) (browser.Browser, error) {
	b, err := e.Fake.Launch(ctx, spec)
	return &echoBrowser{b, e}, err
}

type echoBrowser struct {
	browser.Browser
	of *echoes
}

func (*echoBrowser) ServeCDP(ctx context.Context, conn browser.CDPConn) error {
	for {
		message, err := conn.Read(ctx)
		if err != nil {
			return err
		}
		if err := conn.Write(ctx, bytes.ToUpper(message)); err != nil {
			return err
		}
	}
}

func (b *echoBrowser) Page(ctx context.Context) (browser.Page, error) {
	p, err := b.Browser.Page(ctx)
	return &echoPage{p, b.of}, err
}

type echoPage struct {
	browser.Page
	of *echoes
}

func (p *echoPage) Goto(ctx context.Context, url string, until bctrl.WaitUntil) error {
	if url != hanging {
		return p.Page.Goto(ctx, url, until)
	}
	p.of.began <- struct{}{}
	<-ctx.Done()
	p.of.ended <- struct{}{}
	return ctx.Err()
}

// stage is a cluster with a runtime on its first node.
type stage struct {
	*testing.T
	*Cluster
	browsers []*echoes
	ws       *bctrl.Workspace
	rt       *bctrl.Runtime
}

func newStage(t *testing.T, nodes int, change ...func(*daemon.Config)) *stage {
	t.Helper()
	st := &stage{T: t, Cluster: NewCluster(t, 0)}
	for range nodes {
		e := newEchoes()
		st.browsers = append(st.browsers, e)
		st.Start(append(change, func(cfg *daemon.Config) { cfg.Browsers = e })...)
	}
	var err error
	st.ws, err = st.Nodes[0].Client.Workspaces.Create(t.Context(), bctrl.WorkspaceCreate{
		Name: "shared",
		Mounts: bctrl.Mounts{
			Storage: &bctrl.StorageMount{Workspace: "shared"},
		},
	})
	require.NoError(t, err)
	return st
}

// launch launches a runtime by a client of a node.
func (st *stage) launch(node int, alias string, l bctrl.Launch) *bctrl.Runtime {
	st.Helper()
	rt, err := st.workspace(node).Runtimes.Browser(alias).Stagehand(st.Context(), l)
	require.NoError(st, err)
	return rt
}

// workspace is the workspace as a client of a node has it, and runtime a runtime.
func (st *stage) workspace(node int) *bctrl.Workspace {
	st.Helper()
	ws, err := st.Nodes[node].Client.Workspaces.Get(st.Context(), st.ws.Latest().ID)
	require.NoError(st, err)
	return ws
}

func (st *stage) runtime(node int, alias string) *bctrl.Runtime {
	st.Helper()
	rt, err := st.workspace(node).Runtimes.Get(st.Context(), alias)
	require.NoError(st, err)
	return rt
}

// holder is the index of the node whose browsers have a runtime.
func (st *stage) holder(rt *bctrl.Runtime) int {
	st.Helper()
	for i, b := range st.browsers {
		for _, id := range b.Running() {
			if id == rt.Latest().ID {
				return i
			}
		}
	}
	st.Fatal("no node has the runtime")
	return -1
}

// goTo is an execution that goes to an address.
func goTo(t *testing.T, alias, url string) bctrl.Execution {
	t.Helper()
	step, err := bctrl.GotoStep(bctrl.GotoArgs{URL: url})
	require.NoError(t, err)
	return bctrl.Execution{Runtime: alias, Steps: []bctrl.Step{step}}
}

// ask sends one request to a node, with the operator's key, and returns its answer.
func (st *stage) ask(
	ctx context.Context, node int, method, path, body string, headers ...string,
) (*http.Response, []byte) {
	st.Helper()
	rq, err := http.NewRequestWithContext(ctx, method, st.Nodes[node].URL+path, strings.NewReader(body))
	require.NoError(st, err)
	rq.Header.Set("Authorization", "Bearer "+st.Key.Expose())
	if body != "" {
		rq.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		rq.Header.Set(headers[i], headers[i+1])
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(rq)
	require.NoError(st, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(st, err)
	return res, text
}

// code is that of a refusal.
func code(t *testing.T, body []byte) string {
	t.Helper()
	var e struct{ Code string }
	require.NoError(t, json.Unmarshal(body, &e), string(body))
	return e.Code
}
