package bctrl_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bctrl-go/bctrl"
)

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
	var e *bctrl.Error
	fmt.Println(errors.Is(err, bctrl.ErrWidening), errors.As(err, &e))
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
