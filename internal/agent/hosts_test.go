package agent_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/agent"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/model"
)

// windows is a browser of several tabs, whose page opens more when a key is pressed.
type windows struct {
	*site
	stops []string      // where it did not let its page go
	tabs  []browser.Tab // the last is in front, but for those behind
	opens []browser.Tab
}

func (w *windows) front() *browser.Tab {
	i := slices.IndexFunc(w.tabs, func(t browser.Tab) bool { return t.Active })
	if i < 0 {
		i = len(w.tabs) - 1
		w.tabs[i].Active = true
	}
	return &w.tabs[i]
}

func (w *windows) Observe(ctx context.Context) (*browser.Observation, error) {
	seen, err := w.site.Observe(ctx)
	if err == nil {
		seen.URL, seen.Tabs = w.front().URL, slices.Clone(w.tabs)
	}
	return seen, err
}

func (w *windows) Goto(_ context.Context, address string, _ bctrl.WaitUntil) error {
	w.log("goto %s", address)
	w.front().URL = address
	return nil
}

func (w *windows) Press(_ context.Context, key string) error {
	w.log("press %s", key)
	for _, t := range w.opens {
		if t.Active {
			w.front().Active = false
		}
		w.tabs = append(w.tabs, t)
	}
	w.opens = nil
	return nil
}

func (w *windows) CloseTab(ctx context.Context, id browser.TabID) error {
	w.log("close tab %s", id)
	if browser.AnswersDialogs(ctx) {
		return browser.Conflict(browser.CodeDialogOpened, "the page asks whether it is left", "")
	}
	w.tabs = slices.DeleteFunc(w.tabs, func(t browser.Tab) bool { return t.ID == id })
	return nil
}

func (w *windows) KeepTo(permits func(string) bool) browser.Bounds {
	return stopping{w, permits}
}

// stopping are bounds of a page that goes somewhere when a key is pressed.
type stopping struct {
	*windows
	permits func(string) bool
}

func (s stopping) Stopped() (all []string) {
	if !slices.Contains(s.calls, "press Enter") {
		return nil
	}
	all, s.stops = slices.DeleteFunc(s.stops, s.permits), nil
	return all
}

func (s stopping) Release() { s.log("release") }

// refusals keeps what a task refuses.
type refusals []string

func (r *refusals) record(_ context.Context, verb bctrl.Verb, object string, refusal *bctrl.Error) error {
	*r = append(*r, string(verb)+" "+object+" "+refusal.Code)
	return refusal
}

const hostsHome = "https://example.com/"

// TestWhateverLeadsElsewhereIsRecorded has pages and a model go where the call does not
// allow, in every way that there is.
func TestWhateverLeadsElsewhereIsRecorded(t *testing.T) {
	popup := browser.Tab{ID: "t2", URL: "https://evil.example/p?q=1", Title: "Words of evil", Active: true}
	behind := browser.Tab{ID: "t3", URL: "https://evil.example/behind", Title: "Words of evil"}
	good := browser.Tab{ID: "t4", URL: hostsHome + "next", Title: "Next", Active: true}
	const press = `press {"key":"Enter"}`
	for _, c := range []struct {
		why, call string
		opens     []browser.Tab
		before    []browser.Tab
		stops     []string
		refused   refusals
		action    string // the kind that is refused, and its target
		done      []string
	}{
		{why: "an address", call: `navigate {"url":"https://evil.example/?password=x"}`,
			refused: refusals{"web.visit evil.example agent.host_not_allowed"}, action: "navigate https://evil.example/"},
		{why: "a tab", call: `open_tab {"url":"https://evil.example:8443/"}`,
			refused: refusals{"web.visit evil.example:8443 agent.host_not_allowed"},
			action:  "open_tab https://evil.example:8443/"},
		{why: "a file", call: `navigate {"url":"file:///etc/passwd"}`,
			refused: refusals{"web.visit file: agent.address_refused"}, action: "navigate file:///etc/passwd"},
		{why: "a script", call: `open_tab {"url":"javascript:alert(1)"}`,
			refused: refusals{"web.visit javascript: agent.address_refused"}, action: "open_tab javascript:alert(1)"},
		{why: "user info", call: `navigate {"url":"https://example.com:x@evil.example/"}`,
			refused: refusals{"web.visit evil.example agent.address_refused"}, action: "navigate https://evil.example/"},
		{why: "user info of which only a browser knows", call: `navigate {"url":"https:/me:x@evil.example/"}`,
			refused: refusals{"web.visit https: agent.address_refused"}, action: "navigate https:"},
		{why: "a popup in front", call: press, opens: []browser.Tab{popup},
			refused: refusals{"web.visit evil.example agent.host_not_allowed"}, action: "leave https://evil.example/p",
			done: []string{"press Enter", "close tab t2"}},
		{why: "one behind", call: press, opens: []browser.Tab{behind},
			refused: refusals{"web.visit evil.example agent.host_not_allowed"}, action: "leave https://evil.example/behind",
			done: []string{"press Enter", "close tab t3"}},
		{why: "one behind a popup that is allowed", call: press, opens: []browser.Tab{behind, good},
			refused: refusals{"web.visit evil.example agent.host_not_allowed"}, action: "leave https://evil.example/behind",
			done: []string{"press Enter", "close tab t3"}},
		{why: "a page that the browser stops", call: press, stops: []string{"https://evil.example/go?x=1", hostsHome + "x"},
			refused: refusals{"web.visit evil.example agent.host_not_allowed"}, action: "leave https://evil.example/go",
			done: []string{"press Enter"}},
		{why: "somebody else's tab", call: `switch_tab {"tab":"t3"}`, before: []browser.Tab{behind},
			refused: refusals{"web.visit evil.example agent.host_not_allowed"}, action: "switch_tab https://evil.example"},
		{why: "a file that no page has delivered", call: `read_page {"file":"private/notes.txt"}`,
			refused: refusals{"storage.get private/notes.txt agent.file_not_delivered"}, action: "read_page private/notes.txt"},
	} {
		t.Run(c.why, func(t *testing.T) {
			w := &windows{site: newSite("login"), opens: c.opens, stops: c.stops,
				tabs: append([]browser.Tab{{ID: "t1", URL: hostsHome, Active: true}}, c.before...)}
			chat := &asked{answer: func(n int, _ model.Request) (*model.Response, error) {
				if tool, args, _ := strings.Cut(c.call, " "); n == 0 {
					return calls(tool, args), nil
				}
				return calls("done", `{"success":true,"message":""}`), nil
			}}
			d, got := onPage(chat, w), refusals{}
			d.Refused, d.Files = got.record, noFiles{}
			result, err := agent.BrowserUse(t.Context(), d, bctrl.BrowserUseArgs{
				Task:         "x",
				AllowedHosts: []string{"example.com"},
			}, 0)
			require.NoError(t, err)
			require.Equal(t, c.refused, got)
			require.Equal(t, append(c.done, "release"), w.calls, "nothing else is done")
			last := result.Actions[len(result.Actions)-1]
			require.Equal(t, c.action, last.Kind+" "+last.Target)
			_, code, _ := strings.Cut(c.refused[0][strings.Index(c.refused[0], " ")+1:], " ")
			require.Contains(t, last.Error, code)
			for _, q := range chat.questions {
				require.NotContains(t, encode(q), "Words of evil")
			}
			require.NotContains(t, result.URL, "evil")
			for _, tab := range c.before {
				require.True(t, slices.ContainsFunc(w.tabs, func(o browser.Tab) bool { return o.ID == tab.ID }),
					"tabs that were there before stay")
			}
		})
	}
}

// TestATaskEndsThatCannotBeKeptFromOtherHosts has a page that comes back however often it
// is left, and a log that takes nothing.
func TestATaskEndsThatCannotBeKeptFromOtherHosts(t *testing.T) {
	w := &returning{windows{site: newSite("login"), tabs: []browser.Tab{{ID: "t1", URL: hostsHome, Active: true}}}}
	w.front().URL = "https://evil.example/"
	d, got := onPage(&asked{}, w), refusals{}
	d.Refused = got.record
	args := bctrl.BrowserUseArgs{Task: "x", AllowedHosts: []string{"example.com"}}
	result, err := agent.BrowserUse(t.Context(), d, args, 0)
	var refusal *bctrl.Error
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, "agent.host_not_allowed", refusal.Code)
	require.Len(t, got, len(result.Actions))

	d.Refused = func(context.Context, bctrl.Verb, string, *bctrl.Error) error { return context.DeadlineExceeded }
	_, err = agent.BrowserUse(t.Context(), d, args, 0)
	require.ErrorIs(t, err, context.DeadlineExceeded, "what cannot be recorded is not gone on with")
}

// returning is a browser that is taken back to where it was.
type returning struct{ windows }

func (r *returning) Goto(context.Context, string, bctrl.WaitUntil) error { return nil }

// TestAPageThatTriesWithoutEndFillsNoResultAndNoView has a page try a hundred addresses each
// time that it is looked at.
func TestAPageThatTriesWithoutEndFillsNoResultAndNoView(t *testing.T) {
	w := &restless{windows: windows{site: newSite("login"), tabs: []browser.Tab{{ID: "t1", URL: hostsHome, Active: true}}}}
	chat := &asked{answer: func(n int, _ model.Request) (*model.Response, error) {
		if n < 5 {
			return calls("press", fmt.Sprintf(`{"key":"%d"}`, n)), nil
		}
		return calls("done", `{"success":true,"message":""}`), nil
	}}
	d, got := onPage(chat, w), refusals{}
	d.Refused = got.record
	result, err := agent.BrowserUse(t.Context(), d, bctrl.BrowserUseArgs{
		Task:         "x",
		AllowedHosts: []string{"example.com"},
	}, 0)
	require.NoError(t, err)
	require.Len(t, got, w.tried, "each is recorded, also what was stopped at the end")
	left := slices.DeleteFunc(result.Actions, func(a bctrl.ActAction) bool { return a.Kind != "leave" })
	require.Len(t, left, 100)
	for _, q := range chat.questions {
		text := q.Messages[len(q.Messages)-1].Text
		require.LessOrEqual(t, strings.Count(text, "https://evil.example"), 10)
		require.Contains(t, text, "times more to such places")
	}
}

// restless is a browser whose page never stays, until it is let go, and once more then.
type restless struct {
	windows
	tried    int
	released bool
	last     bool
}

func (w *restless) KeepTo(func(string) bool) browser.Bounds { return w }

func (w *restless) Release() { w.released = true }

func (w *restless) Stopped() (all []string) {
	if w.last {
		return nil
	}
	w.last = w.released
	for range 100 {
		w.tried++
		all = append(all, fmt.Sprintf("https://evil.example/%d", w.tried))
	}
	return all
}

// mixedCase is a vault whose values have capitals, and nothing else that a host has not.
type mixedCase struct{ *vault }

const mixedCaseValue = "kestrelHarbour93"

func (v mixedCase) Use(ctx context.Context, key, field string) (browser.Fill, error) {
	fill, err := v.vault.Use(ctx, key, field)
	fill.Value = bctrl.NewSecret(mixedCaseValue)
	return fill, err
}

// TestAValueInTheNameOfAHostIsRecordedNowhere has a page go to a host that has what was
// filled in its name, which a browser writes in small letters.
func TestAValueInTheNameOfAHostIsRecordedNowhere(t *testing.T) {
	carried := "https://" + strings.ToLower(mixedCaseValue) + ".evil.example/x"
	w := &windows{site: newSite("login"), stops: []string{carried},
		tabs: []browser.Tab{{ID: "t1", URL: hostsHome, Active: true}}}
	script := []*model.Response{
		calls("fill_login", `{"key":"`+vaultKey+`","password_ref":"e2"}`),
		calls("press", `{"key":"Enter"}`),
		calls("done", `{"success":true,"message":""}`),
	}
	chat := &asked{answer: func(n int, _ model.Request) (*model.Response, error) { return script[n], nil }}
	d, got := onPage(chat, w), refusals{}
	d.Refused, d.Files, d.Logins = got.record, noFiles{}, mixedCase{&vault{}}
	result, err := agent.BrowserUse(t.Context(), d, bctrl.BrowserUseArgs{
		Task:         "x",
		AllowedHosts: []string{"example.com"},
	}, 0)
	require.NoError(t, err)
	require.Len(t, got, 1, "the attempt is recorded")
	all := strings.ToLower(fmt.Sprint(got, result.Actions))
	for _, q := range chat.questions {
		for _, m := range q.Messages {
			all += strings.ToLower(m.Text)
		}
	}
	require.False(t, strings.Contains(all, strings.ToLower(mixedCaseValue)), "a value is in what was recorded or told")
	require.Contains(t, all, "evil.example", "but for the value it is named")
}
