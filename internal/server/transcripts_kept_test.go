package server

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/scrub"
)

// TestEachStepHasAPictureThatItsDigestHolds: the picture's digest is in the step's file,
// whose digest is in the operation's.
func TestEachStepHasAPictureThatItsDigestHolds(t *testing.T) {
	w := newAgentWorld(t, typesThenDone)
	op := w.run(agentOn("type"))
	require.Equal(t, bctrl.OperationSucceeded, op.Status, "%+v", op.Error)
	steps := w.steps(op)
	require.NotEmpty(t, steps)
	for _, s := range steps {
		require.Equal(t, transcriptFile(op, s.Number, "png"), s.Picture, "also where the model is shown none")
		picture := w.content(s.Picture)
		require.True(t, strings.HasPrefix(picture, "\x89PNG"))
		sum := sha256.Sum256([]byte(picture))
		require.Equal(t, hex.EncodeToString(sum[:]), s.PictureSHA256)
	}
	w.stored("s", steps[0].Picture, "\x89PNG another")
	require.Equal(t, steps, w.steps(op), "the steps are as they were, and tell that the picture is not")
}

func transcriptFile(op bctrl.OperationInfo, number int, ext string) string {
	return "operations/" + op.ID + "/000" + string(rune('0'+number)) + "." + ext
}

// TestWhatIsWaitedForKeepsNoTranscript: nothing would lead to its files.
func TestWhatIsWaitedForKeepsNoTranscript(t *testing.T) {
	w := newAgentWorld(t, typesThenDone)
	result := resultOf[bctrl.AgentResult](w, w.execute("stagehand.agent", joined(object{"task": "type"}, scripted())))
	require.Len(t, result.Actions, 3, "its result says what was done")
	got := w.do("GET", []string{"storage", "namespaces", "s", "browse"}, nil, nil)
	require.Equal(t, http.StatusOK, got.Status)
	require.NotContains(t, string(got.Body), "operations/")
	for _, e := range w.log(bctrl.AuditFilter{Action: string(bctrl.PutStorage)}) {
		require.NotContains(t, e.Object, "operations/")
	}
}

// TestAnAddressIsKeptWithoutWhatMayBeACredential: a search is done again as it was, a
// session is not.
func TestAnAddressIsKeptWithoutWhatMayBeACredential(t *testing.T) {
	w := newAgentWorld(t, typesThenDone)
	opened := func(address string) (op bctrl.OperationInfo, argument string) {
		op = w.run(object{"call": "page.goto", "args": object{"url": address}})
		require.Equal(t, bctrl.OperationSucceeded, op.Status, "%+v", op.Error)
		a := w.steps(op)[0].Actions[0]
		require.Equal(t, "https://crm.example.com/login", a.Target)
		var arguments bctrl.GotoArgs
		require.NoError(t, json.Unmarshal(a.Arguments, &arguments))
		return op, arguments.URL
	}
	replayed := func(op bctrl.OperationInfo) (again bctrl.OperationInfo) {
		w.ok("POST", []string{"operations", op.ID, "replay"}, object{"workspaceId": w.ws.ID, "runtime": "r"}, &again)
		return w.outcome(again)
	}

	search, kept := opened("https://crm.example.com/login?q=open+deals&page=2#top")
	require.Equal(t, "https://crm.example.com/login?q=open+deals&page=2#top", kept)
	again := replayed(search)
	require.Equal(t, bctrl.OperationSucceeded, again.Status, "%+v", again.Error)

	session, kept := opened("https://crm.example.com/login?page=2&session=canary-7531")
	require.Equal(t, "https://crm.example.com/login?page=2&session="+scrub.Mark, kept)
	require.NotContains(t, w.content(transcriptFile(session, 1, "json")), "canary")
	again = replayed(session)
	require.Equal(t, bctrl.OperationFailed, again.Status)
	require.Equal(t, "replay.masked", again.Error.Code, "it is not done otherwise than it was")
	require.Equal(t, "steps[0].actions[0]", again.Error.Field)
}
