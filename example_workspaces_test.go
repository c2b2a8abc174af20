package bctrl_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/bctrl-go/bctrl"
)

func ExampleWorkspacesService_Create() {
	ws, err := exampleClient().Workspaces.Create(context.Background(), bctrl.WorkspaceCreate{
		Name: "sales-pipeline",
		Mounts: bctrl.Mounts{
			AI:      &bctrl.AIMount{Allow: []string{"openai-prod"}},
			Vault:   &bctrl.VaultMount{Allow: []string{"prod/crm/"}},
			Storage: &bctrl.StorageMount{Workspace: "sales-exports"},
		},
	})
	fmt.Println(ws.Name, ws.Version, err)
	// Output: sales-pipeline 1 <nil>
}

func ExampleWorkspacesService_Get() {
	ws, err := exampleClient().Workspaces.Get(context.Background(), "ws-1")
	fmt.Println(ws.Name, err)
	// Output: sales-pipeline <nil>
}

func ExampleWorkspacesService_GetByName() {
	ctx, workspaces := context.Background(), exampleClient().Workspaces
	ws, err := workspaces.GetByName(ctx, "sales-pipeline")
	fmt.Println(ws.ID, err)
	_, err = workspaces.GetByName(ctx, "nobody")
	fmt.Println(errors.Is(err, bctrl.ErrNotFound))
	// Output:
	// ws-1 <nil>
	// true
}

func ExampleWorkspacesService_List() {
	for ws, err := range exampleClient().Workspaces.List(context.Background()) {
		fmt.Println(ws.Name, err)
	}
	// Output: sales-pipeline <nil>
}

func ExampleWorkspacesService_Page() {
	page, err := exampleClient().Workspaces.Page(context.Background(), bctrl.PageOptions{})
	fmt.Println(len(page.Items), err)
	// Output: 1 <nil>
}

func ExampleWorkspacesService_Delete() {
	fmt.Println(exampleClient().Workspaces.Delete(context.Background(), "ws-1", bctrl.WithForce()))
	// Output: <nil>
}

func ExampleWorkspace_Update() {
	ws := exampleWorkspace()
	lower := ws.Mounts
	lower.Vault = &bctrl.VaultMount{Allow: []string{"prod/crm/salesforce"}}
	err := ws.Update(context.Background(), bctrl.WorkspaceUpdate{Mounts: &lower})
	fmt.Println(ws.Version, err)
	// Output: 2 <nil>
}

func ExampleWorkspace_Refresh() {
	ws := exampleWorkspace()
	err := ws.Refresh(context.Background())
	fmt.Println(ws.Version, err)
	// Output: 1 <nil>
}

func ExampleWorkspace_Latest() {
	ws := exampleWorkspace()
	refreshed := make(chan error)
	go func() { refreshed <- ws.Refresh(context.Background()) }()
	fmt.Println(ws.Latest().Version, <-refreshed) // nothing is sent
	// Output: 1 <nil>
}

func ExampleWorkspace_State() {
	state, err := exampleWorkspace().State(context.Background())
	fmt.Println(len(state.Runtimes), state.Storage.FileCount, err)
	// Output: 1 3 <nil>
}

func ExampleWorkspace_Execute() {
	step, err := bctrl.ActStep(bctrl.ActArgs{Instruction: "Export Q1 pipeline"})
	if err != nil {
		fmt.Println(err)
		return
	}
	result, err := exampleWorkspace().Execute(context.Background(),
		bctrl.Execution{Runtime: "crm", Steps: []bctrl.Step{step}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(result.Steps), result.Steps[0].Duration, result.Err())
	// Output: 1 8.1s <nil>
}

func ExampleExecutionResult_Err() {
	result := bctrl.ExecutionResult{Steps: []bctrl.StepResult{
		{Call: bctrl.CallGoto},
		{Call: bctrl.CallAct, Error: &bctrl.Error{Status: 409, Code: "ai.no_default_credential",
			Message: "no AI credential is the default"}},
	}}
	fmt.Println(result.Err())
	// Output: bctrl: ai.no_default_credential: no AI credential is the default
}

func ExampleStepResult() {
	result := bctrl.StepResult{Call: bctrl.CallGoto, Result: []byte(`{"url":"https://example.com/","title":"Example"}`)}
	fmt.Println(result.Call, string(result.Result))
	// Output: page.goto {"url":"https://example.com/","title":"Example"}
}

func ExampleWorkspace_ExecuteAsync() {
	s := cannedServer()
	s["POST /v1/workspaces/ws-1/execute"] = `{"id":"op-1","status":"queued"}`
	ws, err := clientOf(s).Workspaces.Get(context.Background(), "ws-1")
	if err != nil {
		fmt.Println(err)
		return
	}
	step, err := bctrl.GotoStep(bctrl.GotoArgs{URL: "https://example.com/"})
	if err != nil {
		fmt.Println(err)
		return
	}
	op, err := ws.ExecuteAsync(context.Background(), bctrl.Execution{Runtime: "crm", Steps: []bctrl.Step{step}})
	fmt.Println(op.ID, op.Info.Status, err)
	// Output: op-1 queued <nil>
}

func ExampleActStep() {
	step, err := bctrl.ActStep(bctrl.ActArgs{Instruction: "Log in", MaxSteps: 10})
	fmt.Println(step.Call, string(step.Args), err)
	// Output: stagehand.act {"instruction":"Log in","maxSteps":10} <nil>
}

func ExampleObserveStep() {
	step, err := bctrl.ObserveStep(bctrl.ObserveArgs{Instruction: "the button that exports"})
	fmt.Println(step.Call, string(step.Args), err)
	// Output: stagehand.observe {"instruction":"the button that exports"} <nil>
}

func ExampleExtractStep() {
	step, err := bctrl.ExtractStep(bctrl.ExtractArgs{Instruction: "the open deals", MaxPageTokens: 20_000})
	fmt.Println(step.Call, string(step.Args), err)
	// Output: stagehand.extract {"instruction":"the open deals","maxPageTokens":20000} <nil>
}

func ExampleAgentStep() {
	step, err := bctrl.AgentStep(bctrl.AgentArgs{
		Task:        "Remind every customer whose invoice is overdue",
		ModelChoice: bctrl.ModelChoice{Model: "gpt-5"},
		Budget:      bctrl.Budget{MaxSteps: 40},
	})
	fmt.Println(step.Call, string(step.Args), err)
	// Output: stagehand.agent {"task":"Remind every customer whose invoice is overdue","model":"gpt-5","maxSteps":40} <nil>
}

func ExampleBrowserUseStep() {
	step, err := bctrl.BrowserUseStep(bctrl.BrowserUseArgs{Task: "Book a room", AllowedHosts: []string{"hotel.example"}})
	fmt.Println(step.Call, string(step.Args), err)
	// Output: browserUse.agent {"task":"Book a room","allowedHosts":["hotel.example"]} <nil>
}

func ExampleActArgs_Validate() {
	fmt.Println(bctrl.ActArgs{Instruction: "Log in", MaxSteps: 1000}.Validate())
	// Output: bctrl: executions.invalid_steps: maxSteps is not between 1 and 200 field maxSteps (zero, or leaving it out, is the default)
}

func ExampleGotoArgs_Validate() {
	fmt.Println(bctrl.GotoArgs{URL: "https://example.com", WaitUntil: "soon"}.Validate())
	// Output: bctrl: executions.invalid_wait_until: waitUntil is not load, domcontentloaded, commit or networkidle field waitUntil (leave it out: then a page that never finishes holds nobody)
}

func ExampleObserveArgs_Validate() {
	fmt.Println(bctrl.ObserveArgs{Instruction: "a button", Vision: "sharp"}.Validate())
	// Output: bctrl: agent.invalid_vision: vision is not auto, on or off field vision
}

func ExampleExtractArgs_Validate() {
	fmt.Println(bctrl.ExtractArgs{Instruction: "the total"}.Validate())
	// Output: <nil>
}

func ExampleAgentArgs_Validate() {
	fmt.Println(bctrl.AgentArgs{Task: " "}.Validate())
	// Output: bctrl: agent.invalid_task: the task is empty field task (say in words what to do)
}

func ExampleBrowserUseArgs_Validate() {
	err := bctrl.BrowserUseArgs{Task: "Book a room", AllowedHosts: []string{"https://hotel.example/"}}.Validate()
	if e, ok := errors.AsType[*bctrl.Error](err); ok {
		fmt.Println(e.Code, e.Field)
	}
	// Output: agent.invalid_host allowedHosts[0]
}

func ExampleGotoStep() {
	step, err := bctrl.GotoStep(bctrl.GotoArgs{URL: "https://example.com/"})
	fmt.Println(step.Call, string(step.Args), err)
	// Output: page.goto {"url":"https://example.com/"} <nil>
}

func ExampleScreenshotStep() {
	step, err := bctrl.ScreenshotStep(bctrl.ScreenshotArgs{FullPage: true})
	fmt.Println(step.Call, string(step.Args), err)
	// Output: page.screenshot {"fullPage":true} <nil>
}

func ExamplePDFStep() {
	step, err := bctrl.PDFStep(bctrl.PDFOptions{Paper: bctrl.PaperA4, Ranges: "1-3, 5"})
	fmt.Println(step.Call, string(step.Args), err)
	// Output: page.pdf {"paper":"a4","ranges":"1-3, 5"} <nil>
}

func ExamplePDFOptions_Validate() {
	var e *bctrl.Error
	errors.As(bctrl.PDFOptions{Ranges: "3-1"}.Validate(), &e)
	fmt.Println(e.Code, e.Field)
	// Output: executions.invalid_ranges ranges
}

func ExamplePDFOptions_Size() {
	fmt.Println(bctrl.PDFOptions{Paper: bctrl.PaperLegal, Landscape: true}.Size())
	// Output: 14 8.5
}

func ExamplePaperSize_Inches() {
	fmt.Println(bctrl.PaperTabloid.Inches())
	// Output: 11 17
}

func ExamplePagesArgs_Validate() {
	var e *bctrl.Error
	errors.As(bctrl.PagesArgs{Open: "https://example.com/", Close: "t2"}.Validate(), &e)
	fmt.Println(e.Code, e.Field)
	// Output: executions.two_at_once close
}

func ExamplePagesStep() {
	step, err := bctrl.PagesStep(bctrl.PagesArgs{Close: "t2"})
	fmt.Println(step.Call, string(step.Args), err)
	// Output: pages {"close":"t2"} <nil>
}

func ExampleFillStep() {
	step, err := bctrl.FillStep(bctrl.FillArgs{Key: "prod/crm/salesforce",
		TOTP: &bctrl.ElementDescription{Role: "textbox", Name: "Code"}})
	fmt.Println(step.Call, string(step.Args), err)
	// Output: page.fill {"key":"prod/crm/salesforce","totp":{"role":"textbox","name":"Code"}} <nil>
}

func ExampleFillArgs_Validate() {
	var e *bctrl.Error
	errors.As(bctrl.FillArgs{Key: "prod/crm/salesforce"}.Validate(), &e)
	fmt.Println(e.Code, e.Field)
	// Output: executions.invalid_fill password
}

func ExampleBrowserProfilesService_Create() {
	p, err := exampleClient().Profiles.Create(context.Background(), bctrl.BrowserProfileCreate{ID: "sf-bot",
		Label: "Salesforce bot"})
	fmt.Println(p.ID, err)
	// Output: sf-bot <nil>
}

func ExampleBrowserProfilesService_Get() {
	p, err := exampleClient().Profiles.Get(context.Background(), "sf-bot")
	fmt.Println(p.Label, err)
	// Output: Salesforce bot <nil>
}

func ExampleBrowserProfilesService_List() {
	for p, err := range exampleClient().Profiles.List(context.Background()) {
		fmt.Println(p.ID, err)
	}
	// Output: sf-bot <nil>
}

func ExampleBrowserProfilesService_Page() {
	page, err := exampleClient().Profiles.Page(context.Background(), bctrl.PageOptions{})
	fmt.Println(len(page.Items), err)
	// Output: 1 <nil>
}

func ExampleBrowserProfilesService_Clone() {
	p, err := exampleClient().Profiles.Clone(context.Background(), "sf-bot", bctrl.BrowserProfileCreate{ID: "sf-copy"})
	fmt.Println(p.ID, err)
	// Output: sf-copy <nil>
}

func ExampleBrowserProfilesService_Update() {
	p, err := exampleClient().Profiles.Update(context.Background(), "sf-bot",
		bctrl.BrowserProfileUpdate{Label: new("CRM")})
	fmt.Println(p.Label, err)
	// Output: CRM <nil>
}

func ExampleBrowserProfilesService_Delete() {
	fmt.Println(exampleClient().Profiles.Delete(context.Background(), "sf-bot"))
	// Output: <nil>
}
