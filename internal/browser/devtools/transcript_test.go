package devtools_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

// transcript is what a client is told that attaches whatever there is, and turns the same
// domains on in each.
type transcript struct {
	*browsertest.Outsider
	domains []string
	// waits says that new targets wait for the client.
	waits bool

	mu    sync.Mutex
	kinds map[target.SessionID]string
	first *browsertest.Tab
	lines []string
}

// follow begins a transcript, which goes on for as long as its test, once the first tab shows a
// page of the site: how a browser begins depends on how fast it is.
func follow(o *browsertest.Outsider, s *browsertest.Site, waits bool, domains ...string) *transcript {
	o.Helper()
	require.Eventually(o, func() bool { return len(o.Tabs()) == 1 && o.Tabs()[0].URL == "about:blank" },
		20*time.Second, 5*time.Millisecond)
	first := o.AttachTab(o.Tabs()[0].TargetID)
	require.NoError(o, first.Call(o.Context(), "Page.navigate", map[string]string{"url": s.URL + "/inner"}, nil))
	require.Eventually(o, func() bool {
		return o.Evaluate(first, "document.title + document.readyState") == `"innercomplete"`
	}, 20*time.Second, 5*time.Millisecond)
	require.NoError(o, protocol.Tell(o.Context(), o.Root, target.DetachFromTarget,
		target.DetachFromTargetParams{SessionID: first.ID}))
	o.ForgetEvents()
	r := &transcript{
		Outsider: o,
		domains:  domains,
		waits:    waits,
		kinds:    map[target.SessionID]string{"": "browser"},
	}
	life, stop := context.WithCancel(o.Context())
	var reading sync.WaitGroup
	reading.Go(func() {
		for {
			select {
			case ev := <-o.Events():
				r.note(life, ev)
			case <-life.Done():
				return
			}
		}
	})
	o.Cleanup(func() {
		stop()
		reading.Wait()
	})
	require.NoError(o, protocol.Tell(o.Context(), o.Root, target.SetDiscoverTargets,
		target.SetDiscoverTargetsParams{Discover: true}))
	require.NoError(o, protocol.Tell(o.Context(), o.Root, target.SetAutoAttach, r.attachAll()))
	require.Eventually(o, func() bool { return r.tab() != nil }, 20*time.Second, 5*time.Millisecond)
	return r
}

func (r *transcript) attachAll() target.SetAutoAttachParams {
	flat := true
	return target.SetAutoAttachParams{AutoAttach: true, WaitForDebuggerOnStart: r.waits, Flatten: &flat}
}

// note writes down an event, without what differs from one browser to another, and sets up
// what was attached.
func (r *transcript) note(ctx context.Context, ev browsertest.Event) {
	var p struct {
		SessionID  target.SessionID
		TargetInfo struct {
			TargetID, OpenerID target.ID
			Type, URL          string
			Attached           bool
		}
		WaitingForDebugger bool
		URL, EmbedderName  string
		Context            json.RawMessage // of the console it is a text
		Frame              struct{ URL string }
		Reason             string

		ExecutionContextAuxData struct{ Type string }
	}
	_ = json.Unmarshal(ev.Params, &p) // what else it has does not matter
	var made struct {
		Name    string
		AuxData struct{ Type string }
	}
	_ = json.Unmarshal(p.Context, &made)
	r.mu.Lock()
	defer r.mu.Unlock()
	line := []string{r.kinds[ev.Session], ev.Method}
	for _, detail := range []string{
		p.TargetInfo.Type, pathOf(p.TargetInfo.URL), said(p.TargetInfo.OpenerID != "", "opened"),
		said(p.TargetInfo.Attached, "attached"), said(p.WaitingForDebugger, "waits"),
		pathOf(p.URL), pathOf(p.EmbedderName), made.Name, made.AuxData.Type, p.ExecutionContextAuxData.Type,
		pathOf(p.Frame.URL), p.Reason,
	} {
		if detail != "" {
			line = append(line, detail)
		}
	}
	r.lines = append(r.lines, strings.Join(line, " "))
	if ev.Method == target.AttachedToTarget.Method {
		r.setUp(ctx, p.SessionID, p.TargetInfo.TargetID, p.TargetInfo.Type)
	}
}

func said(is bool, text string) string {
	if is {
		return text
	}
	return ""
}

// pathOf is an address without its port.
func pathOf(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return address
	}
	return u.Hostname() + u.Path
}

func (r *transcript) setUp(ctx context.Context, id target.SessionID, of target.ID, kind string) {
	r.kinds[id] = kind
	s := r.Conn.Session(id)
	if kind == "page" && r.first == nil {
		r.first = &browsertest.Tab{Session: s, TargetID: of}
	}
	for _, domain := range r.domains {
		_, _ = s.Post(ctx, domain+".enable", cdp.Empty{}) // a worker has not all of them
	}
	_, _ = s.Post(ctx, target.CommandSetAutoAttach, r.attachAll())
	_, _ = s.Post(ctx, runtime.CommandRunIfWaitingForDebugger, cdp.Empty{})
}

// tab is the page that was attached first.
func (r *transcript) tab() *browsertest.Tab {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.first
}

// until waits for what a script of the client says.
func (r *transcript) until(expression, want string) {
	r.Helper()
	run := runtime.EvaluateParams{Expression: expression}
	require.Eventually(r, func() bool {
		var got runtime.EvaluateResult
		err := r.tab().Call(r.Context(), runtime.CommandEvaluate, run, &got)
		return err == nil && string(got.Result.Value) == `"`+want+`"`
	}, 20*time.Second, 10*time.Millisecond, want)
}

func (r *transcript) show(address string) {
	r.Helper()
	r.until("document.title", "inner") // so that the domains are on
	require.NoError(r, r.tab().Call(r.Context(), "Page.navigate", map[string]string{"url": address}, nil))
	r.until("document.title + document.readyState", "maincomplete")
}

// all is what was told so far and has a part, in order.
func (r *transcript) all(part string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(r.lines), func(line string) bool { return !strings.Contains(line, part) })
}

// kindsOf is what was told so far, each once.
func (r *transcript) kindsOf() []string {
	all := r.all("")
	slices.Sort(all)
	return slices.Compact(all)
}

// followedSite has a login, frames, a worker and popups.
func followedSite(t *testing.T) *browsertest.Site {
	t.Helper()
	s := browsertest.NewSite(t, map[string]string{
		"/inner": "<title>inner</title><p>inner",
		"/other": "<title>other</title><p>other<script>window.other = 1</script>",
		"/popup": "<title>popup</title><script>window.popup = 1</script>",
	})
	s.Handlers["/worker.js"] = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		_, _ = fmt.Fprint(w, "postMessage(1)")
	}
	s.Pages["/"] = `<title>main</title><input aria-label=Name id=name><input type=password aria-label=Password id=word>
		<button>Go</button><iframe src=/inner></iframe><iframe src="` + s.LocalhostURL() + `/other"></iframe>
		<script>
			document.querySelector("button").onclick = () => {
				const worker = new Worker("/worker.js");
				worker.onmessage = () => {
					document.title = "done " + document.getElementById("name").value + word.value.length;
					console.log("done");
				};
			};
		</script>`
	return s
}

// TestAClientIsToldWhatAPlainBrowserTells compares what a client is told while the agent reads a
// page, types, fills in a login and clicks with what it is told by a browser that has nobody
// else, where the client itself does the same.
func TestAClientIsToldWhatAPlainBrowserTells(t *testing.T) {
	const word = "correct-Horse_7.battery"
	for _, c := range []struct {
		why     string
		domains []string
	}{
		{"a debugger", []string{"Runtime", "Debugger", "Page", "DOM"}},
		{"one that turns scripts on before contexts", []string{"Debugger", "Runtime", "Page"}},
		{"one that is told of scripts alone", []string{"Debugger"}},
		{"one that is told of contexts alone", []string{"Runtime", "Log"}},
	} {
		t.Run(c.why, func(t *testing.T) {
			s := followedSite(t)
			ctx, p, b := openPage(t)
			ours := follow(browsertest.Join(t, b), s, false, c.domains...)
			ours.show(s.URL + "/")
			obs := browsertest.Observe(ctx, t, p)
			require.NoError(t, p.Type(ctx, browsertest.Find(t, obs, "textbox", "Name").Ref, "Ada"))
			require.NoError(t, p.Fill(ctx, browsertest.Find(t, obs, "textbox", "Password").Ref,
				browsertest.Login("password", word, s.URL)))
			obs = browsertest.Observe(ctx, t, p)
			require.NoError(t, p.Click(ctx, browsertest.Find(t, obs, "button", "Go").Ref, browser.Click{}))
			ours.until("document.title.slice(0, 8)", "done Ada")
			browsertest.Observe(ctx, t, p)
			length := strings.Trim(ours.Evaluate(ours.tab(), "String(word.value.length)"), `"`) // of what stands for it

			plain := follow(browsertest.Plain(t, "--disable-features=BackForwardCache"), s, false, c.domains...)
			plain.show(s.URL + "/")
			plain.Evaluate(plain.tab(), "document.getElementById('name').focus()")
			for _, typed := range []string{"Ada", ""} {
				require.NoError(t, protocol.Tell(ctx, plain.tab(), input.InsertText, input.InsertTextParams{Text: typed}))
			}
			plain.Evaluate(plain.tab(), "word.value = 'x'.repeat("+length+"); document.querySelector('button').click()")
			plain.until("document.title", "done Ada"+length)

			require.EventuallyWithT(t, func(c *assert.CollectT) {
				assert.Equal(c, plain.kindsOf(), ours.kindsOf())
			}, 5*time.Second, 20*time.Millisecond)
		})
	}
}

// TestPopupsAreToldOfAsAPlainBrowserTells opens tabs by scripts and links, with clients whose new
// targets wait for them and with others, and compares what is told of each, in order.
func TestPopupsAreToldOfAsAPlainBrowserTells(t *testing.T) {
	s := followedSite(t)
	const link = `document.body.append(Object.assign(document.createElement("a"), {href: "/popup", target: "_blank", `
	for _, waits := range []bool{false, true} {
		_, _, b := openPage(t)
		if waits { // nor does it matter whether there is an agent
			b = launch(t, browser.Spec{ID: "clients", Egress: browsertest.Loopback()})
		}
		both := []*transcript{
			follow(browsertest.Plain(t, "--disable-features=BackForwardCache"), s, waits, "Page"),
			follow(browsertest.Join(t, b), s, waits, "Page"),
		}
		for _, r := range both {
			r.show(s.URL + "/")
		}
		for _, script := range []string{
			`open("/popup")`,
			`open("/popup", "named", "popup,width=300,height=300")`,
			`open("/popup", "_blank", "noopener")`,
			`open("` + s.LocalhostURL() + `/popup")`,
			`open("` + s.LocalhostURL() + `/popup", "_blank", "noopener")`,
			`open("").document.title = "named"`,
			`open("about:blank").location = "/popup"`,
			link + `id: "a"})); a.click(); a.remove()`,
			link + `id: "b", rel: "opener"})); b.click(); b.remove()`,
			`open("/inner"); open("/popup")`,
		} {
			var told [2][]string
			for i, r := range both {
				told[i] = r.opened(script)
			}
			require.Equal(t, told[0], told[1], "%s, waiting: %t", script, waits)
		}
	}
}

// opened runs a script that opens tabs, closes these, and returns what was told of targets.
func (r *transcript) opened(script string) []string {
	r.Helper()
	before := len(r.all("Target."))
	r.Evaluate(r.tab(), script+"; 1")
	var others []target.ID
	require.Eventually(r, func() bool {
		others = nil
		loaded := 0
		for _, info := range r.Tabs() {
			if info.TargetID != r.tab().TargetID {
				others = append(others, info.TargetID)
				if slices.Contains([]string{"popup", "inner", "named"}, info.Title) {
					loaded++
				}
			}
		}
		return len(others) == strings.Count(script, "open(")+strings.Count(script, "click()") && loaded == len(others)
	}, 20*time.Second, 10*time.Millisecond, script)
	for _, id := range others {
		require.NoError(r, r.Root.Call(r.Context(), target.CommandCloseTarget, map[string]target.ID{"targetId": id}, nil))
	}
	require.Eventually(r, func() bool {
		destroyed := 0
		for _, line := range r.all("Target.")[before:] {
			if strings.Contains(line, target.TargetDestroyed.Method) {
				destroyed++
			}
		}
		return destroyed == len(others)
	}, 20*time.Second, 10*time.Millisecond, script)
	return r.all("Target.")[before:]
}

// TestATabIsToldOfAsAttachedWhereAClientAttachesIt attaches a tab that the agent has as well, and
// lets go of it.
func TestATabIsToldOfAsAttachedWhereAClientAttachesIt(t *testing.T) {
	_, _, b := openPage(t)
	alone := launch(t, browser.Spec{ID: "alone", Egress: browsertest.Loopback()})
	for _, o := range []*browsertest.Outsider{browsertest.Plain(t), browsertest.Join(t, b), browsertest.Join(t, alone)} {
		id := o.Tabs()[0].TargetID
		require.NoError(t, o.Root.Call(t.Context(), "Target.setDiscoverTargets", jsonv2.Value(`{"discover":true}`), nil))
		created := string(o.NextEvent(target.TargetCreated.Method).Params)
		require.Contains(t, created, `"attached":false`)
		tab := o.AttachTab(id)
		require.Contains(t, string(o.NextEvent(target.TargetInfoChanged.Method).Params), `"attached":true`)
		second := o.AttachTab(id)
		for _, left := range []*browsertest.Tab{tab, second} {
			require.NoError(t, protocol.Tell(t.Context(), o.Root, target.DetachFromTarget,
				target.DetachFromTargetParams{SessionID: left.ID}))
		}
		require.Contains(t, string(o.NextEvent(target.TargetInfoChanged.Method).Params), `"attached":false`)
	}
}

// TestASessionThatDiscoversNoMoreIsToldNothing has a client discover tabs, stop, and begin anew.
func TestASessionThatDiscoversNoMoreIsToldNothing(t *testing.T) {
	_, _, b := openPage(t)
	var told [2][]string
	for i, o := range []*browsertest.Outsider{browsertest.Plain(t), browsertest.Join(t, b)} {
		discover := func(is bool) {
			require.NoError(t, protocol.Tell(t.Context(), o.Root, target.SetDiscoverTargets,
				target.SetDiscoverTargetsParams{Discover: is}))
		}
		for range 2 { // it is told of each tab anew
			discover(true)
			o.NextEvent(target.TargetCreated.Method)
			discover(false)
			o.ForgetEvents()
			tab := o.AttachTab(o.Tabs()[0].TargetID)
			require.NoError(t, protocol.Tell(t.Context(), o.Root, target.DetachFromTarget,
				target.DetachFromTargetParams{SessionID: tab.ID}))
			o.Tabs()
			for _, seen := range o.Seen() {
				method, _, _ := strings.Cut(seen, " ")
				told[i] = append(told[i], method)
			}
		}
	}
	require.Equal(t, told[0], told[1])
	require.Equal(t, []string{target.AttachedToTarget.Method, target.DetachedFromTarget.Method}, told[0][:2])
}

// TestEachSessionThatDiscoversIsToldOfEachTab has a client discover tabs by its connection and by
// a tab that it has attached, as chromedp does.
func TestEachSessionThatDiscoversIsToldOfEachTab(t *testing.T) {
	s := followedSite(t)
	_, p, b := openPage(t)
	require.NotNil(t, p)
	told := map[string][]string{}
	for i, o := range []*browsertest.Outsider{browsertest.Plain(t), browsertest.Join(t, b)} {
		tab := o.AttachTab(o.Tabs()[0].TargetID)
		for _, in := range []protocol.Session{o.Root, tab.Session} {
			require.NoError(t, in.Call(t.Context(), target.CommandSetDiscoverTargets, jsonv2.Value(`{"discover":true}`), nil))
		}
		made := o.OpenTab(s.URL+"/popup", "")
		require.Eventually(t, func() bool { return o.Evaluate(made, "document.title") == `"popup"` },
			20*time.Second, 10*time.Millisecond)
		require.NoError(t, o.Root.Call(t.Context(), target.CommandCloseTarget,
			map[string]target.ID{"targetId": made.TargetID}, nil))
		for destroyed := 0; destroyed < 2; {
			var ev browsertest.Event
			select {
			case ev = <-o.Events():
			case <-time.After(20 * time.Second):
				require.Fail(t, "a session is not told of the end")
			}
			var of struct {
				TargetID   target.ID
				TargetInfo struct {
					TargetID target.ID
					Attached bool
				}
			}
			require.NoError(t, json.Unmarshal(ev.Params, &of))
			if of.TargetID != made.TargetID && of.TargetInfo.TargetID != made.TargetID ||
				ev.Method == target.AttachedToTarget.Method || ev.Method == target.DetachedFromTarget.Method {
				continue
			}
			line := strings.TrimSpace(ev.Method + " " + said(of.TargetInfo.Attached, "attached"))
			in := fmt.Sprint(i, ev.Session == "")
			if !slices.Contains(told[in], line) {
				told[in] = append(told[in], line)
			}
			if ev.Method == target.TargetDestroyed.Method {
				destroyed++
			}
		}
	}
	require.Equal(t, told["0true"], told["0false"], "a plain browser tells both")
	require.Equal(t, told["0true"], told["1true"])
	require.Equal(t, told["0false"], told["1false"])
}
