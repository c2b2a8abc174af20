package agent_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/agent"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/model"
)

// wandering is a page that goes somewhere by itself when something is done on it.
type wandering struct {
	*site
	url string
	to  string
}

func (w *wandering) Observe(ctx context.Context) (*browser.Observation, error) {
	seen, err := w.site.Observe(ctx)
	if err == nil {
		seen.URL = w.url
	}
	return seen, err
}

func (w *wandering) Goto(_ context.Context, address string, _ bctrl.WaitUntil) error {
	w.site.log("goto %s", address)
	w.url = address
	return nil
}

func (w *wandering) Press(_ context.Context, key string) error {
	w.site.log("press %s", key)
	w.url = w.to
	return nil
}

func TestAPageOutsideTheAllowedHostsIsLeft(t *testing.T) {
	for _, c := range []struct {
		why, to string
		stays   bool
	}{
		{"the host itself", "https://example.com/x", true},
		{"in capitals", "https://EXAMPLE.com/x", true},
		{"a host below a pattern", "https://a.b.example.org/", true},
		{"a blank page", "about:blank", true},
		{"another host", "https://evil.example/", false},
		{"the host of a pattern itself", "https://example.org/", false},
		{"a host that ends alike", "https://notexample.com/", false},
		{"a host that begins alike", "https://example.com.evil.example/", false},
		{"another host before an @", "https://example.com@evil.example/", false},
		{"data", "data:text/html,x", false},
		{"a file", "file:///etc/passwd", false},
		{"a blob of another host", "blob:https://evil.example/1", false},
		{"a blob of the host", "blob:https://example.com/1", true},
		{"an address", "http://127.0.0.1/", false},
		{"a frame's source", "about:srcdoc", false},
	} {
		t.Run(c.why, func(t *testing.T) {
			w := &wandering{site: newSite("login"), url: "https://example.com/", to: c.to}
			chat := &asked{answer: func(n int, req model.Request) (*model.Response, error) {
				if n == 0 {
					return &model.Response{Calls: []model.ToolCall{
						{ID: "a", Name: "press", Arguments: `{"key":"Enter"}`}, {ID: "b", Name: "click", Arguments: `{"ref":"e1"}`},
					}}, nil
				}
				return calls("done", `{"success":true,"message":""}`), nil
			}}
			result, err := agent.BrowserUse(t.Context(), onPage(chat, w), bctrl.BrowserUseArgs{
				Task:         "x",
				AllowedHosts: []string{"example.com", "*.example.org"},
			}, 0)
			require.NoError(t, err)
			last := chat.questions[1].Messages
			if c.stays {
				require.Contains(t, w.calls, "click e1")
				require.NotContains(t, w.calls, "goto about:blank")
				return
			}
			require.Equal(t, []string{"press Enter", "goto about:blank"}, w.calls, "nothing is done there")
			require.Contains(t, last[len(last)-1].Text, "was kept from there")
			require.Equal(t, "about:blank", result.URL)
			require.Equal(t, []string{"https://example.com/"}, result.Pages)
		})
	}
}

func TestATaskDoesNotBeginOutsideItsHostsNorGoThere(t *testing.T) {
	w := &wandering{site: newSite("login"), url: "https://evil.example/"}
	chat := &asked{answer: func(n int, req model.Request) (*model.Response, error) {
		if n == 0 {
			require.Contains(t, req.Messages[0].Text, "https://evil.example/, where this task "+
				"may not be: it was kept from there")
			return calls("navigate", `{"url":"https://other.example/"}`), nil
		}
		require.Contains(t, req.Messages[len(req.Messages)-1].Text, "agent.host_not_allowed")
		return calls("done", `{"success":false,"message":""}`), nil
	}}
	args := bctrl.BrowserUseArgs{Task: "x", AllowedHosts: []string{"example.com"}}
	_, err := agent.BrowserUse(t.Context(), onPage(chat, w), args, 0)
	require.NoError(t, err)
	require.Equal(t, []string{"goto about:blank"}, w.calls)
}

func TestOnlyListedLoginsAreFilled(t *testing.T) {
	for _, c := range []struct {
		why   string
		list  []string
		fills bool
	}{
		{"no list", nil, true},
		{"listed", []string{vaultKey}, true},
		{"another one listed", []string{"prod/crm/elsewhere"}, false},
		{"none listed", []string{}, false},
	} {
		s, v := newSite("login"), &vault{}
		var refused []string
		chat := &asked{answer: func(n int, _ model.Request) (*model.Response, error) {
			if n == 0 {
				return calls("fill_login", `{"key":"`+vaultKey+`","password_ref":"e2"}`), nil
			}
			return calls("done", `{"success":true,"message":""}`), nil
		}}
		d := deps(chat, s, v)
		d.Refused = func(_ context.Context, verb bctrl.Verb, key string, refusal *bctrl.Error) error {
			assert.Equal(t, bctrl.UseVault, verb, c.why)
			refused = append(refused, key)
			return refusal
		}
		_, err := agent.BrowserUse(t.Context(), d, bctrl.BrowserUseArgs{Task: "x", Logins: c.list}, 0)
		require.NoError(t, err)
		told := chat.questions[0].Messages[0].Text
		require.Equal(t, c.fills, strings.Contains(told, vaultKey+" (username, password, totp)"), c.why)
		if c.fills {
			require.Equal(t, []string{vaultKey + " password"}, v.used, c.why)
			continue
		}
		require.Empty(t, v.used, "the vault is not asked: "+c.why)
		require.Equal(t, []string{vaultKey}, refused, "it is recorded: "+c.why)
		last := chat.questions[1].Messages
		require.Contains(t, last[len(last)-1].Text, "agent.login_not_listed", c.why)
	}
}

func TestInitialActionsPassTheSameChecks(t *testing.T) {
	w := &wandering{site: newSite("login"), url: "https://example.com/"}
	chat := &asked{answer: func(_ int, req model.Request) (*model.Response, error) {
		require.Contains(t, req.Messages[0].Text, "This was done before you were asked:\n- navigate: opened\n"+
			"- navigate: failed: agent.host_not_allowed")
		require.NotContains(t, req.Messages[0].Text, "- press")
		return calls("done", `{"success":true,"message":""}`), nil
	}}
	d := onPage(chat, w)
	var records []agent.Record
	d.Record = func(_ context.Context, r agent.Record) error { records = append(records, r); return nil }
	action := func(tool, args string) bctrl.AgentAction {
		return bctrl.AgentAction{Tool: tool, Arguments: json.RawMessage(args)}
	}
	result, err := agent.BrowserUse(t.Context(), d, bctrl.BrowserUseArgs{
		Task:         "x",
		AllowedHosts: []string{"example.com"},
		InitialActions: []bctrl.AgentAction{
			action("navigate", `{"url":"https://example.com/start"}`),
			action("navigate", `{"url":"https://evil.example/"}`),
			action("press", `{"key":"Enter"}`),
		},
	}, 0)
	require.NoError(t, err)
	require.Equal(t, []string{"goto https://example.com/start"}, w.calls)
	require.Len(t, result.Actions, 2)
	require.Contains(t, result.Actions[1].Error, "agent.host_not_allowed")
	require.Len(t, records, 2)
	require.Empty(t, records[0].Model)
}
