package runtimes

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
)

// seenHosts say of which hosts a client may see what the browser has: its tabs, cookies and
// storage. An organization key sees all; whoever acts as the runtime, what every level of its
// mounts permits at the moment.
type seenHosts struct {
	// chain are the levels; nil is a caller that no mounts hold.
	chain atomic.Pointer[bctrl.Chain]
}

// follow keeps to the mounts as they are while the grant lasts.
func (h *seenHosts) follow(g *web.Grant) {
	g.Require(func(_ context.Context, _ store.Queries, c access.Caller) error {
		if c.Runtime != nil {
			chain := slices.Clone(c.Runtime.Chain)
			h.chain.Store(&chain)
		}
		return nil
	})
}

// SeesEveryHost implements [browser.ClientRights].
func (h *seenHosts) SeesEveryHost() bool {
	chain := h.chain.Load()
	return chain == nil || !limitsHosts(*chain)
}

// SeesHost implements [browser.ClientRights].
func (h *seenHosts) SeesHost(host string) bool {
	chain := h.chain.Load()
	return chain == nil || mayVisit(*chain, host)
}

// SeesCookiesOf implements [browser.ClientRights]. Cookies of a domain go to every host below
// it, so one that is permitted is enough: it is among those that the levels name, or stands
// for the others.
func (h *seenHosts) SeesCookiesOf(domain string) bool {
	host, ofMany := strings.CutPrefix(strings.ToLower(domain), ".")
	if h.SeesHost(host) {
		return true
	}
	if !ofMany {
		return false
	}
	if h.SeesHost("0." + host) {
		return true
	}
	for _, level := range *h.chain.Load() {
		if level.Web == nil {
			continue
		}
		for _, pattern := range level.Web.Allow {
			named := strings.Replace(strings.ToLower(pattern), "*", "0", 1)
			if strings.HasSuffix(named, "."+host) && h.SeesHost(named) {
				return true
			}
		}
	}
	return false
}
