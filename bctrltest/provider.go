package bctrltest

import (
	"net/http"
	"testing"

	"github.com/bctrl-go/bctrl/internal/daemon"
	"github.com/bctrl-go/bctrl/internal/standin"
)

// WithProvider lets handler stand in for a provider: requests that the server
// makes to host, "api.openai.com", go to it, over TLS and with a certificate for
// that name which this server alone trusts. So code that calls a provider
// through the server, by [bctrl.CapabilitiesService.Invoke], with the provider's
// own SDK, or as an agent, is tested as it is, and without a network. What the
// handler is sent has the provider's key: it can check it.
//
// Hosts for which there is no WithProvider are reached as ever. Runtimes'
// browsers are not concerned: to them the name means what it means.
func WithProvider(host string, handler http.Handler) Option {
	return func(o *options) { o.providers = append(o.providers, provider{host, handler}) }
}

type provider struct {
	host    string
	handler http.Handler
}

// standIns serves the providers until the test is done.
func standIns(t testing.TB, providers []provider, cfg *daemon.Config) {
	t.Helper()
	if len(providers) == 0 {
		return
	}
	in, err := standin.New()
	if err != nil {
		t.Fatalf("bctrltest: %v", err)
	}
	t.Cleanup(in.Close)
	for _, p := range providers {
		if err := in.Serve(p.host, p.handler); err != nil {
			t.Fatalf("bctrltest: %v", err)
		}
	}
	cfg.ProviderRoots, cfg.ProviderInstead = in.Roots(), in.Instead
}
