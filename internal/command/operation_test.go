package command

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest"
	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
)

// operationOf is the id that a command has printed.
func operationOf(t *testing.T, printed string) string {
	t.Helper()
	for line := range strings.Lines(printed) {
		if id, ok := strings.CutPrefix(line, "Operation:"); ok {
			return strings.TrimSpace(id)
		}
	}
	require.FailNow(t, "no operation is named", printed)
	return ""
}

// buildIn builds a program in a module of its own, as somebody would who has the
// repository beside it, and returns where it is.
func buildIn(t *testing.T, repository, main string) (program string) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join(repository, ".ci", "consumer", name))
		require.NoError(t, err)
		text = []byte(strings.ReplaceAll(string(text), "=> ../..", "=> "+repository))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), text, 0o600))
	}
	text, err := os.ReadFile(main)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "main.go"), text, 0o600))
	for _, args := range [][]string{{"vet", "./..."}, {"build", "-o", "replay", "."}} {
		cmd := exec.CommandContext(t.Context(), "go", args...)
		cmd.Dir = dir
		cmd.Env = append(cmd.Environ(), "GOWORK=off", "GOFLAGS=-mod=readonly")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
	}
	return filepath.Join(dir, "replay")
}

// TestAnExportedRunIsBuiltAndDoesTheSameAgain: a real run in a real browser becomes a
// program, which is built by itself, logs in with what it never held and does on the page
// what the run did, without a model.
func TestAnExportedRunIsBuiltAndDoesTheSameAgain(t *testing.T) {
	repository, err := filepath.Abs(filepath.Join("..", ".."))
	require.NoError(t, err)
	site := newNotes(t)
	d := atWith(t, site.takesNotes("call Ada", `say "hello" to Bob`), bctrltest.WithBrowser())
	withNotes(t, d.client, d.srv.ModelCredential("model"), site)
	id := operationOf(t, d.do("runtime", "agent", "sales/crm", "Take my notes"))
	first, logins := site.taken()
	require.Equal(t, []string{"call Ada", `say "hello" to Bob`}, first)
	require.Equal(t, 1, logins)
	asked := len(d.srv.Model().Requests())

	d.do("operation", "export", id, "--go", "--file", "main.go")
	source, err := os.ReadFile("main.go")
	require.NoError(t, err)
	require.False(t, strings.Contains(string(source), notesPassword), "no value of the vault is in the program")
	require.Contains(t, string(source), `on("`+site.URL+`/", // Sign in`)
	require.Equal(t, string(source), d.do("operation", "export", id, "--go"), "to standard output, too")
	again := d.run("", "operation", "export", id, "--go", "--file", "main.go")
	require.Equal(t, exitUsage, again.code, "a file of somebody's is not written over")

	program := exec.CommandContext(t.Context(), buildIn(t, repository, "main.go"))
	out, err := program.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), `click button "Add"`)
	notes, logins := site.taken()
	require.Equal(t, append(first, first...), notes, "the page has what the first run did, once more")
	require.Equal(t, 2, logins)
	require.Len(t, d.srv.Model().Requests(), asked, "no model was asked")

	// In the live runtime, by the command line.
	d.do("operation", "replay", id, "sales/crm")
	notes, _ = site.taken()
	require.Len(t, notes, 6)

	// A program whose page is no longer as it was says where it stopped, and stops its browser.
	require.NoError(t, d.client.Vault.Delete(t.Context(), "prod/notes"))
	program = exec.CommandContext(t.Context(), program.Path)
	out, err = program.CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "do the steps:")
	require.NotContains(t, d.do("runtime", "list", "sales", "--output", "alias,status"), "crm-replay\tactive")
}

func TestAnOperationIsShownWithTheStepsOfItsTranscript(t *testing.T) {
	site := newNotes(t)
	d := atWith(t, site.takesNotes("call Ada"), bctrltest.WithBrowser())
	withNotes(t, d.client, d.srv.ModelCredential("model"), site)
	id := operationOf(t, d.do("runtime", "agent", "sales/crm", "Take my notes"))

	shown := d.do("operation", "show", id)
	for _, part := range []string{
		"Status:      succeeded", "Runtime:     sales/crm", "Message:     noted",
		"1. stagehand.agent", "   - navigate " + site.URL + "/", "   - fill textbox \"Password\" prod/notes", `"Notes"`,
		"calls, ", "   sales:operations/" + id + "/0002.png",
	} {
		require.Contains(t, shown, part)
	}
	require.NotContains(t, shown, notesPassword)
	var whole struct {
		bctrl.OperationInfo
		Steps []bctrl.TranscriptStep
	}
	require.NoError(t, json.Unmarshal([]byte(d.do("operation", "show", id, "--json")), &whole))
	require.Equal(t, id, whole.ID)
	require.Len(t, whole.Steps, whole.Transcript.Steps)
	require.Equal(t, "fill", whole.Steps[1].Actions[0].Kind)

	require.Contains(t, d.do("operation", "wait", id), "Message:     noted", "one that has ended is not waited for")
	require.Equal(t, "succeeded\n", d.do("operation", "wait", id, "--output", "status"))
	for filter, want := range map[string]bool{
		"--runtime sales/crm": true, "--workspace sales --status succeeded": true, "--call stagehand.agent": true,
		"--status failed": false, "--call stagehand.act": false,
	} {
		out := d.do(append([]string{"operation", "list", "--output", "id"}, strings.Fields(filter)...)...)
		require.Equal(t, want, strings.Contains(out, id), filter)
	}
	require.Contains(t, d.do("operation", "list"), "sales/crm")
}

// TestACancelledOperationEndsWhileItsModelIsSilent: the model answers no more until the
// test ends, so nothing but the cancelling can have ended it.
func TestACancelledOperationEndsWhileItsModelIsSilent(t *testing.T) {
	asked, silent := make(chan struct{}), make(chan struct{})
	d := atWith(t, func(modeltest.Turn) modeltest.Call {
		close(asked)
		<-silent
		return modeltest.Done(true, "too late")
	})
	t.Cleanup(func() { close(silent) })
	d.furnish()
	ws, err := d.client.Workspaces.GetByName(t.Context(), "sales")
	require.NoError(t, err)
	rt, err := ws.Runtimes.Get(t.Context(), "crm")
	require.NoError(t, err)
	op, err := rt.Stagehand.AgentAsync(t.Context(), "Take your time")
	require.NoError(t, err)
	<-asked
	require.Equal(t, "running\n", d.do("operation", "list", "--runtime", "sales/crm", "--output", "status"))
	got := d.run("", "operation", "wait", op.ID, "--timeout", "10ms")
	require.Equal(t, exitFailed, got.code, "the waiting ends, not the operation")
	got = d.run("", "operation", "export", op.ID, "--go")
	require.Contains(t, got.stderr, "has not ended")

	got = d.run("", "operation", "cancel", op.ID)
	require.Contains(t, got.stderr, "It has ended: cancelled.")
	got = d.run("", "operation", "wait", op.ID)
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.stdout, "Status:    cancelled", "what became of it is printed all the same")
	require.Contains(t, got.stderr, "executions.cancelled")
}

// TestWhatWasObservedIsDoneWithoutAModel takes what observe has printed back, as it is or
// one of it, and refuses it once the page is another.
func TestWhatWasObservedIsDoneWithoutAModel(t *testing.T) {
	site := newNotes(t)
	d := atWith(t, func(turn modeltest.Turn) modeltest.Call {
		box := turn.Find("textbox", "name")
		return modeltest.Candidates(
			modeltest.Candidate{Ref: box.Ref, Method: "type", Arguments: []string{"bot"}, Description: "name", Confidence: 1},
			modeltest.Candidate{Ref: box.Ref, Method: "click", Description: "the field", Confidence: 0.5})
	}, bctrltest.WithBrowser())
	withNotes(t, d.client, d.srv.ModelCredential("model"), site)
	d.do("runtime", "goto", "sales/crm", site.URL)
	found := d.do("runtime", "observe", "sales/crm", "the name", "--json")
	asked := len(d.srv.Model().Requests())
	require.NoError(t, os.WriteFile("found.json", []byte(found), 0o600))
	require.Contains(t, d.do("runtime", "act", "sales/crm", "--observed", "found.json"), `type textbox "Name"`)
	var all bctrl.ObserveResult
	require.NoError(t, json.Unmarshal([]byte(found), &all))
	second, err := json.Marshal(all.Observed[1])
	require.NoError(t, err)
	one := d.run(string(second), "runtime", "act", "sales/crm", "--observed", "-")
	require.Contains(t, one.good(t), `click textbox "Name"`)
	require.Len(t, d.srv.Model().Requests(), asked, "no model was asked")

	d.do("runtime", "goto", "sales/crm", site.URL+"/elsewhere")
	got := d.run("", "runtime", "act", "sales/crm", "--observed", "found.json")
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.stderr, "observe the page again")
	for _, c := range []struct{ why, args, in string }{
		{"both", "runtime act sales/crm hello --observed found.json", ""},
		{"neither", "runtime act sales/crm", ""},
		{"nothing that was observed", "runtime act sales/crm --observed -", `{"observed": []}`},
		{"no JSON", "runtime act sales/crm --observed -", "hello"},
		{"no file", "runtime act sales/crm --observed nothing.json", ""},
	} {
		require.Equal(t, exitUsage, d.run(c.in, strings.Fields(c.args)...).code, c.why)
	}
}

func TestOperationsThatCannotBeExportedSaySo(t *testing.T) {
	d := furnished(t)
	nothing := operationOf(t, d.do("runtime", "agent", "sales/crm", "Do nothing"))
	bare := operationOf(t, d.do("runtime", "agent", "sales/crm", "Open the site", "--no-storage"))
	for _, c := range []struct {
		why, args, says string
		code            int
	}{
		{"nothing was done", "export " + nothing + " --go", "did nothing on a page", exitUsage},
		{"no transcript", "export " + bare + " --go", "no transcript", exitNotFound},
		{"no form", "export " + nothing, "want --go", exitUsage},
		{"no such operation", "show " + someKey, "operation " + someKey, exitNotFound},
		{"no id", "cancel hello", "operation hello", exitUsage},
		{"no such status", "list --status asleep", "status", exitUsage},
		{"no such workspace", "list --workspace nowhere", "nowhere", exitNotFound},
		{"no runtime", "replay " + nothing + " sales/nobody", "sales/nobody", exitNotFound},
	} {
		got := d.run("", append([]string{"operation"}, strings.Fields(c.args)...)...)
		require.Equal(t, c.code, got.code, "%s: %s", c.why, got.stderr)
		require.Contains(t, got.stderr, c.says, c.why)
	}
}
