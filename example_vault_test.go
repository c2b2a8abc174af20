package bctrl_test

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/bctrl-go/bctrl"
)

func ExampleVaultService_Set() {
	entry, err := exampleClient().Vault.Set(context.Background(), "prod/crm/salesforce", bctrl.VaultCredential{
		Username: "bot@company.com",
		Password: bctrl.NewSecret(os.Getenv("SF_PASSWORD")),
		TOTP:     bctrl.NewSecret(os.Getenv("SF_TOTP_SEED")),
		Origins:  []string{"https://login.salesforce.com"},
	})
	fmt.Println(entry.Key, entry.HasTOTP, entry.Version, err)
	// Output: prod/crm/salesforce true 1 <nil>
}

func ExampleVaultService_Get() {
	ctx, vault := context.Background(), exampleClient().Vault
	c, err := vault.Get(ctx, "prod/crm/salesforce")
	fmt.Println(c.Username, c.Password, err)
	_, err = vault.Get(ctx, "prod/crm/unknown")
	fmt.Println(errors.Is(err, bctrl.ErrNotFound))
	// Output:
	// bot@company.com [secret] <nil>
	// true
}

func ExampleVaultService_Delete() {
	fmt.Println(exampleClient().Vault.Delete(context.Background(), "prod/crm/salesforce"))
	// Output: <nil>
}

func ExampleVaultService_List() {
	for key, err := range exampleClient().Vault.List(context.Background(), "prod/") {
		fmt.Println(key, err)
	}
	// Output: prod/crm/salesforce <nil>
}

func ExampleVaultService_KeysPage() {
	page, err := exampleClient().Vault.KeysPage(context.Background(), "prod/", bctrl.PageOptions{Limit: 1000})
	fmt.Println(page.Items, err)
	// Output: [prod/crm/salesforce] <nil>
}

func ExampleVaultService_Entries() {
	filter := bctrl.VaultFilter{Prefix: "prod/", HasTOTP: new(true)}
	for entry, err := range exampleClient().Vault.Entries(context.Background(), filter) {
		fmt.Println(entry.Key, entry.Username, err)
	}
	// Output: prod/crm/salesforce bot@company.com <nil>
}

func ExampleVaultService_EntriesPage() {
	page, err := exampleClient().Vault.EntriesPage(context.Background(), bctrl.VaultFilter{}, bctrl.PageOptions{})
	fmt.Println(len(page.Items), err)
	// Output: 1 <nil>
}

func ExampleVaultService_TOTP() {
	code, err := exampleClient().Vault.TOTP(context.Background(), "prod/crm/salesforce")
	fmt.Println(code, err)
	// Output: 287082 <nil>
}

func ExampleRuntimeVault_Get() {
	rt := exampleRuntime() // its mounts allow raw reads of prod/crm/
	c, err := rt.Vault.Get(context.Background(), "prod/crm/salesforce")
	fmt.Println(c.Password, err)
	_, err = rt.Vault.Get(context.Background(), "prod/hr/payroll")
	fmt.Println(err)
	// Output:
	// [secret] <nil>
	// bctrl: vault.outside_mount: the mounts do not permit this key (the missing right is vault.readRaw: add it to vault.allow of the workspace, and of the runtime if it narrows)
}

func ExampleRuntimeVault_TOTP() {
	code, err := exampleRuntime().Vault.TOTP(context.Background(), "prod/crm/salesforce")
	fmt.Println(code, err)
	// Output: 287082 <nil>
}

func ExampleRuntimeVault_List() {
	for key, err := range exampleRuntime().Vault.List(context.Background(), "") {
		fmt.Println(key, err)
	}
	// Output: prod/crm/salesforce <nil>
}

func ExampleRuntimeVault_Entries() {
	for entry, err := range exampleRuntime().Vault.Entries(context.Background(), bctrl.VaultFilter{}) {
		fmt.Println(entry.Key, err)
	}
	// Output: prod/crm/salesforce <nil>
}
