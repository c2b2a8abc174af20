package bctrltest_test

import (
	"encoding/binary"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest"
	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
)

// deskSite has a button for an order, which says on the page and to the site what it did, and one
// by which a person cancels it.
type deskSite struct {
	url string

	mu  sync.Mutex
	did []string
}

func newDeskSite(t *testing.T) *deskSite {
	t.Helper()
	d := new(deskSite)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, `<title>Desk</title>
			<style>button{position:absolute;left:100px;width:200px;height:60px}</style>
			<h1 id=says>An order waits</h1><button style="top:100px" onclick="did('ordered')">Order</button>
			<button style="top:300px" onclick="cancel()">Cancel</button>
			<script>function did(what) { fetch('/did/' + what) }
			function cancel() { did('cancelled'); says.textContent = 'The person has cancelled it' }</script>`)
	})
	mux.HandleFunc("GET /did/{what}", func(_ http.ResponseWriter, r *http.Request) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.did = append(d.did, r.PathValue("what"))
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	d.url = srv.URL
	return d
}

func (d *deskSite) done() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.did
}

// personAt is a person at an interactive live view, without a page between.
type personAt struct {
	*testing.T
	conn *websocket.Conn
}

// sitDown opens a live view.
func sitDown(t *testing.T, srv *bctrltest.Server, view *bctrl.LiveView) personAt {
	t.Helper()
	_, token, _ := strings.Cut(view.URL, "/embed/live/")
	rq, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL+"/embed/live/"+token+"/open",
		strings.NewReader(`{"session":""}`))
	require.NoError(t, err)
	rq.Header.Set("Content-Type", "application/json")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(rq)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)
	var opened struct {
		Session string `json:"session"`
	}
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&opened))
	conn, _, err := websocket.Dial(t.Context(), srv.URL+"/embed/live/"+token+"/socket", nil)
	require.NoError(t, err)
	conn.SetReadLimit(64 << 20)
	t.Cleanup(func() { _ = conn.CloseNow() })
	p := personAt{t, conn}
	p.say(map[string]any{"type": "hello", "session": opened.Session})
	return p
}

func (p personAt) say(message map[string]any) {
	p.Helper()
	data, err := json.Marshal(message)
	require.NoError(p, err)
	require.NoError(p, p.conn.Write(p.Context(), websocket.MessageText, data))
}

// sees reads what the person is shown until it is as is says.
func (p personAt) sees(is func(state map[string]any) bool) {
	p.Helper()
	for {
		kind, data, err := p.conn.Read(p.Context())
		require.NoError(p, err)
		if kind == websocket.MessageBinary {
			p.say(map[string]any{"type": "shown", "number": binary.BigEndian.Uint32(data)})
			continue
		}
		var m map[string]any
		require.NoError(p, json.Unmarshal(data, &m))
		require.NotEqual(p, "refused", m["type"], "%s", data)
		if is(m) {
			return
		}
	}
}

// click clicks at a place of the page, in pixels.
func (p personAt) click(x, y float64) {
	p.Helper()
	for _, kind := range []string{"mousemove", "mousedown", "mouseup"} {
		g := map[string]any{"kind": kind, "x": x / 1280, "y": y / 800, "button": "left"}
		if kind != "mousemove" {
			g["count"] = 1
		}
		if kind == "mousedown" {
			g["buttons"] = 1
		}
		p.say(map[string]any{"type": "gesture", "gesture": g})
	}
}

// TestAPersonTakesOverInTheMiddleOfATurn has a person take the browser over while the model
// thinks, cancel what the model is about to order, and hand the browser back. What the model has
// decided by the old page is not done, neither while the person works nor after: the model is
// shown the page as the person has left it.
func TestAPersonTakesOverInTheMiddleOfATurn(t *testing.T) {
	for _, c := range []struct {
		why   string
		early bool // the person is done before the model has answered
	}{
		{"the agent waits for the person", false},
		{"the person is done before the agent does anything", true},
	} {
		t.Run(c.why, func(t *testing.T) {
			site := newDeskSite(t)
			thinking, answer := make(chan struct{}), make(chan struct{})
			var views []string // what the model was shown
			srv := bctrltest.New(t, bctrltest.WithBrowser(), bctrltest.WithModel(func(turn modeltest.Turn) modeltest.Call {
				views = append(views, turn.View.Outline)
				if len(views) == 1 {
					close(thinking)
					<-answer
					return modeltest.Click(turn.Find("button", "order"))
				}
				return modeltest.Done(true, turn.Result)
			}))
			client := srv.Client(bctrl.WithTimeout(2 * time.Minute))
			_, err := client.AICredentials.Create(t.Context(), srv.ModelCredential("main"))
			require.NoError(t, err)
			ws, err := client.Workspaces.Create(t.Context(), bctrl.WorkspaceCreate{Name: "desk", Mounts: bctrl.Mounts{
				AI: &bctrl.AIMount{Allow: []string{"main"}},
			}})
			require.NoError(t, err)
			rt, err := ws.Runtimes.Browser("desk").Stagehand(t.Context(), bctrl.Launch{})
			require.NoError(t, err)
			_, err = rt.Page.Goto(t.Context(), site.url)
			require.NoError(t, err)
			view, err := rt.Live(t.Context(), bctrl.LiveOptions{Interactive: true})
			require.NoError(t, err)
			person := sitDown(t, srv, view)

			result := make(chan *bctrl.ActResult, 1)
			failed := make(chan error, 1)
			go func() {
				done, err := rt.Stagehand.Act(t.Context(), "Order it")
				failed <- err
				result <- done
			}()
			<-thinking
			person.say(map[string]any{"type": "take"})
			person.sees(func(m map[string]any) bool { return m["person"] == "you" })
			if !c.early {
				close(answer)
				person.sees(func(m map[string]any) bool { return m["waiting"] == true })
			}
			person.click(200, 330)
			require.Eventually(t, func() bool { return len(site.done()) > 0 }, 30*time.Second, 10*time.Millisecond)
			person.say(map[string]any{"type": "handBack"})
			person.sees(func(m map[string]any) bool { return m["type"] == "state" && m["person"] != "you" })
			if c.early {
				close(answer)
			}
			require.NoError(t, <-failed)
			done := <-result
			require.Equal(t, []string{"cancelled"}, site.done(), "the order was not made")
			require.Len(t, views, 2)
			require.Contains(t, views[0], "An order waits")
			require.Contains(t, views[1], "The person has cancelled it", "it looks again")
			require.Contains(t, done.Message, "page.person_worked", "the model is told why")
			require.Len(t, done.Actions, 1)
			require.Contains(t, done.Actions[0].Error, "page.person_worked")
		})
	}
}
