package agent_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/agent"
	"github.com/bctrl-go/bctrl/internal/model"
)

// perToken is a price table that has one model.
type perToken struct{ usd float64 }

func (p perToken) Cost(_ bctrl.AIProvider, name string, u model.Usage) (float64, bool) {
	return p.usd * float64(u.InputTokens+u.OutputTokens), name == "priced"
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

// named is a model of which it is known before a question which one it is.
type named struct{ *asked }

func (named) Names(context.Context, string) (bctrl.AIProvider, string, bool) {
	return bctrl.OpenAI, "priced", true
}

// renamed is a model in whose place another one is asked from the third
// question on.
type renamed struct{ *asked }

func (c renamed) Names(context.Context, string) (bctrl.AIProvider, string, bool) {
	if len(c.questions) < 2 {
		return bctrl.OpenAI, "priced", true
	}
	return bctrl.OpenAI, "another", true
}

// TestAModelThatTakesTheOthersPlaceIsAskedNothingWithoutAPrice changes who is asked in the
// middle of a task, as a new default in the mounts does.
func TestAModelThatTakesTheOthersPlaceIsAskedNothingWithoutAPrice(t *testing.T) {
	answer := calls("wait", `{"seconds":0}`)
	answer.Provider, answer.Model = bctrl.OpenAI, "priced"
	chat := always(answer)
	d := deps(renamed{chat}, newSite("login"), &vault{})
	d.Prices = perToken{1e-9}
	args := task("x")
	args.MaxCost = 1
	_, err := agent.Agent(t.Context(), d, args, 0)
	var refusal *bctrl.Error
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, "agent.unknown_price", refusal.Code)
	require.Len(t, chat.questions, 2)
}

// TestNoQuestionIsBegunThatCannotBePaid has a model that is known before it is asked.
func TestNoQuestionIsBegunThatCannotBePaid(t *testing.T) {
	for _, c := range []struct {
		why    string
		prices agent.Prices
		code   string
		limit  bctrl.Limit
	}{
		{"there are no prices", nil, "agent.unknown_price", ""},
		{"one question is more than all may cost", perToken{1}, "", bctrl.LimitCost},
	} {
		chat := always(calls("click", `{"ref":"e1"}`))
		d := deps(named{chat}, newSite("login"), &vault{})
		d.Prices = c.prices
		args := task("x")
		args.MaxCost = 1
		result, err := agent.Agent(t.Context(), d, args, 0)
		if c.code != "" {
			var refusal *bctrl.Error
			require.ErrorAs(t, err, &refusal, c.why)
			require.Equal(t, c.code, refusal.Code, c.why)
		} else {
			require.NoError(t, err, c.why)
			require.Equal(t, c.limit, result.Limit, c.why)
		}
		require.Empty(t, chat.questions, c.why)
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
		{"only what fails", "page.covered",
			func(context.Context) (*model.Response, error) { return calls("click", `{"ref":"e2"}`), nil }},
	} {
		t.Run(c.why, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite("login")
				s.echo = func(string) string { return "x" } // a click that leads nowhere fails
				questions := 0
				chat := chatOf(func(ctx context.Context, req model.Request) (*model.Response, error) {
					questions++
					assert.Less(t, len(encode(req)), 300<<10, "what was too long is not sent back")
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
		args := bctrl.BrowserUseArgs{Task: "x", StepTimeoutMs: 5000}
		result, err := agent.BrowserUse(t.Context(), deps(chat, s, &vault{}), args, 0)
		require.NoError(t, err)
		require.Equal(t, "it hangs", result.Message)
		require.Empty(t, result.Limit)
	})
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
	m := &anyModel{rt: rt}
	d := deps(m, newSite("login"), &vault{})
	d.Prices = perToken{0.001}
	d.Record = func(_ context.Context, r agent.Record) error {
		if len(r.Actions) > 2*args.MaxActionsPerStep { // a login has two fields
			rt.Fatalf("%d actions in a step of at most %d calls", len(r.Actions), args.MaxActionsPerStep)
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
	if args.MaxTokens > 0 && m.tokens > args.MaxTokens+m.largest {
		rt.Fatalf("%d tokens of %d, the last question took %d at most", m.tokens, args.MaxTokens, m.largest)
	}
	if cost := float64(m.tokens-m.largest) * 0.001; args.MaxCost > 0 && cost > args.MaxCost {
		rt.Fatalf("$%g of $%g before the last question", cost, args.MaxCost)
	}
	if took := time.Since(begun); took > timeout+10*time.Second {
		rt.Fatalf("%v of %v", took, timeout)
	}
	if result.Limit == "" || len(result.Message) > 1000 {
		rt.Fatalf("a model that is never done ends by a limit, and few words say so")
	}
}

// anyModel says whatever it likes but that it is done.
type anyModel struct {
	rt *rapid.T
	n  int
	// tokens are all that it says it took, largest those of one answer.
	tokens, largest int64
}

func (m *anyModel) Complete(ctx context.Context, _ model.Request) (*model.Response, error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(time.Duration(rapid.IntRange(0, 20_000).Draw(m.rt, "thinks")) * time.Millisecond):
	}
	if rapid.IntRange(0, 9).Draw(m.rt, "bad") == 0 {
		return nil, &bctrl.Error{Status: 502, Code: "model.bad_answer"}
	}
	r := &model.Response{Model: "priced", Usage: model.Usage{
		InputTokens:  rapid.Int64Range(-5, 1000).Draw(m.rt, "in"),
		OutputTokens: rapid.Int64Range(-5, 1000).Draw(m.rt, "out"),
	}}
	for range rapid.IntRange(0, 25).Draw(m.rt, "calls") {
		r.Calls = append(r.Calls, m.call())
	}
	took := max(r.Usage.InputTokens, 0) + max(r.Usage.OutputTokens, 0)
	m.tokens, m.largest = m.tokens+took, max(m.largest, took)
	return r, nil
}

// call is a call that can be run, three times of four.
func (m *anyModel) call() model.ToolCall {
	m.n++
	tools := slices.DeleteFunc(agent.ToolNames(), func(name string) bool { return name == "done" })
	if rapid.IntRange(0, 3).Draw(m.rt, "fits") == 0 {
		return model.ToolCall{
			Name: rapid.SampledFrom(append(tools, "plan", "extract", "x")).Draw(m.rt, "tool"),
			Arguments: rapid.SampledFrom([]string{
				`{"ref":"e1"}`, `{"ref":"e1","text":"a"}`, `{"key":"a"}`, `{"pages":1}`, `{"seconds":9}`, `{"steps":"a"}`,
				`{"instruction":"a"}`, `{}`, `?`,
			}).Draw(m.rt, "args"),
		}
	}
	return rapid.SampledFrom([]model.ToolCall{
		{Name: "type", Arguments: fmt.Sprintf(`{"ref":"e1","text":"%d"}`, m.n)},
		{Name: "click", Arguments: `{"ref":"e1"}`},
		{Name: "press", Arguments: `{"key":"a"}`},
		{Name: "navigate", Arguments: `{"url":"https://login.example.com/"}`},
		{Name: "wait", Arguments: `{"seconds":9}`},
		{Name: "fill_login", Arguments: `{"key":"` + vaultKey + `","username_ref":"e1","password_ref":"e2"}`},
		{Name: "extract", Arguments: `{"instruction":"a"}`},
		{Name: "plan", Arguments: `{"steps":"a"}`},
	}).Draw(m.rt, "call")
}
