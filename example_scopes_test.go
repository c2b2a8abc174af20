package bctrl_test

import (
	"encoding/json"
	"fmt"

	"github.com/bctrl-go/bctrl"
)

func ExampleGlobal() {
	fmt.Println(bctrl.Global(), bctrl.Global() == bctrl.Scope{})
	// Output: global false
}

func ExampleInWorkspace() {
	text, err := json.Marshal(bctrl.InWorkspace("sales"))
	fmt.Println(string(text), err)
	// Output: {"type":"workspace","workspaceId":"sales"} <nil>
}

func ExampleInGroup() {
	fmt.Println(bctrl.InGroup("sales", "team-7"))
	// Output: group(sales, team-7)
}

func ExampleScope_Type() {
	fmt.Println(bctrl.InGroup("sales", "team-7").Type() == bctrl.ScopeGroup)
	// Output: true
}

func ExampleScope_WorkspaceID() {
	fmt.Println(bctrl.InGroup("sales", "team-7").WorkspaceID())
	// Output: sales
}

func ExampleScope_GroupID() {
	fmt.Println(bctrl.InGroup("sales", "team-7").GroupID())
	// Output: team-7
}

func ExampleScope_IsZero() {
	var s bctrl.Scope
	fmt.Println(s.IsZero(), bctrl.Global().IsZero())
	// Output: true false
}

func ExampleScope_Validate() {
	fmt.Println(bctrl.InGroup("sales", "team-7").Validate())
	fmt.Println(bctrl.InGroup("", "team-7").Validate())
	// Output:
	// <nil>
	// bctrl: scope.group_without_workspace: a group is part of a workspace, which is missing field scope.workspaceId (name the workspace too)
}
