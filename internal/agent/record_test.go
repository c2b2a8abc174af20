package agent_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/agent"
	"github.com/bctrl-go/bctrl/internal/model"
)

// TestARecordedAddressHoldsNoCredential: what a model opens it has from the page, where
// addresses with sessions are common. The page itself is opened by the whole address.
func TestARecordedAddressHoldsNoCredential(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const address = "https://login.example.com/in?lang=de&session=canary7531"
		answers := []*model.Response{
			calls("navigate", `{"url":"`+address+`"}`),
			calls("done", `{"success":true,"message":"opened"}`),
		}
		s := newSite("blank")
		chat := &asked{answer: func(n int, _ model.Request) (*model.Response, error) { return answers[n], nil }}
		d := deps(chat, s, &vault{})
		var kept steps
		d.Record = func(_ context.Context, r agent.Record) error { kept = append(kept, r.TranscriptStep); return nil }
		result, err := agent.Agent(t.Context(), d, task("open it"), 0)
		require.NoError(t, err)
		require.Contains(t, s.calls, "goto "+address)
		for _, a := range []bctrl.ActAction{result.Actions[0], kept[0].Actions[0]} {
			require.Equal(t, "https://login.example.com/in", a.Target)
			require.JSONEq(t, `{"url":"https://login.example.com/in?lang=de&session=[secret]"}`, string(a.Arguments))
		}
		_, err = agent.Replay(t.Context(), deps(nil, newSite("blank"), &vault{}), kept)
		refused, ok := errors.AsType[*bctrl.Error](err)
		require.True(t, ok, "%v", err)
		require.Equal(t, "replay.masked", refused.Code)
	})
}
