package bctrl_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/bctrl-go/bctrl"
)

func ExampleAuditService_Events() {
	filter := bctrl.AuditFilter{Object: "prod/crm/salesforce", Since: time.Now().AddDate(0, 0, -7)}
	for e, err := range exampleClient().Audit.Events(context.Background(), filter) {
		fmt.Println(e.Caller, e.Action, e.Outcome, err)
	}
	// Output: runtime:rt-1 vault.use ok <nil>
}

func ExampleAuditSecret() {
	calls := bctrl.AuditFilter{Capability: "openai/chat-completions", Since: time.Now().AddDate(0, 0, -1)}
	for e, err := range clientOf(cannedCalls()).Audit.Events(context.Background(), calls) {
		for _, s := range e.Secrets {
			fmt.Println(e.Credential, s.Field, s.UID, s.Version, s.Tier, s.Binding != "", err)
		}
	}
	// Output: openai-eu apiKey s-1 3 group true <nil>
}

func ExampleAuditService_Page() {
	page, err := exampleClient().Audit.Page(context.Background(), bctrl.AuditFilter{Decision: bctrl.AuditDenied},
		bctrl.PageOptions{Limit: 10})
	fmt.Println(len(page.Items), page.NextCursor == "", err)
	// Output: 1 true <nil>
}

func ExampleAuditService_Verify() {
	report, err := exampleClient().Audit.Verify(context.Background())
	if err != nil {
		panic(err)
	}
	for _, p := range report.Problems {
		fmt.Println(p.Kind, p.Seq, p.Message)
	}
	fmt.Println(report.OK, report.Events)
	// Output: true 4211
}

func ExampleAuditService_Tail() {
	for e, err := range exampleClient().Audit.Tail(context.Background(), bctrl.AuditFilter{Action: "vault.use"}) {
		fmt.Println(e.Object, err)
		break // or end the context
	}
	// Output: prod/crm/salesforce <nil>
}

func ExampleAuditService_Export() {
	if err := exampleClient().Audit.Export(context.Background(), os.Stdout, bctrl.AuditFilter{}); err != nil {
		panic(err)
	}
	// Output: {"seq":4211,"id":"01980a4e-0000-7000-8000-000000000000","time":"2026-01-02T03:04:05Z","caller":"runtime:rt-1","action":"vault.use","object":"prod/crm/salesforce","decision":"allow","outcome":"ok"}
}

func ExampleNodesService_List() {
	nodes, err := exampleClient().Nodes.List(context.Background())
	for _, n := range nodes {
		fmt.Println(n.Name, n.State, n.Runtimes, n.Leads)
	}
	fmt.Println(err)
	// Output:
	// alpha serving 3 true
	// <nil>
}

func ExampleNodesService_Drain() {
	node, err := exampleClient().Nodes.Drain(context.Background(), "01980a4e-6a3c-7f1e-8c1d-3b2a5d9e4f60")
	fmt.Println(node.State, err)
	// Output: draining <nil>
}

func ExampleSealService_Status() {
	status, err := exampleClient().Seal.Status(context.Background())
	fmt.Println(status.Locked, status.Source, err)
	// Output: false file <nil>
}

func ExampleSealService_Lock() {
	status, err := exampleClient().Seal.Lock(context.Background())
	fmt.Println(status.Locked, err)
	// Output: true <nil>
}

func ExampleSealService_Unlock() {
	status, err := exampleClient().Seal.Unlock(context.Background(),
		bctrl.SealKey{Passphrase: bctrl.NewSecret("correct horse battery staple")})
	if errors.Is(err, bctrl.ErrForbidden) {
		fmt.Println("the passphrase is wrong")
	}
	fmt.Println(status.Locked, err)
	// Output: false <nil>
}

func ExampleSealService_Rotate() {
	// The server has its key in a file, and makes the new one itself.
	status, err := exampleClient().Seal.Rotate(context.Background(), bctrl.SealKey{})
	fmt.Println(status.LastRotatedAt.IsZero(), err)
	// Output: false <nil>
}

func ExampleSubaccountsService_Create() {
	sub, err := exampleClient().Subaccounts.Create(context.Background(), bctrl.SubaccountCreate{Name: "acme"})
	fmt.Println(sub.Name, err)
	// Output: acme <nil>
}

func ExampleSubaccountsService_List() {
	for sub, err := range exampleClient().Subaccounts.List(context.Background()) {
		fmt.Println(sub.Name, err)
	}
	// Output: acme <nil>
}

func ExampleSubaccountsService_Page() {
	page, err := exampleClient().Subaccounts.Page(context.Background(), bctrl.PageOptions{Limit: 10})
	fmt.Println(len(page.Items), err)
	// Output: 1 <nil>
}

func ExampleSubaccountsService_Delete() {
	fmt.Println(exampleClient().Subaccounts.Delete(context.Background(), acme, bctrl.WithForce()))
	// Output: <nil>
}

func ExampleClient_ForSubaccount() {
	client := exampleClient()
	_, err := client.ForSubaccount(acme).Vault.TOTP(context.Background(), "prod/crm/salesforce") // acme's login
	fmt.Println(err)
	// never the organization's own
	_, err = client.ForSubaccount("").Vault.TOTP(context.Background(), "prod/crm/salesforce")
	fmt.Println(errors.Is(err, bctrl.ErrInvalid))
	// Output:
	// <nil>
	// true
}
