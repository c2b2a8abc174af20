package agent_test

import (
	"context"
	"encoding/json"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/agent"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/model"
)

type steps = []bctrl.TranscriptStep

// recorded logs in and exports, and returns the transcript.
func recorded(t *testing.T) (steps []bctrl.TranscriptStep, result *bctrl.AgentResult) {
	t.Helper()
	answers := []*model.Response{
		calls("navigate", `{"url":"https://login.example.com/in"}`),
		calls("click", `{"ref":"e99"}`), // fails, and is not done again
		calls("fill_login", `{"key":"`+vaultKey+`","username_ref":"e1","password_ref":"e2"}`),
		calls("click", `{"ref":"e3"}`),
		calls("enter_totp", `{"key":"`+vaultKey+`","ref":"e4"}`),
		calls("click", `{"ref":"e5"}`),
		calls("select", `{"ref":"e7","option":"Q9"}`), // fails on the page
		calls("select", `{"ref":"e7","option":"Q1"}`),
		calls("click", `{"ref":"e6"}`),
		calls("done", `{"success":true,"message":"exported"}`),
	}
	chat := &asked{answer: func(n int, _ model.Request) (*model.Response, error) { return answers[n], nil }}
	d := deps(chat, newSite("blank"), &vault{})
	d.Record = func(_ context.Context, r agent.Record) error { steps = append(steps, r.TranscriptStep); return nil }
	result, err := agent.Agent(t.Context(), d, task("export"), 0)
	require.NoError(t, err)
	require.True(t, result.Success)
	return steps, result
}

func TestATranscriptIsDoneAgainWithoutAModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		steps, first := recorded(t)
		text, err := json.Marshal(steps) // as it is stored
		require.NoError(t, err)
		requireNoSecret(t, string(text))
		steps = nil
		require.NoError(t, json.Unmarshal(text, &steps))

		s, v := newSite("blank"), &vault{}
		d := deps(nil, s, v)
		var again []bctrl.TranscriptStep
		d.Record = func(_ context.Context, r agent.Record) error { again = append(again, r.TranscriptStep); return nil }
		result, err := agent.Replay(t.Context(), d, steps)
		require.NoError(t, err)
		require.True(t, result.Success)
		require.True(t, result.FromCache)
		require.Zero(t, result.Usage)
		require.Len(t, result.Files, 1)
		var want []bctrl.ActAction
		for _, a := range first.Actions {
			if a.Error == "" {
				want = append(want, a)
			}
		}
		for i, a := range result.Actions {
			require.Equal(t, want[i].Kind, a.Kind)
			require.Equal(t, want[i].Element, a.Element)
			require.Equal(t, want[i].VaultKey, a.VaultKey)
		}
		require.Len(t, result.Actions, len(want))
		require.Equal(t, []string{vaultKey + " username", vaultKey + " password", vaultKey + " totp"}, v.used)
		require.NotEmpty(t, again)
	})
}

// countedLooks counts how often a page is looked at.
type countedLooks struct {
	*site
	looks int
}

func (c *countedLooks) Observe(ctx context.Context) (*browser.Observation, error) {
	c.looks++
	return c.site.Observe(ctx)
}

// TestAReplayLooksOnceAtEachPage holds a replay to one look after each action, as of a
// model's: every look waits until the page is still.
func TestAReplayLooksOnceAtEachPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		steps, _ := recorded(t)
		page := &countedLooks{site: newSite("blank")}
		d := deps(nil, page.site, &vault{})
		d.Page = onPage(nil, page).Page
		result, err := agent.Replay(t.Context(), d, steps)
		require.NoError(t, err)
		require.Equal(t, 1+len(result.Actions), page.looks)
	})
}

func TestAReplayStopsWhereThePageIsNotAsItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all, _ := recorded(t)
		for _, c := range []struct {
			why, code, field string
			edit             func(steps) steps
		}{
			{"an element that is gone", "replay.not_there", "steps[3].actions[0]", func(s steps) steps {
				s[3].Actions[0].Element.Name = "Another"
				return s
			}},
			{"another site", "replay.not_there", "steps[3].actions[0]", func(s steps) steps {
				s[3].URL = "https://other.example/"
				return s
			}},
			{"a login that the mounts do not permit now", "replay.failed", "steps[2].actions[0]",
				func(s steps) steps {
					s[2].Actions[0].Arguments = json.RawMessage(`{"key":"prod/admin/root","field":"username"}`)
					return s
				}},
			{"an address that no tool opens", "replay.failed", "steps[0].actions[0]", func(s steps) steps {
				s[0].Actions[0].Arguments = json.RawMessage(`{"url":"file:///etc/passwd"}`)
				return s
			}},
			{"a tool that there is not", "replay.failed", "steps[0].actions[0]", func(s steps) steps {
				s[0].Actions[0].Kind = "shell"
				return s
			}},
			{"a secret that was masked", "replay.masked", "steps[0].actions[0]", func(s steps) steps {
				s[0].Actions[0].Arguments = json.RawMessage(`{"url":"https://login.example.com/[secret]"}`)
				return s
			}},
			{"arguments that are none", "replay.failed", "steps[0].actions[0]", func(s steps) steps {
				s[0].Actions[0].Arguments = json.RawMessage(`[1]`)
				return s
			}},
			{"nothing to do", "replay.no_actions", "steps", func(steps) steps { return nil }},
		} {
			text, err := json.Marshal(all)
			require.NoError(t, err)
			var copied steps
			require.NoError(t, json.Unmarshal(text, &copied))
			s := newSite("blank")
			result, err := agent.Replay(t.Context(), deps(nil, s, &vault{}), c.edit(copied))
			var refusal *bctrl.Error
			require.ErrorAs(t, err, &refusal, c.why)
			require.Equal(t, c.code, refusal.Code, c.why)
			require.Equal(t, c.field, refusal.Field, c.why)
			if result != nil {
				require.False(t, result.Success, c.why)
			}
			require.NotContains(t, s.calls, "click e3", "nothing after it is done: "+c.why)
		}
	})
}

func TestAnElementIsFoundAmongAlikeByItsIndex(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		steps, _ := recorded(t)
		steps = steps[3:4] // the click on "Sign in"
		steps[0].Actions[0].Element.Index = 7
		s := newSite("login")
		_, err := agent.Replay(t.Context(), deps(nil, s, &vault{}), steps)
		require.NoError(t, err, "the only one is meant wherever it lies")
		require.Equal(t, []string{"click e3"}, s.calls)
	})
}
