package bctrltest_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest"
	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
)

// officeSite is an application that opens tabs, asks before it deletes, and takes files.
func officeSite(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	page := func(path, html string) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = io.WriteString(w, html)
		})
	}
	page("/", `<title>Office</title><h1>Office</h1><a href=/help target=_blank>Help</a>
		<a href=/export target=_blank>Export</a><p id=out></p>
		<button onclick="out.textContent = confirm('Delete all?') ? 'All is gone' : 'Kept'">Delete</button>
		<form method=post action=/import enctype=multipart/form-data><input type=file name=f aria-label=File multiple>
		<button>Import</button></form>`)
	page("/help", `<title>Help</title><h1>How it works</h1>`)
	mux.HandleFunc("GET /export", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Disposition", `attachment; filename="deals.csv"`)
		_, _ = io.WriteString(w, "name,amount\nAcme,120\n")
	})
	mux.HandleFunc("POST /import", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		f, h, err := r.FormFile("f")
		if err != nil {
			_, _ = fmt.Fprintf(w, "<h1>Nothing came</h1>")
			return
		}
		defer f.Close()
		text, _ := io.ReadAll(f)
		_, _ = fmt.Fprintf(w, "<h1>Imported %s: %s</h1>", h.Filename, strings.ReplaceAll(string(text), "\n", " "))
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv.URL
}

// office is a runtime of a real browser at the site, whose model does what a script says.
func office(t *testing.T, script modeltest.Script) (*bctrltest.Server, *bctrl.Workspace, *bctrl.Runtime, string) {
	t.Helper()
	srv := bctrltest.New(t, bctrltest.WithBrowser(), bctrltest.WithModel(script))
	client := srv.Client(bctrl.WithTimeout(2 * time.Minute))
	_, err := client.AICredentials.Create(t.Context(), srv.ModelCredential("main"))
	require.NoError(t, err)
	ws, err := client.Workspaces.Create(t.Context(), bctrl.WorkspaceCreate{Name: "office", Mounts: bctrl.Mounts{
		AI: &bctrl.AIMount{Allow: []string{"main"}},
	}})
	require.NoError(t, err)
	rt, err := ws.Runtimes.Browser("office").Stagehand(t.Context(), bctrl.Launch{})
	require.NoError(t, err)
	site := officeSite(t)
	_, err = rt.Page.Goto(t.Context(), site, bctrl.GotoOptions{WaitUntil: bctrl.WaitDOMContentLoaded})
	require.NoError(t, err)
	return srv, ws, rt, site
}

// TestAnAgentFindsItsWayAmongTabsDialogsAndFiles exports a file, which leaves no empty tab,
// comes back from a tab that was opened by mistake, says no to a question, and gives the
// file back to the page.
func TestAnAgentFindsItsWayAmongTabsDialogsAndFiles(t *testing.T) {
	_, _, rt, _ := office(t, func(turn modeltest.Turn) modeltest.Call {
		called := func(tool string) bool {
			for _, c := range turn.Calls {
				if c.Tool == tool {
					return true
				}
			}
			return false
		}
		page := turn.View.Outline
		switch {
		case strings.Contains(page, "Imported"):
			return modeltest.Done(true, page)
		case strings.Contains(page, `dialog "Delete all?"`):
			return modeltest.AnswerDialog(false, "")
		case strings.Contains(page, "How it works") && len(turn.View.Tabs) == 2:
			return modeltest.SwitchTab(string(turn.View.Tabs[0].ID))
		case !called("switch_tab"):
			return modeltest.Click(turn.Find("link", "help"))
		case len(turn.View.Tabs) == 2:
			return modeltest.CloseTab(string(turn.View.Tabs[1].ID))
		case len(turn.View.Downloads) == 0 && !called("wait_download"):
			if turn.Result == "clicked" && called("close_tab") && !strings.Contains(page, "Kept") {
				return modeltest.WaitDownload(20)
			}
			return modeltest.Click(turn.Find("link", "export"))
		case !called("answer_dialog"):
			return modeltest.Click(turn.Find("button", "delete"))
		case !called("upload"):
			return modeltest.Upload(turn.Find("button", "file"), turn.View.Downloads[0].Path)
		}
		return modeltest.Click(turn.Find("button", "import"))
	})
	result, err := rt.Stagehand.Act(t.Context(), "Export the deals and import them again; delete nothing")
	require.NoError(t, err)
	require.True(t, result.Success, "%+v", result)
	require.Contains(t, result.Message, "Imported deals.csv: name,amount Acme,120")
	var kinds []string
	for _, a := range result.Actions {
		require.Empty(t, a.Error, "%+v", a)
		kinds = append(kinds, a.Kind)
	}
	require.Subset(t, kinds, []string{"switch_tab", "close_tab", "answer_dialog", "upload"})
}

// TestAFileGoesToAPageOnlyAsTheMountsOfNowPermit takes the storage away between two tasks.
func TestAFileGoesToAPageOnlyAsTheMountsOfNowPermit(t *testing.T) {
	srv, ws, rt, site := office(t, func(turn modeltest.Turn) modeltest.Call {
		if len(turn.Calls) == 0 {
			return modeltest.Upload(turn.Find("button", "file"), turn.Task[strings.Index(turn.Task, "Upload ")+len("Upload "):])
		}
		return modeltest.Done(strings.Contains(turn.Result, "the page has"), turn.Result)
	})
	ctx := t.Context()
	_, err := rt.Storage.Upload(ctx, "reports/q1.csv", strings.NewReader("a,b"))
	require.NoError(t, err)
	upload := func(path string) *bctrl.ActResult {
		_, err := rt.Page.Goto(ctx, site)
		require.NoError(t, err)
		result, err := rt.Stagehand.Act(ctx, "Upload "+path)
		require.NoError(t, err)
		return result
	}
	first := upload("reports/q1.csv")
	require.True(t, first.Success, "%+v", first)
	for path, code := range map[string]string{
		"reports/none.csv": "storage.file_not_found", "/etc/shadow": "storage.invalid_path", "../x": "storage.invalid_path",
	} {
		result := upload(path)
		require.False(t, result.Success)
		require.Contains(t, result.Message, code)
	}
	none := bctrl.Mounts{AI: &bctrl.AIMount{Allow: []string{"main"}},
		Storage: &bctrl.StorageMount{Access: bctrl.StorageNone}}
	require.NoError(t, ws.Update(ctx, bctrl.WorkspaceUpdate{Mounts: &none}))
	result := upload("reports/q1.csv")
	require.False(t, result.Success)
	require.Contains(t, result.Message, "outside_mount")

	events := func(outcome string) (n int) {
		reads := bctrl.AuditFilter{Action: string(bctrl.GetStorage), RuntimeID: rt.ID}
		for e, err := range srv.Client().Audit.Events(ctx, reads) {
			require.NoError(t, err)
			if e.Outcome == outcome || outcome == "denied" && e.Decision == bctrl.AuditDenied {
				n++
			}
		}
		return n
	}
	require.Equal(t, 1, events(bctrl.AuditOK), "the one that went to the page")
	require.Equal(t, 1, events("denied"))
}

// TestASiteBehindBasicAuthenticationIsEnteredFromTheVault looks for the login everywhere
// but at the site, and enters with it no other one.
func TestASiteBehindBasicAuthenticationIsEnteredFromTheVault(t *testing.T) {
	const user, password = "operator", "corr ect:horse-7731"
	console := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if u, p, ok := r.BasicAuth(); !ok || u != user || p != password {
			w.Header().Set("WWW-Authenticate", `Basic realm="Console"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = fmt.Fprintf(w, "<h1>Console of %s</h1><p>%s</p>", user, r.Header.Get("Authorization"))
	}))
	t.Cleanup(console.Close)
	srv := bctrltest.New(t, bctrltest.WithBrowser(), bctrltest.WithModel(func(turn modeltest.Turn) modeltest.Call {
		if len(turn.Calls) == 0 && strings.Contains(turn.View.Outline, "http_login answers it") {
			return modeltest.HTTPLogin(turn.View.Logins[0].Key)
		}
		return modeltest.Done(strings.Contains(turn.View.Outline, "Console of"), turn.Result)
	}))
	client, ctx := srv.Client(bctrl.WithTimeout(2*time.Minute)), t.Context()
	_, err := client.AICredentials.Create(ctx, srv.ModelCredential("main"))
	require.NoError(t, err)
	_, err = client.Vault.Set(ctx, "ops/console", bctrl.VaultCredential{
		Username: user, Password: bctrl.NewSecret(password), MatchOrigins: []string{console.URL},
	})
	require.NoError(t, err)
	ws, err := client.Workspaces.Create(ctx, bctrl.WorkspaceCreate{Name: "ops", Mounts: bctrl.Mounts{
		AI: &bctrl.AIMount{Allow: []string{"main"}}, Vault: &bctrl.VaultMount{Allow: []string{"ops/"}},
	}})
	require.NoError(t, err)
	rt, err := ws.Runtimes.Browser("ops").Stagehand(ctx, bctrl.Launch{})
	require.NoError(t, err)

	elsewhere := strings.Replace(console.URL, "127.0.0.1", "localhost", 1)
	_, err = rt.Page.Goto(ctx, elsewhere)
	require.NoError(t, err)
	result, err := rt.Stagehand.Act(ctx, "enter the console")
	require.NoError(t, err)
	require.False(t, result.Success)
	require.Contains(t, result.Message, "vault.origin_mismatch")

	_, err = rt.Page.Goto(ctx, console.URL)
	require.NoError(t, err)
	result, err = rt.Stagehand.Act(ctx, "enter the console")
	require.NoError(t, err)
	require.True(t, result.Success, "%+v", result)
	require.Equal(t, "http_login", result.Actions[0].Kind)
	require.Equal(t, "ops/console", result.Actions[0].VaultKey)

	token := base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
	for _, asked := range srv.Model().Requests() {
		require.False(t, strings.Contains(string(asked.Body), password), "the model saw the password")
		require.False(t, strings.Contains(string(asked.Body), token), "the model saw the login")
	}
	allowed, denied := 0, 0
	for e, err := range client.Audit.Events(ctx, bctrl.AuditFilter{Action: string(bctrl.UseVault), RuntimeID: rt.ID}) {
		require.NoError(t, err)
		require.Equal(t, "ops/console", e.Object)
		if e.Decision == bctrl.AuditDenied {
			denied++
			require.Equal(t, "vault.origin_mismatch", e.Outcome)
		} else {
			allowed++
		}
	}
	require.Equal(t, 1, denied)
	require.Equal(t, 4, allowed, "user name and password, at both sites")
}

// TestADocumentThatWasOpenedIsRead opens a PDF, which a headless browser downloads, and a
// text that it shows.
func TestADocumentThatWasOpenedIsRead(t *testing.T) {
	invoice, err := os.ReadFile("testdata/invoice.pdf")
	require.NoError(t, err)
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/invoice.pdf":
			w.Header().Set("Content-Type", "application/pdf")
			_, _ = w.Write(invoice)
		case "/data.json":
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"deals": ["Acme", "Globex"]}`)
		case "/notes.csv":
			w.Header().Set("Content-Type", "text/csv")
			_, _ = io.WriteString(w, "name,amount\nInitech,7\n")
		case "/broken.pdf":
			w.Header().Set("Content-Type", "application/pdf")
			_, _ = io.WriteString(w, "%PDF-1.7 and no more")
		default:
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = io.WriteString(w, `<h1>Papers</h1><a href=/invoice.pdf target=_blank>Invoice</a>`)
		}
	}))
	t.Cleanup(site.Close)
	// The task names an address to open; what is read there is the answer.
	_, _, rt, _ := office(t, func(turn modeltest.Turn) modeltest.Call {
		address := turn.Task[strings.Index(turn.Task, "http"):]
		switch last := turn.Calls; {
		case len(last) == 0 && strings.HasSuffix(address, "/"):
			return modeltest.Navigate(address)
		case len(last) == 1 && strings.HasSuffix(address, "/"):
			return modeltest.Click(turn.Find("link", "invoice"))
		case len(last) == 0:
			return modeltest.OpenTab(address)
		case last[len(last)-1].Tool == "read_page":
			return modeltest.Done(turn.Page != "", turn.Page+turn.Result)
		case strings.HasSuffix(address, ".json"):
			return modeltest.Call{Tool: "read_page"}
		case len(turn.View.Downloads) == 0:
			return modeltest.WaitDownload(20)
		}
		return modeltest.ReadFile(turn.View.Downloads[0].Path, 1)
	})
	for _, c := range []struct {
		path string
		want []string
	}{
		{"/", []string{"Invoice 4711", "Total: 120.50 EUR"}}, {"/invoice.pdf", []string{"Invoice 4711", "Page 2 of 2"}},
		{"/data.json", []string{`"Acme"`}}, {"/notes.csv", []string{"Initech,7"}},
	} {
		result, err := rt.Stagehand.Act(t.Context(), "Read "+site.URL+c.path)
		require.NoError(t, err)
		require.True(t, result.Success, "%s: %+v", c.path, result)
		for _, want := range c.want {
			require.Contains(t, result.Message, want, c.path)
		}
	}
	result, err := rt.Stagehand.Act(t.Context(), "Read "+site.URL+"/broken.pdf")
	require.NoError(t, err)
	require.False(t, result.Success)
	require.Contains(t, result.Message, "storage.not_readable")
}
