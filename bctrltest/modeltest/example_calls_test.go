package modeltest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
)

// show prints calls as the agent gets them.
func show(calls ...modeltest.Call) {
	for _, c := range calls {
		fmt.Println(c.Tool, c.Args)
	}
}

func ExampleNew() {
	model, err := modeltest.New(modeltest.Config{
		Key:    bctrl.NewSecret("sk-test"),
		Script: modeltest.LogInAndExport("quarter", "Q1"),
		Models: []string{modeltest.DefaultModel, "scripted-small"},
	})
	if err != nil {
		panic(err)
	}
	model.Fail(1, http.StatusTooManyRequests)
	for range 2 {
		rq := httptest.NewRequest(http.MethodGet, "/v1/models", http.NoBody)
		rq.Header.Set("Authorization", "Bearer sk-test")
		model.ServeHTTP(httptest.NewRecorder(), rq)
	}
	for _, r := range model.Requests() {
		fmt.Println(r.Method, r.Path, r.Header.Get("Authorization"), r.Status)
	}
	// Output:
	// GET /v1/models Bearer [secret] 429
	// GET /v1/models Bearer [secret] 200
}

func ExampleForm() {
	question := `{"model": "` + modeltest.DefaultModel + `", "messages": [{"role": "user", "content": "Hello"}],
		"tools": [{"type": "function", "function": {"name": "done", "parameters": {}}}]}`
	for _, form := range []modeltest.Form{
		modeltest.RefusesTools, modeltest.CallsInText, modeltest.LooseCalls, modeltest.Events, modeltest.EmptyFirst,
		modeltest.CutFirst, modeltest.RefusesPictures,
	} {
		model, err := modeltest.New(modeltest.Config{
			Key:    bctrl.NewSecret("sk-test"),
			Script: func(modeltest.Turn) modeltest.Call { return modeltest.Done(true, "It is done.") },
			Forms:  []modeltest.Form{form},
		})
		if err != nil {
			panic(err)
		}
		answer := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(question))
		r.Header.Set("Authorization", "Bearer sk-test")
		model.ServeHTTP(answer, r)
		text := answer.Body.String()
		fmt.Printf("%s: %d %s, a call %t, all of it in one piece %t\n", form, answer.Code,
			answer.Header().Get("Content-Type"), strings.Contains(text, `"tool_calls"`), strings.Contains(text, "It is done."))
	}
	// Output:
	// refuses tools: 400 application/json, a call false, all of it in one piece false
	// calls in text: 200 application/json, a call false, all of it in one piece true
	// loose calls: 200 application/json, a call true, all of it in one piece true
	// events: 200 text/event-stream, a call true, all of it in one piece false
	// empty first: 200 application/json, a call false, all of it in one piece false
	// cut first: 200 application/json, a call true, all of it in one piece false
	// refuses pictures: 200 application/json, a call true, all of it in one piece true
}

// With the mouse, by the references of elements or by places of the picture.
func ExampleCall_mouse() {
	save, list := modeltest.Element{Ref: "e3"}, modeltest.Element{Ref: "e8"}
	show(
		modeltest.Click(save), modeltest.DoubleClick(save), modeltest.RightClick(save), modeltest.Hover(save),
		modeltest.Drag(save, list), modeltest.Scroll(1), modeltest.ScrollIn(list, -1),
		modeltest.ClickAt(40, 20), modeltest.HoverAt(40, 20), modeltest.DragAt(40, 20, 90, 20),
		modeltest.DragThrough(40, 20, [][2]float64{{60, 50}}, 90, 20),
	)
	// Output:
	// click map[ref:e3]
	// click map[count:2 ref:e3]
	// click map[button:right ref:e3]
	// hover map[ref:e3]
	// drag map[from_ref:e3 to_ref:e8]
	// scroll map[pages:1]
	// scroll map[pages:-1 ref:e8]
	// click_at map[x:40 y:20]
	// hover_at map[x:40 y:20]
	// drag_at map[to_x:90 to_y:20 x:40 y:20]
	// drag_at map[through:[[60 50]] to_x:90 to_y:20 x:40 y:20]
}

// Into the fields of a form. What is filled from the vault never reaches the model.
func ExampleCall_forms() {
	name, password, code := modeltest.Element{Ref: "e1"}, modeltest.Element{Ref: "e2"}, modeltest.Element{Ref: "e3"}
	show(
		modeltest.Type(name, "Q1"), modeltest.Select(name, "Q1", "Q2"), modeltest.Press("Control+S"),
		modeltest.PressTimes("Tab", 3), modeltest.Upload(name, "exports/q1.csv"),
		modeltest.FillLogin("prod/crm/salesforce", name, password), modeltest.EnterTOTP("prod/crm/salesforce", code),
		modeltest.HTTPLogin("prod/crm/salesforce"), modeltest.AnswerDialog(true, ""),
	)
	// Output:
	// type map[ref:e1 text:Q1]
	// select map[options:[Q1 Q2] ref:e1]
	// press map[key:Control+S]
	// press map[key:Tab times:3]
	// upload map[paths:[exports/q1.csv] ref:e1]
	// fill_login map[key:prod/crm/salesforce password_ref:e2 username_ref:e1]
	// enter_totp map[key:prod/crm/salesforce ref:e3]
	// http_login map[key:prod/crm/salesforce]
	// answer_dialog map[accept:true]
}

// From page to page, and through tabs.
func ExampleCall_pages() {
	show(
		modeltest.Navigate("https://crm.example.com/"), modeltest.Back(), modeltest.Reload(),
		modeltest.OpenTab("https://mail.example.com/"), modeltest.SwitchTab("t1"), modeltest.CloseTab("t2"),
		modeltest.Wait(2), modeltest.WaitText("Done", 5), modeltest.WaitDownload(30),
	)
	// Output:
	// navigate map[url:https://crm.example.com/]
	// back map[]
	// reload map[]
	// open_tab map[url:https://mail.example.com/]
	// switch_tab map[tab:t1]
	// close_tab map[tab:t2]
	// wait map[seconds:2]
	// wait_text map[seconds:5 text:Done]
	// wait_download map[seconds:30]
}

// What only looks and plans, and what ends the task.
func ExampleCall_reading() {
	show(
		modeltest.Plan("log in, then export"), modeltest.Look(), modeltest.ReadPage(1),
		modeltest.ReadFile("exports/q1.csv", 1), modeltest.Extract("the totals"),
		modeltest.Done(false, "There is no export."), modeltest.DoneWith(true, "Read.", 42),
	)
	// Output:
	// plan map[steps:log in, then export]
	// look map[]
	// read_page map[part:1]
	// read_page map[file:exports/q1.csv part:1]
	// extract map[instruction:the totals]
	// done map[message:There is no export. success:false]
	// done map[message:Read. output:42 success:true]
}

// What answers Observe and Extract.
func ExampleCall_answers() {
	show(
		modeltest.Candidates(modeltest.Candidate{Ref: "e3", Method: "click", Description: "exports", Confidence: 0.9}),
		modeltest.Extracted(map[string]any{"total": 42}),
	)
	// Output:
	// candidates map[candidates:[{e3 click [] exports 0.9}]]
	// extracted map[data:map[total:42]]
}
