package bctrltest_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest"
	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
	"github.com/bctrl-go/bctrl/internal/audit"
)

// refusals returns what the audit log says was denied in a runtime, as
// "action object: outcome".
func refusals(t *testing.T, srv *bctrltest.Server, runtime string) (denied []string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(srv.DataDir(), "bctrl.db")+"?_pragma=busy_timeout(10000)")
	require.NoError(t, err)
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), "SELECT body FROM audit_events ORDER BY seq")
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var body []byte
		var e audit.Event
		require.NoError(t, rows.Scan(&body))
		require.NoError(t, json.Unmarshal(body, &e))
		if e.Decision == audit.Denied && e.Runtime == runtime {
			denied = append(denied, e.Action+" "+e.Object+": "+e.Outcome)
		}
	}
	require.NoError(t, rows.Err())
	return denied
}

// filler is an agent that is told which key to fill, and the world around it.
type filler struct {
	*bctrltest.Server
	client     *bctrl.Client
	ws         *bctrl.Workspace
	rt         *bctrl.Runtime
	good, evil string

	mu sync.Mutex
	// before runs when the model has been asked for the first time.
	before func()
	// clicks are the buttons that it clicks once it has filled.
	clicks []string
	// told is what the model was told of its fill, and then saw in the field;
	// views is all that it was told.
	told, value, views string
	posted             []string // to either site
}

func (f *filler) script(turn modeltest.Turn) modeltest.Call {
	_, key, _ := strings.Cut(turn.Task, "Fill ")
	field := turn.Find("textbox", "password")
	if len(turn.Calls) == 0 {
		if f.before != nil {
			f.before()
		}
		return modeltest.FillLogin(strings.TrimSpace(key), modeltest.Element{}, field)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.views += turn.View.Outline
	if len(turn.Calls) == 1 {
		f.told, f.value = turn.Result, field.Value
	}
	if done := len(turn.Calls) - 1; done < len(f.clicks) {
		return modeltest.Click(turn.Find("button", f.clicks[done]))
	}
	return modeltest.Done(strings.Contains(turn.Result, "filled the password"), "done")
}

const fillPassword = "canary-refused-4417"

func newFiller(t *testing.T) *filler {
	t.Helper()
	f := &filler{}
	const form = `<form method=post action="%"><label>Password <input type=password name=p></label><button>Log ` +
		`in</button></form>`
	site := func(pages func(path string) string) string {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			if r.Method == http.MethodPost {
				f.mu.Lock()
				f.posted = append(f.posted, r.Host)
				f.mu.Unlock()
			}
			_, _ = w.Write([]byte("<title>site</title>" + pages(r.URL.Path)))
		}))
		t.Cleanup(srv.Close)
		return srv.URL
	}
	f.good = site(func(path string) string {
		switch path {
		case "/around":
			return `<iframe width=600 height=300 src="` + f.evil + `/"></iframe>`
		case "/comment":
			return strings.Replace(form, "%", "/login", 1) + `<form method=post action=/comment><textarea name=c ` +
				`id=c></textarea><button type=button onclick="c.value = ` +
				`document.querySelector('[type=password]').value">Move</button><button>Post</button></form>`
		case "/hash":
			return strings.Replace(form, "%", "/login", 1) + `<script>document.forms[0].onsubmit = e => { const p = ` +
				`e.target.elements[0]; p.value = [...p.value].reverse().join('') }</script>`
		case "/onward":
			return strings.Replace(form, "%", f.evil+"/take", 1)
		}
		return strings.Replace(form, "%", "/login", 1)
	})
	f.evil = site(func(path string) string {
		if path == "/parent" {
			return `<iframe width=600 height=300 src="` + f.good + `/"></iframe>`
		}
		return strings.Replace(form, "%", "/take", 1)
	})
	f.Server = bctrltest.New(t, bctrltest.WithBrowser(), bctrltest.WithModel(f.script))
	f.client = f.Client()
	ctx := t.Context()
	var err error
	_, err = f.client.AICredentials.Create(ctx, f.ModelCredential("m"))
	require.NoError(t, err)
	for _, key := range []string{"prod/site", "other/site"} {
		_, err = f.client.Vault.Set(ctx, key, bctrl.VaultCredential{
			Password: bctrl.NewSecret(fillPassword), TOTP: bctrl.NewSecret("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"),
			Origins: []string{f.good},
		})
		require.NoError(t, err)
	}
	f.ws, err = f.client.Workspaces.Create(ctx, bctrl.WorkspaceCreate{Name: "w", Mounts: bctrl.Mounts{
		AI: &bctrl.AIMount{Allow: []string{"m"}}, Vault: &bctrl.VaultMount{Allow: []string{"prod/"}},
	}})
	require.NoError(t, err)
	f.rt, err = f.ws.Runtimes.Browser("b").Stagehand(ctx, bctrl.Launch{})
	require.NoError(t, err)
	return f
}

// fill has the agent fill a key on a page and reports whether it was.
func (f *filler) fill(t *testing.T, key, page string, opts ...bctrl.ActCallOption) bool {
	t.Helper()
	_, err := f.rt.Page.Goto(t.Context(), page)
	require.NoError(t, err)
	result, err := f.rt.Stagehand.Act(t.Context(), "Fill "+key, opts...)
	require.NoError(t, err)
	require.Len(t, result.Actions, 1, "%+v", result)
	if !result.Success {
		require.NotEmpty(t, result.Actions[0].Error)
		require.Empty(t, f.value, "the field holds nothing")
	}
	return result.Success
}

// TestALoginIsFilledWhereItBelongsAlone lets a model ask for a login wherever
// a hostile page would like to have it.
func TestALoginIsFilledWhereItBelongsAlone(t *testing.T) {
	f := newFiller(t)
	require.True(t, f.fill(t, "prod/site", f.good+"/"), f.told)
	require.Equal(t, "[secret]", f.value)
	require.Empty(t, refusals(t, f.Server, f.rt.ID))
	for i, tc := range []struct{ page, why string }{
		{f.evil + "/", "another origin"},
		{f.good + "/around", "a frame of another origin"},
		{f.evil + "/parent", "a frame of its own below a hostile parent"},
		{f.good + "/onward", "a form that goes elsewhere"},
	} {
		require.False(t, f.fill(t, "prod/site", tc.page), tc.why)
		require.Contains(t, f.told, "may not be filled", "%s: the model is told", tc.why)
		denied := refusals(t, f.Server, f.rt.ID)
		require.Len(t, denied, i+1, "%s is in the audit log", tc.why)
		require.Equal(t, "vault.use prod/site: vault.origin_mismatch", denied[i], tc.why)
	}
	require.Empty(t, f.posted)
	for _, r := range f.Model().Requests() {
		require.NotContains(t, string(r.Body), fillPassword)
	}
}

// TestAFillFromOutsideIsHeldToTheSame has an agent of somebody else's, who drives the
// browser itself, ask for what a model may ask for: the checks are one.
func TestAFillFromOutsideIsHeldToTheSame(t *testing.T) {
	f := newFiller(t)
	password := bctrl.FillArgs{Key: "prod/site", Password: &bctrl.ElementDescription{Role: "textbox", Name: "Password"}}
	fill := func(page string, args bctrl.FillArgs) (*bctrl.FillResult, error) {
		_, err := f.rt.Page.Goto(t.Context(), page)
		require.NoError(t, err)
		return f.rt.Page.Fill(t.Context(), args)
	}
	filled, err := fill(f.good+"/", password)
	require.NoError(t, err)
	require.Equal(t, []string{"password"}, filled.Filled)
	require.Equal(t, f.good+"/", filled.URL)
	require.Empty(t, refusals(t, f.Server, f.rt.ID))
	for i, page := range []string{f.evil + "/", f.good + "/around", f.evil + "/parent", f.good + "/onward"} {
		_, err = fill(page, password)
		var e *bctrl.Error
		require.ErrorAs(t, err, &e, page)
		require.Equal(t, "vault.origin_mismatch", e.Code, page)
		denied := refusals(t, f.Server, f.rt.ID)
		require.Len(t, denied, i+1, page)
		require.Equal(t, "vault.use prod/site: vault.origin_mismatch", denied[i])
	}
	require.Empty(t, f.posted)
	require.Empty(t, f.Model().Requests(), "no model has part in it")

	password.Key = "other/site"
	require.ErrorIs(t, func() error { _, err := fill(f.good+"/", password); return err }(), bctrl.ErrOutsideMount)
	step, err := bctrl.FillStep(password)
	require.NoError(t, err)
	done, err := f.ws.Execute(t.Context(), bctrl.Execution{Runtime: "b", Steps: []bctrl.Step{step}})
	require.NoError(t, err)
	require.ErrorIs(t, done.Err(), bctrl.ErrOutsideMount, "the server says so too")
}

// TestWhatBecomesOfAFilledLoginIsTold has a login moved elsewhere on its own
// site, and a page that makes something else of it: the model and the audit log
// say so.
func TestWhatBecomesOfAFilledLoginIsTold(t *testing.T) {
	f := newFiller(t)
	for i, tc := range []struct {
		page, note, code string
		clicks           []string
	}{
		{"/comment", "note: blocked: a request with a login's value in the place of another field", "vault.fill_stopped",
			[]string{"Move", "Post"}},
		{"/hash", "note: vault.fill_not_sent: ", "vault.fill_not_sent", []string{"Log in"}},
	} {
		f.views, f.clicks, f.posted = "", tc.clicks, nil
		_, err := f.rt.Page.Goto(t.Context(), f.good+tc.page)
		require.NoError(t, err)
		_, err = f.rt.Stagehand.Act(t.Context(), "Fill prod/site")
		require.NoError(t, err)
		require.Contains(t, f.views, tc.note)
		denied := refusals(t, f.Server, f.rt.ID)
		require.Len(t, denied, i+1)
		require.Equal(t, "vault.use prod/site: "+tc.code, denied[i])
		if tc.page == "/comment" {
			require.Empty(t, f.posted)
		}
	}
	for _, r := range f.Model().Requests() {
		require.NotContains(t, string(r.Body), fillPassword)
	}
}

// TestMountsHoldInTheMiddleOfAnExecution lowers what an agent may use, before
// and while it works.
func TestMountsHoldInTheMiddleOfAnExecution(t *testing.T) {
	f := newFiller(t)
	ctx := t.Context()
	update := func(change func(*bctrl.Mounts)) {
		m := f.ws.Mounts
		change(&m)
		require.NoError(t, f.ws.Update(ctx, bctrl.WorkspaceUpdate{Mounts: &m}))
	}
	outside := "vault.use prod/site: vault.outside_mount"

	require.False(t, f.fill(t, "other/site", f.good+"/"), "outside the workspace")
	require.Contains(t, f.told, "do not permit")
	require.False(t, f.fill(t, "prod/site", f.good+"/",
		bctrl.ActOptions{Mounts: &bctrl.Mounts{Vault: &bctrl.VaultMount{Allow: []string{}}}}),
		"an execution without the vault")
	require.Contains(t, f.told, "do not permit")
	require.False(t, f.fill(t, "prod/site", f.good+"/",
		bctrl.ActOptions{Mounts: &bctrl.Mounts{Vault: &bctrl.VaultMount{Deny: []string{"prod/site"}}}}),
		"an execution that denies the key")
	narrow, err := f.rt.Narrow(bctrl.Mounts{Vault: &bctrl.VaultMount{Allow: []string{"prod/else/"}}})
	require.NoError(t, err)
	whole := f.rt
	f.rt = narrow
	require.False(t, f.fill(t, "prod/site", f.good+"/"), "a narrowed handle")
	f.rt = whole
	require.True(t, f.fill(t, "prod/site", f.good+"/"), f.told)
	require.Equal(t, []string{"vault.use other/site: vault.outside_mount", outside, outside, outside},
		refusals(t, f.Server, f.rt.ID))

	// Lowered once the agent has begun.
	_, err = f.rt.Vault.TOTP(ctx, "prod/site")
	require.NoError(t, err)
	f.before = func() { update(func(m *bctrl.Mounts) { m.Vault = nil }) }
	require.False(t, f.fill(t, "prod/site", f.good+"/"), "the workspace was lowered meanwhile")
	require.Contains(t, f.told, "do not permit")
	require.Equal(t, outside, slices.Clone(refusals(t, f.Server, f.rt.ID))[4])
	_, err = f.rt.Vault.TOTP(ctx, "prod/site")
	require.ErrorIs(t, err, bctrl.ErrOutsideMount)

	_, err = f.rt.Storage.Upload(ctx, "before.txt", strings.NewReader("x"))
	require.NoError(t, err)
	_, err = f.rt.Page.Screenshot(ctx, bctrl.ScreenshotArgs{Path: "before.png"})
	require.NoError(t, err)
	update(func(m *bctrl.Mounts) { m.Storage = &bctrl.StorageMount{Access: bctrl.StorageNone} })
	_, err = f.rt.Storage.Upload(ctx, "after.txt", strings.NewReader("x"))
	require.ErrorIs(t, err, bctrl.ErrOutsideMount)
	_, err = f.rt.Page.Screenshot(ctx, bctrl.ScreenshotArgs{Path: "after.png"})
	require.ErrorIs(t, err, bctrl.ErrOutsideMount)
	var kept []string
	for o, err := range f.client.Storage("w").Objects(ctx, bctrl.ObjectFilter{}) {
		require.NoError(t, err)
		kept = append(kept, o.LogicalPath)
	}
	require.Equal(t, []string{"before.png", "before.txt"}, kept, "what was waited for has no transcript")

	_, err = f.rt.AI.Get(ctx, "m")
	require.NoError(t, err)
	asked := len(f.Model().Requests())
	f.before = func() { update(func(m *bctrl.Mounts) { m.AI = nil }) }
	_, err = f.rt.Stagehand.Act(ctx, "Fill prod/site")
	require.Error(t, err)
	_, err = f.rt.AI.Get(ctx, "m")
	require.ErrorIs(t, err, bctrl.ErrOutsideMount)
	require.NoError(t, f.rt.Stop(context.WithoutCancel(ctx)))
	// The question was ended before the model had its answer ready.
	require.Eventually(t, func() bool { return len(f.Model().Requests()) > asked }, 10*time.Second, time.Millisecond)
	require.Len(t, f.Model().Requests(), asked+1, "the model may not be asked a second time")
}
