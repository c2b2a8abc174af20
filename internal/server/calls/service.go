// Package calls makes calls to providers for callers who never hold the secret:
// invocations, requests that are passed through, an agent's questions to its
// model, and the test of an AI credential. Each is resolved, decided once more and
// recorded in one transaction, and only then sent, by package broker.
package calls

import (
	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/broker"
	"github.com/bctrl-go/bctrl/internal/registry"
	"github.com/bctrl-go/bctrl/internal/server/catalog"
	"github.com/bctrl-go/bctrl/internal/server/models"
	"github.com/bctrl-go/bctrl/internal/server/web"
)

// Service answers the routes that call providers, and those that say whether a
// call would find a credential.
type Service struct {
	*web.Kernel
	broker   *broker.Broker
	registry *registry.Registry
	catalog  *catalog.Service
	models   *models.Service
	proven   proven
	opened   opened
}

// New makes the service for the providers of a registry. The broker is the only
// way out to them.
func New(
	k *web.Kernel, b *broker.Broker, r *registry.Registry, c *catalog.Service, m *models.Service,
) *Service {
	return &Service{
		Kernel:   k,
		broker:   b,
		registry: r,
		catalog:  c,
		models:   m,
	}
}

// Forget drops what was proven and opened with the master key. It is called when the
// server is locked.
func (s *Service) Forget() {
	s.proven.forget()
	s.opened.forget()
}

// Routes are all of the area: invocations, requests that are passed through, the
// test of an AI credential, and the reading and storing of capabilities, which say
// whether a call would find a credential.
func (s *Service) Routes() []web.Route {
	invoke := web.Raw("POST /v1/capabilities/{id}/invoke", bctrl.InvokeCapability, s.invoke, "stream")
	invoke.MaxBody = maxEnvelope
	pass := web.Raw("ANY /v1/proxy/{target}/{path...}", bctrl.InvokeCapability, s.proxy)
	pass.Foreign = &web.ForeignForm{TakeToken: s.takeToken, Refuse: refuseForeign}
	return []web.Route{
		invoke,
		pass,
		web.Endpoint("POST /v1/ai-credentials/{id}/test", bctrl.UseAI, s.testAICredential),
		web.Endpoint("GET /v1/capabilities", access.CapabilityRead, s.listCapabilities,
			"provider", "status", "workspaceId", "groupId", "limit", "cursor"),
		web.Endpoint("GET /v1/capabilities/{id}", access.CapabilityRead, s.getCapability),
		web.Endpoint("PUT /v1/capabilities/{id}", access.CapabilityWrite, s.putCapability),
	}
}
