package main

import "testing"

func TestOnlyPicksByTheBeginningOfAName(t *testing.T) {
	for _, c := range []struct {
		only, name string
		want       bool
	}{
		{"", "peers: vault get", true},
		{"vault get", "vault get", true},
		{"vault get", "peers: vault get", false},
		{"vault", "vault set", true},
		{"peers", "peers: vault get", true},
		{"peers: vault get", "peers: vault get", true},
		{"peers: vault get", "vault get", false},
		{"peers: vault set$", "peers: vault set, no idempotency key", false},
		{"kill|peers: TOTP", "peers: TOTP code", true},
		{"kill|vault get", "peers: vault get", false},
		{"nodes: (vault get|invoke)", "nodes: invoke", true},
		{".*invoke", "broker: invoke", true},
	} {
		pattern, err := beginning(c.only)
		if err != nil {
			t.Fatal(err)
		}
		if got := pattern.MatchString(c.name); got != c.want {
			t.Errorf("-only %q picks %q: %v", c.only, c.name, got)
		}
	}
}
