package daemontest

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/cluster"
	"github.com/bctrl-go/bctrl/internal/cluster/peer"
)

// TestEveryNodeTakesTheRequestsOfEveryRuntime has a runtime on one node of three, and all
// that clients do with one done by way of the others.
func TestEveryNodeTakesTheRequestsOfEveryRuntime(t *testing.T) {
	st := newStage(t, 3)
	st.rt = st.launch(0, "a", bctrl.Launch{Record: true})
	require.Equal(t, 0, st.holder(st.rt))
	for _, part := range []struct {
		name string
		run  func(*testing.T, *stage)
	}{
		{"execute", executesElsewhere},
		{"an operation", operatesElsewhere},
		{"its events", hearsElsewhere},
		{"DevTools", connectsElsewhere},
		{"WebDriver", drivesElsewhere},
		{"a live view", watchesElsewhere},
		{"headers that a client forges", forgesInVain},
		{"a client that leaves", leavesElsewhere},
		{"no second hop", isNotPassedOnTwice},
		{"a token of the runtime's own", actsElsewhere},
	} {
		t.Run(part.name, func(t *testing.T) {
			own := *st
			own.T = t
			part.run(t, &own)
		})
	}
	require.NoError(t, st.runtime(2, "a").Stop(t.Context()))
	require.Empty(t, st.browsers[0].Running())
	require.Equal(t, bctrl.RuntimeStopped, st.runtime(1, "a").Latest().Status)
	left := st.holder(st.launch(1, "left", bctrl.Launch{}))
	require.NoError(t, st.Nodes[(left+1)%3].Client.Workspaces.Delete(t.Context(), st.ws.Latest().ID, bctrl.WithForce()))
	require.Empty(t, st.browsers[left].Running(), "it was stopped where it ran")
}

func executesElsewhere(t *testing.T, st *stage) {
	ctx := t.Context()
	for node := range st.Nodes {
		result, err := st.workspace(node).Execute(ctx, goTo(t, "a", "https://example.com/"))
		require.NoError(t, err)
		require.Len(t, result.Steps, 1)
		require.NoError(t, result.Err())
	}
	res, body := st.ask(ctx, 1, http.MethodPost, "/v1/workspaces/"+st.ws.Latest().ID+"/execute", `{"runtime": "a"}`,
		"X-Request-Id", "mine")
	require.Equal(t, http.StatusBadRequest, res.StatusCode)
	require.Equal(t, "executions.steps", code(t, body))
	require.Equal(t, []string{"mine"}, res.Header.Values("X-Request-Id"))
	res, body = st.ask(ctx, 1, http.MethodPost, "/v1/workspaces/"+st.ws.Latest().ID+"/execute", `{"runtime": "none"}`)
	require.Equal(t, http.StatusBadRequest, res.StatusCode, string(body))
}

func operatesElsewhere(t *testing.T, st *stage) {
	ctx := t.Context()
	op, err := st.workspace(1).ExecuteAsync(ctx, goTo(t, "a", hanging))
	require.NoError(t, err)
	<-st.browsers[0].began
	there, err := st.Nodes[2].Client.Operations.Get(ctx, op.ID)
	require.NoError(t, err)
	require.Equal(t, bctrl.OperationRunning, there.Info.Status)
	_, err = there.Cancel(ctx)
	require.NoError(t, err)
	ended, err := op.Wait(ctx)
	require.Error(t, err)
	require.Equal(t, bctrl.OperationCancelled, ended.Status)
	<-st.browsers[0].ended
}

func hearsElsewhere(t *testing.T, st *stage) {
	ctx, leave := context.WithTimeout(t.Context(), time.Minute)
	defer leave()
	began := false
	for e, err := range st.runtime(1, "a").Events(ctx) { // from its launch on
		require.NoError(t, err)
		if e.Type == bctrl.EventStepStarted {
			began = true
			break
		}
	}
	require.True(t, began)
}

// hello says something to a DevTools address and is answered.
func hello(t *testing.T, address string) {
	t.Helper()
	ctx, leave := context.WithTimeout(t.Context(), time.Minute)
	defer leave()
	conn, _, err := websocket.Dial(ctx, address, nil) //nolint:bodyclose // the websocket has it
	require.NoError(t, err)
	defer conn.CloseNow()
	for _, word := range []string{"hello", strings.Repeat("long ", 1000)} {
		require.NoError(t, conn.Write(ctx, websocket.MessageText, []byte(word)))
		_, answer, err := conn.Read(ctx)
		require.NoError(t, err)
		require.Equal(t, strings.ToUpper(word), string(answer))
	}
}

// by is an address by way of another node.
func (st *stage) by(node int, address string) string {
	st.Helper()
	u, err := url.Parse(address)
	require.NoError(st, err)
	at, err := url.Parse(st.Nodes[node].URL)
	require.NoError(st, err)
	u.Host = at.Host
	return u.String()
}

func connectsElsewhere(t *testing.T, st *stage) {
	ctx := t.Context()
	address, err := st.runtime(1, "a").ConnectURL(ctx)
	require.NoError(t, err)
	require.Equal(t, st.by(1, address), address, "it leads to the node that was asked")
	require.True(t, strings.HasPrefix(address, "ws://"), "as the client came")
	for node := range st.Nodes { // a client that comes back by way of another node
		hello(t, st.by(node, address))
	}
	urls, err := st.runtime(2, "a").ConnectURLs(ctx)
	require.NoError(t, err)
	require.Len(t, urls, 1)
	require.NoError(t, st.runtime(2, "a").RevokeConnectURL(ctx, urls[0].ID))
	for node := range st.Nodes {
		_, res, err := websocket.Dial(ctx, st.by(node, address), nil) //nolint:bodyclose // it has none
		require.Error(t, err)
		require.Equal(t, http.StatusUnauthorized, res.StatusCode)
	}
}

func drivesElsewhere(t *testing.T, st *stage) {
	driven, err := st.workspace(0).Runtimes.Browser("driven").Selenium(t.Context(), bctrl.Launch{})
	require.NoError(t, err)
	defer func() { require.NoError(t, driven.Stop(context.WithoutCancel(t.Context()))) }()
	owner := st.holder(driven)
	base, err := st.runtime((owner+1)%3, "driven").ConnectURL(t.Context())
	require.NoError(t, err)
	u, err := url.Parse(base)
	require.NoError(t, err)
	ask := func(node int, method, path, body string) map[string]any {
		res, text := st.ask(t.Context(), node, method, u.EscapedPath()+path, body)
		require.Equal(t, http.StatusOK, res.StatusCode, string(text))
		var out map[string]any
		require.NoError(t, json.Unmarshal(text, &out))
		return out
	}
	session := ask((owner+1)%3, http.MethodPost, "/session", `{"capabilities": {}}`)["value"].(map[string]any)
	id, ok := session["sessionId"].(string)
	require.True(t, ok)
	ask((owner+2)%3, http.MethodPost, "/session/"+id+"/url", `{"url": "https://example.com/"}`)
	ask((owner+1)%3, http.MethodDelete, "/session/"+id, "")
}

func watchesElsewhere(t *testing.T, st *stage) {
	ctx := t.Context()
	view, err := st.runtime(1, "a").Live(ctx, bctrl.LiveOptions{})
	require.NoError(t, err)
	u, err := url.Parse(view.URL)
	require.NoError(t, err)
	for node := range st.Nodes {
		res, body := st.ask(ctx, node, http.MethodGet, u.Path, "")
		require.Equal(t, http.StatusOK, res.StatusCode, string(body))
		require.Contains(t, res.Header.Get("Content-Type"), "text/html")
	}
	res, body := st.ask(ctx, 2, http.MethodPost, u.Path+"/open", "{}")
	require.Equal(t, http.StatusOK, res.StatusCode)
	socket := strings.Replace(st.by(1, u.String()), "http", "ws", 1) + "/socket"
	from := &websocket.DialOptions{HTTPHeader: http.Header{"Origin": {st.Nodes[1].URL}}}
	conn, _, err := websocket.Dial(ctx, socket, from) //nolint:bodyclose // the websocket has it
	require.NoError(t, err)
	defer conn.CloseNow()
	var tab map[string]string // its secret
	require.NoError(t, json.Unmarshal(body, &tab))
	tab["type"] = "hello"
	first, err := json.Marshal(tab)
	require.NoError(t, err)
	require.NoError(t, conn.Write(ctx, websocket.MessageText, first))
	_, state, err := conn.Read(ctx)
	require.NoError(t, err)
	require.NotContains(t, string(state), `"ended"`)
	views, err := st.runtime(2, "a").LiveViews(ctx)
	require.NoError(t, err)
	require.Len(t, views, 1)
	recording, err := st.runtime(2, "a").Recording(ctx)
	require.NoError(t, err)
	shown, err := url.Parse(recording.URL)
	require.NoError(t, err)
	for node := range st.Nodes {
		res, body = st.ask(ctx, node, http.MethodGet, shown.Path+"/index", "")
		require.Equal(t, http.StatusOK, res.StatusCode, string(body))
	}
}

// forgesInVain says of itself what one node says to another.
func forgesInVain(t *testing.T, st *stage) {
	for node := range st.Nodes {
		res, body := st.ask(t.Context(), node, http.MethodGet,
			"/v1/workspaces/"+st.ws.Latest().ID+"/runtimes/a/connect", "",
			"Bctrl-Passed-Scheme", "https", "Bctrl-Passed-Address", "203.0.113.9:1", "Bctrl-Passed-Node", st.Nodes[0].ID())
		require.Equal(t, http.StatusOK, res.StatusCode, string(body))
		var out struct{ URL string }
		require.NoError(t, json.Unmarshal(body, &out))
		require.True(t, strings.HasPrefix(out.URL, "ws://"))
	}
}

func leavesElsewhere(t *testing.T, st *stage) {
	ctx, leave := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	ws, execution := st.workspace(2), goTo(t, "a", hanging)
	go func() {
		_, err := ws.Execute(ctx, execution)
		ended <- err
	}()
	<-st.browsers[0].began
	leave()
	<-st.browsers[0].ended
	require.ErrorIs(t, <-ended, context.Canceled)
}

// isNotPassedOnTwice asks a node, as another would, for what it does not have.
func isNotPassedOnTwice(t *testing.T, st *stage) {
	p := st.asNode(st.Nodes[2])
	for _, to := range st.Nodes[:2] {
		w := httptest.NewRecorder()
		rq := httptest.NewRequestWithContext(t.Context(), http.MethodGet,
			"/v1/workspaces/"+st.ws.Latest().ID+"/runtimes/a/connect", nil)
		rq.Header.Set("Authorization", "Bearer "+st.Key.Expose())
		require.NoError(t, p.Pass(w, rq, to.Node().Self()))
		if to == st.Nodes[0] {
			require.Equal(t, http.StatusOK, w.Code)
			continue
		}
		require.Equal(t, "runtimes.not_active", code(t, w.Body.Bytes()))
	}
}

// stranger is a node that the cluster does not know.
type stranger struct {
	cluster.Member
	id string
}

func (s stranger) Self() cluster.Node { return cluster.Node{ID: s.id} }

// asNode is one more node, with the secret of one that there is.
func (st *stage) asNode(n *Node) *peer.Peers {
	p := peer.New(peer.Config{
		Member: stranger{n.Node(), uuid.NewString()},
		Seed:   n.Server.NodeKey.Get,
		Log:    n.Server.Log,
	})
	st.Cleanup(p.Close)
	return p
}

// actsElsewhere is a runtime's own token, which is decided about where the runtime is.
func actsElsewhere(t *testing.T, st *stage) {
	ctx := t.Context()
	token, err := st.runtime(1, "a").Token(ctx, bctrl.TokenRequest{})
	require.NoError(t, err)
	path := "/v1/workspaces/" + st.ws.Latest().ID + "/execute"
	body := `{"runtime": "a", "steps": [{"call": "page.goto", "args": {"url": "https://example.com/"}}]}`
	res, text := st.ask(ctx, 2, http.MethodPost, path, body, "Authorization", "Bearer "+token.Expose())
	require.Equal(t, http.StatusOK, res.StatusCode, string(text))
	res, text = st.ask(ctx, 2, http.MethodPost, path, strings.Replace(body, `"a"`, `"driven"`, 1),
		"Authorization", "Bearer "+token.Expose())
	require.Equal(t, http.StatusForbidden, res.StatusCode, string(text))
}

// TestANodeThatDiesInTheMiddleEndsWhatItWasAskedFor has the lease of a node run out while it
// works for a client of another.
func TestANodeThatDiesInTheMiddleEndsWhatItWasAskedFor(t *testing.T) {
	st := newStage(t, 2)
	rt := st.launch(0, "a", bctrl.Launch{})
	address, err := st.runtime(1, "a").ConnectURL(t.Context())
	require.NoError(t, err)
	go func() {
		<-st.browsers[0].began
		assert.NoError(t, st.Nodes[0].TryExpire())
	}()
	body, err := json.Marshal(map[string]any{"runtime": "a", "steps": []any{
		map[string]any{"call": "page.goto", "args": map[string]string{"url": hanging}, "timeoutMs": 60_000},
	}})
	require.NoError(t, err)
	path := "/v1/workspaces/" + st.ws.Latest().ID
	_, text := st.ask(t.Context(), 1, http.MethodPost, path+"/execute", string(body))
	// The node itself may say it, or the one that asked it finds out first.
	require.Contains(t, []string{"runtimes.node_lost", "server.lease_lost", "runtimes.ended"}, code(t, text))
	<-st.browsers[0].ended // the request that it was given has ended too

	_, res, err := websocket.Dial(t.Context(), st.by(1, address), nil) //nolint:bodyclose // it has none
	require.Error(t, err)
	require.Equal(t, http.StatusUnauthorized, res.StatusCode, "its browser is gone with it")
	require.Equal(t, rt.Latest().ID, st.runtime(1, "a").Latest().ID, "what is on record is told")
}
