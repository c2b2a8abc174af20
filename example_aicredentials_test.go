package bctrl_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/bctrl-go/bctrl"
)

func ExampleAICredentialsService_Create() {
	c, err := exampleClient().AICredentials.Create(context.Background(), bctrl.AICredentialCreate{
		ID:       "openai-prod",
		Provider: bctrl.OpenAI,
		Label:    "Production",
		APIKey:   bctrl.NewSecret(os.Getenv("OPENAI_API_KEY")),
	})
	fmt.Println(c.ID, c.Enabled, err)
	// Output: openai-prod true <nil>
}

func ExampleAICredentialsService_Get() {
	c, err := exampleClient().AICredentials.Get(context.Background(), "openai-prod")
	fmt.Println(c.Provider, c.Label, err)
	// Output: openai Production <nil>
}

func ExampleAICredentialsService_List() {
	for c, err := range exampleClient().AICredentials.List(context.Background()) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(c.ID)
	}
	// Output: openai-prod
}

func ExampleAICredentialsService_Page() {
	page, err := exampleClient().AICredentials.Page(context.Background(), bctrl.PageOptions{Limit: 10})
	fmt.Println(len(page.Items), page.NextCursor == "", err)
	// Output: 1 true <nil>
}

func ExampleAICredentialsService_Update() {
	c, err := exampleClient().AICredentials.Update(context.Background(), "openai-prod",
		bctrl.AICredentialUpdate{Enabled: new(false)})
	fmt.Println(c.Enabled, err)
	// Output: false <nil>
}

func ExampleAICredentialsService_Delete() {
	fmt.Println(exampleClient().AICredentials.Delete(context.Background(), "openai-prod"))
	// Output: <nil>
}

func ExampleWithForce() {
	// Also while a workspace mounts it.
	fmt.Println(exampleClient().AICredentials.Delete(context.Background(), "openai-prod", bctrl.WithForce()))
	// Output: <nil>
}

func ExampleAICredentialsService_Test() {
	result, err := exampleClient().AICredentials.Test(context.Background(), "openai-prod")
	fmt.Println(result.OK, result.Latency, err)
	// Output: true 212ms <nil>
}

func ExampleAICredentialTest() {
	result := bctrl.AICredentialTest{
		OK:       false,
		Provider: bctrl.OpenAI,
		Message:  "the provider refused the key",
		Latency:  90 * time.Millisecond,
	}
	fmt.Println(result.OK, result.Message)
	// Output: false the provider refused the key
}

func ExampleRuntimeAI_Get() {
	rt := exampleRuntime()
	c, err := rt.AI.Get(context.Background(), "openai-prod")
	fmt.Println(c.ID, err)
	_, err = rt.AI.Get(context.Background(), "anthropic-prod")
	fmt.Println(errors.Is(err, bctrl.ErrOutsideMount))
	// Output:
	// openai-prod <nil>
	// true
}

func ExampleRuntimeAI_List() {
	for c, err := range exampleRuntime().AI.List(context.Background()) {
		fmt.Println(c.ID, err)
	}
	// Output: openai-prod <nil>
}
