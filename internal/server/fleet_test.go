package server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// stuckDriver starts browsers that never answer.
type stuckDriver struct {
	browser.Driver
	starting chan string
}

func (d stuckDriver) Launch(ctx context.Context, spec browser.Spec) (browser.Browser, error) {
	d.starting <- spec.ID
	<-ctx.Done()
	return nil, ctx.Err()
}

// stuck makes every launch hang, and returns the ids of those that do.
func (h *harness) stuck() <-chan string {
	d := stuckDriver{starting: make(chan string, 1)}
	h.startWith(d)
	return d.starting
}

// launching launches a runtime beside the test, whose answer comes later.
func (h *harness) launching(ws store.Workspace) <-chan answer {
	done := make(chan answer, 1)
	go func() {
		done <- h.do("POST", []string{"workspaces", ws.ID, "runtimes"}, nil,
			object{"alias": "crm", "kind": "browser", "driver": "stagehand", "launch": object{}})
	}()
	return done
}

func TestARuntimeThatStillStartsCanBeStopped(t *testing.T) {
	h := newHarness(t)
	ws := h.made("sales", object{})
	starting, launched := h.stuck(), h.launching(ws)
	<-starting
	path := []string{"workspaces", ws.ID, "runtimes", "crm"}
	require.Contains(t, string(h.do("GET", path, nil, nil).Body), `"status":"starting"`)

	stopped := h.do("POST", append(path, "stop"), nil, nil)
	require.Equal(t, http.StatusOK, stopped.Status, "%s", stopped.Body)
	require.Contains(t, string(stopped.Body), `"status":"stopped"`)
	refused(t, <-launched, http.StatusUnprocessableEntity, "runtimes.ended", "so that nobody launches it again")

	h.startWith(h.browsers)
	h.launch(ws, "crm", nil)
}

func TestAWorkspaceIsDeletedWithForceWhileARuntimeStarts(t *testing.T) {
	h := newHarness(t)
	ws := h.made("sales", object{})
	starting, launched := h.stuck(), h.launching(ws)
	<-starting
	deleted := h.do("DELETE", []string{"workspaces", ws.ID}, url.Values{"force": {"true"}}, nil)
	require.Equal(t, http.StatusOK, deleted.Status, "%s", deleted.Body)
	require.GreaterOrEqual(t, (<-launched).Status, 400)
}

func TestClosingEndsWhatStillStarts(t *testing.T) {
	h := newHarness(t)
	starting, launched := h.stuck(), h.launching(h.made("sales", object{}))
	<-starting
	require.NoError(t, h.server.Close(t.Context()))
	require.GreaterOrEqual(t, (<-launched).Status, 400)
}

// crashedDriver starts browsers that have crashed before they are stopped, as
// Chromium's driver says it: with an error from Stop.
type crashedDriver struct {
	browser.Driver
	done chan struct{}
}

var errCrashed = errors.New("the browser ended by itself")

type crashedBrowser struct {
	browser.Browser
	done chan struct{}
}

func (d crashedDriver) Launch(context.Context, browser.Spec) (browser.Browser, error) {
	return crashedBrowser{done: d.done}, nil
}

func (b crashedBrowser) Done() <-chan struct{} { return b.done }

func (b crashedBrowser) Err() error { return errCrashed }

func (b crashedBrowser) Stop(context.Context) error {
	select {
	case <-b.done:
	default:
		close(b.done)
	}
	return errCrashed
}

func TestStoppingABrowserThatCrashesMeanwhileStopsIt(t *testing.T) {
	h := newHarness(t)
	ws := h.made("sales", object{})
	h.startWith(crashedDriver{done: make(chan struct{})})
	h.launch(ws, "crm", nil)
	stopped := h.do("POST", []string{"workspaces", ws.ID, "runtimes", "crm", "stop"}, nil, nil)
	require.Equal(t, http.StatusOK, stopped.Status, "%s", stopped.Body)
	require.Contains(t, string(stopped.Body), `"status":"stopped"`)
}

// brokenDriver starts browsers in which everything panics.
type brokenDriver struct{ browser.Driver }

type brokenBrowser struct{ browser.Browser }

func (d brokenDriver) Launch(ctx context.Context, spec browser.Spec) (browser.Browser, error) {
	b, err := d.Driver.Launch(ctx, spec)
	return brokenBrowser{b}, err
}

func (brokenBrowser) Page(context.Context) (browser.Page, error) { panic("a value") }

func TestAStepThatPanicsFailsAlone(t *testing.T) {
	h := newHarness(t)
	ws := h.made("sales", object{})
	h.startWith(brokenDriver{h.browsers})
	h.launch(ws, "crm", nil)
	steps := []object{{"call": "page.goto", "args": object{"url": "https://example.com"}}}
	path := []string{"workspaces", ws.ID, "execute"}
	got := h.do("POST", path, nil, object{"runtime": "crm", "steps": steps})
	require.Equal(t, http.StatusOK, got.Status, "%s", got.Body)
	require.Contains(t, string(got.Body), "server.internal")

	var op bctrl.OperationInfo
	h.ok("POST", path, object{"runtime": "crm", "steps": steps, "async": true}, &op)
	var waited wire.Waited[bctrl.OperationInfo]
	h.ok("POST", []string{"operations", op.ID, "wait"}, object{"timeoutMs": 10000}, &waited)
	require.Equal(t, bctrl.OperationFailed, waited.Operation.Status)
	require.NotContains(t, string(got.Body), "a value")
}

// gatedDriver starts browsers once it may.
type gatedDriver struct {
	browser.Driver
	starting, gate chan struct{}
}

func (d gatedDriver) Launch(ctx context.Context, spec browser.Spec) (browser.Browser, error) {
	close(d.starting)
	<-d.gate
	return d.Driver.Launch(ctx, spec)
}

func TestALaunchWhoseAnswerIsLostHasOneEffect(t *testing.T) {
	h := newHarness(t)
	h.made("sales", object{})
	d := gatedDriver{h.browsers, make(chan struct{}), make(chan struct{})}
	h.startWith(d)
	var attempts atomic.Int32
	answered := make(chan struct{})
	client := h.sdk(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != "POST" {
				next.ServeHTTP(w, r)
				return
			}
			switch attempts.Add(1) {
			case 1: // the connection breaks while the browser starts
				body, _ := io.ReadAll(r.Body)
				first := r.Clone(context.WithoutCancel(r.Context()))
				first.Body = io.NopCloser(bytes.NewReader(body))
				go func() {
					defer close(answered)
					next.ServeHTTP(httptest.NewRecorder(), first)
				}()
				<-d.starting
				panic(http.ErrAbortHandler)
			case 2:
				next.ServeHTTP(w, r)
				close(d.gate)
			default:
				<-answered
				next.ServeHTTP(w, r)
			}
		})
	})
	ws, err := client.Workspaces.GetByName(t.Context(), "sales")
	require.NoError(t, err)
	rt, err := ws.Runtimes.Browser("crm").Stagehand(t.Context(), bctrl.Launch{})
	require.NoError(t, err, "the second attempt is told to wait for the first")
	require.Equal(t, []string{rt.ID}, h.browsers.Running())
}
