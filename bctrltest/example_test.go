package bctrltest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest"
	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
)

// Code under test takes a client; the test gives it one of the real server.
// Where these examples say inTest, your own test has its *testing.T.
func ExampleNew() {
	inTest(func(t testing.TB) {
		srv := bctrltest.New(t)
		client, ctx := srv.Client(), t.Context()

		_, err := client.Vault.Set(ctx, "prod/crm/salesforce", bctrl.VaultCredential{
			Username: "bot@company.com", Password: bctrl.NewSecret("made up"),
		})
		if err != nil {
			t.Fatal(err)
		}
		for key, err := range client.Vault.List(ctx, "prod/") {
			fmt.Println(key, err)
		}
	})
	// Output: prod/crm/salesforce <nil>
}

func ExampleServer_Client() {
	inTest(func(t testing.TB) {
		client := bctrltest.New(t).Client(bctrl.WithMaxRetries(0), bctrl.WithTimeout(time.Second))
		_, err := client.Vault.Get(t.Context(), "prod/crm/salesforce")
		fmt.Println(errors.Is(err, bctrl.ErrNotFound))
	})
	// Output: true
}

// Code that makes its own client needs the URL and the key.
func ExampleServer_APIKey() {
	inTest(func(t testing.TB) {
		srv := bctrltest.New(t)
		client, err := bctrl.New(bctrl.WithBaseURL(srv.URL), bctrl.WithAPIKey(srv.APIKey()))
		if err != nil {
			t.Fatal(err)
		}
		defer client.CloseIdleConnections()
		ws, err := client.Workspaces.Create(t.Context(), bctrl.WorkspaceCreate{Name: "sales-pipeline"})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println(ws.Name)
	})
	// Output: sales-pipeline
}

// A server that fails for a moment is not noticed.
func ExampleServer_Fail() {
	inTest(func(t testing.TB) {
		srv := bctrltest.New(t)
		srv.Fail(2, http.StatusServiceUnavailable)
		_, err := srv.Client().Workspaces.Create(t.Context(), bctrl.WorkspaceCreate{Name: "sales-pipeline"})
		fmt.Println(err)
		for _, r := range srv.Requests() {
			fmt.Println(r.Method, r.Path, r.Status)
		}
	})
	// Output:
	// <nil>
	// POST /v1/workspaces 503
	// POST /v1/workspaces 503
	// POST /v1/workspaces 200
}

// A create whose answer is lost has one effect.
func ExampleServer_DropReply() {
	inTest(func(t testing.TB) {
		srv := bctrltest.New(t)
		client, ctx := srv.Client(), t.Context()
		srv.DropReply(1)
		_, err := client.Workspaces.Create(ctx, bctrl.WorkspaceCreate{Name: "sales-pipeline"})
		fmt.Println(err)
		for ws, err := range client.Workspaces.List(ctx) {
			fmt.Println(ws.Name, err)
		}
	})
	// Output:
	// <nil>
	// sales-pipeline <nil>
}

func ExampleServer_Delay() {
	inTest(func(t testing.TB) {
		srv := bctrltest.New(t)
		srv.Delay(time.Hour)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		_, err := srv.Client().Vault.Get(ctx, "prod/crm/salesforce")
		fmt.Println(errors.Is(err, context.DeadlineExceeded))
	})
	// Output: true
}

// What was sent can be looked at; credentials are left out.
func ExampleServer_Requests() {
	inTest(func(t testing.TB) {
		srv := bctrltest.New(t)
		_, _ = srv.Client().Vault.Get(t.Context(), "prod/crm/salesforce")
		for _, r := range srv.Requests() {
			fmt.Printf("%s %s %d %q\n", r.Method, r.Path, r.Status, r.Header.Get("Authorization"))
		}
	})
	// Output: GET /v1/vault/prod%2Fcrm%2Fsalesforce 404 ""
}

func ExampleServer_ModelCredential() {
	inTest(func(t testing.TB) {
		srv := bctrltest.New(t, bctrltest.WithModel(giveUp))
		client, ctx := srv.Client(), t.Context()
		if _, err := client.AICredentials.Create(ctx, srv.ModelCredential("openai-prod")); err != nil {
			t.Fatal(err)
		}
		test, err := client.AICredentials.Test(ctx, "openai-prod")
		fmt.Println(test.OK, test.Provider, err)
	})
	// Output: true openai <nil>
}

// A provider that is down for a while.
func ExampleServer_Model() {
	inTest(func(t testing.TB) {
		srv := bctrltest.New(t, bctrltest.WithModel(giveUp))
		client, ctx := srv.Client(), t.Context()
		if _, err := client.AICredentials.Create(ctx, srv.ModelCredential("openai-prod")); err != nil {
			t.Fatal(err)
		}
		srv.Model().Fail(5, http.StatusInternalServerError)
		test, err := client.AICredentials.Test(ctx, "openai-prod")
		fmt.Println(test.OK, err)
	})
	// Output: false <nil>
}

// A script stands in for a language model. Without [bctrltest.WithBrowser] the
// agent sees an empty page.
func ExampleWithModel() {
	inTest(func(t testing.TB) {
		srv := bctrltest.New(t, bctrltest.WithModel(giveUp))
		result, err := launch(t, srv).Stagehand.Act(t.Context(), "Order a chair")
		fmt.Println(result.Success, result.Message, err)
	})
	// Output: false There is nothing to click. <nil>
}

func giveUp(modeltest.Turn) modeltest.Call {
	return modeltest.Done(false, "There is nothing to click.")
}

// The whole way in a real Chromium: a site of the test's own, and a script
// that decides from what the page shows.
func ExampleWithBrowser() {
	shop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, `<title>Shop</title><button onclick="this.outerHTML='<h1>Thank you</h1>'">Order a chair</button>`)
	}))
	defer shop.Close()

	script := func(turn modeltest.Turn) modeltest.Call {
		if strings.Contains(turn.View.Outline, "Thank you") {
			return modeltest.Done(true, "Ordered.")
		}
		return modeltest.Click(turn.Find("button", "order"))
	}
	inTest(func(t testing.TB) {
		srv := bctrltest.New(t, bctrltest.WithBrowser(), bctrltest.WithModel(script))
		rt := launch(t, srv)
		if _, err := rt.Page.Goto(t.Context(), shop.URL); err != nil {
			t.Fatal(err)
		}
		result, err := rt.Stagehand.Act(t.Context(), "Order a chair")
		fmt.Println(result.Success, result.Message, err)
	})
	// Output: true Ordered. <nil>
}

// Tests that launch many runtimes wait less where browsers are ready before.
func ExampleWithWarmBrowsers() {
	inTest(func(t testing.TB) {
		srv := bctrltest.New(t, bctrltest.WithWarmBrowsers(2)) // with WithBrowser, real ones
		ws, err := srv.Client().Workspaces.Create(t.Context(), bctrl.WorkspaceCreate{Name: "sales-pipeline"})
		if err != nil {
			t.Fatal(err)
		}
		rt, err := ws.Runtimes.Browser("crm").Stagehand(t.Context(), bctrl.Launch{})
		fmt.Println(rt.Status, err)
	})
	// Output: active <nil>
}

// launch starts a runtime that may use the scripted model.
func launch(t testing.TB, srv *bctrltest.Server) *bctrl.Runtime {
	t.Helper()
	client, ctx := srv.Client(bctrl.WithTimeout(time.Minute)), t.Context()
	if _, err := client.AICredentials.Create(ctx, srv.ModelCredential("openai-prod")); err != nil {
		t.Fatal(err)
	}
	ws, err := client.Workspaces.Create(ctx, bctrl.WorkspaceCreate{
		Name: "shopping", Mounts: bctrl.Mounts{AI: &bctrl.AIMount{Allow: []string{"openai-prod"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	rt, err := ws.Runtimes.Browser("shop").Stagehand(ctx, bctrl.Launch{})
	if err != nil {
		t.Fatal(err)
	}
	return rt
}

// inTest runs fn as a test: examples have no *testing.T.
func inTest(fn func(testing.TB)) {
	ctx, cancel := context.WithCancel(context.Background())
	t := &exampleTest{ctx: ctx}
	defer func() {
		cancel()
		for i := len(t.cleanups) - 1; i >= 0; i-- {
			t.cleanups[i]()
		}
	}()
	fn(t)
}

// exampleTest has what bctrltest needs of a test; the rest would panic.
type exampleTest struct {
	testing.TB
	ctx      context.Context
	cleanups []func()
}

func (t *exampleTest) Helper()                           {}
func (t *exampleTest) Context() context.Context          { return t.ctx }
func (t *exampleTest) Cleanup(fn func())                 { t.cleanups = append(t.cleanups, fn) }
func (t *exampleTest) Errorf(format string, args ...any) { fmt.Printf(format+"\n", args...) }
func (t *exampleTest) Fatal(args ...any)                 { panic(fmt.Sprint(args...)) }
func (t *exampleTest) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

func (t *exampleTest) TempDir() string {
	dir, err := os.MkdirTemp("", "bctrltest-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("%v", err)
		}
	})
	return dir
}
