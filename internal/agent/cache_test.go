package agent_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/agent"
	"github.com/bctrl-go/bctrl/internal/model"
)

// unasked is a model that may not be asked.
type unasked struct{ t *testing.T }

func (u unasked) Complete(context.Context, model.Request) (*model.Response, error) {
	u.t.Helper()
	u.t.Error("the model was asked")
	return nil, errors.New("not here")
}

// logsIn is a model that logs in to the site and exports from it.
func logsIn(n int, _ string) []called {
	return [][]called{
		does("navigate", `{"url":"`+loginURL+`"}`),
		does("fill_login", `{"key":"`+vaultKey+`","username_ref":"e1","password_ref":"e2"}`),
		does("click", `{"ref":"e3"}`),
		does("enter_totp", `{"key":"`+vaultKey+`","ref":"e4"}`),
		does("click", `{"ref":"e5"}`),
		does("select", `{"ref":"e7","option":"Q1"}`),
		does("done", `{"success":true,"message":"ready"}`),
	}[n]
}

// memory is a cache.
type memory map[agent.CacheKey][]bctrl.TranscriptStep

func (m memory) Load(_ context.Context, key agent.CacheKey) ([]bctrl.TranscriptStep, error) {
	return m[key], nil
}

func (m memory) Save(_ context.Context, key agent.CacheKey, steps []bctrl.TranscriptStep) error {
	m[key] = steps
	return nil
}

// cachedAct does the task with a cache.
func cachedAct(t *testing.T, chat model.Chat, s *site, m memory) *bctrl.ActResult {
	t.Helper()
	d := deps(chat, s, &vault{})
	d.Cache = m
	result, err := agent.Act(t.Context(), d, agent.Options{Instruction: "Log in", Cache: bctrl.CacheAuto})
	require.NoError(t, err)
	require.True(t, result.Success, result.Message)
	return result
}

func TestWhatWentWellIsDoneAgainFromTheCache(t *testing.T) {
	m := memory{}
	chat, _ := newModel(t, bctrl.OpenAI, logsIn)
	first := newSite("blank")
	require.False(t, cachedAct(t, chat, first, m).FromCache)
	require.Len(t, m, 1)
	for _, actions := range m {
		text, err := json.Marshal(actions)
		require.NoError(t, err)
		requireNoSecret(t, string(text))
	}

	second := newSite("blank")
	result := cachedAct(t, unasked{t}, second, m)
	require.True(t, result.FromCache)
	require.Zero(t, result.Healed)
	require.Zero(t, result.Usage.Calls)
	require.Equal(t, first.calls, second.calls)
}

func TestTheCacheHealsWithOneQuestionForEachStep(t *testing.T) {
	m := memory{}
	chat, _ := newModel(t, bctrl.OpenAI, logsIn)
	first := newSite("blank")
	cachedAct(t, chat, first, m)
	for _, steps := range m { // as if the button had another name then
		for i := range steps {
			if a := &steps[i].Actions[0]; a.Kind == "click" && strings.Contains(a.Target, "Verify") {
				other := *a.Element
				other.Name = "Check"
				a.Element = &other
			}
		}
	}
	healer, asked := newModel(t, bctrl.OpenAI, func(int, string) []called { return does("click", `{"ref":"e5"}`) })
	second := newSite("blank")
	result := cachedAct(t, healer, second, m)
	require.True(t, result.FromCache)
	require.Equal(t, 1, result.Healed)
	require.Len(t, asked.sent(), 1)
	require.Equal(t, first.calls, second.calls)

	third := newSite("blank")
	require.Zero(t, cachedAct(t, unasked{t}, third, m).Healed, "what healed is kept")
}

func TestAFailedTaskIsNotKept(t *testing.T) {
	m := memory{}
	chat, _ := newModel(t, bctrl.OpenAI, func(int, string) []called {
		return does("done", `{"success":false,"message":"no"}`)
	})
	d := deps(chat, newSite("login"), &vault{})
	d.Cache = m
	_, err := agent.Act(t.Context(), d, agent.Options{Instruction: "Log in", Cache: bctrl.CacheAuto})
	require.NoError(t, err)
	require.Empty(t, m)
}

func TestAnotherTaskOrPageHasItsOwnEntry(t *testing.T) {
	m := memory{}
	for _, tc := range []struct{ instruction, screen string }{
		{"Log in", "blank"}, {"Log in now", "blank"}, {"Log in", "login"},
	} {
		chat, _ := newModel(t, bctrl.OpenAI, logsIn)
		d := deps(chat, newSite(tc.screen), &vault{})
		d.Cache = m
		before := maps.Clone(m)
		result, err := agent.Act(t.Context(), d, agent.Options{Instruction: tc.instruction, Cache: bctrl.CacheAuto})
		require.NoError(t, err)
		require.True(t, result.Success, result.Message)
		require.Len(t, m, len(before)+1)
	}
}

// TestTheCacheFollowsAPageToNoOtherSite has the actions of a task begin on the page where
// they were done, and go on at another site.
func TestTheCacheFollowsAPageToNoOtherSite(t *testing.T) {
	m := memory{}
	chat, _ := newModel(t, bctrl.OpenAI, logsIn)
	cachedAct(t, chat, newSite("blank"), m)
	for _, steps := range m {
		for i := range steps {
			if i > 0 { // as if they had been done elsewhere
				steps[i].URL = strings.Replace(steps[i].URL, "login.example.com", "other.example.com", 1)
			}
		}
	}
	model, asked := newModel(t, bctrl.OpenAI, func(int, string) []called {
		return does("done", `{"success":false,"message":"another site"}`)
	})
	d := deps(model, newSite("blank"), &vault{})
	d.Cache = m
	result, err := agent.Act(t.Context(), d, agent.Options{Instruction: "Log in", Cache: bctrl.CacheAuto})
	require.NoError(t, err)
	require.Len(t, result.Actions, 1, "the page was opened, and nothing was done on it")
	require.Len(t, asked.sent(), 1)
}

// TestWhatBecameASecretLaterIsNotKept has the model type what a login then turns out to be.
func TestWhatBecameASecretLaterIsNotKept(t *testing.T) {
	m := memory{}
	typed := false
	chat, _ := newModel(t, bctrl.OpenAI, func(n int, body string) []called {
		if !typed {
			typed = true
			return does("type", `{"ref":"e1","text":`+encode(password)+`}`)
		}
		return logsIn(n, body)
	})
	d := deps(chat, newSite("login"), &vault{})
	d.Cache = m
	_, err := agent.Act(t.Context(), d, agent.Options{Instruction: "Log in", Cache: bctrl.CacheAuto})
	require.NoError(t, err)
	require.Empty(t, m)
}
