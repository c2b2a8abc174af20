package bctrl_test

import (
	"context"
	"fmt"

	"github.com/bctrl-go/bctrl"
)

func ExampleBrowserProfilesService_Create() {
	p, err := exampleClient().Profiles.Create(context.Background(), bctrl.BrowserProfileCreate{ID: "sf-bot", Label: "Salesforce bot"})
	fmt.Println(p.ID, err)
	// Output: sf-bot <nil>
}

func ExampleBrowserProfilesService_Get() {
	p, err := exampleClient().Profiles.Get(context.Background(), "sf-bot")
	fmt.Println(p.Label, err)
	// Output: Salesforce bot <nil>
}

func ExampleBrowserProfilesService_List() {
	for p, err := range exampleClient().Profiles.List(context.Background()) {
		fmt.Println(p.ID, err)
	}
	// Output: sf-bot <nil>
}

func ExampleBrowserProfilesService_Page() {
	page, err := exampleClient().Profiles.Page(context.Background(), bctrl.PageOptions{})
	fmt.Println(len(page.Items), err)
	// Output: 1 <nil>
}

func ExampleBrowserProfilesService_Update() {
	p, err := exampleClient().Profiles.Update(context.Background(), "sf-bot", bctrl.BrowserProfileUpdate{Label: new("CRM")})
	fmt.Println(p.Label, err)
	// Output: CRM <nil>
}

func ExampleBrowserProfilesService_Delete() {
	fmt.Println(exampleClient().Profiles.Delete(context.Background(), "sf-bot"))
	// Output: <nil>
}
