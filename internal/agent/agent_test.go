package agent_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/agent"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/model"
)

// perToken is a price table that has one model.
type perToken struct{ usd float64 }

func (p perToken) Cost(_ bctrl.AIProvider, name string, u model.Usage) (float64, bool) {
	return p.usd * float64(u.InputTokens+u.OutputTokens), name == "priced"
}

func task(text string) bctrl.AgentArgs { return bctrl.AgentArgs{Task: text} }

func TestAnAgentPlansActsAndGivesAnOutput(t *testing.T) {
	s, v := newSite("login"), &vault{}
	answers := []*model.Response{
		calls("plan", `{"steps":"1. log in\n2. export"}`),
		calls("fill_login", `{"key":"`+vaultKey+`","username_ref":"e1","password_ref":"e2"}`),
		calls("click", `{"ref":"e3"}`),
		calls("enter_totp", `{"key":"`+vaultKey+`","ref":"e4"}`),
		calls("click", `{"ref":"e5"}`),
		calls("click", `{"ref":"e6"}`),
		calls("done", `{"success":true,"message":"exported"}`),
		calls("done", `{"success":true,"message":"exported","output":{"file":3}}`),
		calls("done", `{"success":true,"message":"exported","output":{"file":"q1.csv"}}`),
	}
	chat := &asked{answer: func(n int, _ model.Request) (*model.Response, error) {
		r := answers[n]
		r.Provider, r.Model, r.Credential = bctrl.OpenAI, "priced", "main"
		r.Usage = model.Usage{InputTokens: 100, OutputTokens: 10, CachedInputTokens: 40}
		return r, nil
	}}
	d := deps(chat, s, v)
	d.Prices = perToken{0.001}
	var records []agent.Record
	d.Record = func(_ context.Context, r agent.Record) error { records = append(records, r); return nil }
	args := task("export Q1")
	args.System = "Be quick."
	args.Output = json.RawMessage(`{"type":"object","required":["file"],"properties":{"file":{"type":"string"}}}`)
	result, err := agent.Agent(t.Context(), d, args, time.Minute)
	require.NoError(t, err)
	require.True(t, result.Success)
	require.Empty(t, result.Limit)
	require.JSONEq(t, `{"file":"q1.csv"}`, string(result.Output))
	require.Equal(t, 9, result.Steps)
	require.Equal(t, []string{"https://login.example.com/login", "https://login.example.com/code",
		"https://login.example.com/home"}, result.Pages)
	require.Len(t, result.Files, 1)
	cost := 0.99
	require.Len(t, result.Models, 1)
	require.InDelta(t, cost, *result.Models[0].Cost, 1e-9)
	result.Models[0].Cost = nil
	require.Equal(t, bctrl.ModelUsage{
		Provider: bctrl.OpenAI, Model: "priced", Credential: "main",
		Usage:             bctrl.Usage{Calls: 9, InputTokens: 900, OutputTokens: 90},
		CachedInputTokens: 360,
	}, result.Models[0])

	system := chat.questions[0].System
	require.Contains(t, system, "Be quick.")
	require.Contains(t, chat.questions[0].Messages[0].Text, `"required":["file"]`)
	last := chat.questions[8].Messages
	require.Contains(t, last[len(last)-1].Text, "/file: type (string)")
	require.Contains(t, last[len(last)-1].Text, "Your plan:\n1. log in\n2. export")
	require.Contains(t, chat.questions[7].Messages[len(chat.questions[7].Messages)-1].Text, "done was called without")

	require.Len(t, records, 9)
	for i, r := range records {
		require.Equal(t, i+1, r.Number)
		require.Equal(t, "priced", r.Model)
		require.Equal(t, bctrl.Usage{Calls: 1, InputTokens: 100, OutputTokens: 10}, r.Usage)
		require.Len(t, r.View, 64)
	}
	require.Equal(t, "https://login.example.com/login", records[1].URL)
	require.Len(t, records[1].Actions, 2)
	require.Equal(t, vaultKey, records[1].Actions[0].VaultKey)
	require.Equal(t, "Username", records[1].Actions[0].Element.Name)
	require.Equal(t, result.Actions, slices.Concat(records[1].Actions, records[2].Actions, records[3].Actions,
		records[4].Actions, records[5].Actions))
	requireNoSecret(t, encode(result)+encode(records)+encode(chat.questions))
}

// TestEveryBudgetEndsATaskWithWhatWasDone has a model that would go on for ever.
func TestEveryBudgetEndsATaskWithWhatWasDone(t *testing.T) {
	for _, c := range []struct {
		why     string
		edit    func(*bctrl.BrowserUseArgs)
		limit   bctrl.Limit
		message string
		// questions is how many there may be at most.
		questions int
	}{
		{"steps", func(a *bctrl.BrowserUseArgs) { a.MaxSteps = 7 }, bctrl.LimitSteps, "7 steps", 7},
		{"tokens", func(a *bctrl.BrowserUseArgs) { a.MaxTokens = 30_000 }, bctrl.LimitTokens, "30000 tokens", 30},
		{"cost", func(a *bctrl.BrowserUseArgs) { a.MaxCost = 20 }, bctrl.LimitCost, "$20", 20},
		{"time", nil, bctrl.LimitTime, "1m0s", 61},
	} {
		t.Run(c.why, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite("login")
				chat := &asked{}
				held := false
				chat.answer = func(n int, req model.Request) (*model.Response, error) {
					time.Sleep(time.Second) //nolint:forbidigo // of virtual time
					held = held || req.MaxTokens > 0
					r := calls("type", fmt.Sprintf(`{"ref":"e1","text":"%d"}`, n))
					r.Model = "priced"
					r.Usage = model.Usage{InputTokens: 900, OutputTokens: 100}
					return r, nil
				}
				d := deps(chat, s, &vault{})
				d.Prices = perToken{0.001}
				args := bctrl.BrowserUseArgs{Task: "x", Budget: bctrl.Budget{MaxSteps: 100}}
				if c.edit != nil {
					c.edit(&args)
				}
				result, err := agent.BrowserUse(t.Context(), d, args, time.Minute)
				require.NoError(t, err)
				require.Equal(t, c.limit, result.Limit)
				require.False(t, result.Success)
				require.Contains(t, result.Message, c.message)
				require.LessOrEqual(t, len(chat.questions), c.questions)
				require.Greater(t, len(chat.questions), 1)
				require.Equal(t, c.limit == bctrl.LimitTokens, held, "the last answers are held to what is left of the tokens")
				require.NotEmpty(t, result.Actions)
				require.Equal(t, len(s.calls), len(result.Actions))
			})
		})
	}
}

func TestAModelWithoutAPriceIsRefusedWhereThereIsACostToKeep(t *testing.T) {
	s := newSite("login")
	chat := always(calls("click", `{"ref":"e1"}`))
	args := task("x")
	args.MaxCost = 1
	for _, prices := range []agent.Prices{nil, perToken{1}} {
		d := deps(chat, s, &vault{})
		d.Prices = prices
		_, err := agent.Agent(t.Context(), d, args, 0)
		var refusal *bctrl.Error
		require.ErrorAs(t, err, &refusal)
		require.Equal(t, "agent.unknown_price", refusal.Code)
		require.Equal(t, "maxCostUsd", refusal.Field)
		require.Empty(t, s.calls, "nothing is done before")
	}
}

// TestAModelThatFailsIsBounded has each kind of model that is of no use.
func TestAModelThatFailsIsBounded(t *testing.T) {
	megabyte := strings.Repeat("x", 1<<20)
	for _, c := range []struct {
		why, told string
		answer    func(ctx context.Context) (*model.Response, error)
	}{
		{"nonsense", "agent.no_call", func(context.Context) (*model.Response, error) { return calls("click", "?"), nil }},
		{"a tool that there is not", "there is no such tool",
			func(context.Context) (*model.Response, error) { return calls("shell", "{}"), nil }},
		{"nothing", "agent.no_call", func(context.Context) (*model.Response, error) { return &model.Response{}, nil }},
		{"a megabyte of words", "agent.no_call",
			func(context.Context) (*model.Response, error) { return &model.Response{Text: megabyte}, nil }},
		{"a megabyte of arguments", "agent.no_call",
			func(context.Context) (*model.Response, error) {
				return calls("type", `{"ref":"e1","text":"`+megabyte+`"}`), nil
			}},
		{"a thousand calls", "agent.no_call", func(context.Context) (*model.Response, error) {
			return &model.Response{Calls: slices.Repeat([]model.ToolCall{{Name: megabyte, Arguments: "{}"}}, 1000)}, nil
		}},
		{"an answer that cannot be read", "model.bad_answer", func(context.Context) (*model.Response, error) {
			return nil, &bctrl.Error{Status: 502, Code: "model.bad_answer", Message: "it is not a message"}
		}},
		{"never", "agent.step_timeout", func(ctx context.Context) (*model.Response, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}},
		{"only what fails", "page.covered", func(context.Context) (*model.Response, error) { return calls("click", `{"ref":"e2"}`), nil }},
	} {
		t.Run(c.why, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite("login")
				s.echo = func(string) string { return "x" } // a click that leads nowhere fails
				questions := 0
				chat := chatOf(func(ctx context.Context, req model.Request) (*model.Response, error) {
					questions++
					require.Less(t, len(encode(req)), 300<<10, "what was too long is not sent back")
					return c.answer(ctx)
				})
				result, err := agent.BrowserUse(t.Context(), deps(chat, s, &vault{}), bctrl.BrowserUseArgs{
					Task:          "x",
					MaxFailures:   3,
					StepTimeoutMs: 1000,
				}, time.Hour)
				require.NoError(t, err)
				require.Equal(t, bctrl.LimitFailures, result.Limit)
				require.Contains(t, result.Message, c.told)
				require.Less(t, len(result.Message), 1000)
				require.Equal(t, 3, questions)
			})
		})
	}
}

type chatOf func(context.Context, model.Request) (*model.Response, error)

func (f chatOf) Complete(ctx context.Context, req model.Request) (*model.Response, error) {
	return f(ctx, req)
}

func TestAPageThatHangsEndsAStepAndNotTheTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite("login")
		s.hang = make(chan struct{})
		chat := &asked{answer: func(n int, req model.Request) (*model.Response, error) {
			if n == 0 {
				return &model.Response{Calls: []model.ToolCall{
					{ID: "a", Name: "click", Arguments: `{"ref":"e3"}`}, {ID: "b", Name: "press", Arguments: `{"key":"Enter"}`},
				}}, nil
			}
			last := req.Messages[len(req.Messages)-2:]
			require.Contains(t, last[0].Text, "agent.step_timeout")
			require.Contains(t, last[1].Text, "not done: the call before it failed")
			return calls("done", `{"success":false,"message":"it hangs"}`), nil
		}}
		result, err := agent.BrowserUse(t.Context(), deps(chat, s, &vault{}), bctrl.BrowserUseArgs{Task: "x", StepTimeoutMs: 5000}, 0)
		require.NoError(t, err)
		require.Equal(t, "it hangs", result.Message)
		require.Empty(t, result.Limit)
	})
}

func TestWhatIsCancelledKeepsWhatWasDone(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := newSite("login")
	chat := &asked{answer: func(n int, _ model.Request) (*model.Response, error) {
		if n == 2 {
			cancel()
			return nil, ctx.Err()
		}
		return calls("type", fmt.Sprintf(`{"ref":"e1","text":"%d"}`, n)), nil
	}}
	d := deps(chat, s, &vault{})
	var records int
	d.Record = func(context.Context, agent.Record) error { records++; return nil }
	result, err := agent.Agent(ctx, d, task("x"), 0)
	require.ErrorIs(t, err, context.Canceled)
	require.Len(t, result.Actions, 2)
	require.Equal(t, 2, records)
	require.Equal(t, 2, result.Usage.Calls)
}

func TestWhoCannotRecordDoesNoMore(t *testing.T) {
	full := errors.New("the disk is full")
	s := newSite("login")
	d := deps(always(calls("type", `{"ref":"e1","text":"a"}`)), s, &vault{})
	d.Record = func(context.Context, agent.Record) error { return full }
	result, err := agent.Agent(t.Context(), d, task("x"), 0)
	require.ErrorIs(t, err, full)
	require.Len(t, s.calls, 1)
	require.Len(t, result.Actions, 1)
}

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

func (w *wandering) Goto(_ context.Context, address string) error {
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
			require.Contains(t, last[len(last)-1].Text, "was left")
			require.Equal(t, "about:blank", result.URL)
			require.Equal(t, []string{"https://example.com/"}, result.Pages)
		})
	}
}

func TestATaskDoesNotBeginOutsideItsHostsNorGoThere(t *testing.T) {
	w := &wandering{site: newSite("login"), url: "https://evil.example/"}
	chat := &asked{answer: func(n int, req model.Request) (*model.Response, error) {
		if n == 0 {
			require.Contains(t, req.Messages[0].Text, "https://evil.example/, where this task may not be: it was left")
			return calls("navigate", `{"url":"https://other.example/"}`), nil
		}
		require.Contains(t, req.Messages[len(req.Messages)-1].Text, "agent.host_not_allowed")
		return calls("done", `{"success":false,"message":""}`), nil
	}}
	_, err := agent.BrowserUse(t.Context(), onPage(chat, w), bctrl.BrowserUseArgs{Task: "x", AllowedHosts: []string{"example.com"}}, 0)
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
		d.Refused = func(_ context.Context, key string, refusal *bctrl.Error) error {
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
		require.Contains(t, req.Messages[0].Text, "This was done before you were asked:\n- navigate: opened\n- navigate: not done: agent.host_not_allowed")
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
	require.Len(t, result.Actions, 1)
	require.Len(t, records, 2)
	require.Empty(t, records[0].Model)
}

func TestArgumentsOfAgentsAreChecked(t *testing.T) {
	b := func(edit func(*bctrl.BrowserUseArgs)) error {
		a := bctrl.BrowserUseArgs{Task: "x"}
		edit(&a)
		_, err := agent.BrowserUse(t.Context(), agent.Deps{}, a, 0)
		require.Equal(t, err, agent.CheckBrowserUse(a))
		return err
	}
	a := func(edit func(*bctrl.AgentArgs)) error {
		args := task("x")
		edit(&args)
		_, err := agent.Agent(t.Context(), agent.Deps{}, args, 0)
		require.Equal(t, err, agent.CheckAgent(args))
		return err
	}
	initial := func(tool, args string) error {
		return b(func(a *bctrl.BrowserUseArgs) {
			a.InitialActions = []bctrl.AgentAction{{Tool: "press", Arguments: json.RawMessage(`{"key":"a"}`)},
				{Tool: tool, Arguments: json.RawMessage(args)}}
		})
	}
	for _, c := range []struct {
		why, code, field string
		err              error
	}{
		{"no task", "agent.invalid_task", "task", a(func(a *bctrl.AgentArgs) { a.Task = " \n" })},
		{"a long one", "agent.invalid_task", "task", b(func(a *bctrl.BrowserUseArgs) { a.Task = strings.Repeat("x", 20_000) })},
		{"a long system text", "agent.invalid_options", "system", a(func(a *bctrl.AgentArgs) { a.System = strings.Repeat("x", 20_000) })},
		{"a long system message", "agent.invalid_options", "extendSystemMessage",
			b(func(a *bctrl.BrowserUseArgs) { a.ExtendSystemMessage = strings.Repeat("x", 20_000) })},
		{"no schema", "agent.invalid_schema", "output", a(func(a *bctrl.AgentArgs) { a.Output = json.RawMessage(`[1]`) })},
		{"a schema of another document", "agent.invalid_schema", "output",
			b(func(a *bctrl.BrowserUseArgs) { a.Output = json.RawMessage(`{"$ref":"https://example.com/s.json"}`) })},
		{"an unknown cache", "agent.invalid_options", "cache", a(func(a *bctrl.AgentArgs) { a.Cache = "always" })},
		{"unknown vision", "agent.invalid_options", "vision", a(func(a *bctrl.AgentArgs) { a.Vision = "x" })},
		{"steps below 0", "agent.invalid_options", "maxSteps", a(func(a *bctrl.AgentArgs) { a.MaxSteps = -1 })},
		{"many steps", "agent.invalid_options", "maxSteps", a(func(a *bctrl.AgentArgs) { a.MaxSteps = 201 })},
		{"tokens below 0", "agent.invalid_options", "maxTokens", a(func(a *bctrl.AgentArgs) { a.MaxTokens = -1 })},
		{"a cost below 0", "agent.invalid_options", "maxCostUsd", a(func(a *bctrl.AgentArgs) { a.MaxCost = -0.1 })},
		{"many actions", "agent.invalid_options", "maxActionsPerStep",
			b(func(a *bctrl.BrowserUseArgs) { a.MaxActionsPerStep = 21 })},
		{"many failures", "agent.invalid_options", "maxFailures", b(func(a *bctrl.BrowserUseArgs) { a.MaxFailures = 101 })},
		{"a step of a day", "agent.invalid_options", "stepTimeoutMs",
			b(func(a *bctrl.BrowserUseArgs) { a.StepTimeoutMs = 86_400_000 })},
		{"an address for a host", "agent.invalid_host", "allowedHosts[1]",
			b(func(a *bctrl.BrowserUseArgs) { a.AllowedHosts = []string{"example.com", "https://example.com"} })},
		{"a pattern inside", "agent.invalid_host", "allowedHosts[0]",
			b(func(a *bctrl.BrowserUseArgs) { a.AllowedHosts = []string{"a.*.com"} })},
		{"no host", "agent.invalid_host", "allowedHosts[0]", b(func(a *bctrl.BrowserUseArgs) { a.AllowedHosts = []string{""} })},
		{"no vault key", "agent.invalid_login", "logins[0]", b(func(a *bctrl.BrowserUseArgs) { a.Logins = []string{"/x"} })},
		{"an unknown tool", "agent.unknown_tool", "initialActions[1].tool", initial("shell", `{}`)},
		{"the end", "agent.unknown_tool", "initialActions[1].tool", initial("done", `{"success":true,"message":""}`)},
		{"wrong arguments", "agent.invalid_arguments", "initialActions[1].arguments", initial("click", `{"selector":"a"}`)},
		{"no arguments", "agent.invalid_arguments", "initialActions[1].arguments", initial("click", ``)},
		{"many actions to begin with", "agent.invalid_options", "initialActions", b(func(a *bctrl.BrowserUseArgs) {
			a.InitialActions = make([]bctrl.AgentAction, 21)
		})},
	} {
		var refusal *bctrl.Error
		require.ErrorAs(t, c.err, &refusal, c.why)
		require.Equal(t, c.code, refusal.Code, c.why)
		require.Equal(t, c.field, refusal.Field, c.why)
		require.ErrorIs(t, c.err, bctrl.ErrInvalid, c.why)
	}
	_, err := agent.Agent(t.Context(), agent.Deps{}, task("x"), -1)
	require.ErrorIs(t, err, bctrl.ErrInvalid)
}

// TestNoLoopExceedsItsBudgets has a model that says whatever it likes, at whatever
// price, in whatever time.
func TestNoLoopExceedsItsBudgets(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		synctest.Test(t, func(*testing.T) { neverExceeds(rt) })
	})
}

func neverExceeds(rt *rapid.T) {
	zeroOr := func(name string, least, most int) int {
		if rapid.Bool().Draw(rt, "no "+name) {
			return 0
		}
		return rapid.IntRange(least, most).Draw(rt, name)
	}
	args := bctrl.BrowserUseArgs{
		Task: "x",
		Budget: bctrl.Budget{
			MaxSteps:  rapid.IntRange(1, 30).Draw(rt, "steps"),
			MaxTokens: int64(zeroOr("tokens", 1, 200_000)),
			MaxCost:   float64(zeroOr("cost", 1, 50)),
		},
		MaxActionsPerStep: rapid.IntRange(1, 20).Draw(rt, "actions"),
		MaxFailures:       rapid.IntRange(1, 10).Draw(rt, "failures"),
		StepTimeoutMs:     rapid.Int64Range(1, 60_000).Draw(rt, "step"),
		Planning:          rapid.Bool().Draw(rt, "planning"),
	}
	timeout := time.Duration(rapid.IntRange(1, 600).Draw(rt, "time")) * time.Second
	tools := append(slices.DeleteFunc(agent.ToolNames(), func(n string) bool { return n == "done" }), "plan", "extract", "x")
	fitting := []model.ToolCall{
		{Name: "click", Arguments: `{"ref":"e1"}`}, {Name: "press", Arguments: `{"key":"a"}`},
		{Name: "navigate", Arguments: `{"url":"https://login.example.com/"}`}, {Name: "wait", Arguments: `{"seconds":9}`},
		{Name: "fill_login", Arguments: `{"key":"` + vaultKey + `","username_ref":"e1","password_ref":"e2"}`},
		{Name: "extract", Arguments: `{"instruction":"a"}`}, {Name: "plan", Arguments: `{"steps":"a"}`},
	}
	n := 0
	const perAnswer = 1000 // tokens that one answer says that it took, at most
	questions, tokens, largest := 0, int64(0), int64(0)
	s := newSite("login")
	chat := chatOf(func(ctx context.Context, req model.Request) (*model.Response, error) {
		questions++
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Duration(rapid.IntRange(0, 20_000).Draw(rt, "thinks")) * time.Millisecond):
		}
		if rapid.IntRange(0, 9).Draw(rt, "bad") == 0 {
			return nil, &bctrl.Error{Status: 502, Code: "model.bad_answer"}
		}
		u := model.Usage{
			InputTokens:  rapid.Int64Range(-5, perAnswer).Draw(rt, "in"),
			OutputTokens: rapid.Int64Range(-5, perAnswer).Draw(rt, "out"),
		}
		r := &model.Response{Model: "priced", Usage: u}
		for range rapid.IntRange(0, 25).Draw(rt, "calls") {
			if n++; rapid.IntRange(0, 3).Draw(rt, "fits") > 0 {
				typed := model.ToolCall{Name: "type", Arguments: fmt.Sprintf(`{"ref":"e1","text":"%d"}`, n)}
				r.Calls = append(r.Calls, rapid.SampledFrom(append(fitting, typed)).Draw(rt, "call"))
				continue
			}
			r.Calls = append(r.Calls, model.ToolCall{
				Name: rapid.SampledFrom(tools).Draw(rt, "tool"),
				Arguments: rapid.SampledFrom([]string{`{"ref":"e1"}`, `{"ref":"e1","text":"a"}`, `{"key":"a"}`, `{"pages":1}`,
					`{"seconds":9}`, `{"steps":"a"}`, `{"instruction":"a"}`, `{}`, `?`}).Draw(rt, "args"),
			})
		}
		took := max(u.InputTokens, 0) + max(u.OutputTokens, 0)
		tokens, largest = tokens+took, max(largest, took)
		return r, nil
	})
	d := deps(chat, s, &vault{})
	d.Prices = perToken{0.001}
	actions := 0
	d.Record = func(_ context.Context, r agent.Record) error {
		if actions = len(r.Actions); actions > 2*args.MaxActionsPerStep {
			rt.Fatalf("%d actions in a step of at most %d calls", actions, args.MaxActionsPerStep)
		}
		return nil
	}
	begun := time.Now()
	result, err := agent.BrowserUse(context.Background(), d, args, timeout)
	if err != nil {
		rt.Fatalf("%v", err)
	}
	if result.Steps > args.MaxSteps {
		rt.Fatalf("%d steps of %d", result.Steps, args.MaxSteps)
	}
	if args.MaxTokens > 0 && tokens > args.MaxTokens+largest {
		rt.Fatalf("%d tokens of %d, the last question took %d at most", tokens, args.MaxTokens, largest)
	}
	if cost := float64(tokens-largest) * 0.001; args.MaxCost > 0 && cost > args.MaxCost {
		rt.Fatalf("$%g of $%g before the last question", cost, args.MaxCost)
	}
	if took := time.Since(begun); took > timeout+10*time.Second {
		rt.Fatalf("%v of %v", took, timeout)
	}
	if result.Limit == "" {
		rt.Fatalf("a model that is never done ends by a limit")
	}
	if len(result.Message) > 1000 {
		rt.Fatalf("the message is %d bytes", len(result.Message))
	}
}
