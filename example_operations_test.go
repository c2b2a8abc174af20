package bctrl_test

import (
	"context"
	"fmt"

	"github.com/bctrl-go/bctrl"
)

func ExampleOperationsService_List() {
	running := bctrl.OperationFilter{Status: bctrl.OperationRunning}
	for op, err := range exampleClient().Operations.List(context.Background(), running) {
		fmt.Println(op.ID, op.Info.Status, err)
	}
	// Output: op-1 running <nil>
}

func ExampleOperationsService_Page() {
	page, err := exampleClient().Operations.Page(context.Background(), bctrl.OperationFilter{},
		bctrl.PageOptions{Limit: 10})
	fmt.Println(len(page.Items), err)
	// Output: 1 <nil>
}

func ExampleOperation_Transcript() {
	for step, err := range exampleOperation().Transcript(context.Background()) {
		fmt.Println(step.Number, step.URL, err)
	}
	// Output: 1 https://crm.example.com/ <nil>
}

func ExampleOperation_TranscriptPage() {
	page, err := exampleOperation().TranscriptPage(context.Background(), bctrl.PageOptions{Limit: 10})
	fmt.Println(len(page.Items), err)
	// Output: 1 <nil>
}

func ExampleOperation_Replay() {
	again, err := exampleOperation().Replay(context.Background(), exampleRuntime())
	fmt.Println(again.ID, err)
	// Output: op-2 <nil>
}

func ExampleReplayStep() {
	step, err := bctrl.ReplayStep(bctrl.ReplayArgs{Steps: []bctrl.TranscriptStep{{
		Actions: []bctrl.ActAction{{Kind: "press", Arguments: []byte(`{"key":"Enter"}`)}},
	}}})
	fmt.Println(step.Call, err)
	// Output: agent.replay <nil>
}

func ExampleRuntime_Replay() {
	rt := stepping("agent.replay", `{"success":true,"steps":0,"message":"1 action done again"}`)
	result, err := rt.Replay(context.Background(), []bctrl.TranscriptStep{{
		Actions: []bctrl.ActAction{{Kind: "press", Arguments: []byte(`{"key":"Enter"}`)}},
	}})
	fmt.Println(result.Success, err)
	// Output: true <nil>
}
