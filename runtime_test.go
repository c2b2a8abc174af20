package bctrl

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const workspaceBody = `{"id":"ws-1","name":"sales-pipeline","version":3,"mounts":{
	"ai":{"allow":["openai-prod"]},"vault":{"allow":["prod/crm/","prod/email/"]},"storage":{"workspace":"sales-exports"}}}`

const runtimeBody = `{"id":"rt-1","workspaceId":"ws-1","alias":"crm","kind":"browser","driver":"stagehand",
		"status":"active",
	"effectiveMounts":{"ai":{"allow":["openai-prod"]},"vault":{"allow":["prod/crm/","prod/email/"]},
		"storage":{"workspace":"sales-exports"}}}`

// server answers by method and path.
func server(answers map[string]string) *fake {
	return &fake{answer: func(_ int, r *http.Request) (*http.Response, error) {
		if body, ok := answers[r.Method+" "+r.URL.EscapedPath()]; ok {
			return answered(200, body), nil
		}
		return answered(404, refusalBody("test.no_route", "not_found")), nil
	}}
}

func crm(t *testing.T, f *fake) (*Workspace, *Runtime) {
	t.Helper()
	c := clientOn(t, f)
	ws, err := c.Workspaces.Get(t.Context(), "ws-1")
	require.NoError(t, err)
	rt, err := ws.Runtimes.Browser("crm").Stagehand(t.Context(), Launch{})
	require.NoError(t, err)
	return ws, rt
}

func crmServer(more map[string]string) *fake {
	answers := map[string]string{
		"GET /v1/workspaces/ws-1":              workspaceBody,
		"POST /v1/workspaces/ws-1/runtimes":    runtimeBody,
		"GET /v1/vault/prod%2Fcrm%2Fsf/totp":   `{"code":"123456","expiresAt":"2026-01-02T03:04:05Z"}`,
		"GET /v1/vault":                        `{"keys":["prod/crm/sf"],"nextCursor":null}`,
		"GET /v1/ai-credentials/openai-prod":   `{"id":"openai-prod"}`,
		"GET /v1/workspaces/ws-1/runtimes/crm": runtimeBody,
		"GET /v1/workspaces/ws-1/runtimes/crm/connect": `{"url":"wss://x.test/devtools/browser/t",` +
			`"expiresAt":"2026-01-02T03:04:05Z"}`,
		"POST /v1/workspaces/ws-1/runtimes/crm/stop":      strings.Replace(runtimeBody, "active", "stopped", 1),
		"GET /v1/storage/namespaces/sales-exports/browse": `{"files":[],"folders":[],"nextCursor":null}`,
	}
	for k, v := range more {
		answers[k] = v
	}
	return server(answers)
}

func TestALaunchThatWidensIsRefusedWithItsWitnessBeforeAnyRequest(t *testing.T) {
	f := crmServer(nil)
	ws, err := clientOn(t, f).Workspaces.Get(t.Context(), "ws-1")
	require.NoError(t, err)
	before := len(f.requests())
	for _, tc := range []struct {
		mounts         Mounts
		field, witness string
		why            string
	}{
		{Mounts{Vault: &VaultMount{Allow: []string{"prod/"}}}, "mounts.vault.allow[0]", "prod/0", "a wider prefix"},
		{Mounts{AI: &AIMount{Allow: []string{"openai-prod", "other"}}}, "mounts.ai.allow[1]", "other", "another credential"},
		{Mounts{Storage: &StorageMount{Workspace: "hr"}}, "mounts.storage.workspace", "hr", "another namespace"},
	} {
		_, err := ws.Runtimes.Browser("crm").Narrow(tc.mounts).Stagehand(t.Context(), Launch{})
		var e *Error
		require.ErrorAs(t, err, &e, tc.why)
		require.ErrorIs(t, err, ErrWidening, tc.why)
		require.Equal(t, tc.field, e.Field, tc.why)
		require.Equal(t, tc.witness, e.Witness, tc.why)
	}
	_, err = ws.Execute(t.Context(), Execution{Runtime: "crm", Mounts: &Mounts{Vault: &VaultMount{Allow: []string{"/"}}}})
	require.ErrorIs(t, err, ErrWidening)
	require.Len(t, f.requests(), before)
}

func TestALaunchDeclaresWhatItNarrows(t *testing.T) {
	f := crmServer(nil)
	ws, err := clientOn(t, f).Workspaces.Get(t.Context(), "ws-1")
	require.NoError(t, err)
	base := ws.Runtimes.Browser("crm").Group("g1")
	lower := base.Narrow(Mounts{Vault: &VaultMount{Allow: []string{"prod/crm/"}}})
	twice := lower.Narrow(Mounts{Storage: &StorageMount{Access: StorageNone}})
	for _, l := range []*BrowserLauncher{base, lower, twice} {
		_, err := l.Stagehand(t.Context(), Launch{Mode: ModeProfile, ProfileID: "sf-bot"})
		require.NoError(t, err)
	}
	sent := f.requests()[1:]
	require.JSONEq(t, `{"alias":"crm","kind":"browser","driver":"stagehand","launch":{"mode":"profile",`+
		`"profileId":"sf-bot"},"group":"g1"}`, sent[0].body)
	require.JSONEq(t, `{"vault":{"allow":["prod/crm/"]}}`, mountsOf(t, sent[1].body),
		"what was declared, not what it amounts to")
	require.JSONEq(t, `{"vault":{"allow":["prod/crm/"]},"storage":{"access":"none"}}`, mountsOf(t, sent[2].body))
}

func mountsOf(t *testing.T, body string) string {
	t.Helper()
	var in struct{ Mounts json.RawMessage }
	require.NoError(t, json.Unmarshal([]byte(body), &in))
	return string(in.Mounts)
}

func TestAWorkspaceWithoutStorageHasItsOwnNamespace(t *testing.T) {
	f := crmServer(map[string]string{"GET /v1/workspaces/ws-1": `{"id":"ws-1","name":"sales-pipeline","mounts":{}}`})
	_, rt := crm(t, f)
	require.Equal(t, "sales-pipeline", rt.Storage.Namespace())
}

func TestARuntimeRefusesWhatItsMountsDoNotPermitBeforeAnyRequest(t *testing.T) {
	f := crmServer(nil)
	_, rt := crm(t, f)
	none, err := rt.Narrow(Mounts{Storage: &StorageMount{Access: StorageNone}, AI: &AIMount{Allow: []string{}},
		Vault: &VaultMount{Allow: []string{}}})
	require.NoError(t, err)
	before := len(f.requests())
	ctx := t.Context()
	for why, call := range map[string]func() error{
		"a key outside the ceiling":    func() error { _, err := rt.Vault.TOTP(ctx, "prod/hr/payroll"); return err },
		"a raw read that is not there": func() error { _, err := rt.Vault.Get(ctx, "prod/crm/sf"); return err },
		"another credential":           func() error { _, err := rt.AI.Get(ctx, "other"); return err },
		"a key after narrowing":        func() error { _, err := none.Vault.TOTP(ctx, "prod/crm/sf"); return err },
		"a credential after narrowing": func() error { _, err := none.AI.Get(ctx, "openai-prod"); return err },
		"no storage to read":           func() error { _, err := none.Storage.Get(ctx, "a"); return err },
		"no storage to write":          func() error { _, err := none.Storage.Upload(ctx, "a", nil); return err },
		"no storage to delete":         func() error { return none.Storage.Delete(ctx, "a") },
		"no storage to describe":       func() error { _, err := none.Storage.Stat(ctx, "a"); return err },
		"no storage to sign":           func() error { _, err := none.Storage.DownloadURL(ctx, "a", 0); return err },
		"no storage to browse": func() error {
			_, err := none.Storage.BrowsePage(ctx, BrowseOptions{}, PageOptions{})
			return err
		},
		"no storage to list": func() error {
			_, err := none.Storage.ObjectsPage(ctx, ObjectFilter{}, PageOptions{})
			return err
		},
		"no such login": func() error {
			_, err := none.Page.Fill(ctx, FillArgs{Key: "a/b", Password: &ElementDescription{Role: "textbox"}})
			return err
		},
		"no storage for a PDF":     func() error { _, err := none.Page.PDF(ctx, PDFOptions{}); return err },
		"no storage for a picture": func() error { _, err := none.Page.Screenshot(ctx, ScreenshotArgs{}); return err },
	} {
		err := call()
		require.ErrorIs(t, err, ErrOutsideMount, why)
		require.ErrorIs(t, err, ErrForbidden, why)
		var e *Error
		require.ErrorAs(t, err, &e)
		require.NotEmpty(t, e.Hint, why)
	}
	for _, err := range none.Storage.Objects(ctx, ObjectFilter{}) {
		require.ErrorIs(t, err, ErrOutsideMount)
	}
	require.Len(t, f.requests(), before)
}

func TestARuntimeHandleActsAsItsRuntime(t *testing.T) {
	f := crmServer(nil)
	_, rt := crm(t, f)
	lower, err := rt.Narrow(Mounts{Vault: &VaultMount{Allow: []string{"prod/crm/"}}})
	require.NoError(t, err)
	before := len(f.requests())
	for _, h := range []*Runtime{rt, lower} {
		code, err := h.Vault.TOTP(t.Context(), "prod/crm/sf")
		require.NoError(t, err)
		require.Equal(t, "123456", code)
		for _, err := range h.Vault.List(t.Context(), "prod/") {
			require.NoError(t, err)
		}
		_, err = h.AI.Get(t.Context(), "openai-prod")
		require.NoError(t, err)
		_, err = h.Storage.BrowsePage(t.Context(), BrowseOptions{}, PageOptions{})
		require.NoError(t, err)
		_, err = h.ConnectURL(t.Context())
		require.NoError(t, err)
		require.NoError(t, h.Refresh(t.Context()))
		require.NoError(t, h.Stop(t.Context()))
		require.Equal(t, RuntimeStopped, h.Status)
	}
	sent := f.requests()[before:]
	require.Len(t, sent, 14)
	for i, r := range sent {
		require.Equal(t, "rt-1", r.header.Get("BCTRL-Runtime"), r.path)
		if i < 7 {
			require.Empty(t, r.header.Get("BCTRL-Mounts"), "as launched: the server knows the mounts")
			continue
		}
		text, err := base64.RawURLEncoding.DecodeString(r.header.Get("BCTRL-Mounts"))
		require.NoError(t, err)
		require.JSONEq(t, `{"vault":{"allow":["prod/crm/"]}}`, string(text))
	}
}

func TestNarrowingAHandleSendsNothingAndLeavesTheOther(t *testing.T) {
	f := crmServer(nil)
	_, rt := crm(t, f)
	before := len(f.requests())
	lower, err := rt.Narrow(Mounts{Vault: &VaultMount{Allow: []string{"prod/crm/"}}})
	require.NoError(t, err)
	_, err = lower.Narrow(Mounts{Vault: &VaultMount{Allow: []string{"prod/email/"}}})
	require.ErrorIs(t, err, ErrWidening, "what was given up does not come back")
	require.True(t, rt.Mounts().AllowsVaultKey("prod/email/x"))
	require.False(t, lower.Mounts().AllowsVaultKey("prod/email/x"))
	lower.Mounts().Vault.Allow[0] = "/"
	require.False(t, lower.Mounts().AllowsVaultKey("prod/email/x"), "a copy, not the mounts themselves")
	require.Len(t, f.requests(), before)
}

// TestAHandleIsRefusedMountsThatNoHeaderTakes: net/http would answer each call of such a
// handle with 431, and with nothing that says what is too long.
func TestAHandleIsRefusedMountsThatNoHeaderTakes(t *testing.T) {
	_, rt := crm(t, crmServer(nil))
	keys := func(n int) Mounts {
		list := make([]string, n)
		for i := range list {
			list[i] = fmt.Sprintf("prod/crm/%04d", i)
		}
		return Mounts{Vault: &VaultMount{Allow: list}}
	}
	lower, err := rt.Narrow(keys(2800))
	require.NoError(t, err)
	for _, of := range []*Runtime{rt, lower} {
		_, err = of.Narrow(Mounts{Vault: &VaultMount{Allow: keys(2800).Vault.Allow, Deny: keys(200).Vault.Allow}})
		var refusal *Error
		require.ErrorAs(t, err, &refusal)
		require.Equal(t, "mounts.too_long", refusal.Code)
		require.Equal(t, "mounts", refusal.Field)
	}
	_, err = rt.Token(t.Context(), TokenRequest{Mounts: keys(5000)})
	require.ErrorIs(t, err, ErrNotFound, "asked of the server: it is in no header") // which this one does not know
}

func TestARuntimeIsWaitedForUntilItIsActive(t *testing.T) {
	starting := strings.Replace(runtimeBody, "active", "starting", 1)
	failed := strings.Replace(strings.Replace(runtimeBody, "active", "failed", 1), `"effective`,
		`"summary":{"message":"no browser found"},"effective`, 1)
	for _, tc := range []struct {
		end string
		ok  bool
	}{{runtimeBody, true}, {failed, false}} {
		synctest.Test(t, func(t *testing.T) {
			f := inTurn(answered(200, workspaceBody), answered(200, starting), answered(200, starting), answered(200, tc.end))
			ws, err := clientOn(t, f).Workspaces.Get(t.Context(), "ws-1")
			require.NoError(t, err)
			rt, err := ws.Runtimes.Browser("crm").Puppeteer(t.Context(), Launch{})
			require.Len(t, f.requests(), 4)
			if tc.ok {
				require.NoError(t, err)
				require.Equal(t, RuntimeActive, rt.Status)
				return
			}
			require.ErrorContains(t, err, "no browser found")
		})
	}
}

func TestActSendsTheInstructionAndItsOptions(t *testing.T) {
	f := crmServer(map[string]string{"POST /v1/workspaces/ws-1/execute": `{"mode":"fail-fast",
		"steps":[{"call":"stagehand.act","durationMs":12,
		"result":{"success":true,"message":"done","actions":[{"kind":"fill","vaultKey":"prod/crm/sf"}],
		"downloads":[{"logicalPath":"q1.csv"}],"url":"https://x.test/","usage":{"calls":3}}}]}`})
	_, rt := crm(t, f)
	got, err := rt.Stagehand.Act(t.Context(), "Log in", ActOptions{
		Provider:   OpenAI,
		Model:      "m",
		Credential: "openai-prod",
		MaxSteps:   9,
		Timeout:    90 * time.Second,
		Mounts:     &Mounts{Vault: &VaultMount{Allow: []string{"prod/crm/sf"}}},
	}, WithIdempotencyKey("k"))
	require.NoError(t, err)
	require.True(t, got.Success)
	require.Equal(t, "q1.csv", got.Downloads[0].LogicalPath)
	last := f.requests()[len(f.requests())-1]
	require.JSONEq(t, `{"runtime":"crm","steps":[{"call":"stagehand.act","timeoutMs":90000,
		"mounts":{"vault":{"allow":["prod/crm/sf"]}},
		"args":{"instruction":"Log in","provider":"openai","model":"m","credential":"openai-prod","maxSteps":9}}]}`,
		last.body)
	require.Equal(t, "k", last.header.Get("Idempotency-Key"))
	require.Equal(t, "rt-1", last.header.Get("BCTRL-Runtime"))

	before := len(f.requests())
	_, err = rt.Stagehand.Act(t.Context(), "Log in", ActOptions{Mounts: &Mounts{Vault: &VaultMount{Allow: []string{"/"}}}})
	require.ErrorIs(t, err, ErrWidening)
	require.Len(t, f.requests(), before)
}

func TestAStepThatFailsIsItsError(t *testing.T) {
	f := crmServer(map[string]string{"POST /v1/workspaces/ws-1/execute": `{"mode":"fail-fast",
		"steps":[{"call":"page.goto","durationMs":1,
		"error":{"error":"no such credential","code":"ai.no_default_credential","reasonClass":"conflict",
		"hint":"choose one"}}]}`})
	ws, rt := crm(t, f)
	_, err := rt.Page.Goto(t.Context(), "https://x.test/")
	var e *Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, "ai.no_default_credential", e.Code)
	require.ErrorIs(t, err, ErrConflict)

	result, err := ws.Execute(t.Context(), Execution{Runtime: "crm", Steps: []Step{{Call: CallGoto}}})
	require.NoError(t, err, "a failed step is a result of an execution")
	require.ErrorIs(t, result.Err(), ErrConflict)
	require.Equal(t, time.Millisecond, result.Steps[0].Duration)
}

func TestAnOperationIsWaitedForAndItsOutcomeIsAnError(t *testing.T) {
	running := `{"operation":{"id":"op-1","status":"running","progress":{"step":%,"totalSteps":2}},` +
		`"waitStatus":"timeout","retryAfterMs":100}`
	one, two := strings.Replace(running, "%", "1", 1), strings.Replace(running, "%", "2", 1)
	ended := func(status string) string {
		return `{"operation":{"id":"op-1","status":"` + status +
			`","progress":{"step":2,"totalSteps":2},"result":{"mode":"fail-fast","steps":[{"call":"stagehand.act",` +
			`"durationMs":1,"result":{"success":true}}]}},"waitStatus":"completed"}`
	}
	for _, tc := range []struct {
		status string
		ok     bool
	}{{"succeeded", true}, {"failed", false}, {"cancelled", false}, {"timed_out", false}} {
		synctest.Test(t, func(t *testing.T) {
			f := inTurn(answered(200, one), answered(200, one), answered(200, two), answered(200, ended(tc.status)))
			op := newOperation(clientOn(t, f).via, nil, OperationInfo{ID: "op-1"})
			info, err := op.Wait(t.Context())
			require.NotNil(t, info)
			require.Equal(t, tc.ok, err == nil, tc.status)
			_, err = info.Act()
			require.Equal(t, tc.ok, err == nil, tc.status)
			require.Empty(t, f.requests()[0].header.Get("Idempotency-Key"), "waiting changes nothing, and must not be replayed")

			f = inTurn(answered(200, one), answered(200, one), answered(200, two), answered(200, ended(tc.status)))
			op = newOperation(clientOn(t, f).via, nil, OperationInfo{ID: "op-1"})
			var steps []int
			for p, err := range op.Progress(t.Context()) {
				require.NoError(t, err)
				steps = append(steps, p.Step)
			}
			require.Equal(t, []int{1, 2}, steps, "changes only")
		})
	}
}

func TestAnUpdateNamesTheVersionItChanges(t *testing.T) {
	f := inTurn(answered(200, workspaceBody), answered(412, refusalBody("workspaces.stale_version", "conflict")))
	ws, err := clientOn(t, f).Workspaces.Get(t.Context(), "ws-1")
	require.NoError(t, err)
	err = ws.Update(t.Context(), WorkspaceUpdate{Mounts: &Mounts{Vault: &VaultMount{Allow: []string{}}}})
	require.ErrorIs(t, err, ErrConflict)
	require.Equal(t, `"3"`, f.requests()[1].header.Get("If-Match"))
	require.JSONEq(t, `{"mounts":{"vault":{"allow":[]}}}`, f.requests()[1].body)
	require.Equal(t, int64(3), ws.Version)
}

func TestMountsThatNoWorkspaceMayHaveAreRefusedBeforeARequest(t *testing.T) {
	f := always(200, workspaceBody)
	_, err := clientOn(t, f).Workspaces.Create(t.Context(), WorkspaceCreate{Name: "x", Mounts: Mounts{
		Vault: &VaultMount{Allow: []string{"prod//", "/ok"}}, AI: &AIMount{},
	}})
	require.ErrorIs(t, err, ErrInvalid)
	var e *Error
	require.ErrorAs(t, err, &e)
	require.GreaterOrEqual(t, len(e.Problems), 3, "every problem at once")
	require.Empty(t, f.requests())
}

func TestAWorkspaceIsFoundByItsExactName(t *testing.T) {
	f := always(200, `{"workspaces":[{"id":"ws-2","name":"sales-pipeline-2","mounts":{}}],"nextCursor":null}`)
	_, err := clientOn(t, f).Workspaces.GetByName(t.Context(), "sales-pipeline")
	require.ErrorIs(t, err, ErrNotFound)
	require.Equal(t, "limit=1&name=sales-pipeline", f.requests()[0].query)
}

func TestMountsOfAStepThatWidenAreNamedWithTheStep(t *testing.T) {
	f := crmServer(nil)
	ws, _ := crm(t, f)
	before := len(f.requests())
	_, err := ws.Execute(t.Context(), Execution{Runtime: "crm", Steps: []Step{
		{Call: CallPages},
		{Call: CallPages, Mounts: &Mounts{Vault: &VaultMount{Allow: []string{"prod/crm/", "prod/"}}}},
	}})
	var refusal *Error
	require.ErrorAs(t, err, &refusal)
	require.ErrorIs(t, err, ErrWidening)
	require.Equal(t, "steps[1].mounts.vault.allow[1]", refusal.Field)
	require.Equal(t, refusal.Field, refusal.Problems[0].Field)
	require.Equal(t, "prod/0", refusal.Witness)
	require.Len(t, f.requests(), before)
}

// TestOneDeclarationEqualsItsSteps: a handle that was narrowed twice sends one
// declaration, which must permit exactly what the two did.
func TestOneDeclarationEqualsItsSteps(t *testing.T) {
	prefix := rapid.SampledFrom([]string{"a/", "a/b/", "a/b", "a/b/c", "a/d/", "x", "x/y/", "/"})
	id := rapid.SampledFrom([]string{"p", "q", "r"})
	list := func(rt *rapid.T, name string, of *rapid.Generator[string]) []string {
		if rapid.Bool().Draw(rt, name+" absent") {
			return nil
		}
		return rapid.SliceOfN(of, 0, 3).Draw(rt, name)
	}
	draw := func(rt *rapid.T, name string) Mounts {
		var m Mounts
		if rapid.Bool().Draw(rt, name+" vault") {
			m.Vault = &VaultMount{Allow: list(rt, name+" allow", prefix), Deny: list(rt, name+" deny", prefix)}
			if rapid.Bool().Draw(rt, name+" raw") {
				m.Vault.AllowRawReads = new(rapid.Bool().Draw(rt, name+" reads"))
			}
		}
		if rapid.Bool().Draw(rt, name+" ai") {
			m.AI = &AIMount{Allow: list(rt, name+" ids", id)}
			if rapid.Bool().Draw(rt, name+" default") {
				m.AI.Defaults = map[AIProvider]string{OpenAI: id.Draw(rt, name+" default id")}
			}
		}
		if rapid.Bool().Draw(rt, name+" storage") {
			m.Storage = &StorageMount{Access: rapid.SampledFrom([]StorageAccess{"", StorageNone}).Draw(rt, name+" access")}
		}
		if rapid.Bool().Draw(rt, name+" capabilities") {
			m.Capabilities = &CapabilityMount{Allow: list(rt, name+" capability", rapid.SampledFrom([]string{"g/", "g/r"}))}
		}
		if rapid.Bool().Draw(rt, name+" web") {
			m.Web = &WebMount{
				Allow: list(rt, name+" hosts", rapid.SampledFrom([]string{"*.a.test", "b.a.test"})),
				Deny:  list(rt, name+" denied hosts", rapid.SampledFrom([]string{"b.a.test", "*.b.a.test"})),
			}
		}
		return m
	}
	ceiling := Mounts{
		AI:           &AIMount{Allow: []string{"p", "q", "r"}, Defaults: map[AIProvider]string{OpenAI: "p"}},
		Vault:        &VaultMount{Allow: []string{"/"}, AllowRawReads: new(true)},
		Storage:      &StorageMount{Workspace: "ns"},
		Capabilities: &CapabilityMount{Allow: []string{"g/"}},
		Web:          &WebMount{Allow: []string{"*.a.test"}},
	}
	rapid.Check(t, func(rt *rapid.T) {
		steps := ceiling
		var declared Mounts
		for _, name := range []string{"first", "second", "third"} {
			m := draw(rt, name)
			next, err := steps.Narrow(m)
			if err != nil {
				return
			}
			steps, declared = next, declared.then(m)
		}
		once, err := ceiling.Narrow(declared)
		require.NoError(rt, err)
		require.Equal(rt, steps.Normal(), once.Normal())
		require.Equal(rt, steps.AI.Defaults, once.AI.Defaults)
	})
}

func TestStoppingWhatHasStoppedChangesNothing(t *testing.T) {
	f := crmServer(nil)
	_, rt := crm(t, f)
	next := f.answer
	status, code, class := 0, "", ""
	f.answer = func(n int, r *http.Request) (*http.Response, error) {
		if strings.HasSuffix(r.URL.Path, "/stop") {
			return answered(status, refusalBody(code, class)), nil
		}
		return next(n, r)
	}
	for _, tc := range []struct {
		status      int
		code, class string
	}{{409, "runtimes.not_active", "conflict"}, {401, "auth.runtime_ended", "unauthorized"}} {
		status, code, class = tc.status, tc.code, tc.class
		rt.Status = RuntimeActive
		require.NoError(t, rt.Stop(t.Context()), tc.code)
		require.Equal(t, RuntimeStopped, rt.Status, tc.code)
	}
}

// TestHandlesAreForSeveralGoroutines: one follows what happens while others read, lower,
// use, launch and stop. The race detector looks for what they share.
func TestHandlesAreForSeveralGoroutines(t *testing.T) {
	const stopped = "id: 1\ndata: " + `{"seq":1,"type":"runtime.stopped","runtimeId":"rt-1","data":{}}` + "\n\n"
	ws, rt := crm(t, crmServer(map[string]string{
		"GET /v1/workspaces/ws-1/runtimes/crm/events":   stopped,
		"POST /v1/workspaces/ws-1/runtimes/crm/explain": `{"allowed":true}`,
		"PATCH /v1/workspaces/ws-1":                     workspaceBody,
		"POST /v1/workspaces/ws-1/execute":              `{"mode":"fail-fast","steps":[]}`,
	}))
	narrowed, err := rt.Narrow(Mounts{Vault: &VaultMount{Allow: []string{"prod/crm/"}}})
	require.NoError(t, err)
	ctx := t.Context()
	var all sync.WaitGroup
	for _, use := range []func() error{
		func() error { return ws.Refresh(ctx) },
		func() error { return ws.Update(ctx, WorkspaceUpdate{}) },
		func() error { _, err := ws.Runtimes.Get(ctx, "crm"); return err },
		func() error { _, err := ws.Runtimes.Browser("crm").Stagehand(ctx, Launch{}); return err },
		func() error { _, err := ws.Execute(ctx, Execution{Runtime: "crm"}); return err },
		func() error { _ = ws.Latest().Name; return nil },
		func() error { return rt.Refresh(ctx) },
		func() error { return rt.Stop(ctx) },
		func() error { _ = rt.Latest().Status; return nil },
		func() error { _ = rt.Mounts(); return nil },
		func() error { _, err := rt.Narrow(Mounts{}); return err },
		func() error { _, err := rt.Explain(ctx, Action{}); return err },
		func() error { _, err := rt.ConnectURL(ctx); return err },
		func() error { _, err := rt.Vault.TOTP(ctx, "prod/crm/sf"); return err },
		func() error { _, err := rt.AI.Get(ctx, "openai-prod"); return err },
		func() error { return narrowed.Stop(ctx) },
		func() (err error) {
			for _, err = range rt.Events(ctx) {
				if err != nil {
					break
				}
			}
			return err
		},
	} {
		all.Go(func() {
			for range 20 {
				if err := use(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}
