// Package runtimes keeps workspaces and what runs in them: runtimes with their
// browsers, executions and their steps, operations, agents, DevTools connections
// and runtime tokens. It is the only area that knows of
// browsers, and knows them by [browser.Driver] alone.
package runtimes

import (
	"slices"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/egress"
	"github.com/bctrl-go/bctrl/internal/server/calls"
	"github.com/bctrl-go/bctrl/internal/server/catalog"
	"github.com/bctrl-go/bctrl/internal/server/files"
	"github.com/bctrl-go/bctrl/internal/server/models"
	"github.com/bctrl-go/bctrl/internal/server/profiles"
	"github.com/bctrl-go/bctrl/internal/server/vault"
	"github.com/bctrl-go/bctrl/internal/server/web"
)

// Config says what runtimes are started with.
type Config struct {
	Browsers browser.Driver
	// Egress decides which addresses pages may be at.
	Egress egress.Policy
}

// Below are the areas that runtimes use.
type Below struct {
	Vault    *vault.Service
	Models   *models.Service
	Files    *files.Service
	Profiles *profiles.Service
	Catalog  *catalog.Service
	Calls    *calls.Service
}

// Service answers the routes of workspaces and runtimes.
type Service struct {
	*web.Kernel
	browsers browser.Driver
	egress   egress.Policy

	vault    *vault.Service
	models   *models.Service
	files    *files.Service
	profiles *profiles.Service
	catalog  *catalog.Service
	calls    *calls.Service

	fleet      fleet
	operations operations
	tickets    tickets
}

// New makes the service.
func New(k *web.Kernel, cfg Config, below Below) *Service {
	return &Service{
		Kernel:   k,
		browsers: cfg.Browsers,
		egress:   cfg.Egress,
		vault:    below.Vault,
		models:   below.Models,
		files:    below.Files,
		profiles: below.Profiles,
		catalog:  below.Catalog,
		calls:    below.Calls,
	}
}

// Routes are all of the area.
func (s *Service) Routes() []web.Route {
	return slices.Concat(
		s.workspaceRoutes(),
		s.runtimeRoutes(),
		s.executeRoutes(),
		s.operationRoutes(),
		s.tokenRoutes(),
	)
}
