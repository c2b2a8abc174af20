package bctrl_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/bctrl-go/bctrl"
)

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
	_, err = client.ForSubaccount("").Vault.TOTP(context.Background(), "prod/crm/salesforce") // never the organization's own
	fmt.Println(errors.Is(err, bctrl.ErrInvalid))
	// Output:
	// <nil>
	// true
}
