package command

import (
	"net/http/httptest"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
)

// TestAKilledServerLeavesWhatItsAgentHasDoneAndDoesNothingTwice kills the real process in
// the middle of an agent's work, on a site that counts what reaches it. The next server has
// the operation as interrupted, with the steps that were recorded, and nothing of it
// reaches the site again: not by itself, and not when the same call is repeated.
func TestAKilledServerLeavesWhatItsAgentHasDoneAndDoesNothingTwice(t *testing.T) {
	for _, c := range []struct {
		why string
		// held keeps the site from answering the second note.
		held bool
	}{
		{why: "while a model is asked"},
		{why: "while a page loads that an action has led to", held: true},
	} {
		t.Run(c.why, func(t *testing.T) { killedInTheMiddle(t, c.held) })
	}
}

func killedInTheMiddle(t *testing.T, held bool) {
	site, reached := newNotes(t), make(chan struct{})
	goOn := make(chan struct{})
	works := site.takesNotes("call Ada", "call Bob", "call Eve")
	model, err := modeltest.New(modeltest.Config{Key: bctrl.NewSecret("canary-key"),
		Script: func(turn modeltest.Turn) modeltest.Call {
			switch n := len(turn.Calls); {
			case n == 6 && held: // the next is the click that adds the second note
				site.hold(reached, goOn)
			case n == 7:
				close(reached)
				<-goOn
			}
			return works(turn)
		}})
	require.NoError(t, err)
	provider := httptest.NewServer(model)
	t.Cleanup(func() {
		close(goOn) // or the provider would wait for what it never answers
		provider.Close()
	})

	temp, err := os.MkdirTemp("", "killed-")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(temp)) })
	require.NoError(t, os.Chmod(temp, 0o711)) // the browsers' user must reach it
	where := newPlace(t).built(t)
	where.args = []string{"--allow-address", "127.0.0.1"}
	srv := where.start(t, "TMPDIR="+temp)
	key := srv.firstKey
	rt := withNotes(t, srv.client(key), bctrl.AICredentialCreate{ID: "model", Provider: bctrl.OpenAI,
		APIKey: bctrl.NewSecret("canary-key"), BaseURL: provider.URL + "/v1", DefaultModel: modeltest.DefaultModel}, site)
	task, err := bctrl.AgentStep(bctrl.AgentArgs{Task: "Take my notes"})
	require.NoError(t, err)
	begin := func(client *bctrl.Client) (*bctrl.Operation, error) {
		ws, err := client.Workspaces.GetByName(t.Context(), "sales")
		require.NoError(t, err)
		return ws.ExecuteAsync(t.Context(), bctrl.Execution{Runtime: rt.Alias, Steps: []bctrl.Step{task}},
			bctrl.WithIdempotencyKey("once"))
	}
	op, err := begin(srv.client(key))
	require.NoError(t, err)
	<-reached
	srv.kill()
	atKill, logins := site.taken()
	require.Equal(t, []string{"call Ada", "call Bob"}, atKill)

	srv = where.start(t, "TMPDIR="+temp)
	client := srv.client(key)
	left, err := client.Operations.Get(t.Context(), op.ID)
	require.NoError(t, err)
	require.Equal(t, bctrl.OperationInterrupted, left.Info.Status)
	require.Equal(t, "operations.interrupted", left.Info.Error.Code)
	want := []string{"navigate", "fill", "fill", "click", "type", "click", "type"}
	if !held {
		want = append(want, "click")
	}
	result, err := left.Info.Agent()
	require.Error(t, err)
	require.Equal(t, want, kindsOf(result.Actions), "what was done and recorded")
	var steps []bctrl.ActAction
	for s, err := range left.Transcript(t.Context()) {
		require.NoError(t, err)
		steps = append(steps, s.Actions...)
	}
	require.Equal(t, want, kindsOf(steps), "the transcript is whole as far as it goes")

	same, err := begin(client)
	require.NoError(t, err)
	require.Equal(t, op.ID, same.ID, "the same call is the same operation, also after its end")
	info, err := same.Wait(t.Context())
	require.Equal(t, bctrl.OperationInterrupted, info.Status)
	require.Error(t, err)
	srv.terminate() // whatever it would have begun by itself it would have ended now
	notes, again := site.taken()
	require.Equal(t, atKill, notes, "nothing has reached the site twice")
	require.Equal(t, logins, again)
}

func kindsOf(actions []bctrl.ActAction) (kinds []string) {
	for _, a := range actions {
		kinds = append(kinds, a.Kind)
	}
	return kinds
}
