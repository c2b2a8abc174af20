package bctrl_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/bctrl-go/bctrl"
)

// someSecret is the id of the secret in the examples.
const someSecret = "0198b3c0-1f2e-7d4a-8b5c-6d7e8f901a2b"

// cannedSecrets answers what the examples ask of secrets.
func cannedSecrets() canned {
	const (
		secret = `{"id":"` + someSecret +
			`","name":"OPENAI_API_KEY","scope":{"type":"workspace","workspaceId":"ws-1"},"provider":"openai","field":"apiKey",` +
			`"version":1}`
		attached = `{"id":"` + someSecret +
			`","name":"OPENAI_API_KEY","attachments":[{"type":"group","workspaceId":"ws-1","groupId":"team-7"}],"version":2}`
		one = "/v1/secrets/" + someSecret
	)
	return canned{
		"POST /v1/secrets": secret,
		"GET /v1/secrets":  `{"secrets":[` + secret + `],"nextCursor":null}`,
		"POST /v1/secrets/import": `{"created":[` + secret +
			`],"rotated":[],"skipped":["SLACK_BOT_TOKEN"]}`,
		"GET " + one:              secret,
		"PATCH " + one:            strings.Replace(secret, "OPENAI_API_KEY", "OPENAI_KEY", 1),
		"POST " + one + "/rotate": strings.Replace(secret, `"version":1`, `"version":2`, 1),
		"DELETE " + one:           `{}`,
		"PUT " + one + "/attachments/ws-1/team-7":    attached,
		"DELETE " + one + "/attachments/ws-1/team-7": strings.Replace(secret, `"version":1`, `"version":3`, 1),
	}
}

func ExampleSecretsService_Create() {
	secret, err := exampleClient().Secrets.Create(context.Background(), bctrl.SecretCreate{
		Name:  "OPENAI_API_KEY",
		Value: bctrl.NewSecret(os.Getenv("OPENAI_API_KEY")),
		Scope: bctrl.InWorkspace("sales-pipeline"),
	})
	fmt.Println(secret.Name, secret.Scope, secret.Provider, err)
	// Output: OPENAI_API_KEY workspace(ws-1) openai <nil>
}

func ExampleSecretsService_Get() {
	secret, err := exampleClient().Secrets.Get(context.Background(), someSecret)
	fmt.Println(secret.Name, secret.Version, err)
	// Output: OPENAI_API_KEY 1 <nil>
}

func ExampleSecretsService_List() {
	filter := bctrl.SecretFilter{Scope: bctrl.InWorkspace("sales-pipeline"), Name: "OPENAI_API_KEY"}
	for secret, err := range exampleClient().Secrets.List(context.Background(), filter) {
		fmt.Println(secret.ID, err)
	}
	// Output: 0198b3c0-1f2e-7d4a-8b5c-6d7e8f901a2b <nil>
}

func ExampleSecretsService_Page() {
	filter := bctrl.SecretFilter{AttachedTo: bctrl.InGroup("sales-pipeline", "team-7")}
	page, err := exampleClient().Secrets.Page(context.Background(), filter, bctrl.PageOptions{Limit: 10})
	fmt.Println(len(page.Items), err)
	// Output: 1 <nil>
}

func ExampleSecretsService_Update() {
	secret, err := exampleClient().Secrets.Update(context.Background(), someSecret,
		bctrl.SecretUpdate{Name: new("OPENAI_KEY")})
	fmt.Println(secret.Name, secret.Provider, err) // it stays pinned
	// Output: OPENAI_KEY openai <nil>
}

func ExampleSecretsService_Rotate() {
	secret, err := exampleClient().Secrets.Rotate(context.Background(), someSecret,
		bctrl.NewSecret(os.Getenv("OPENAI_API_KEY")))
	fmt.Println(secret.ID == someSecret, secret.Version, err)
	// Output: true 2 <nil>
}

func ExampleSecretsService_Delete() {
	fmt.Println(exampleClient().Secrets.Delete(context.Background(), someSecret))
	// Output: <nil>
}

func ExampleSecretsService_AttachGroup() {
	secret, err := exampleClient().Secrets.AttachGroup(context.Background(), someSecret, "ws-1", "team-7")
	fmt.Println(secret.Attachments, err)
	// Output: [group(ws-1, team-7)] <nil>
}

func ExampleSecretsService_DetachGroup() {
	secret, err := exampleClient().Secrets.DetachGroup(context.Background(), someSecret, "ws-1", "team-7")
	fmt.Println(len(secret.Attachments), err)
	// Output: 0 <nil>
}

func ExampleSecretsService_Import() {
	result, err := exampleClient().Secrets.Import(context.Background(), bctrl.SecretImport{
		Scope: bctrl.Global(),
		Text:  bctrl.NewSecret("export OPENAI_API_KEY='…'\nSLACK_BOT_TOKEN=\n"),
	})
	fmt.Println(len(result.Created), len(result.Rotated), result.Skipped, err)
	// Output: 1 0 [SLACK_BOT_TOKEN] <nil>
}

func ExampleValidSecretName() {
	fmt.Println(bctrl.ValidSecretName("OPENAI_API_KEY"))
	fmt.Println(bctrl.ValidSecretName("openai key"))
	// Output:
	// <nil>
	// bctrl: secrets.invalid_name: not the name of a secret: it is not a letter or _ followed by at most 127 letters, digits, _ . or -
}

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
