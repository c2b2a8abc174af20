// Package catalog keeps what calls are made of: secrets and where they are seen,
// credentials of providers, capabilities with their policies, and the bindings
// between them. It decides nothing about a call: package calls resolves one.
package catalog

import (
	"slices"

	"github.com/bctrl-go/bctrl/internal/registry"
	"github.com/bctrl-go/bctrl/internal/server/models"
	"github.com/bctrl-go/bctrl/internal/server/web"
)

// Service answers the routes of secrets, credentials, capabilities and bindings.
type Service struct {
	*web.Kernel
	registry *registry.Registry
	models   *models.Service
}

// New makes the service for the providers of a registry.
func New(k *web.Kernel, r *registry.Registry, m *models.Service) *Service {
	return &Service{Kernel: k, registry: r, models: m}
}

// Routes are all of the area.
func (s *Service) Routes() []web.Route {
	return slices.Concat(s.secretRoutes(), s.credentialRoutes(), s.capabilityRoutes(), s.bindingRoutes())
}
