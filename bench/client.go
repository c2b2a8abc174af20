package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/bctrl-go/bctrl"
)

// compareClients asks the bare server twice for the same: with the SDK and
// with net/http and encoding/json. The difference is the SDK.
func (p plan) compareClients(ctx context.Context, w io.Writer, bareServer *process) error {
	if !p.only.MatchString("SDK") {
		return nil
	}
	c, err := newClient(bareServer.url, sampleSum)
	if err != nil {
		return err
	}
	defer c.CloseIdleConnections()
	bare := newPlainClient(bareServer.url)
	t := newTable(w, "The SDK, and plain net/http with encoding/json, both against the bare server: calls a second, and "+
		"microseconds of the client", "", "callers", "SDK", "p50", "cpu", "plain", "p50", "cpu", "overhead")
	defer t.end()
	for _, cost := range comparisons(c, bare) {
		if cost.name == "browse folders" || cost.name == "browse 1000 files" {
			continue // the bare server has no folders, and files of its own shape
		}
		for _, callers := range p.callers {
			our, their, err := p.compare(ctx, callers, side{cost.ours, bareServer}, side{cost.theirs, bareServer})
			if err != nil {
				return fmt.Errorf("%s: %w", cost.name, err)
			}
			t.row(cost.name, fmt.Sprint(callers), rate(our.rate), micros(our.p50), micros(our.clientCPU()),
				rate(their.rate), micros(their.p50), micros(their.clientCPU()),
				fmt.Sprintf("%+.0f %%", 100*(their.rate/our.rate-1)))
		}
	}
	return nil
}

// local measures what the SDK decides without a request.
func (p plan) local(w io.Writer) error {
	if !p.only.MatchString("narrow") {
		return nil
	}
	ordinary := bctrl.Mounts{
		AI: &bctrl.AIMount{
			Allow:    []string{"openai-prod", "anthropic-prod"},
			Defaults: map[bctrl.AIProvider]string{bctrl.OpenAI: "openai-prod"},
		},
		Vault: &bctrl.VaultMount{
			Allow:         []string{"prod/crm/", "prod/email/"},
			Deny:          []string{"prod/crm/admin/"},
			AllowRawReads: new(true),
		},
		Storage: &bctrl.StorageMount{Workspace: "sales-exports"},
	}
	child := bctrl.Mounts{
		AI:    &bctrl.AIMount{Allow: []string{"openai-prod"}},
		Vault: &bctrl.VaultMount{Allow: []string{"prod/crm/salesforce"}},
	}
	wide := bctrl.Mounts{Vault: &bctrl.VaultMount{}}
	for i := range pageSize {
		wide.Vault.Allow = append(wide.Vault.Allow, fmt.Sprintf("team-%04d/crm/", i))
	}
	t := newTable(w, "Decided without a request: microseconds", "", "time")
	defer t.end()
	for _, job := range []struct {
		name string
		fn   func() error
	}{
		{"narrow ordinary mounts", func() error { _, err := ordinary.Narrow(child); return err }},
		{"decide on a key among 1000 prefixes", func() error { return full(nil, wide.AllowsVaultKey("team-0777/crm/site")) }},
	} {
		best := time.Hour
		for range p.rounds {
			const times = 2000
			began := time.Now()
			for range times {
				if err := job.fn(); err != nil {
					return fmt.Errorf("%s: %w", job.name, err)
				}
			}
			best = min(best, time.Since(began)/times)
		}
		t.row(job.name, fmt.Sprintf("%.2f", float64(best)/float64(time.Microsecond)))
	}
	return nil
}
