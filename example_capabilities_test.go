package bctrl_test

import (
	"context"
	"fmt"

	"github.com/bctrl-go/bctrl"
)

func ExampleCapabilitiesService_List() {
	for c, err := range exampleClient().Capabilities.List(context.Background(),
		bctrl.CapabilityFilter{Context: bctrl.InWorkspace("sales-pipeline")}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(c.ID, c.Status)
	}
	// Output:
	// acme/users available
	// openai/chat-completions ready
}

func ExampleCapabilitiesService_Page() {
	page, err := exampleClient().Capabilities.Page(context.Background(), bctrl.CapabilityFilter{},
		bctrl.PageOptions{Limit: 10})
	fmt.Println(len(page.Items), page.NextCursor == "", err)
	// Output: 2 true <nil>
}

func ExampleCapabilitiesService_Describe() {
	c, err := exampleClient().Capabilities.Describe(context.Background(), "openai/chat-completions")
	fmt.Println(c.Methods, c.Paths, c.Hosts, err)
	// Output: [POST] [/v1/chat/completions] [api.openai.com] <nil>
}

func ExampleCapabilitiesService_Create() {
	c, err := exampleClient().Capabilities.Create(context.Background(), bctrl.CapabilityCreate{
		ID: "acme/users", Methods: []string{"GET"}, Paths: []string{"/v1/users"},
	})
	fmt.Println(c.ID, c.Builtin, err)
	// Output: acme/users false <nil>
}

func ExampleCapabilitiesService_Delete() {
	fmt.Println(exampleClient().Capabilities.Delete(context.Background(), "acme/users"))
	// Output: <nil>
}

func ExampleCapabilitiesService_SetPolicy() {
	p, err := exampleClient().Capabilities.SetPolicy(context.Background(), "openai/chat-completions",
		bctrl.CapabilityPolicy{
			CallsPerMinute: 60, Redact: []string{"api_key"},
		})
	fmt.Println(p.CallsPerMinute, p.Redact, err)
	// Output: 60 [api_key] <nil>
}

func ExampleCapabilitiesService_Bind() {
	// What runtimes of this group call the model with is their own.
	b, err := exampleClient().Capabilities.Bind(context.Background(), bctrl.Binding{
		Capability: "openai/chat-completions", SecretRef: "vault:secret:s-1", Scope: bctrl.InGroup("sales-pipeline", "emea"),
	})
	fmt.Println(b.Scope, b.Field, err)
	// Output: group(ws-1, emea) apiKey <nil>
}

func ExampleCapabilitiesService_Unbind() {
	fmt.Println(exampleClient().Capabilities.Unbind(context.Background(), bctrl.Binding{
		Capability: "openai/chat-completions", Scope: bctrl.InGroup("sales-pipeline", "emea"),
	}))
	// Output: <nil>
}

func ExampleCapabilitiesService_Bindings() {
	for b, err := range exampleClient().Capabilities.Bindings(context.Background(),
		bctrl.BindingFilter{Capability: "openai/chat-completions"}) {
		fmt.Println(b.Scope, b.SecretRef, err)
	}
	// Output: group(ws-1, emea) vault:secret:s-1 <nil>
}

func ExampleCapabilitiesService_BindingsPage() {
	page, err := exampleClient().Capabilities.BindingsPage(context.Background(), bctrl.BindingFilter{},
		bctrl.PageOptions{Limit: 10})
	fmt.Println(len(page.Items), page.NextCursor == "", err)
	// Output: 1 true <nil>
}
