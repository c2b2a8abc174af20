package extract_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/extract"
)

func Example() {
	type Deal struct {
		Name   string      `json:"name"`
		Amount json.Number `json:"amount" jsonschema:"in dollars, without the sign"`
		Link   extract.URL `json:"link"`
	}
	rt := exampleRuntime(`{"value":[{"name":"Acme","amount":120.50,"link":"/deals/1"}]}`)
	deals, err := extract.Into[[]Deal](context.Background(), rt, "the open deals")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(deals[0].Name, deals[0].Amount, deals[0].Link)
	// Output: Acme 120.50 https://crm.example/deals/1
}

func ExampleInto() {
	rt := exampleRuntime(`{"value":3}`)
	open, err := extract.Into[int](context.Background(), rt, "how many deals are open",
		bctrl.ExtractOptions{Model: "gpt-5-mini"})
	fmt.Println(open, err)
	_, err = extract.Into[chan int](context.Background(), rt, "the deals as they come")
	e, _ := errors.AsType[*bctrl.Error](err)
	fmt.Println(e.Code)
	// Output:
	// 3 <nil>
	// extract.unsupported_type
}

func ExampleTruncatedError() {
	var err error = &extract.TruncatedError{URL: "https://crm.example/deals"} // of Into, with what was read
	if cut, ok := errors.AsType[*extract.TruncatedError](err); ok {
		fmt.Println("there is more at", cut.URL)
	}
	// Output: there is more at https://crm.example/deals
}

func ExampleURL_Parse() {
	parts, err := extract.URL("https://crm.example/deals/1").Parse()
	fmt.Println(parts.Path, err)
	// Output: /deals/1 <nil>
}

// exampleRuntime is a runtime from whose page that is extracted.
func exampleRuntime(data string) *bctrl.Runtime {
	rt, err := (&page{url: "https://crm.example/deals", data: data}).runtime()
	if err != nil {
		panic(err)
	}
	return rt
}
