// Command narrow shows how mounts decide. It needs no server and no browser:
// the SDK decides by the same code as the server does.
//
//	go run ./examples/narrow
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/bctrl-go/bctrl"
)

func main() {
	if err := run(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "narrow:", err)
		os.Exit(1)
	}
}

func run(out io.Writer) error {
	// The ceiling of a workspace: all production logins but the administrators'.
	ceiling := bctrl.Mounts{
		AI:    &bctrl.AIMount{Allow: []string{"openai-prod", "anthropic-prod"}},
		Vault: &bctrl.VaultMount{Allow: []string{"prod/"}, Deny: []string{"prod/admin/"}},
		Web:   &bctrl.WebMount{Allow: []string{"*.example.com"}},
	}
	if err := ceiling.Validate(); err != nil {
		return err
	}

	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "A RUNTIME ASKS FOR\tANSWER\tWITNESS")
	for _, ask := range []struct {
		what   string
		mounts bctrl.Mounts
	}{
		{"prod/crm/", bctrl.Mounts{Vault: &bctrl.VaultMount{Allow: []string{"prod/crm/"}}}},
		{"one credential", bctrl.Mounts{AI: &bctrl.AIMount{Allow: []string{"openai-prod"}}}},
		{"nothing of the vault", bctrl.Mounts{Vault: &bctrl.VaultMount{Allow: []string{}}}},
		{"everything", bctrl.Mounts{Vault: &bctrl.VaultMount{Allow: []string{"/"}}}},
		{"a login beside", bctrl.Mounts{Vault: &bctrl.VaultMount{Allow: []string{"hr/payroll"}}}},
		{"an administrator's", bctrl.Mounts{Vault: &bctrl.VaultMount{Allow: []string{"prod/admin/root"}}}},
		{"passwords in clear", bctrl.Mounts{Vault: &bctrl.VaultMount{AllowRawReads: new(true)}}},
		{"one site", bctrl.Mounts{Web: &bctrl.WebMount{Allow: []string{"crm.example.com"}}}},
		{"every site", bctrl.Mounts{Web: &bctrl.WebMount{Allow: []string{"*"}}}},
		{"another credential", bctrl.Mounts{AI: &bctrl.AIMount{Allow: []string{"google-eval"}}}},
	} {
		_, err := ceiling.Narrow(ask.mounts)
		refusal, refused := errors.AsType[*bctrl.Error](err)
		switch {
		case err == nil:
			fmt.Fprintf(w, "%s\tgranted\n", ask.what)
		case refused:
			fmt.Fprintf(w, "%s\t%s\t%s\n", ask.what, refusal.Code, refusal.Witness)
		default:
			return err
		}
	}

	// What a runtime that was lowered to prod/crm/ may do, and what decides it.
	crm, err := ceiling.Narrow(bctrl.Mounts{Vault: &bctrl.VaultMount{Allow: []string{"prod/crm/"}}})
	if err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w, "\nBELOW prod/crm/ MAY IT\t\tBECAUSE")
	answer := map[bool]string{true: "yes", false: "no"}
	for _, action := range []bctrl.Action{
		{Verb: bctrl.UseVault, Object: "prod/crm/salesforce"},
		{Verb: bctrl.ReadVault, Object: "prod/crm/salesforce"},
		{Verb: bctrl.UseVault, Object: "prod/crm2/salesforce"},
		{Verb: bctrl.UseVault, Object: "prod/admin/root"},
		{Verb: bctrl.UseAI, Object: "anthropic-prod"},
		{Verb: bctrl.PutStorage, Object: "sales-exports"},
	} {
		d := crm.Explain(action)
		fmt.Fprintf(w, "%s %s\t%s\t%s: %s\n", action.Verb, action.Object, answer[d.Allowed], d.Field, d.Reason)
	}
	return w.Flush()
}
