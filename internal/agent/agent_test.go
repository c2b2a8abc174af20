package agent_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/agent"
	"github.com/bctrl-go/bctrl/internal/model"
)

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
