package bctrl_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/bctrl-go/bctrl"
)

func ExampleRuntimesService_Browser() {
	ws := exampleWorkspace()
	rt, err := ws.Runtimes.Browser("crm").Stagehand(context.Background(), bctrl.Launch{})
	fmt.Println(rt.Alias, rt.Status, err)
	// Output: crm active <nil>
}

func ExampleRuntimesService_Get() {
	rt, err := exampleWorkspace().Runtimes.Get(context.Background(), "crm")
	fmt.Println(rt.Status, err)
	// Output: active <nil>
}

func ExampleRuntimesService_List() {
	for rt, err := range exampleWorkspace().Runtimes.List(context.Background()) {
		fmt.Println(rt.Alias, err)
	}
	// Output: crm <nil>
}

func ExampleRuntimesService_Page() {
	page, err := exampleWorkspace().Runtimes.Page(context.Background(), bctrl.PageOptions{Limit: 10})
	fmt.Println(len(page.Items), err)
	// Output: 1 <nil>
}

func ExampleBrowserLauncher_Narrow() {
	browser := exampleWorkspace().Runtimes.Browser("crm")
	_, err := browser.Narrow(bctrl.Mounts{Vault: &bctrl.VaultMount{Allow: []string{"prod/"}}}).
		Stagehand(context.Background(), bctrl.Launch{})
	e, ok := errors.AsType[*bctrl.Error](err)
	fmt.Println(errors.Is(err, bctrl.ErrWidening), ok)
	fmt.Println(e.Field, e.Witness) // nothing was sent
	// Output:
	// true true
	// mounts.vault.allow[0] prod/0
}

func ExampleBrowserLauncher_Group() {
	rt, err := exampleWorkspace().Runtimes.Browser("crm").Group("emea").Stagehand(context.Background(), bctrl.Launch{})
	fmt.Println(rt.Alias, err)
	// Output: crm <nil>
}

func ExampleBrowserLauncher_Stagehand() {
	rt, err := exampleWorkspace().Runtimes.Browser("crm").Stagehand(context.Background(), bctrl.Launch{
		Mode: bctrl.ModeProfile, ProfileID: "sf-bot", // cookies survive the runtime
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer rt.Stop(context.WithoutCancel(context.Background())) //nolint:errcheck // there is nothing left to do
	fmt.Println(rt.Status)
	// Output: active
}

func ExampleBrowserLauncher_Playwright() {
	rt, err := exampleWorkspace().Runtimes.Browser("crm").Playwright(context.Background(), bctrl.Launch{})
	fmt.Println(rt.Status, err)
	// Output: active <nil>
}

func ExampleBrowserLauncher_Puppeteer() {
	rt, err := exampleWorkspace().Runtimes.Browser("crm").Puppeteer(context.Background(), bctrl.Launch{
		Config: &bctrl.LaunchConfig{Width: 1440, Height: 900},
	})
	fmt.Println(rt.Status, err)
	// Output: active <nil>
}

func ExampleLaunchConfig() {
	rt, err := exampleWorkspace().Runtimes.Browser("crm").Playwright(context.Background(), bctrl.Launch{
		Config: &bctrl.LaunchConfig{
			Width:       412,
			Height:      915,
			Mobile:      true,
			Locale:      "de-DE",
			Timezone:    "Europe/Berlin",
			Proxy:       &bctrl.LaunchProxy{Server: "http://proxy.example.com:3128", VaultKey: "proxies/eu"},
			IdleTimeout: 10 * time.Minute,
		},
	})
	// The vault key has to be mounted.
	fmt.Println(rt == nil, errors.Is(err, bctrl.ErrOutsideMount))
	// Output: true true
}

func ExampleLaunch_Validate() {
	err := bctrl.Launch{Config: &bctrl.LaunchConfig{Locale: "de_DE"}}.Validate()
	var refused *bctrl.Error
	fmt.Println(errors.As(err, &refused), refused.Code, refused.Field)
	// Output: true runtimes.invalid_locale launch.config.locale
}

func ExampleBrowserLauncher_Selenium() {
	rt, err := exampleWorkspace().Runtimes.Browser("crm").Selenium(context.Background(), bctrl.Launch{})
	fmt.Println(rt.Status, err)
	// Output: active <nil>
}

func ExampleRuntime_Mounts() {
	mounts := exampleRuntime().Mounts()
	fmt.Println(mounts.AllowsVaultKey("prod/crm/salesforce"), mounts.AllowsVaultKey("prod/hr/payroll"))
	// Output: true false
}

func ExampleRuntime_Narrow() {
	rt := exampleRuntime()
	reader, err := rt.Narrow(bctrl.Mounts{
		Vault: &bctrl.VaultMount{Allow: []string{}}, // no secrets
		AI:    &bctrl.AIMount{Allow: []string{}},    // no model
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = reader.Vault.TOTP(context.Background(), "prod/crm/salesforce")
	fmt.Println(errors.Is(err, bctrl.ErrOutsideMount))
	content, err := reader.Storage.Get(context.Background(), "exports/q1.csv")
	fmt.Println(len(content), err)
	// Output:
	// true
	// 24 <nil>
}

func ExampleRuntime_Refresh() {
	rt := exampleRuntime()
	err := rt.Refresh(context.Background())
	fmt.Println(rt.Status, err)
	// Output: active <nil>
}

func ExampleRuntime_Latest() {
	rt := exampleRuntime()
	stopped := make(chan error)
	go func() { stopped <- rt.Stop(context.Background()) }()
	_ = rt.Latest().Status // "active" or "stopped"; nothing is sent
	fmt.Println(<-stopped, rt.Latest().Status)
	// Output: <nil> stopped
}

func ExampleRuntime_ConnectURL() {
	url, err := exampleRuntime().ConnectURL(context.Background())
	fmt.Println(url, err) // for chromedp.NewRemoteAllocator and its like
	// Output: wss://api.bctrl.ai/v1/cdp/devtools/browser/token <nil>
}

func ExampleRuntime_Connect() {
	opened, err := exampleRuntime().Connect(context.Background())
	fmt.Println(opened.ID, opened.URL, opened.ExpiresAt.Format(time.DateOnly), err)
	// Output: cn-1 [secret] 2026-12-01 <nil>
}

func ExampleRuntime_ConnectURLs() {
	urls, err := exampleRuntime().ConnectURLs(context.Background())
	for _, u := range urls {
		fmt.Println(u.ID, u.KeyID, u.Connections)
	}
	fmt.Println(err)
	// Output:
	// cn-1 key-1 2
	// <nil>
}

func ExampleRuntime_RevokeConnectURL() {
	err := exampleRuntime().RevokeConnectURL(context.Background(), "cn-1")
	fmt.Println(err)
	// Output: <nil>
}

func ExampleRuntime_Stop() {
	rt := exampleRuntime()
	// also when the caller's context has ended
	ctx, cancel := context.WithTimeout(context.WithoutCancel(context.Background()), 10*time.Second)
	defer cancel()
	err := rt.Stop(ctx)
	fmt.Println(rt.Status, err)
	// Output: stopped <nil>
}

func ExampleStagehand_Act() {
	result, err := exampleRuntime().Stagehand.Act(context.Background(), "Log in to Salesforce and export Q1 pipeline",
		bctrl.ActOptions{Provider: bctrl.OpenAI, MaxSteps: 20})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(result.Success, result.Message, result.Downloads[0].LogicalPath)
	// Output: true Exported Q1. downloads/q1.csv
}

func ExampleStagehand_ActAsync() {
	ctx := context.Background()
	op, err := asyncRuntime().Stagehand.ActAsync(ctx, "Log in to Salesforce and export Q1 pipeline")
	if err != nil {
		fmt.Println(err)
		return
	}
	info, err := op.Wait(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	result, err := info.Act()
	fmt.Println(result.Message, err)
	// Output: Exported Q1. <nil>
}

func ExampleStagehand_Observe() {
	rt := stepping("stagehand.observe", `{"observed":[{"description":"export the pipeline","method":"click",`+
		`"element":{"role":"button","name":"Export"},"handle":"h1.e12.5c1e"}],"url":"https://crm.example/","models":[]}`)
	found, err := rt.Stagehand.Observe(context.Background(), "the button that exports the pipeline")
	if err != nil || len(found) == 0 {
		fmt.Println(err)
		return
	}
	fmt.Println(found[0].Method, found[0].Element.Role, found[0].Element.Name) // Act takes found[0], to do it
	// Output: click button Export
}

func ExampleStagehand_ObserveAsync() {
	op, err := asyncRuntime().Stagehand.ObserveAsync(context.Background(), "the button that exports the pipeline",
		bctrl.ObserveOptions{MaxCandidates: 3})
	fmt.Println(op.ID, err) // op.Wait, then Observe of what it returns
	// Output: op-1 <nil>
}

func ExampleStagehand_Extract() {
	rt := stepping("stagehand.extract", `{"data":{"total":120.50},"url":"https://crm.example/","models":[]}`)
	result, err := rt.Stagehand.Extract(context.Background(), "the total of the open deals", bctrl.ExtractOptions{
		Schema: []byte(`{"type":"object","properties":{"total":{"type":"number"}},"required":["total"]}`),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(string(result.Data), result.Truncated)
	// Output: {"total":120.50} false
}

func ExampleStagehand_ExtractAsync() {
	op, err := asyncRuntime().Stagehand.ExtractAsync(context.Background(), "the names of the open deals")
	fmt.Println(op.ID, err) // op.Wait, then Extract of what it returns
	// Output: op-1 <nil>
}

func ExampleStagehand_Agent() {
	rt := stepping("stagehand.agent", `{"success":true,"message":"Sent 3 reminders.","steps":14,"models":[]}`)
	result, err := rt.Stagehand.Agent(context.Background(), "Remind every customer whose invoice is overdue",
		bctrl.AgentOptions{
			MaxSteps: 40,
			MaxCost:  0.50,
			Model:    "gpt-5",
			Look:     &bctrl.ModelChoice{Model: "gpt-5-mini"},
		})
	if err != nil {
		fmt.Println(err)
		return
	}
	if result.Limit != "" {
		fmt.Println("stopped by its budget:", result.Limit)
	}
	fmt.Println(result.Success, result.Message, result.Steps)
	// Output: true Sent 3 reminders. 14
}

func ExampleStagehand_AgentAsync() {
	op, err := asyncRuntime().Stagehand.AgentAsync(context.Background(), "Remind every customer whose invoice is overdue",
		bctrl.AgentOptions{Timeout: 20 * time.Minute})
	fmt.Println(op.ID, err) // op.Progress, op.Wait, then Agent of what it returns
	// Output: op-1 <nil>
}

func ExampleBrowserUse_Agent() {
	rt := stepping("browserUse.agent", `{"success":true,"message":"Booked.","output":{"price":89},"models":[]}`)
	result, err := rt.BrowserUse.Agent(context.Background(), "Book the cheapest room for Friday", bctrl.BrowserUseOptions{
		MaxActionsPerStep: 3,
		MaxFailures:       5,
		AllowedHosts:      []string{"*.hotel.example"},
		Logins:            []string{"prod/crm/salesforce"}, // of those that the mounts permit
		Output:            []byte(`{"type":"object","properties":{"price":{"type":"number"}}}`),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(result.Message, string(result.Output))
	_, err = rt.BrowserUse.Agent(context.Background(), "Pay", bctrl.BrowserUseOptions{Logins: []string{"prod/hr/payroll"}})
	fmt.Println(errors.Is(err, bctrl.ErrOutsideMount)) // and nothing was sent
	// Output:
	// Booked. {"price":89}
	// true
}

func ExampleBrowserUse_AgentAsync() {
	op, err := asyncRuntime().BrowserUse.AgentAsync(context.Background(), "Book the cheapest room for Friday")
	fmt.Println(op.ID, err)
	// Output: op-1 <nil>
}

func ExampleBrowserPage_Goto() {
	rt := stepping("page.goto", `{"url":"https://example.com/","title":"Example"}`)
	page, err := rt.Page.Goto(context.Background(), "https://example.com",
		bctrl.GotoOptions{WaitUntil: bctrl.WaitDOMContentLoaded})
	fmt.Println(page.Title, err)
	// Output: Example <nil>
}

func ExampleBrowserPage_Screenshot() {
	rt := stepping("page.screenshot", `{"logicalPath":"screenshots/1.png","contentType":"image/png"}`)
	picture, err := rt.Page.Screenshot(context.Background(), bctrl.ScreenshotArgs{FullPage: true})
	fmt.Println(picture.LogicalPath, err)
	// Output: screenshots/1.png <nil>
}

func ExampleRuntimeFiles_Stage() {
	_, err := new(bctrl.RuntimeFiles).Stage(context.Background(), "../q1.pdf", nil)
	fmt.Println(err)
	// Output: bctrl: files.invalid_name: the name must be one segment of a storage path, as q1.pdf field name
}

func ExampleBrowserPage_PDF() {
	rt := stepping("page.pdf", `{"object":{"logicalPath":"reports/q1.pdf","contentType":"application/pdf"}}`)
	printed, err := rt.Page.PDF(context.Background(), bctrl.PDFOptions{Path: "reports/q1.pdf", Paper: bctrl.PaperA4})
	fmt.Println(printed.Object.LogicalPath, err)
	// Output: reports/q1.pdf <nil>
}

func ExampleBrowserPage_Fill() {
	rt := stepping("page.fill", `{"filled":["username","password"],"url":"https://login.example.com/"}`)
	filled, err := rt.Page.Fill(context.Background(), bctrl.FillArgs{
		Key:      "prod/crm/salesforce",
		Username: &bctrl.ElementDescription{Role: "textbox", Name: "Username"},
		Password: &bctrl.ElementDescription{Role: "textbox", Name: "Password"},
	})
	fmt.Println(filled.Filled, err)
	// Output: [username password] <nil>
}

// pagesOf is a runtime whose tabs are these.
func pagesOf(tabs string) *bctrl.BrowserPages { return stepping("pages", `{"pages":[`+tabs+`]}`).Pages }

func ExampleBrowserPages_List() {
	pages, err := pagesOf(`{"id":"t1","url":"https://example.com/","title":"Example","active":true}`).
		List(context.Background())
	for _, p := range pages {
		fmt.Println(p.ID, p.Title, p.Active, err)
	}
	// Output: t1 Example true <nil>
}

func ExampleBrowserPages_Open() {
	page, err := pagesOf(`{"id":"t1","url":"https://example.com/","title":"Example","active":false},
		{"id":"t2","url":"https://example.com/help","title":"Help","active":true}`).
		Open(context.Background(), "https://example.com/help")
	fmt.Println(page.ID, page.Title, err)
	// Output: t2 Help <nil>
}

func ExampleBrowserPages_Activate() {
	fmt.Println(pagesOf(``).Activate(context.Background(), "t1"))
	// Output: <nil>
}

func ExampleBrowserPages_Close() {
	fmt.Println(pagesOf(``).Close(context.Background(), "t2"))
	// Output: <nil>
}

func exampleOperation() *bctrl.Operation {
	op, err := exampleClient().Operations.Get(context.Background(), "op-1")
	if err != nil {
		panic(err)
	}
	return op
}

func ExampleOperationsService_Get() {
	op, err := exampleClient().Operations.Get(context.Background(), "op-1")
	fmt.Println(op.Info.Status, err)
	// Output: running <nil>
}

func ExampleOperation_Wait() {
	info, err := exampleOperation().Wait(context.Background())
	fmt.Println(info.Status, err)
	// Output: succeeded <nil>
}

func ExampleOperation_Progress() {
	for p, err := range exampleOperation().Progress(context.Background()) {
		fmt.Println(p.Step, p.TotalSteps, p.CurrentCall, err)
	}
	// Output: 1 1 stagehand.act <nil>
}

func ExampleOperation_Cancel() {
	info, err := exampleOperation().Cancel(context.Background())
	fmt.Println(info.Status, err)
	// Output: cancelling <nil>
}

func ExampleOperationInfo_Err() {
	info := bctrl.OperationInfo{Status: bctrl.OperationCancelled}
	fmt.Println(info.Err())
	// Output: bctrl: operations.cancelled: the operation ended without success
}

func ExampleOperationInfo_Act() {
	info, err := exampleOperation().Wait(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	result, err := info.Act()
	fmt.Println(result.Success, err)
	// Output: true <nil>
}

// endedOperation is an operation whose only step has a result.
func endedOperation(call bctrl.Call, result string) *bctrl.OperationInfo {
	return &bctrl.OperationInfo{
		Status: bctrl.OperationSucceeded,
		Result: &bctrl.ExecutionResult{Steps: []bctrl.StepResult{{Call: call, Result: []byte(result)}}},
	}
}

func ExampleOperationInfo_Observe() {
	info := endedOperation(bctrl.CallObserve, `{"observed":[{"method":"click"}]}`) // of Operation.Wait
	result, err := info.Observe()
	fmt.Println(len(result.Observed), err)
	// Output: 1 <nil>
}

func ExampleOperationInfo_Extract() {
	info := endedOperation(bctrl.CallExtract, `{"data":{"total":120.50}}`) // of Operation.Wait
	result, err := info.Extract()
	fmt.Println(string(result.Data), err)
	// Output: {"total":120.50} <nil>
}

func ExampleOperationInfo_Agent() {
	info := endedOperation(bctrl.CallAgent, `{"message":"Sent 2 reminders of 3.","limit":"steps"}`) // of Operation.Wait
	info.Status = bctrl.OperationLimited
	result, err := info.Agent() // what was done until the budget ended it
	fmt.Println(result.Message, result.Limit, err)
	// Output: Sent 2 reminders of 3. steps <nil>
}

func ExampleOperationStatus_Final() {
	fmt.Println(bctrl.OperationRunning.Final(), bctrl.OperationTimedOut.Final())
	// Output: false true
}

// exampleToken was minted with prod/crm/ in its vault mount, until 2026-01-02.
const exampleToken = "bctrl_rt_AQGYAAAAAHAAgAAAAAAAAAEBmAAAAABwAIAAAAAAAAAKAZgAAAAAcACAAAAAAAAACwEACAAAAZt8qYy" +
	"IAgAheyJ2YXVsdCI6eyJhbGxvdyI6" +
	"WyJwcm9kL2NybS8iXX192HnPvdSv_4SjymXhIQQBRy4i1ndwvFPVrI_rZLVaZyo"

func ExampleRuntime_Token() {
	token, err := exampleRuntime().Token(context.Background(), bctrl.TokenRequest{
		Mounts: bctrl.Mounts{Vault: &bctrl.VaultMount{Allow: []string{"prod/crm/"}}},
		TTL:    10 * time.Minute,
	})
	fmt.Println(token, err) // for the agent's process: token.Expose()
	// Output: [secret] <nil>
}

func ExampleAttenuate() {
	token := bctrl.NewSecret(exampleToken)
	weaker, err := bctrl.Attenuate(token, bctrl.Mounts{Vault: &bctrl.VaultMount{Allow: []string{"prod/crm/salesforce"}}},
		time.Time{})
	fmt.Println(weaker, err) // nothing was sent
	_, err = bctrl.Attenuate(weaker, bctrl.Mounts{Vault: &bctrl.VaultMount{Allow: []string{"prod/crm/"}}}, time.Time{})
	e, ok := errors.AsType[*bctrl.Error](err)
	fmt.Println(errors.Is(err, bctrl.ErrWidening), ok)
	fmt.Println(e.Field, e.Witness)
	// Output:
	// [secret] <nil>
	// true true
	// mounts.vault.allow[0] prod/crm/0
}

func ExampleInspectToken() {
	info, err := bctrl.InspectToken(bctrl.NewSecret(exampleToken))
	if err != nil {
		fmt.Println(err)
		return
	}
	// what it says; only the server knows if it is true
	fmt.Println(info.RuntimeID, info.Levels[0].Vault.Allow, info.ExpiresAt)
	// Output: 01980000-0000-7000-8000-00000000000b [prod/crm/] 2026-01-02 03:04:05 +0000 UTC
}

func ExampleClient_RevokeToken() {
	info, err := bctrl.InspectToken(bctrl.NewSecret(exampleToken))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(exampleClient().RevokeToken(context.Background(), info.ID))
	// Output: <nil>
}

func ExampleClient_Self() {
	client := exampleClient(bctrl.WithAPIKey(bctrl.NewSecret(exampleToken)))
	self, err := client.Self(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	code, err := self.Runtime.Vault.TOTP(context.Background(), "prod/crm/salesforce")
	fmt.Println(self.Kind, self.Runtime.Alias, code, err)
	// Output: token crm 287082 <nil>
}

func ExampleRuntime_Explain() {
	decision, err := exampleRuntime().Explain(context.Background(),
		bctrl.Action{Verb: bctrl.UseVault, Object: "prod/hr/payroll"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(decision.Allowed, decision.Level, decision.Field, decision.Reason)
	// Output: false 0 mounts.vault.allow no entry allows it
}

func ExampleGeolocation() {
	place := bctrl.Geolocation{Latitude: 52.52, Longitude: 13.40}
	text, err := json.Marshal(place)
	fmt.Println(string(text), err)
	var half bctrl.Launch
	err = json.Unmarshal([]byte(`{"config": {"geolocation": {"longitude": 13.40}}}`), &half)
	fmt.Println(err, half.Validate() != nil) // no latitude is not the equator
	// Output:
	// {"latitude":52.52,"longitude":13.4} <nil>
	// <nil> true
}
