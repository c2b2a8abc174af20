package main

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func Example() {
	if err := run(os.Stdout); err != nil {
		fmt.Println(err)
	}
	// Output:
	// A RUNTIME ASKS FOR    ANSWER  WITNESS
	// prod/crm/             granted
	// one credential        granted
	// nothing of the vault  granted
	// everything            mounts.scope_widening     0
	// a login beside        mounts.scope_widening     hr/payroll
	// an administrator's    mounts.denied_by_ceiling  prod/admin/root
	// passwords in clear    mounts.scope_widening     allowRawReads
	// one site              granted
	// every site            mounts.scope_widening  0
	// another credential    mounts.scope_widening  google-eval
	//
	// BELOW prod/crm/ MAY IT                  BECAUSE
	// vault.use prod/crm/salesforce      yes  mounts.vault.allow[0]: this entry allows it
	// vault.readRaw prod/crm/salesforce  no   mounts.vault.allowRawReads: raw reads are not allowed
	// vault.use prod/crm2/salesforce     no   mounts.vault.allow: no entry allows it
	// vault.use prod/admin/root          no   mounts.vault.deny[0]: this entry denies it, and a deny wins over every allow
	// ai.use anthropic-prod              yes  mounts.ai.allow[1]: this entry allows it
	// storage.put sales-exports          no   mounts.storage: nothing of the kind is mounted
}
