package server

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/model"
	"github.com/bctrl-go/bctrl/internal/server/calls"
	"github.com/bctrl-go/bctrl/internal/server/web"
)

func TestOnlyTheEffectiveMountsAreChosenFromAndTheUseIsOnRecord(t *testing.T) {
	h := newHarness(t)
	p := newProvider(t)
	for _, id := range []string{"a", "b", "c"} {
		body := openAI(id)
		body["baseUrl"] = p.url
		h.ok("POST", []string{"ai-credentials"}, body, nil)
	}
	ws := h.made("w", object{"ai": object{"allow": []string{"a", "b"}, "defaults": object{"openai": "b"}}})
	rt := h.launch(ws, "r", nil)
	orgs, err := h.db.Read().Organizations(t.Context())
	require.NoError(t, err)
	choose := func(below ...bctrl.Mounts) (calls.ChosenModel, error) {
		own, err := web.LiveRuntime(t.Context(), h.db.Read(), orgs[0].ID, rt.ID)
		require.NoError(t, err)
		own.Chain = append(own.Chain, below...)
		return h.server.calls.ChooseModel(t.Context(), access.Caller{Org: orgs[0].ID, Runtime: own}, calls.ModelChoice{},
			calls.ModelChoice{})
	}
	chosen, err := choose()
	require.NoError(t, err)
	require.Equal(t, "b", chosen.Credential.ID)
	only := func(id string) bctrl.Mounts { return bctrl.Mounts{AI: &bctrl.AIMount{Allow: []string{id}}} }
	chosen, err = choose(only("a"))
	require.NoError(t, err, "the default is dropped with its credential")
	require.Equal(t, "a", chosen.Credential.ID)
	_, err = choose(only("c"))
	require.ErrorIs(t, err, bctrl.ErrOutsideMount)

	_ = h.asks(rt, chosen) // whatever it answers
	require.Equal(t, 1, p.asked())
	events := h.log(bctrl.AuditFilter{Action: "ai.use"})
	require.Len(t, events, 1, "a question is recorded once")
	e := events[0]
	require.Equal(t, []any{"a", "a", rt.ID, "POST", "/v1/chat/completions", "openai/chat-completions", 200, "ok", "r"},
		[]any{e.Object, e.Credential, e.RuntimeID, e.Method, e.Path, e.Capability, e.Status, e.Outcome, e.Consumer})
	require.NotZero(t, e.RequestBytes)
	require.NotZero(t, e.ResponseBytes)

	h.tamper(`UPDATE ai_credentials SET meta = replace(meta, 'http:', 'https:') WHERE id = 'a'`)
	chosen, err = choose(only("a"))
	require.NoError(t, err, "what the row says chooses")
	require.Equal(t, "ai.tampered", web.AsError(h.asks(rt, chosen)).Code, "what was chosen is proved")
	require.Equal(t, 1, p.asked())
}

// asks lets a runtime ask a model something.
func (h *harness) asks(rt bctrl.RuntimeInfo, chosen calls.ChosenModel) error {
	h.Helper()
	own, err := web.LiveRuntime(h.Context(), h.db.Read(), h.org(), rt.ID)
	require.NoError(h, err)
	caller := access.Caller{Org: h.org(), Runtime: own}
	chat, err := h.server.calls.OpenModel(chosen, calls.Asker{
		Caller: func(context.Context) (access.Caller, error) { return caller, nil },
		Grant:  func() *web.Grant { return &web.Grant{Caller: caller} },
		Event: func() audit.Event {
			return audit.Event{
				Org:     h.org(),
				Caller:  caller.Name(),
				Runtime: rt.ID,
				Action:  "ai.use",
				Object:  chosen.Credential.ID,
			}
		},
	})
	require.NoError(h, err)
	_, err = chat.Complete(h.Context(), model.Request{Messages: []model.Message{{Role: model.User, Text: "Hello?"}}})
	return err
}
