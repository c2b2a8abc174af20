package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/remote"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
	"github.com/bctrl-go/bctrl/internal/daemon"
	"github.com/bctrl-go/bctrl/internal/democrm"
)

// modelKey is what the scripted model takes.
const modelKey = "sk-bench-0123456789"

// agents measures what an agent costs beside what the model costs: with the real
// server and a real browser in this process, and a model that answers at once.
func (p plan) agents(ctx context.Context, w io.Writer) (err error) {
	if !p.only.MatchString("agents") {
		return nil
	}
	a, err := newAgentBench(ctx, p.dir)
	if err != nil {
		return fmt.Errorf("agents: %w", err)
	}
	defer func() { err = errors.Join(err, a.close(ctx)) }()
	end, err := p.profile("agents")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	measures := []func(context.Context, io.Writer, int) error{a.steps, a.again, a.views, a.limits}
	if p.smoke { // the others log in, again and again, or open 130 pages
		a.clicks, a.rows = 1, 10
		measures = []func(context.Context, io.Writer, int) error{a.steps, a.limits}
	}
	for _, measure := range measures {
		if err := measure(ctx, w, p.rounds); err != nil {
			return fmt.Errorf("agents: %w", err)
		}
	}
	return nil
}

// agentBench is a server, a runtime with a browser, the sites that it visits, and a
// second client of the same browser, which does what is compared.
type agentBench struct {
	rt    *bctrl.Runtime
	model *timedModel
	crm   string // its address
	pages string // of this program's own
	// clicks is how often the agent clicks in one call of those that are timed, rows
	// the most that a table has.
	clicks, rows int
	// peer is the tab of chromedp, connected as any client is.
	peer context.Context

	ending []func(context.Context) error
}

// timedModel is a scripted model that says how long it took.
type timedModel struct {
	model *modeltest.Model
	took  atomic.Int64 // nanoseconds, of all its answers
	asked atomic.Int64

	mu     sync.Mutex
	script modeltest.Script
	// view is the newest that the model was sent.
	view string
}

func (m *timedModel) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	m.model.ServeHTTP(w, r)
	m.took.Add(int64(time.Since(began)))
	m.asked.Add(1)
}

func (m *timedModel) follow(script modeltest.Script) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.script = script
}

func (m *timedModel) answer(turn modeltest.Turn) modeltest.Call {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.view = turn.View.String()
	return m.script(turn)
}

func (m *timedModel) newestView() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.view
}

// serve serves a site on a port of its own until the end.
func (a *agentBench) serve(h http.Handler) (url string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	a.ending = append(a.ending, func(context.Context) error {
		err := srv.Close()
		if ended := <-served; !errors.Is(ended, http.ErrServerClosed) {
			err = errors.Join(err, ended)
		}
		return err
	})
	return "http://" + l.Addr().String(), nil
}

// close ends everything, the newest first.
func (a *agentBench) close(ctx context.Context) (err error) {
	for _, end := range slices.Backward(a.ending) {
		err = errors.Join(err, end(context.WithoutCancel(ctx)))
	}
	return err
}

func newAgentBench(ctx context.Context, dir string) (a *agentBench, err error) {
	a = &agentBench{model: &timedModel{}, clicks: 10, rows: 10_000}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.close(ctx))
		}
	}()
	a.model.model, err = modeltest.New(modeltest.Config{Key: bctrl.NewSecret(modelKey), Script: a.model.answer})
	if err != nil {
		return nil, err
	}
	model, err := a.serve(a.model)
	if err != nil {
		return nil, err
	}
	login := sampleCredential()
	crm, err := democrm.New(democrm.Config{Username: login.Username, Password: login.Password, TOTPSeed: login.TOTP})
	if err != nil {
		return nil, err
	}
	if a.crm, err = a.serve(crm); err != nil {
		return nil, err
	}
	login.Origins = []string{a.crm}
	if a.pages, err = a.serve(ownPages()); err != nil {
		return nil, err
	}
	client, err := a.startServer(ctx, filepath.Join(dir, "agents"))
	if err != nil {
		return nil, err
	}
	if a.rt, err = launch(ctx, client, model+"/v1", login); err != nil {
		return nil, err
	}
	a.ending = append(a.ending, func(ctx context.Context) error { return a.rt.Stop(ctx) })
	return a, a.connectPeer(ctx)
}

// startServer starts the server and returns a client with its first key.
func (a *agentBench) startServer(ctx context.Context, dir string) (*bctrl.Client, error) {
	d, err := daemon.Open(ctx, daemon.Config{
		DataDir: filepath.Join(dir, "data"),
		KeyFile: filepath.Join(dir, "key"),
		Allow:   []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	})
	if err != nil {
		return nil, err
	}
	a.ending = append(a.ending, func(context.Context) error { return d.Close() })
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	serving, stop := context.WithCancel(context.WithoutCancel(ctx)) // outlives the runtime, which is stopped first
	served := make(chan error, 1)
	go func() { served <- d.Serve(serving, l) }()
	a.ending = append(a.ending, func(context.Context) error {
		stop()
		return <-served
	})
	client, err := bctrl.New(bctrl.WithBaseURL("http://"+l.Addr().String()), bctrl.WithAPIKey(d.FirstKey),
		bctrl.WithTimeout(5*time.Minute))
	if err == nil {
		a.ending = append(a.ending, func(context.Context) error {
			client.CloseIdleConnections()
			return nil
		})
	}
	return client, err
}

// launch makes a workspace with all that a task needs, and a browser in it.
func launch(ctx context.Context, c *bctrl.Client, model string, login bctrl.VaultCredential) (*bctrl.Runtime, error) {
	_, err := c.AICredentials.Create(ctx, bctrl.AICredentialCreate{
		ID:           "scripted",
		Provider:     bctrl.OpenAI,
		APIKey:       bctrl.NewSecret(modelKey),
		BaseURL:      model,
		DefaultModel: modeltest.DefaultModel,
	})
	if err != nil {
		return nil, err
	}
	if _, err := c.Vault.Set(ctx, "prod/crm", login); err != nil {
		return nil, err
	}
	ws, err := c.Workspaces.Create(ctx, bctrl.WorkspaceCreate{Name: "agents", Mounts: bctrl.Mounts{
		AI:      &bctrl.AIMount{Allow: []string{"scripted"}},
		Vault:   &bctrl.VaultMount{Allow: []string{"prod/crm"}},
		Storage: &bctrl.StorageMount{Workspace: "agents"},
	}})
	if err != nil {
		return nil, err
	}
	return ws.Runtimes.Browser("agents").Stagehand(ctx, bctrl.Launch{})
}

// connectPeer opens a tab of chromedp in the same browser.
func (a *agentBench) connectPeer(ctx context.Context) error {
	address, err := a.rt.ConnectURL(ctx)
	if err != nil {
		return err
	}
	allocator, end := remote.NewAllocator(ctx, address)
	peer, cancel := chromedp.NewContext(allocator)
	a.peer = peer
	a.ending = append(a.ending, func(context.Context) error {
		cancel()
		end()
		return nil
	})
	return chromedp.Do(a.peer)
}

// act has the agent work, and returns how long it took without the model.
func (a *agentBench) act(
	ctx context.Context, instruction string, script modeltest.Script, opts ...bctrl.ActCallOption,
) (time.Duration, *bctrl.ActResult, error) {
	a.model.follow(script)
	model := a.model.took.Load()
	began := time.Now()
	result, err := a.rt.Stagehand.Act(ctx, instruction, opts...)
	took := time.Since(began) - time.Duration(a.model.took.Load()-model)
	if err == nil && !result.Success {
		err = fmt.Errorf("the agent did not finish: %s", result.Message)
	}
	return took, result, err
}

// middle is the median.
func middle[T int | float64 | time.Duration](all []T) T {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}

func millis(d time.Duration) string { return fmt.Sprintf("%.0f", float64(d)/float64(time.Millisecond)) }

// ownPages are the pages of this program: a form, and a list as long as its path says.
func ownPages() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /form", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		var b strings.Builder
		b.WriteString(`<!doctype html><title>Form</title><h1>Order</h1><button id=count onclick="out.textContent=` +
			`++clicks">Count</button><output id=out>0</output><script>var clicks=0</script><form>`)
		for i := range 40 {
			fmt.Fprintf(&b, `<p><label>Field %d <input name=f%d></label> <a href="/help/%d">What is this?</a></p>`, i, i, i)
		}
		_, _ = io.WriteString(w, b.String()+`</form>`) // a browser that has left needs no page
	})
	mux.HandleFunc("GET /list/{n}", func(w http.ResponseWriter, r *http.Request) {
		n := 0
		_, _ = fmt.Sscan(r.PathValue("n"), &n) // of this program
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, `<!doctype html><title>List</title><table>`)
		for i := range n {
			fmt.Fprintf(w, `<tr><td><a href="/deal/%d">D-%05d</a></td><td>Account of customer %d</td><td>$%d,500</td></tr>`,
				i, i, i, i%900+100)
		}
		fmt.Fprint(w, `</table>`)
	})
	return mux
}
