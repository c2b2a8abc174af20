package bctrl_test

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/bctrl-go/bctrl"
)

func ExampleCredentialsService_Create() {
	// A second account of a provider that the registry has.
	c, err := exampleClient().Credentials.Create(context.Background(), bctrl.CredentialCreate{
		ID:        "openai-eu",
		Provider:  "openai",
		SecretRef: "vault:secret:s-1",
		Scope:     bctrl.Global(),
	})
	fmt.Println(c.ID, c.Scope, c.SecretRefs["apiKey"], err)
	// Output: openai-eu global vault:secret:s-1 <nil>
}

func ExampleCredentialsService_Create_ownProvider() {
	c, err := exampleClient().Credentials.Create(context.Background(), bctrl.CredentialCreate{
		ID:        "acme",
		Provider:  "acme",
		SecretRef: "vault:secret:s-1",
		Scope:     bctrl.InWorkspace("sales-pipeline"),
		Auth:      &bctrl.CredentialAuth{Type: bctrl.AuthHeader, Headers: map[string]string{"X-Api-Key": "{secret}"}},
		Hosts:     []string{"api.acme.example"},
	})
	fmt.Println(c.Enabled, err)
	// Output: true <nil>
}

func ExampleCredentialsService_Get() {
	c, err := exampleClient().Credentials.Get(context.Background(), "openai-eu")
	fmt.Println(c.Provider, c.Scope, err)
	// Output: openai global <nil>
}

func ExampleCredentialsService_List() {
	for c, err := range exampleClient().Credentials.List(context.Background()) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(c.ID)
	}
	// Output: openai-eu
}

func ExampleCredentialsService_Page() {
	page, err := exampleClient().Credentials.Page(context.Background(), bctrl.PageOptions{Limit: 10})
	fmt.Println(len(page.Items), page.NextCursor == "", err)
	// Output: 1 true <nil>
}

func ExampleCredentialsService_Update() {
	c, err := exampleClient().Credentials.Update(context.Background(), "openai-eu",
		bctrl.CredentialUpdate{Enabled: new(false)})
	fmt.Println(c.Enabled, err)
	// Output: false <nil>
}

func ExampleCredentialsService_Delete() {
	fmt.Println(exampleClient().Credentials.Delete(context.Background(), "openai-eu"))
	// Output: <nil>
}

// A strategy is data: it names the fields of the credential that holds the
// secrets.
func ExampleCredentialAuth() {
	auth := bctrl.CredentialAuth{Type: bctrl.AuthQuery, Query: map[string]string{"key": "{apiKey}", "token": "{token}"}}
	text, err := json.Marshal(auth)
	fmt.Println(string(text), err)
	// Output: {"type":"query","query":{"key":"{apiKey}","token":"{token}"}} <nil>
}

func ExampleCredentialAuth_Validate() {
	auth := bctrl.CredentialAuth{Type: bctrl.AuthHeader, Headers: map[string]string{"Host": "{apiKey}"}}
	fmt.Println(auth.Validate())
	// Output: bctrl: credentials.invalid_auth: the auth strategy is malformed field auth.headers.Host (this header is not for a strategy to set)
}

func ExampleCredentialAuth_Fields() {
	auth := bctrl.CredentialAuth{
		Type:    bctrl.AuthHeader,
		Headers: map[string]string{"Authorization": "Bearer {apiKey}", "OpenAI-Organization": "{organization?}"},
	}
	required, optional := auth.Fields()
	fmt.Println(required, optional)
	// Output: [apiKey] [organization]
}
